"""Polygons of a mask, with holes, and the mask of polygons."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import Mask, as_mask, checked_shape, checked_tolerance
from pyiseg.formats.outlines import trace
from pyiseg.formats.simplify import simplified

Points = npt.NDArray[np.float64]


FARTHEST = 1e15
"""A coordinate is at most this far from 0, so that nothing overflows."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """A connected region by its outlines.

    Coordinates are x, y in pixels along pixel edges: pixel (x, y) covers [x, x + 1] x [y, y + 1], so (0, 0) is the top
    left corner of the image and (W, H) the bottom right one. (In clicks, whole numbers are pixel centers instead.)

    Attributes:
        exterior: Around the region, clockwise as the image is seen, float64, shape (N, 2). The first point is not
            repeated at the end.
        holes: Around each of its holes, counterclockwise, likewise.
    """

    exterior: Points
    holes: tuple[Points, ...] = ()


def polygons(mask: npt.NDArray[Any], *, tolerance: float = 1.0) -> list[Polygon]:
    """Return the regions of a mask as polygons.

    Args:
        mask: bool, or alpha as uint8 of which 128 and more is selected, shape (H, W).
        tolerance: How far from the exact outline, in pixels, the polygons may be. With 0 they are exact:
            `mask_from_polygons` makes the same mask of them, bit for bit. Otherwise they have fewer points, and only
            pixels whose centers are within that distance of the outline may differ.

    Returns:
        A polygon for each 4-connected region, in the order of their topmost pixels; pixels that meet at a corner only
        belong to two. No outline crosses itself or another, with any tolerance; they may touch in a corner. Every
        region and hole has its outline, however small: one that has no shape within the tolerance stays exact.

    Raises:
        ValueError: The mask has another dtype or shape, or the tolerance is below 0 or not finite.
    """
    tolerance = checked_tolerance(tolerance)
    outlines = trace(as_mask(mask))
    if not outlines.owners.size:
        return []
    if tolerance > 0:
        outlines = simplified(outlines, tolerance)
    points, offsets = outlines.points.astype(np.float64), outlines.offsets.tolist()
    rings = [points[start:end].copy() for start, end in itertools.pairwise(offsets)]
    holes: dict[int, list[Points]] = {}
    for number, owner in enumerate(outlines.owners.tolist()):
        if number == owner:
            holes[number] = []
    for number, owner in enumerate(outlines.owners.tolist()):
        if number != owner:
            holes[owner].append(rings[number])
    return [Polygon(rings[number], tuple(inside)) for number, inside in holes.items()]


def mask_from_polygons(polygons: Iterable[Polygon], shape: tuple[int, int]) -> Mask:
    """Return the mask that polygons select.

    Args:
        polygons: In the coordinates of `Polygon`. A pixel is selected if its center is inside of one: inside of an odd
            number of the polygon's outlines. What lies outside of the image is cut off.
        shape: Height and width of the image.

    Returns:
        bool, shape (H, W). Fresh.

    Raises:
        ValueError: The shape is none, or an outline is not an array of shape (N, 2) of finite numbers.
    """
    height, width = checked_shape(shape)
    rings, numbers = [], []
    for number, polygon in enumerate(polygons):
        for ring in (polygon.exterior, *polygon.holes):
            rings.append(_checked_ring(ring, number))
            numbers.append(number)
    sizes = np.array([len(ring) for ring in rings], np.int64)
    if not sizes.sum():
        return np.zeros((height, width), np.bool_)
    begin = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    owner = np.repeat(np.array(numbers, np.int64), sizes)
    return _filled(*_spans(begin, end, owner, height, width), height, width)


def joined(polygon: Polygon) -> Points:
    """Return a polygon as one outline, for formats that know no holes.

    Each hole is connected to the outline around it, or to another hole, by a horizontal line to its left that the
    outline goes along twice, there and back. So the area is the same, for every rule of filling.

    Returns:
        x, y, float64, shape (N, 2).
    """
    # Leftmost first: what a line to the left ends at has been connected already.
    places = [int(np.lexsort((hole[:, 1], hole[:, 0]))[0]) for hole in polygon.holes]
    rolled = [np.roll(hole, -place, axis=0) for hole, place in zip(polygon.holes, places, strict=True)]
    outline = polygon.exterior
    for hole in sorted(rolled, key=lambda ring: (ring[0, 0], ring[0, 1])):
        after, end = _left_of(outline, hole[0])
        outline = np.concatenate((outline[: after + 1], [end], hole, hole[:1], [end], outline[after + 1 :]))
    return outline


def _left_of(outline: Points, point: Points) -> tuple[int, Points]:
    """Return the nearest place on an outline to the left of a point: after which corner, and where."""
    x, y = point
    begin, end = outline, np.roll(outline, -1, axis=0)
    reaches = (np.minimum(begin[:, 1], end[:, 1]) <= y) & (np.maximum(begin[:, 1], end[:, 1]) >= y)
    at = np.flatnonzero(reaches)
    (x0, y0), (x1, y1) = begin[at].T, end[at].T
    level = y0 == y1
    share = np.where(level, 0, (y - y0) / np.where(level, 1, y1 - y0))
    places = np.where(level & (x0 <= x) & (x1 <= x), np.maximum(x0, x1), x0 + share * (x1 - x0))
    places[places > x] = -np.inf
    nearest = int(np.argmax(places))
    return int(at[nearest]), np.array([places[nearest], y])


def _checked_ring(ring: Any, number: int) -> Points:
    try:
        points = np.asarray(ring, np.float64)
        shape = points.shape
    except (TypeError, ValueError, OverflowError):
        points, shape = np.empty(0), None
    if points.ndim != 2 or points.shape[1] != 2:
        told = "is no array of numbers" if shape is None else f"has shape {shape}"
        raise ValueError(f"an outline of polygons[{number}] {told}; pass finite numbers x, y, of shape (N, 2)")
    if not (np.abs(points) <= FARTHEST).all():  # nor NaN
        raise ValueError(
            f"an outline of polygons[{number}] has a coordinate that is not finite, or beyond {FARTHEST:g}; no image "
            "is as large"
        )
    return points


def _spans(
    begin: Points, end: Points, owner: npt.NDArray[np.int64], height: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where rows enter and leave polygons: from which pixel to before which, in rows of width + 1."""
    (x0, y0), (x1, y1) = begin.T, end.T
    # The rows whose middles a line passes; a corner in the middle belongs to the line below it.
    top, bottom = (
        np.ceil(np.clip(edge(y0, y1), 0, height) - 0.5).astype(np.int64) for edge in (np.minimum, np.maximum)
    )
    counts = np.maximum(bottom - top, 0)
    line = np.repeat(np.arange(counts.size), counts)
    row = np.arange(line.size) - (np.cumsum(counts) - counts)[line] + top[line]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # lines that pass no middle, not used
        slope = np.where(counts > 0, (x1 - x0) / (y1 - y0), 0)
    x = x0[line] + (row + 0.5 - y0[line]) * slope[line]
    column = np.ceil(np.clip(x, 0, width) - 0.5).astype(np.int64)
    keys = np.sort((owner[line] * height + row) * (width + 1) + column)
    inside = keys % (height * (width + 1))
    return inside[0::2], inside[1::2]


def _filled(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64], height: int, width: int) -> Mask:
    """Return the mask of spans as `_spans` returns them; they may overlap."""
    order = np.argsort(first, kind="stable")
    first, reach = first[order], np.maximum.accumulate(last[order])
    begins = np.ones(first.size, np.bool_)
    begins[1:] = first[1:] > reach[:-1]
    starts = first[begins]
    ends = reach[np.append(np.flatnonzero(begins)[1:] - 1, first.size - 1)] if first.size else reach
    size = height * (width + 1)
    lengths = np.diff(np.stack((starts, ends), axis=1).ravel(), prepend=0, append=size)
    filled = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return np.ascontiguousarray(filled.reshape(height, width + 1)[:, :width])
