"""How good a selection is, and how many clicks it took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def iou(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None = None) -> float:
    """Intersection over union of two masks; 1 where both are empty.

    Args:
        prediction, truth: bool, shape (H, W).
        void: Pixels that are not judged, bool, shape (H, W); none when left out.
    """
    union, both = prediction | truth, prediction & truth
    if void is not None:
        union, both = union & ~void, both & ~void
    total = int(union.sum())
    return int(both.sum()) / total if total else 1.0


def clicks_to_reach(ious: Sequence[float], threshold: float, limit: int = 20) -> int:
    """Number of clicks after which the IoU first reached a threshold; ``limit`` where it never did.

    The field's NoC is the mean of this over a data set (Xu et al. 2016): a failure counts as ``limit`` clicks.

    Args:
        ious: IoU after click 1, 2, ...; a sequence that ends early stopped because nothing was wrong any more.
        threshold: Such as 0.9.
        limit: Clicks that the robot user makes at most.
    """
    for number, value in enumerate(ious[:limit], start=1):
        if value >= threshold:
            return number
    return limit
