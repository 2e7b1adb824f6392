"""Image, working and grid coordinates: the only place that knows about resizing.

Three rasters cover the same picture edge to edge:

* the image, (H, W), what the user sees and clicks on;
* the working image, (Hw, Ww), what the image stream of the network is given;
* the grid, (h, w) = working / grid stride, on which clicks are encoded, alpha is predicted and the filter is fitted.

Everywhere x points right, y points down and integers are pixel centres, so pixel X of a raster W wide covers
[X, X + 1) / W of the picture's width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
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

        Args:
            clicks: Rows x, y, label (1 foreground, 0 background), shape (N, 3); each inside the image.

        Returns:
            int32, shape (N, 3), rows x, y, label on the grid, in the order given. Fresh.
        """
        (height, width), (rows, columns) = self.image, self.grid
        moved = np.array(clicks, dtype=np.int64).reshape(-1, 3)
        # floor((x + 0.5) * columns / width) in whole numbers, so that no rounding can reach the next pixel.
        moved[:, 0] = (2 * moved[:, 0] + 1) * columns // (2 * width)
        moved[:, 1] = (2 * moved[:, 1] + 1) * rows // (2 * height)
        return moved.astype(np.int32)

    def working_image(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The image as the network is given it (Lanczos).

        Args:
            rgb: uint8, shape (H, W, 3).

        Returns:
            float32, shape (1, 3, Hw, Ww), 0..1. Fresh.
        """
        from PIL import Image

        # A very large image is first averaged down to at least 3 times the working size: much faster, hardly different.
        picture = Image.fromarray(rgb).resize(self.working[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
        resized = np.asarray(picture)
        planes = np.empty((1, 3, *self.working), dtype=np.float32)
        np.divide(resized.transpose(2, 0, 1), np.float32(255), out=planes[0])
        return planes

    def grid_guide(self, guide: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The full-resolution guide brought to the grid: box averages where it shrinks, bilinear where it grows.

        Args:
            guide: float32, shape (H, W).

        Returns:
            float32, shape (h, w). Fresh.
        """
        from PIL import Image

        picture = Image.fromarray(guide)
        # One side at a time: a picture one pixel wide and thousands high shrinks along one and grows along the other.
        for height, width in ((self.image[0], self.grid[1]), self.grid):
            shrinks = height < picture.height or width < picture.width
            picture = picture.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
        return np.array(picture, dtype=np.float32)

    def image_rows(self, maps: npt.NDArray[np.float32], pixels: int) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Maps on the grid brought to the image's resolution, a strip of rows at a time so that memory stays small.

        Bilinear, with wider triangles where it shrinks; the strips join without a seam.

        Args:
            maps: float32, shape (C, h, w).
            pixels: How many image pixels a strip may have; it has one row at least.

        Yields:
            The strip's rows in the image, and float32, shape (C, rows, W), fresh.
        """
        from PIL import Image

        (height, width), (h, w) = self.image, self.grid
        pictures = [Image.fromarray(plane) for plane in maps]
        step = max(1, pixels // width)
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            # The resizer still looks beyond the box's edges, so neighbouring strips blend the same grid pixels.
            box = (0.0, start * h / height, float(w), rows.stop * h / height)
            size = (width, rows.stop - start)
            yield rows, np.stack([np.asarray(p.resize(size, Image.Resampling.BILINEAR, box=box)) for p in pictures])


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

    def with_pixel(self, x: int, y: int) -> Rect:
        """Return the smallest rectangle around it and a pixel."""
        return Rect(min(self.top, y), min(self.left, x), max(self.bottom, y + 1), max(self.right, x + 1))
