"""What is selected outside of the window that is predicted on: alpha as it was when earlier windows were left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import Rect

Alpha = npt.NDArray[np.uint8]


class _Patch(NamedTuple):
    """Alpha within a rectangle. Only what is inside ``bounds`` is stored; around that, and within ``rect``, it is 0."""

    rect: Rect
    bounds: Rect
    alpha: Alpha


class Kept:
    """Alpha of an image as windows left it, later ones over earlier ones; 0 where there was none. Never changes.

    Its memory is that of the rectangles around what was selected in the windows, a byte a pixel.
    """

    def __init__(self, patches: tuple[_Patch, ...] = ()) -> None:
        self._patches = patches

    @property
    def nbytes(self) -> int:
        """Memory of the alphas, in bytes; it may be shared with others."""
        return sum(patch.alpha.nbytes for patch in self._patches)

    def with_window(self, rect: Rect, alpha: Alpha) -> Kept:
        """Return the same with a window over it.

        Args:
            rect: The window.
            alpha: uint8, of its shape; it is copied.
        """
        before = tuple(patch for patch in self._patches if patch.rect.common(rect) != patch.rect)
        bounds = nonzero_bounds(alpha, rect) or Rect(rect.top, rect.left, rect.top, rect.left)
        return Kept((*before, _Patch(rect, bounds, _cut(alpha, rect, bounds).copy())))

    def differences(self, other: Kept) -> list[Rect]:
        """Return rectangles outside of which the alphas of the two are the same."""
        mine, theirs = ({id(patch): patch for patch in kept._patches} for kept in (self, other))
        return [patch.rect for name, patch in (mine | theirs).items() if name not in mine or name not in theirs]

    @property
    def bounds(self) -> list[Rect]:
        """Rectangles outside of which all alphas are 0."""
        return [patch.bounds for patch in self._patches]

    def alpha(self, rect: Rect) -> Alpha:
        """Return alpha within a rectangle, uint8, of its shape. A fresh array."""
        found = np.zeros(rect.shape, dtype=np.uint8)
        for patch in self._patches:
            if covered := patch.rect.common(rect):
                _cut(found, rect, covered)[...] = 0
            if stored := patch.bounds.common(rect):
                _cut(found, rect, stored)[...] = _cut(patch.alpha, patch.bounds, stored)
        return found

    def on_grid(self, rect: Rect, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return alpha within a rectangle, averaged to the pixels of a grid: float32, shape ``grid``, 0..1. Fresh."""
        from PIL import Image

        if not self._selects_in(rect):
            return np.zeros(grid, dtype=np.float32)
        averaged = Image.fromarray(self.alpha(rect)).resize((grid[1], grid[0]), Image.Resampling.BOX)
        found = np.array(averaged, dtype=np.float32)
        found /= 255
        return found

    def restore(self, alpha: Alpha, rect: Rect, grid: tuple[int, int], clicks: npt.NDArray[np.int32]) -> None:
        """Select those regions again that hold no click: alpha, uint8, of the rectangle's shape, is changed in place.

        The other arguments are those of `unclicked`.
        """
        found = self.unclicked(rect, grid, clicks)
        if found is not None:
            np.maximum(alpha, found, out=alpha)

    def unclicked(self, rect: Rect, grid: tuple[int, int], clicks: npt.NDArray[np.int32]) -> Alpha | None:
        """Return alpha within a rectangle, of those regions in it that hold no click; None where there are none.

        They were selected by clicks outside of it, so a prediction for the clicks inside does not decide on them.

        Args:
            rect: The rectangle.
            grid: Height and width of a grid over it, on which regions are told apart.
            clicks: Clicks in it, on the grid, int32, shape (N, 3), of either label.
        """
        from pyiseg import _core

        if not self._selects_in(rect):
            return None
        averaged = self.on_grid(rect, grid)
        touched = np.empty(grid, dtype=np.float32)
        either = np.array(clicks, dtype=np.int32)
        either[:, 2] = 1  # the op keeps regions with foreground clicks
        _core.keep_clicked_components(averaged, either, 0, np.empty(grid, dtype=np.int32), touched)
        free = (averaged > 0.5) & (touched == 0)
        if not free.any():
            return None
        # With its soft edge, which reaches into the grid pixels around it.
        wide = grown(free, 1) & (touched == 0)
        for x, y, _ in clicks.tolist():  # also where one meets the soft edge alone
            wide[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = False
        rows, columns = (np.arange(n) * m // n for n, m in zip(rect.shape, grid, strict=True))
        found = self.alpha(rect)
        found *= wide[rows][:, columns]
        return found

    def _selects_in(self, rect: Rect) -> bool:
        return any(patch.bounds.common(rect) for patch in self._patches)


NOTHING = Kept()
"""Where nothing is kept, it is this very object."""


def nonzero_bounds(alpha: Alpha, rect: Rect, least: int = 1) -> Rect | None:
    """Return the smallest rectangle around what is selected; None where nothing is.

    Args:
        alpha: uint8, of the rectangle's shape.
        rect: Where it lies.
        least: Alpha that counts as selected.
    """
    rows = np.flatnonzero(alpha.max(axis=1) >= least)
    if not rows.size:
        return None
    columns = np.flatnonzero(alpha[rows[0] : rows[-1] + 1].max(axis=0) >= least)
    top, left = rect.top + int(rows[0]), rect.left + int(columns[0])
    return Rect(top, left, rect.top + int(rows[-1]) + 1, rect.left + int(columns[-1]) + 1)


def grown(mask: npt.NDArray[np.bool_], margin: int) -> npt.NDArray[np.bool_]:
    """Return a mask, bool, shape (h, w), and all within so many rows and columns of it. Fresh."""
    found = np.array(mask)
    for _ in range(min(margin, max(mask.shape))):
        wide = np.pad(found, 1)
        wide = wide[:-2] | wide[1:-1] | wide[2:]
        found = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
    return found


def _cut(alpha: Alpha, rect: Rect, part: Rect) -> Alpha:
    """Return a view of a part of what covers a rectangle."""
    return alpha[part.within(rect).slices]
