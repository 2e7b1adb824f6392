"""Change the edges and regions of a matte."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import Alpha, Mask, as_alpha, as_mask, bounds_of, checked_radius
from pyiseg.formats.polygon import Polygon, mask_from_polygons, polygons

# How far the soft rim of a hole or region is taken to reach, pixels.
_RIM = 3


def feather(alpha: npt.NDArray[Any], radius: float) -> Alpha:
    """Make the edges of a selection softer.

    Args:
        alpha: uint8, 255 where selected, or bool, shape (H, W).
        radius: Pixels. Alpha is blurred by a Gaussian of half of it, so that a hard edge goes from 2 % to 98 % of its
            height within that distance on either side. At the image's border alpha is taken to go on as it is there.

    Returns:
        uint8, shape (H, W). Fresh.

    Raises:
        ValueError: Alpha is of another dtype or shape, or the radius is below 0 or not finite.
    """
    from PIL import Image, ImageFilter

    found = as_alpha(alpha)
    blurred = Image.fromarray(found).filter(ImageFilter.GaussianBlur(checked_radius(radius) / 2))
    return np.array(blurred, dtype=np.uint8)


def grow(alpha: npt.NDArray[Any], radius: float) -> Alpha:
    """Make a selection larger on all sides; soft edges stay as soft as they are.

    Args:
        alpha: uint8, 255 where selected, or bool, shape (H, W).
        radius: Pixels: each pixel gets the largest alpha of those whose centers are within that distance of its own.

    Returns:
        uint8, shape (H, W). Fresh.

    Raises:
        ValueError: As for `feather`.
    """
    return _grown(as_alpha(alpha), checked_radius(radius))


def shrink(alpha: npt.NDArray[Any], radius: float) -> Alpha:
    """Make a selection smaller on all sides; soft edges stay as soft as they are.

    Args:
        alpha: uint8, 255 where selected, or bool, shape (H, W).
        radius: Pixels: each pixel gets the least alpha of those whose centers are within that distance of its own.
            What is beyond the image's border does not count: a selection does not come off it.

    Returns:
        uint8, shape (H, W). Fresh.

    Raises:
        ValueError: As for `feather`.
    """
    return ~_grown(~as_alpha(alpha), checked_radius(radius))


def fill_holes(alpha: npt.NDArray[Any]) -> Alpha:
    """Select what is enclosed by a selection.

    Args:
        alpha: uint8, 255 where selected, or bool, shape (H, W). Of a hole alpha is below 128, and from there no way
            over the sides of such pixels leads to the image's border.

    Returns:
        uint8, shape (H, W), 255 in holes and in their soft rims: within three pixels, where that is nearer to the hole
        than to what is not selected otherwise. Fresh.

    Raises:
        ValueError: Alpha is of another dtype or shape.
    """
    found = np.array(as_alpha(alpha))
    mask = as_mask(found)
    height, width = mask.shape
    enclosed = [
        polygon
        for polygon in polygons(~mask, tolerance=0)
        if (polygon.exterior > 0).all() and (polygon.exterior < (width, height)).all()
    ]
    if enclosed:
        holes = mask_from_polygons(enclosed, (height, width))
        filled = mask | holes
        for _ in range(_RIM):
            soft = filled & ~holes & (found < 255)
            rim = soft & _wider(holes) & ~_wider(~filled)
            if not rim.any():
                break
            holes |= rim
        found[holes] = 255
    return found


def keep_largest(alpha: npt.NDArray[Any]) -> Alpha:
    """Keep the largest region of a selection only.

    Args:
        alpha: uint8, 255 where selected, or bool, shape (H, W). Regions are of pixels of 128 and more that are
            connected by their sides; the largest has the most pixels, of equal ones the topmost.

    Returns:
        uint8, shape (H, W): alpha of that region and, for its soft edges, of what pixels above 0 connect to it without
        leading over another region; 0 elsewhere. Fresh.

    Raises:
        ValueError: Alpha is of another dtype or shape.
    """
    found = np.array(as_alpha(alpha))
    mask = as_mask(found)
    regions = polygons(mask, tolerance=0)
    if len(regions) > 1 or (found[~mask] > 0).any():
        if not regions:
            return np.zeros_like(found)
        largest = mask_from_polygons([max(regions, key=_area)], mask.shape)
        row, column = np.argwhere(largest)[0]
        support = (found > 0) & ~(mask & ~largest)
        for polygon in polygons(support, tolerance=0):
            connected = _holds(polygon, column + 0.5, row + 0.5)
            if connected:
                found[~mask_from_polygons([polygon], mask.shape)] = 0
                break
    return found


def _area(polygon: Polygon) -> float:
    """Return the number of pixels; holes go the other way around, so their area is below 0."""
    area = 0.0
    for ring in (polygon.exterior, *polygon.holes):
        following = np.roll(ring, -1, axis=0)
        area += float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum()) / 2
    return area


def _holds(polygon: Polygon, x: float, y: float) -> bool:
    crossings = 0
    for ring in (polygon.exterior, *polygon.holes):
        following = np.roll(ring, -1, axis=0)
        passes = (ring[:, 1] <= y) != (following[:, 1] <= y)
        crossings += int((passes & (ring[:, 0] > x)).sum())  # exact outlines: what passes is vertical
    return crossings % 2 == 1


def _grown(alpha: Alpha, radius: float) -> Alpha:
    reach = int(radius)
    bounds = bounds_of(alpha > 0)
    if reach == 0 or bounds is None:
        return np.array(alpha)
    height, width = alpha.shape
    rows, columns = (
        slice(max(0, bound.start - reach), min(side, bound.stop + reach))
        for bound, side in zip(bounds, (height, width), strict=True)
    )
    part = alpha[rows, columns]
    result = part.copy()
    wide, half = part, 0  # the largest within half a width of columns
    # Rows farther away count for fewer columns; from the farthest on the width only grows.
    for away in range(reach, -1, -1):
        wanted = math.isqrt(int(radius * radius) - away * away) if away <= radius else 0
        if wanted > half:
            wide = _widened(wide, wanted - half)
            half = wanted
        if away == 0:
            np.maximum(result, wide, out=result)
        elif away < part.shape[0]:
            np.maximum(result[away:], wide[:-away], out=result[away:])
            np.maximum(result[:-away], wide[away:], out=result[:-away])
    grown = np.zeros_like(alpha)
    grown[rows, columns] = result
    return grown


def _widened(values: Alpha, by: int) -> Alpha:
    """Return the largest of each pixel and those up to so many columns left and right of it."""
    found, reach = values, 0
    while reach < by:  # the largest within a reach, shifted by no more than leaves no gap, doubles the reach
        step = min(by - reach, reach + 1 if reach else 1)
        wider = found.copy()
        if step < values.shape[1]:
            np.maximum(wider[:, step:], found[:, :-step], out=wider[:, step:])
            np.maximum(wider[:, :-step], found[:, step:], out=wider[:, :-step])
        found, reach = wider, reach + step
    return found


def _wider(mask: Mask) -> Mask:
    """Return a mask and the eight neighbors of each of its pixels."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
