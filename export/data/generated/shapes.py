"""Exact coverage of polygons, strokes, letters and boxes, for generated training images.

Coordinates are those of edges: pixel i of a row spans x from i to i + 1. Everything is rasterized at four times the
resolution and reduced by area, so that coverage has 17 levels.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from export.data.generated.scene import Floats, Patch, chance, one_of

FINE = 4
# OpenCV takes points in fractions of a pixel of 2^-SHIFT.
SHIFT = 4
Points = NDArray[np.float64]

SHAPES = ("disc", "ellipse", "box", "rounded", "polygon", "star", "blob", "cross", "arrow", "heart", "crescent")


def filled(frame: tuple[int, int], *polygons: ArrayLike) -> Patch:
    """Fill polygons by the even-odd rule: one within another is a hole.

    Args:
        frame: Height and width; what lies outside is not rasterized.
        polygons: Corners (x, y), shape (N, 2).
    """
    outlines = [np.asarray(polygon, np.float64) for polygon in polygons]
    fine, top, left = _fine_canvas(frame, np.concatenate(outlines), 1.0)
    if fine.size:
        cv2.fillPoly(fine, [_fixed(points, top, left) for points in outlines], 255, shift=SHIFT)
    return _reduced(fine, top, left)


def stroked(frame: tuple[int, int], lines: Sequence[ArrayLike], widths: float | Sequence[float]) -> Patch:
    """Draw lines with round ends.

    Args:
        frame: Height and width; what lies outside is not rasterized.
        lines: Points (x, y) of each line, shape (N, 2).
        widths: In pixels, of all lines or of each; rounded to an odd number of quarters of a pixel.
    """
    points = [np.asarray(line, np.float64) for line in lines]
    each = [float(widths)] * len(points) if isinstance(widths, (int, float)) else list(widths)
    fine, top, left = _fine_canvas(frame, np.concatenate(points), max(each) / 2 + 1)
    if fine.size:
        for line, width in zip(points, each, strict=True):
            fixed = _fixed(line, top, left)
            covered = 2 * round((width * FINE - 1) / 2) + 1
            # OpenCV covers an odd number of pixels: t + 2 where the thickness t is odd, but for the thinnest.
            thickness = {1: 1, 3: 2}.get(covered, max(1, covered - 2))
            cv2.polylines(fine, [fixed], False, 255, thickness, cv2.LINE_8, SHIFT)
    return _reduced(fine, top, left)


def box(frame: tuple[int, int], x: float, y: float, width: float, height: float, radius: float = 0.0) -> Patch:
    """Fill an upright box, at times with round corners of a radius in pixels."""
    radius = min(radius, width / 2, height / 2)
    if radius < 0.5:
        rows, columns = _covered(y, y + height, frame[0]), _covered(x, x + width, frame[1])
        return Patch(np.outer(rows[1], columns[1]).astype(np.float32), rows[0], columns[0])
    corners = []
    for cx, cy, start in (
        (x + width - radius, y + radius, -90),
        (x + width - radius, y + height - radius, 0),
        (x + radius, y + height - radius, 90),
        (x + radius, y + radius, 180),
    ):
        angle = np.deg2rad(np.linspace(start, start + 90, max(4, int(radius))))
        corners.append(np.column_stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)]))
    return filled(frame, np.concatenate(corners))


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """Return points on an ellipse from one angle to another, in degrees, clockwise as seen."""
    angle = np.deg2rad(np.linspace(start, end, int(np.clip(max(rx, ry), 12, 96))))
    return np.column_stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)])


def turned(points: ArrayLike, degrees: float, scale: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Turn points about the origin, scale them, and move the origin to (x, y)."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return np.asarray(np.asarray(points, np.float64) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(at))


def outline(rng: np.random.Generator, shape: str) -> Points:
    """Return the outline of a shape around the origin, at most 1 away from it, with random proportions.

    Args:
        rng: Where the proportions come from.
        shape: One of `SHAPES`.
    """
    points = _outline(rng, shape)
    return np.asarray(points / np.hypot(*points.T).max())


def _outline(rng: np.random.Generator, shape: str) -> Points:
    flat = rng.uniform(0.35, 0.9)
    if shape == "disc":
        return _round(1, 1)
    if shape == "ellipse":
        return _round(1, flat)
    if shape == "box":
        return np.array([(-1, -flat), (1, -flat), (1, flat), (-1, flat)])
    if shape == "rounded":
        power = rng.uniform(3, 6)  # a superellipse
        points = _round(1, 1)
        return np.sign(points) * np.abs(points) ** (2 / power) * (1, flat)
    if shape == "polygon":
        return _round(1, 1, int(rng.integers(3, 9)))
    if shape == "star":
        tips = int(rng.integers(4, 9))
        points = _round(1, 1, 2 * tips)
        points[1::2] *= rng.uniform(0.35, 0.7)
        return points
    if shape == "blob":
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        radius = np.ones(64)
        for k in range(2, 6):
            radius += rng.uniform(-0.6, 0.6) / k * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        radius = np.maximum(radius, 0.25)
        return np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    if shape == "cross":
        arm = rng.uniform(0.2, 0.45)
        quarter = np.array([(arm, -1), (arm, -arm), (1, -arm)])
        return np.concatenate([turned(quarter, 90 * k) for k in range(4)])
    if shape == "arrow":
        shaft, neck = rng.uniform(0.1, 0.3), rng.uniform(-0.1, 0.4)
        half = np.array([(-1, shaft), (neck, shaft), (neck, 0.7), (1, 0)])
        return np.concatenate([half * (1, -1), half[-2::-1]])
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return np.column_stack([x, y])
    if shape == "crescent":
        # From tip to tip on the outer circle, and back on an ellipse through both tips that bulges less.
        tip = rng.uniform(40, 90)
        x, y = math.cos(math.radians(tip)), math.sin(math.radians(tip))
        outer = ellipse(0, 0, 1, 1, tip, 360 - tip)
        inner = ellipse(x, 0, (1 + x) * rng.uniform(0.3, 0.7), y, 270, 90)
        return np.concatenate([outer, inner])
    raise ValueError(f"there is no shape '{shape}'; there are {', '.join(SHAPES)}")


def letters(text: str, height: float, font: str = "") -> Floats:
    """Return the coverage of one line of text, cropped to it, float32, shape (h, w).

    Args:
        text: What is written.
        height: Nominal size of the font in pixels.
        font: One of `fonts`; the font that comes with Pillow when empty.
    """
    face = _font(font, max(4, round(height)))
    left, top, right, bottom = face.getbbox(text)
    size = (max(1, math.ceil(right - left) + 2), max(1, math.ceil(bottom - top) + 2))
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), text, fill=255, font=face)
    alpha = np.asarray(canvas, np.float32) / 255
    ys, xs = np.nonzero(alpha)
    if len(ys) == 0:
        return np.zeros((1, 1), np.float32)
    return alpha[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


@lru_cache(maxsize=1)
def fonts() -> tuple[str, ...]:
    """Return the names of the fonts at hand: those that come with Matplotlib, where it is installed."""
    found = importlib.util.find_spec("matplotlib")
    folders = [Path(p) / "mpl-data" / "fonts" / "ttf" for p in (found and found.submodule_search_locations) or ()]
    # STIX and Computer Modern have parts of the alphabet only in some files; these have all of it.
    return tuple(
        str(path) for folder in folders for path in sorted(folder.glob("DejaVu*.ttf")) if "Disp" not in str(path)
    )


@lru_cache(maxsize=256)
def _font(name: str, height: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    if name:
        return ImageFont.truetype(name, height)
    try:
        return ImageFont.load_default(height)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()


def any_font(rng: np.random.Generator) -> str:
    """Return the name of a font for `letters`."""
    return one_of(rng, fonts()) if fonts() and not chance(rng, 0.1) else ""


def spline(points: ArrayLike, count: int = 48) -> Points:
    """Return a smooth line through points (Catmull-Rom), shape (count, 2)."""
    through = np.asarray(points, np.float64)
    padded = np.concatenate([2 * through[:1] - through[1:2], through, 2 * through[-1:] - through[-2:-1]])
    at = np.linspace(0, len(through) - 1 - 1e-9, count)
    k, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = (padded[k + i] for i in range(4))
    smooth = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return np.asarray(0.5 * smooth)


def _round(rx: float, ry: float, corners: int = 72) -> Points:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([rx * np.cos(angle), ry * np.sin(angle)])


def _covered(start: float, end: float, length: int) -> tuple[int, Points]:
    """Return the first of the pixels that an interval touches, and how much it covers of each, from 0 to 1."""
    first, last = max(0, math.floor(start)), min(length, math.ceil(end))
    at = np.arange(first, max(first, last))
    return first, np.clip(np.minimum(end, at + 1) - np.maximum(start, at), 0, 1)


def _fine_canvas(frame: tuple[int, int], points: Points, margin: float) -> tuple[NDArray[np.uint8], int, int]:
    """Return an empty canvas over the part of the frame that points may touch, and its top and left."""
    x0, y0 = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0) + margin), (frame[1], frame[0])).astype(int)
    size = (max(0, y1 - y0) * FINE, max(0, x1 - x0) * FINE)
    return np.zeros(size, np.uint8), int(y0), int(x0)


def _fixed(points: Points, top: int, left: int) -> NDArray[np.int32]:
    # OpenCV's whole numbers are pixel centers, ours are edges.
    fine = (points - (left, top)) * FINE - 0.5
    return np.rint(np.clip(fine, -(2**15), 2**15) * 2**SHIFT).astype(np.int32)


def _reduced(fine: NDArray[np.uint8], top: int, left: int) -> Patch:
    if fine.size == 0:
        return Patch(np.zeros((0, 0), np.float32), top, left)
    size = (fine.shape[1] // FINE, fine.shape[0] // FINE)
    # Reduced as 8 bits, which OpenCV does several times faster; the levels are multiples of 1/16 either way.
    alpha = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    return Patch(alpha.astype(np.float32) / 255, top, left)
