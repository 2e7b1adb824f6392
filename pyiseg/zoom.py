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

# A box stays as long as it keeps this share of the selection's sides around the selection.
_SLACK = 0.05
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
    def slices(self) -> tuple[slice, slice]:
        """To index an image's array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def has(self, x: int, y: int) -> bool:
        """Whether a pixel lies in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom


def around_selection(alpha: npt.NDArray[np.float32], box: Box, points: list[tuple[int, int]]) -> Box:
    """The smallest box around what is selected and some pixels.

    Args:
        alpha: The selection on the grid of a part, float32, shape (h, w); selected is what reaches a half.
        box: That part.
        points: x and y of the pixels, at least one.
    """
    xs, ys = zip(*points, strict=True)
    top, left, bottom, right = min(ys), min(xs), max(ys) + 1, max(xs) + 1
    selected = alpha >= 0.5
    if selected.any():
        rows, columns = np.flatnonzero(selected.any(axis=1)), np.flatnonzero(selected.any(axis=0))
        (height, width), (h, w) = box.shape, alpha.shape
        # Grid pixel i covers [i, i + 1) / w of the part's width: from the first pixel it touches to behind the last.
        top = min(top, box.top + int(rows[0]) * height // h)
        left = min(left, box.left + int(columns[0]) * width // w)
        bottom = max(bottom, box.top - (-(int(rows[-1]) + 1) * height // h))
        right = max(right, box.left - (-(int(columns[-1]) + 1) * width // w))
    return Box(top, left, bottom, right)


def choose(zoom: Zoom, shape: tuple[int, int], current: Box, selection: Box) -> Box:
    """The part to look at.

    Args:
        zoom: The model's rules.
        shape: Height and width of the image.
        current: The part that was looked at last.
        selection: The box around what is selected and clicked.

    Returns:
        All of the image where the selection is not small; the current part as long as the selection has room in it;
        else the selection's box, enlarged.
    """
    whole = Box(0, 0, *shape)
    top, bottom = _span(selection.top, selection.bottom, shape[0], zoom.enlarge)
    left, right = _span(selection.left, selection.right, shape[1], zoom.enlarge)
    if (bottom - top) * (right - left) > zoom.below * shape[0] * shape[1]:
        return whole
    if current != whole and _has_room(current, whole, selection):
        return current
    return Box(top, left, bottom, right)


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
    """A selection on the grid of one part, brought to the grid of another (bilinear; nothing is selected outside).

    Args:
        alpha: float32, shape (h, w).
        source, target: The parts.
        grid: Height and width of the target's grid.

    Returns:
        float32, shape ``grid``. Fresh.
    """
    from PIL import Image

    (height, width), (h, w) = source.shape, alpha.shape
    across, down = w / width, h / height  # source grid pixels to an image pixel
    terms = (
        *(across * target.shape[1] / grid[1], 0.0, across * (target.left - source.left)),
        *(0.0, down * target.shape[0] / grid[0], down * (target.top - source.top)),
    )
    size = (grid[1], grid[0])
    moved = Image.fromarray(alpha).transform(size, Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)
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
