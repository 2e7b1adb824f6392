"""Details: what opposite clicks on one grid pixel make of the little crop in which they can be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import Rect, View
from pyiseg.kept import nonzero_bounds

# Grid pixels that the two clicks are apart in their crop.
_APART = 3
# Least side of a crop, in image pixels.
_LEAST = 32


class Detail(NamedTuple):
    """A selection within a rectangle of the image, and what it was before; uint8, of the rectangle's shape.

    Attributes:
        crop: The crop that it was predicted on.
        rect: Where that changed anything.
        before, alpha: See above.
    """

    crop: Rect
    rect: Rect
    before: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, crop: Rect, before: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> Detail:
        """Return what has changed in a crop, with no more around it than need be; the arrays are copied."""
        part = nonzero_bounds((before != alpha).view(np.uint8), Rect(0, 0, *alpha.shape)) or Rect(0, 0, 1, 1)
        return cls(crop, part.shifted(crop.top, crop.left), before[part.slices].copy(), alpha[part.slices].copy())

    def put_on(self, alpha: npt.NDArray[np.uint8], rect: Rect) -> None:
        """Change a selection to what the detail says, but where it has changed since by itself.

        Args:
            alpha: uint8, of the shape of ``rect``; changed in place.
            rect: A rectangle that contains the detail.
        """
        there = alpha[self.rect.within(rect).slices]
        same = (there >= 128) == (self.before >= 128)
        there[same] = self.alpha[same]


def crop_between(
    clicks: Sequence[tuple[int, int, bool]], rect: Rect, view: View, window: Rect, fine: int
) -> Rect | None:
    """Return the crop in which the last click can be told from an opposite one on the same grid pixel.

    Args:
        clicks: Rows x, y, fg on the image, in the order they were made.
        rect: The crop that was predicted on.
        view: How the model sees that.
        window: What the result lies inside of.
        fine: Pixels of the long side of the model's grid.

    Returns:
        A crop around the last click and the nearest such one, in which they are a few grid pixels apart; None where
        there is no such click.
    """
    x, y, fg = clicks[-1]
    inside = [click for click in clicks if rect.has(*click[:2])]
    if not inside or inside[-1] != clicks[-1]:
        return None
    # With one label for all, none is moved.
    placed = view.grid_clicks([(a - rect.left, b - rect.top, 1) for a, b, _ in inside])
    found = [
        ((a - x) ** 2 + (b - y) ** 2, a, b)
        for (a, b, label), place in zip(inside, placed, strict=True)
        if label != fg and (a, b) != (x, y) and np.array_equal(place, placed[-1])
    ]
    if not found:
        return None
    squared, a, b = min(found)
    side = max(_LEAST, int(math.sqrt(squared) * fine / _APART))
    (top, height), (left, width) = (
        (min(max(start, middle - side // 2), max(start, end - side)), min(side, end - start))
        for middle, start, end in (((y + b) // 2, window.top, window.bottom), ((x + a) // 2, window.left, window.right))
    )
    return Rect(top, left, top + height, left + width)
