"""The robot users: where a person correcting the mask would click next.

Training and evaluation both call :func:`next_click`. The other one is for comparing with figures that were measured
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg.prompts import Click

Mask: TypeAlias = NDArray[np.bool_]


def next_click(prediction: Mask, truth: Mask, void: Mask | None = None) -> Click | None:
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
    distance = _depth(region)
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return Click(int(x), int(y), fg)


def next_click_ritm(
    prediction: Mask, truth: Mask, void: Mask | None = None, clicks: Sequence[Click] = ()
) -> Click | None:
    """Return the click deepest inside of what is wrong, or None where no unclicked pixel is (Sofiiuk et al. 2021).

    The depth of a pixel is its distance to the nearest one that is not wrong in the same way; regions are not told
    apart and their size does not matter. The sides of the image count as border. A pixel is clicked once at most.

    Args:
        prediction, truth, void: As for :func:`next_click`.
        clicks: Those made so far.
    """
    wrong = prediction != truth
    if void is not None:
        wrong &= ~void
    missed, surplus = _depth(wrong & truth), _depth(wrong & ~truth)
    for made in clicks:
        missed[made.y, made.x] = surplus[made.y, made.x] = 0
    # On a tie the published robot removes rather than adds.
    fg = bool(missed.max() > surplus.max())
    depth = missed if fg else surplus
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Click(int(x), int(y), fg) if depth[y, x] > 0 else None


def _forte(prediction: Mask, truth: Mask, void: Mask | None, clicks: Sequence[Click]) -> Click | None:
    return next_click(prediction, truth, void)


Robot: TypeAlias = Callable[[Mask, Mask, "Mask | None", Sequence[Click]], "Click | None"]
ROBOTS: dict[str, Robot] = {"forte": _forte, "ritm": next_click_ritm}
"""Robot users by name: called with prediction, truth, void and the clicks so far."""


def _depth(mask: Mask) -> NDArray[np.float32]:
    """Distance of each pixel of a mask to the nearest one outside of it, 0 outside; beyond the image is outside."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 0)
    return np.asarray(distance[1:-1, 1:-1], dtype=np.float32)


def _largest_region(mask: Mask) -> tuple[Mask, int]:
    """Return the largest 8-connected region of a mask and its number of pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask, 0
    label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return labels == label, int(stats[label, cv2.CC_STAT_AREA])
