"""Zooming in: which crop of an image to predict on, and how a selection moves from one crop to another.

From some click on, a small selection is predicted on an enlarged crop around it, as RITM (Sofiiuk et al. 2021) does
after the first click. The selection so far goes along as the previous alpha, so no click has to be made again.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import Rect
from pyiseg.model import Zoom

# A crop is kept while it leaves at least this share of the selection's sides free around the selection ...
_SLACK = 0.05
# ... and is at most this many times as large as the crop that would be chosen now.
_TOO_LARGE = 4.0
# Hysteresis: a replacement crop may exceed the limit by this factor.
_LENIENT = 1.25
# A crop must enlarge its pixels at least this many times compared with the whole image.
_GAIN = 1.2
# Least side of a crop, in image pixels.
_LEAST = 32


def selection_bounds(alpha: npt.NDArray[np.float32], crop: Rect) -> Rect | None:
    """Return the smallest rectangle around the selection; None where nothing is selected.

    Args:
        alpha: Alpha on the grid of a crop, float32, shape (h, w); pixels of at least 0.5 are selected.
        crop: That crop.
    """
    selected = alpha >= 0.5
    if not selected.any():
        return None
    rows, columns = np.flatnonzero(selected.any(axis=1)), np.flatnonzero(selected.any(axis=0))
    (height, width), (h, w) = crop.shape, alpha.shape
    # Grid pixel i covers [i, i + 1) / w of the crop's width: from the first pixel it touches to behind the last.
    return Rect(
        crop.top + int(rows[0]) * height // h,
        crop.left + int(columns[0]) * width // w,
        crop.top - (-(int(rows[-1]) + 1) * height // h),
        crop.left - (-(int(columns[-1]) + 1) * width // w),
    )


def choose_crop(zoom: Zoom, shape: tuple[int, int], long_side: int, current: Rect, selection: Rect) -> Rect:
    """Return the crop to predict on.

    Args:
        zoom: The model's rules.
        shape: Height and width of the image.
        long_side: Of the network input.
        current: The last crop.
        selection: The rectangle around the selection and the click.

    Returns:
        The current crop as long as the selection has room in it; else the selection's rectangle, enlarged; the whole
        image where that is not small, or a crop would not enlarge it.
    """
    whole = Rect(0, 0, *shape)
    top, bottom = _span(selection.top, selection.bottom, shape[0], zoom.enlarge)
    left, right = _span(selection.left, selection.right, shape[1], zoom.enlarge)
    wanted, most = Rect(top, left, bottom, right), zoom.below * whole.area
    if current != whole:
        if current.area <= _TOO_LARGE * wanted.area and _has_room(current, whole, selection):
            return current
        most *= _LENIENT
    gain = min(zoom.magnify, long_side / max(wanted.shape)) * max(shape) / long_side
    return wanted if wanted.area <= most and gain >= _GAIN else whole


def touches_crop_edge(selection: Rect, crop: Rect, whole: Rect) -> bool:
    """Return whether a selection reaches an edge of its crop that is not the image's."""
    sides = zip(selection, crop, whole, strict=True)
    return any(reached == edge != end for reached, edge, end in sides)


def long_side(zoom: Zoom, crop: Rect, most: int, multiple: int) -> int:
    """Return the long side of a crop's network input: as for whole images, or less where pixels would grow too large.

    Args:
        zoom: The model's rules.
        crop: The crop.
        most: The long side for whole images.
        multiple: The result is a multiple of it.
    """
    return min(most, math.ceil(zoom.magnify * max(crop.shape) / multiple) * multiple)


def resample_to_crop(
    alpha: npt.NDArray[np.float32], source: Rect, target: Rect, grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Resample alpha from the grid of one crop to the grid of another; outside of the source it is 0.

    Box averages where it shrinks, then bilinear.

    Args:
        alpha: float32, shape (h, w).
        source, target: The crops.
        grid: Height and width of the target's grid.

    Returns:
        float32, shape ``grid``. Fresh.
    """
    from PIL import Image

    # Target grid pixels that a side of the source takes up.
    sides = [grid[i] * source.shape[i] / target.shape[i] for i in (0, 1)]
    h, w = (min(had, max(1, round(side))) for had, side in zip(alpha.shape, sides, strict=True))
    resized = Image.fromarray(alpha).resize((w, h), Image.Resampling.BOX)
    across, down = w / source.shape[1], h / source.shape[0]  # pixels of it to an image pixel
    terms = (
        *(across * target.shape[1] / grid[1], 0.0, across * (target.left - source.left)),
        *(0.0, down * target.shape[0] / grid[0], down * (target.top - source.top)),
    )
    moved = resized.transform((grid[1], grid[0]), Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)
    return np.array(moved, dtype=np.float32)


def _span(start: int, end: int, length: int, enlarge: float) -> tuple[int, int]:
    """Return a side of a rectangle, enlarged about its middle and kept inside the image."""
    wanted = min(length, max(_LEAST, math.ceil(enlarge * (end - start))))
    low = min(max((start + end - wanted) // 2, 0), length - wanted)
    return low, low + wanted


def _has_room(crop: Rect, whole: Rect, selection: Rect) -> bool:
    height, width = (_SLACK * side for side in selection.shape)
    return (
        (crop.top == whole.top or crop.top <= selection.top - height)
        and (crop.left == whole.left or crop.left <= selection.left - width)
        and (crop.bottom == whole.bottom or crop.bottom >= selection.bottom + height)
        and (crop.right == whole.right or crop.right >= selection.right + width)
    )
