"""Image, working and grid coordinates: sizes, clicks and rectangles.

Three rasters cover the same image edge to edge:

* the image, (H, W), what the user sees and clicks on;
* the working image, (Hw, Ww), what the image stream of the network is given;
* the grid, (h, w) = working / grid stride, on which clicks are encoded, alpha is predicted and the filter is fitted.

Everywhere x points right, y points down and integers are pixel centers, so pixel X of a raster W wide covers
[X, X + 1) / W of the image's width.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class View:
    """How one image is seen by one model. Each shape is (height, width)."""

    image: tuple[int, int]
    working: tuple[int, int]
    grid: tuple[int, int]

    @classmethod
    def fit(cls, image: tuple[int, int], *, long_side: int, multiple: int, grid_stride: int) -> View:
        """Choose the working size: the long side becomes ``long_side``, the other keeps the aspect ratio.

        Args:
            image: Height and width of the image, each >= 1.
            long_side: Long side of the working image, a multiple of ``multiple``.
            multiple: Both working sides are multiples of this; the short one is rounded to the nearest, at least one.
            grid_stride: Working pixels to a grid pixel, a divisor of ``multiple``.
        """
        longest = max(image)

        def side(length: int) -> int:
            # round(length * long_side / longest / multiple) in whole numbers, halves up: the same on every machine.
            units = (2 * length * long_side + longest * multiple) // (2 * longest * multiple)
            return max(1, units) * multiple

        height, width = side(image[0]), side(image[1])
        return cls(image, (height, width), (height // grid_stride, width // grid_stride))

    def grid_clicks(self, clicks: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Clicks on the image as clicks on the grid: the grid pixel that covers the center of the clicked one.

        A grid pixel cannot be selected and removed. Where a later click with the other label falls onto the same one
        from another pixel of the image, the earlier one is moved to the next grid pixel, away from it.

        Args:
            clicks: Rows x, y, label (1 foreground, 0 background), shape (N, 3); each inside the image.

        Returns:
            int32, shape (N, 3), rows x, y, label on the grid, in the order given. Fresh.
        """
        (height, width), (rows, columns) = self.image, self.grid
        on_image = np.array(clicks, dtype=np.int64).reshape(-1, 3)
        moved: npt.NDArray[np.int64] = on_image.copy()
        # floor((x + 0.5) * columns / width) in whole numbers, so that no rounding can reach the next pixel.
        moved[:, 0] = (2 * moved[:, 0] + 1) * columns // (2 * width)
        moved[:, 1] = (2 * moved[:, 1] + 1) * rows // (2 * height)
        later: dict[tuple[int, ...], int] = {}
        for i in reversed(range(len(moved))):
            x, y, label = moved[i].tolist()
            opposite = later.get((x, y, 1 - label))
            if opposite is not None:
                away = on_image[i, :2] - on_image[opposite, :2]
                # Straight or diagonal, whichever is nearer; nowhere if it is the same pixel of the image.
                step = np.sign(away) * (2 * abs(away) > abs(away).max())
                moved[i, :2] = np.clip(moved[i, :2] + step, 0, (columns - 1, rows - 1))
            later.setdefault((x, y, label), i)
        return moved.astype(np.int32)

    def touched(self, cells: npt.NDArray[np.bool_]) -> Rect | None:
        """Return the smallest rectangle of the image whose pixels alone are rendered from some grid pixels.

        A pixel of the image is rendered, bilinearly, from the grid pixels whose centers lie around its own.

        Args:
            cells: bool, shape (h, w).
        """
        sides = []
        for axis in (0, 1):
            found = np.flatnonzero(cells.any(axis=1 - axis))
            if not found.size:
                return None
            first, last, length, count = int(found[0]), int(found[-1]), self.image[axis], self.grid[axis]
            # Pixel X lies at (X + 0.5) * count / length - 0.5 on the grid, and is reached from less than 1 away.
            low = 0 if first == 0 else max(0, (2 * first - 1) * length // (2 * count) - 1)
            high = length if last == count - 1 else min(length, -(-(2 * last + 3) * length // (2 * count)) + 1)
            sides.append((low, high))
        (top, bottom), (left, right) = sides
        return Rect(top, left, bottom, right)


class Rect(NamedTuple):
    """A rectangle of an image, in its pixels: rows top to bottom - 1, columns left to right - 1."""

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
        """Rows and columns, to index an image's array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def has(self, x: int, y: int) -> bool:
        """Return whether a pixel lies in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def union(self, other: Rect) -> Rect:
        """Return the smallest rectangle around both."""
        return Rect(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def common(self, other: Rect) -> Rect | None:
        """Return what both cover; None where that is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Rect(top, left, bottom, right) if top < bottom and left < right else None

    def with_pixel(self, x: int, y: int) -> Rect:
        """Return the smallest rectangle around it and a pixel."""
        return Rect(min(self.top, y), min(self.left, x), max(self.bottom, y + 1), max(self.right, x + 1))

    def shifted(self, down: int, right: int) -> Rect:
        """Return it moved by whole pixels."""
        return Rect(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def within(self, other: Rect) -> Rect:
        """Return it in the pixels of a rectangle that contains it."""
        return self.shifted(-other.top, -other.left)
