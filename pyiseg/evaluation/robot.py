"""The robot user: where a person correcting the mask would click next.

The one robot user of the project: training and evaluation both call :func:`next_click`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg.session import Click


def next_click(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None = None
) -> Click | None:
    """Return the click that corrects the largest wrong region, or None where nothing is wrong.

    Wrong pixels fall into two kinds, missed foreground and wrongly selected background. Of each kind the largest
    8-connected region is taken; the larger of the two gets the click, at the pixel farthest from the region's
    border, the sides of the image counting as border (Forte et al. 2020, section 3.2).

    Args:
        prediction: The current mask, bool, shape (H, W).
        truth: The wanted mask, bool, shape (H, W).
        void: Pixels that are not judged, bool, shape (H, W); none when left out.
    """
    wrong = prediction != truth
    if void is not None:
        wrong &= ~void
    missed = _largest_region(wrong & truth)
    surplus = _largest_region(wrong & ~truth)
    # On a tie the published robot removes rather than adds.
    fg = missed[1] > surplus[1]
    region, pixels = missed if fg else surplus
    if pixels == 0:
        return None
    distance = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 0)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return Click(int(x), int(y), fg)


def _largest_region(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Return the largest 8-connected region of a mask and its number of pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask, 0
    label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return labels == label, int(stats[label, cv2.CC_STAT_AREA])
