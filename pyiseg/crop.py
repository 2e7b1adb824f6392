"""One crop of an image: the clicks in force on it, and what is predicted on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.details import Detail
from pyiseg.geometry import Rect, View
from pyiseg.kept import Kept, grown
from pyiseg.runtime.pipeline import Pipeline, Prediction

Click: TypeAlias = tuple[int, int, bool]
Clicks: TypeAlias = Sequence[Click]


class CropPrediction(NamedTuple):
    """A prediction, which crop it was made on, in which window, what stays selected outside of that, and details."""

    prediction: Prediction
    rect: Rect
    window: Rect
    kept: Kept
    details: tuple[Detail, ...] = ()
    given: bool = False  # nothing was predicted: `kept` is all there is


class Crop(NamedTuple):
    """A rectangle of the image, and the pipeline that predicts on it."""

    rect: Rect
    view: View
    pipeline: Pipeline

    def clicks_in(self, clicks: Clicks) -> npt.NDArray[np.int32]:
        """Return the clicks in force in the crop, int32, shape (N, 3), rows x, y, label in the crop's pixels.

        A click is no longer in force where a later one with the other label lies on the same grid pixel: the network
        cannot tell them apart, and the two together would say nothing.
        """
        return self.split(clicks, 0)[0]

    def split(self, clicks: Clicks, answered: int) -> tuple[npt.NDArray[np.int32], int]:
        """Return what `clicks_in` does, and how many of those are among the first ``answered`` clicks given."""
        top, left = self.rect.top, self.rect.left
        inside = [i for i, (x, y, _) in enumerate(clicks) if self.rect.has(x, y)]
        rows = np.array([(clicks[i][0] - left, clicks[i][1] - top, clicks[i][2]) for i in inside], dtype=np.int32)
        rows = rows.reshape(-1, 3)
        kept = in_force(self.view.grid_clicks(rows))
        return rows[kept], int(sum(i < answered for i, keep in zip(inside, kept, strict=True) if keep))


def in_force(placed: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return which clicks no later one with the other label on the same grid pixel supersedes, bool, shape (N,).

    Args:
        placed: int32, shape (N, 3), rows x, y, label on the grid, in the order they were made.
    """
    last: dict[tuple[int, int], int] = {}
    superseded: set[tuple[int, int]] = set()
    kept = np.ones(len(placed), dtype=np.bool_)
    for i in range(len(placed) - 1, -1, -1):
        x, y, label = map(int, placed[i])
        if last.setdefault((x, y), label) != label:
            superseded.add((x, y))  # and with it whatever came before it there
        kept[i] = (x, y) not in superseded
    return kept


def grid_window(wanted: Rect, crop: Rect, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return 1 on the grid pixels of a crop that a rectangle covers in part or that lie beside them, else 0.

    Returns:
        float32, shape ``grid``. Fresh.
    """
    window = np.zeros(grid, np.float32)
    sides = []
    for axis, (low, high, start) in enumerate(
        ((wanted.top, wanted.bottom, crop.top), (wanted.left, wanted.right, crop.left))
    ):
        pixels, length = grid[axis], crop.shape[axis]
        first, last = (low - start) * pixels // length, -(-(high - start) * pixels // length)
        sides.append(slice(max(0, first - 1), max(0, last + 1)))
    window[tuple(sides)] = 1
    return window


def connected_change(
    old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], click: npt.NDArray[np.int32], margin: int
) -> npt.NDArray[np.bool_]:
    """Return where a selection changed in connection with a click, and a margin around that, bool, shape (h, w).

    Args:
        old, new: Alpha on the grid, float32, shape (h, w).
        click: int32, shape (1, 3), on the grid, label 1.
        margin: In grid pixels, so that the edge of what changed comes along.
    """
    from pyiseg import _core

    changed = np.where((new > 0.5) != (old > 0.5), np.float32(1), np.float32(0))
    labels, kept = np.empty(old.shape, np.int32), np.empty(old.shape, np.float32)
    _core.keep_clicked_components(changed, click, 0, labels, kept)
    return grown(kept > 0, margin)
