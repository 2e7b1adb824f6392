"""Looking closer: which part of an image the networks look at, and how a selection moves from one part to another.

From some click on, a small selection is looked at again, alone and enlarged, as RITM (Sofiiuk et al. 2021) does after
the first click. What is selected already goes along as the previous alpha, so that no click is lost on it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg.model import Zoom

# A box stays as long as it keeps this share of the selection's sides around the selection ...
_SLACK = 0.05
# ... and is not this many times as large as one that would be chosen now.
_TOO_LARGE = 4.0
# One that is chosen in the place of another may be so much larger: what is near the limit does not go to and fro.
_LENIENT = 1.25
# So many times the working pixels that all of the image would get, or it is not worth it.
_GAIN = 1.2
# Sides of a box at least, in image pixels.
_LEAST = 32


class Box(NamedTuple):
    """A part of an image, in its pixels: rows top to bottom - 1, columns left to right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index an image's array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def has(self, x: int, y: int) -> bool:
        """Whether a pixel lies in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def with_pixel(self, x: int, y: int) -> Box:
        """The smallest box around it and a pixel."""
        return Box(min(self.top, y), min(self.left, x), max(self.bottom, y + 1), max(self.right, x + 1))


def around_selection(alpha: npt.NDArray[np.float32], box: Box) -> Box | None:
    """The smallest box around what is selected; None where nothing is.

    Args:
        alpha: The selection on the grid of a part, float32, shape (h, w); selected is what reaches a half.
        box: That part.
    """
    selected = alpha >= 0.5
    if not selected.any():
        return None
    rows, columns = np.flatnonzero(selected.any(axis=1)), np.flatnonzero(selected.any(axis=0))
    (height, width), (h, w) = box.shape, alpha.shape
    # Grid pixel i covers [i, i + 1) / w of the part's width: from the first pixel it touches to behind the last.
    return Box(
        box.top + int(rows[0]) * height // h,
        box.left + int(columns[0]) * width // w,
        box.top - (-(int(rows[-1]) + 1) * height // h),
        box.left - (-(int(columns[-1]) + 1) * width // w),
    )


def choose(zoom: Zoom, shape: tuple[int, int], long_side: int, current: Box, selection: Box) -> Box:
    """The part to look at.

    Args:
        zoom: The model's rules.
        shape: Height and width of the image.
        long_side: Of the working image.
        current: The part that was looked at last.
        selection: The box around what is selected and clicked.

    Returns:
        The current part as long as the selection has room in it; else the selection's box, enlarged; all of the image
        where that is not small, or would show nothing more.
    """
    whole = Box(0, 0, *shape)
    top, bottom = _span(selection.top, selection.bottom, shape[0], zoom.enlarge)
    left, right = _span(selection.left, selection.right, shape[1], zoom.enlarge)
    wanted, most = Box(top, left, bottom, right), zoom.below * whole.area
    if current != whole:
        if current.area <= _TOO_LARGE * wanted.area and _has_room(current, whole, selection):
            return current
        most *= _LENIENT
    gain = min(zoom.magnify, long_side / max(wanted.shape)) * max(shape) / long_side
    return wanted if wanted.area <= most and gain >= _GAIN else whole


def is_cut(selection: Box, box: Box, whole: Box) -> bool:
    """Whether a selection reaches an edge of its part that is not the image's."""
    sides = zip(selection, box, whole, strict=True)
    return any(reached == edge != end for reached, edge, end in sides)


def long_side(zoom: Zoom, box: Box, most: int, multiple: int) -> int:
    """The long side of a part's working image: that of whole images, unless it would blow the pixels up too much.

    Args:
        zoom: The model's rules.
        box: The part.
        most: The long side for whole images.
        multiple: What it is a multiple of.
    """
    return min(most, math.ceil(zoom.magnify * max(box.shape) / multiple) * multiple)


def carried(alpha: npt.NDArray[np.float32], source: Box, target: Box, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A selection on the grid of one part, brought to the grid of another; nothing is selected outside.

    Box averages where it shrinks, then bilinear.

    Args:
        alpha: float32, shape (h, w).
        source, target: The parts.
        grid: Height and width of the target's grid.

    Returns:
        float32, shape ``grid``. Fresh.
    """
    from PIL import Image

    # Target grid pixels that a side of the source takes up.
    sides = [grid[i] * source.shape[i] / target.shape[i] for i in (0, 1)]
    h, w = (min(had, max(1, round(side))) for had, side in zip(alpha.shape, sides, strict=True))
    picture = Image.fromarray(alpha).resize((w, h), Image.Resampling.BOX)
    across, down = w / source.shape[1], h / source.shape[0]  # pixels of it to an image pixel
    terms = (
        *(across * target.shape[1] / grid[1], 0.0, across * (target.left - source.left)),
        *(0.0, down * target.shape[0] / grid[0], down * (target.top - source.top)),
    )
    moved = picture.transform((grid[1], grid[0]), Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)
    return np.array(moved, dtype=np.float32)


def _span(start: int, end: int, length: int, enlarge: float) -> tuple[int, int]:
    """A side of a selection, enlarged about its middle, kept inside the image."""
    wanted = min(length, max(_LEAST, math.ceil(enlarge * (end - start))))
    low = min(max((start + end - wanted) // 2, 0), length - wanted)
    return low, low + wanted


def _has_room(box: Box, whole: Box, selection: Box) -> bool:
    height, width = (_SLACK * side for side in selection.shape)
    return (
        (box.top == whole.top or box.top <= selection.top - height)
        and (box.left == whole.left or box.left <= selection.left - width)
        and (box.bottom == whole.bottom or box.bottom >= selection.bottom + height)
        and (box.right == whole.right or box.right >= selection.right + width)
    )
