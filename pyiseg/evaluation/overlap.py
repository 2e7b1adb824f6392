"""How far two masks agree; apart from the other metrics because it needs no OpenCV."""

from __future__ import annotations

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
