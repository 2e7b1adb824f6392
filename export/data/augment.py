"""Cutting training images out of larger ones, and changing their light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.data.io import Array, Masked
from export.data.shapes import Size, height_width

# Long side, in pixels of the network's input, at which images are served: what `pyiseg.model.json` calls long_side.
SERVED_SIDE = 512
# Of cv2.warpAffine: the matrix says where each pixel of the result comes from; edges go on outside.
SAMPLED, EDGES = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE


def random_window(rng: np.random.Generator, masked: Masked, size: Size) -> Masked:
    """Cut a random window that shows the object and resize it to a size, (height, width) or the side of a square.

    Windows range from half the sides to all of them, so that objects come large and small, whole and cut. Those for a
    square are as long as their image at most, so a long image is squeezed; others keep their shape.
    """
    height, width = masked.alpha.shape
    out_h, out_w = height_width(size)
    share = rng.uniform(0.45, 1.0) if rng.random() < 0.75 else 1.0
    side = share * (height * width) ** 0.5
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    if out_h == out_w:
        win_h, win_w = int(np.clip(side / stretch, 16, height)), int(np.clip(side * stretch, 16, width))
    else:
        aspect = (out_w / out_h) ** 0.5
        win_h, win_w = _fitting(side / aspect / stretch, side * aspect * stretch, height, width)
    y, x = _pixel_of_object(rng, masked.alpha)
    return resized(masked, _around(rng, y, x, win_h, win_w, height, width), out_h, out_w)


def native_window(rng: np.random.Generator, masked: Masked, size: Size) -> Masked:
    """Cut a window that shows the object at the scale at which serving shows the whole image, unsqueezed.

    Where the image at that scale is smaller than the window, the window is the largest of its shape that fits.
    """
    height, width = masked.alpha.shape
    out_h, out_w = height_width(size)
    scale = SERVED_SIDE / max(height, width)
    win_h, win_w = _fitting(out_h / scale, out_w / scale, height, width)
    y, x = _pixel_of_object(rng, masked.alpha)
    return resized(masked, _around(rng, y, x, win_h, win_w, height, width), out_h, out_w)


def close_window(rng: np.random.Generator, masked: Masked, size: Size) -> Masked:
    """Cut the object's own box, 1.1 to 2 times enlarged and moved a little, and resize it to a size.

    For a square it is resized as it is; for other sizes its shorter side grows first, until it has their shape.
    """
    height, width = masked.alpha.shape
    out_h, out_w = height_width(size)
    ys, xs = np.nonzero(masked.alpha > 127)
    if len(ys) == 0:
        return random_window(rng, masked, size)

    if out_h != out_w:
        return resized(masked, _shaped_box(rng, ys, xs, (height, width), out_w / out_h), out_h, out_w)

    def span(values: NDArray[np.int64], length: int) -> slice:
        extent = int(values.max() - values.min()) + 1
        wanted = int(np.clip(extent * rng.uniform(1.1, 2.0), 16, length))
        center = (values.max() + values.min()) / 2 + rng.uniform(-0.5, 0.5) * (wanted - extent)
        start = int(np.clip(center - wanted / 2, 0, length - wanted))
        return slice(start, start + wanted)

    return resized(masked, (span(ys, height), span(xs, width)), out_h, out_w)


def paper_crop(rng: np.random.Generator, masked: Masked, size: Size) -> Masked:
    """Cut as many pixels as a size has, as they are, that show the object (Forte et al. 2020, section 3.2).

    Only an image smaller than that is resized: enlarged, its proportions kept, until its sides fit.
    """
    height, width = masked.alpha.shape
    out_h, out_w = height_width(size)
    # The side that must grow most, as a fraction.
    wanted, there = (out_h, height) if out_h * width >= out_w * height else (out_w, width)
    if there < wanted:
        scaled = (max(out_h, round(height * wanted / there)), max(out_w, round(width * wanted / there)))
        masked = resized(masked, np.s_[:height, :width], *scaled)
        height, width = scaled
    y, x = _pixel_of_object(rng, masked.alpha)
    window = _around(rng, y, x, out_h, out_w, height, width)
    if masked.shift != (0, 0):
        return resized(masked, window, out_h, out_w)
    return masked.with_planes(*(plane[window] for plane in masked.planes))


def flipped(masked: Masked) -> Masked:
    """Mirror left and right."""
    mirrored = masked.with_planes(*(np.ascontiguousarray(plane[:, ::-1]) for plane in masked.planes))
    return mirrored._replace(shift=(-masked.shift[0], masked.shift[1]))


def moved(masked: Masked) -> Masked:
    """Move the masks of an image onto it, at its own size; without a shift it is returned as it is."""
    return masked if masked.shift == (0, 0) else resized(masked, np.s_[:, :], *masked.alpha.shape)


def _fitting(win_h: float, win_w: float, height: int, width: int) -> tuple[int, int]:
    """Return the sides of a window, made smaller in its proportions until it fits into (height, width)."""
    fit = min(1.0, height / win_h, width / win_w)
    return max(1, min(height, round(win_h * fit))), max(1, min(width, round(win_w * fit)))


def _shaped_box(
    rng: np.random.Generator, ys: NDArray[np.int64], xs: NDArray[np.int64], sides: tuple[int, int], aspect: float
) -> tuple[slice, slice]:
    """Return the box of an object's pixels, enlarged, moved a little, and grown to an aspect (width by height)."""
    extents = [int(values.max() - values.min()) + 1 for values in (ys, xs)]
    win_h, win_w = (max(16.0, extent * rng.uniform(1.1, 2.0)) for extent in extents)
    squeeze = win_w / win_h / aspect
    window = _fitting(win_h * max(1, squeeze), win_w / min(1, squeeze), *sides)

    def span(values: NDArray[np.int64], extent: int, wanted: int, length: int) -> slice:
        center = (values.max() + values.min()) / 2 + rng.uniform(-0.5, 0.5) * abs(wanted - extent)
        start = int(np.clip(center - wanted / 2, 0, length - wanted))
        return slice(start, start + wanted)

    return span(ys, extents[0], window[0], sides[0]), span(xs, extents[1], window[1], sides[1])


def _pixel_of_object(rng: np.random.Generator, alpha: Array) -> tuple[int, int]:
    """Return one random pixel of the object, or the center where there is none."""
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) == 0:
        ys, xs = np.array([alpha.shape[0] // 2]), np.array([alpha.shape[1] // 2])
    k = rng.integers(len(ys))
    return int(ys[k]), int(xs[k])


def _around(
    rng: np.random.Generator, y: int, x: int, win_h: int, win_w: int, height: int, width: int
) -> tuple[slice, slice]:
    """Return a window that holds one pixel and otherwise lies anywhere."""
    top = int(rng.integers(max(0, y - win_h + 1), min(height - win_h, y) + 1))
    left = int(rng.integers(max(0, x - win_w + 1), min(width - win_w, x) + 1))
    return np.s_[top : top + win_h, left : left + win_w]


def resized(masked: Masked, window: tuple[slice, slice], height: int, width: int | None = None) -> Masked:
    """Resize a window of an image to (height, width), to a square when only one side is given.

    Centers of pixels lie at whole numbers plus a half, as cv2.resize has it: nothing moves but by the masks' own shift.
    """
    image, alpha, valid, others = (plane[window] for plane in masked.planes)
    size = (width or height, height)
    win_h, win_w = alpha.shape
    how = cv2.INTER_LINEAR if win_h * win_w < size[0] * size[1] else cv2.INTER_AREA
    # Void pixels have no alpha: only the others enter a pixel's mean.
    judged, wanted, beside = (
        _resized_mask(plane.astype(np.float32), size, how, masked.shift) for plane in (valid, alpha * valid, others)
    )
    alpha = np.clip(wanted / np.maximum(judged, 1e-3) + 0.5, 0, 255).astype(np.uint8)
    valid = (judged >= 0.5).astype(np.uint8)
    others = ((beside >= 0.5) & (alpha <= 127) & (valid == 1)).astype(np.uint8)
    resized = masked.with_planes(np.asarray(cv2.resize(image, size, interpolation=how)), alpha, valid, others)
    return resized._replace(shift=(0.0, 0.0))


def _resized_mask(
    plane: NDArray[np.float32], size: tuple[int, int], how: int, shift: tuple[float, float]
) -> NDArray[np.float32]:
    """Resize a plane to a size (width, height), moved right and down by some of its own pixels first."""
    if shift == (0, 0):
        return np.asarray(cv2.resize(plane, size, interpolation=how))
    height, width = plane.shape
    if how == cv2.INTER_AREA:
        # Moved, then averaged: the means of whole areas are exact for a mask.
        moved = cv2.warpAffine(plane, _sampling(1.0, 1.0, shift), (width, height), flags=SAMPLED, borderMode=EDGES)
        return np.asarray(cv2.resize(moved, size, interpolation=how))
    # In one step: interpolated twice, the place where a mask crosses one half would move less than it should.
    matrix = _sampling(width / size[0], height / size[1], shift)
    return np.asarray(cv2.warpAffine(plane, matrix, size, flags=SAMPLED, borderMode=EDGES))


def _sampling(across: float, down: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    """Return the matrix from pixels of the result to those of the source, so many of these in one of those."""
    return np.array([[across, 0, (across - 1) / 2 - shift[0]], [0, down, (down - 1) / 2 - shift[1]]])


def change_light(rng: np.random.Generator, image: Array) -> Array:
    """Random gamma, brightness, contrast and color cast by one table per channel; at times blur or noise."""
    levels = np.arange(256, dtype=np.float32) / 255
    tables = []
    gamma, contrast, shift = np.exp(rng.uniform(-0.35, 0.35)), np.exp(rng.uniform(-0.25, 0.25)), rng.uniform(-0.1, 0.1)
    for _ in range(3):
        cast = np.exp(rng.uniform(-0.1, 0.1))
        tables.append(np.clip(((levels**gamma - 0.5) * contrast + 0.5 + shift) * cast, 0, 1) * 255)
    result = cv2.LUT(np.ascontiguousarray(image), np.rint(np.stack(tables, axis=-1)).astype(np.uint8)[None])
    if rng.random() < 0.1:
        result = np.repeat(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.1:
        result = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 8), result.shape[:2])
        result = np.clip(result + noise[:, :, None], 0, 255).astype(np.uint8)
    return np.asarray(result)


def paper_light(rng: np.random.Generator, image: Array) -> Array:
    """Random gamma and brightness, nothing else. The paper gives no ranges: these are those of `change_light`."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma, shift = np.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-0.1, 0.1)
    table = np.clip(levels**gamma + shift, 0, 1) * 255
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), np.rint(table).astype(np.uint8)))
