"""Masks that an episode can begin with: true masks with noise, and as predicted before zooming in.

FocalClick (Chen et al. 2022) and RITM correct given masks so. Serving hands over coarse ones when it zooms in.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg import _core
from pyiseg.evaluation.metrics import iou
from pyiseg.geometry import Rect, View
from pyiseg.prompts import Click
from pyiseg.zoom import resample_to_crop

Mask = NDArray[np.bool_]

# A damaged mask keeps at least so much IoU; how much it loses is drawn between the two.
LEAST, MOST = 0.5, 0.95
# So many pixels around the click stay, on the object: what a grid pixel there is made of.
KEPT = 3
# Radii of a piece that is added or taken, in those of a disc of the object's area.
SMALLEST, LARGEST = 0.05, 0.6
ATTEMPTS = 40
# Of a look from far, a pixel of the grid covers so many of the closer look's, along a side.
NEAREST, FARTHEST = 1.5, 6.0
# Its edges are softened by a Gaussian of at most so many of its own pixels.
SOFTEST = 1.0


def noisy_mask(rng: np.random.Generator, truth: Mask, clicks: Sequence[Click]) -> Mask:
    """Add ellipses to a mask and take ellipses out of it; most lie on its outline, some anywhere in its box.

    The clicks are obeyed on the spot, and only pieces that were clicked are left, as serving leaves them.

    Args:
        rng: Source of all that is random.
        truth: bool, shape (H, W).
        clicks: At least one foreground click, all of these on the truth, and any number of background clicks beside it.

    Returns:
        bool, shape (H, W), fresh; of an IoU with the truth of at least `LEAST` if the truth's clicked pieces are.
    """
    wanted = rng.uniform(LEAST, MOST)
    radius = (truth.sum() / np.pi) ** 0.5
    mask = _pieces(truth.astype(np.uint8), clicks)
    kept, off = np.zeros_like(mask), np.zeros_like(mask)
    for x, y, fg in clicks:
        cv2.circle(kept if fg else off, (x, y), KEPT, 1, -1)
    kept, left = kept & mask, 1 - (off & ~truth)
    outline = np.argwhere(mask != cv2.erode(mask, np.ones((3, 3), np.uint8)))
    inside = np.argwhere(truth)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    for _ in range(ATTEMPTS):
        if iou(mask == 1, truth) <= wanted:
            break
        on_outline = len(outline) and rng.random() < 0.7
        y, x = outline[rng.integers(len(outline))] if on_outline else rng.integers(low, high)
        axes = np.maximum(radius * np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), 2)), 1)
        trial = mask.copy()
        ends = (int(axes[0]), int(axes[1]))
        cv2.ellipse(trial, (int(x), int(y)), ends, rng.uniform(0, 180), 0, 360, int(rng.integers(2)), -1)
        trial = _pieces((trial | kept) & left, clicks)
        if iou(trial == 1, truth) >= LEAST:
            mask = trial
    return np.asarray(mask == 1)


def before_zoom(
    rng: np.random.Generator, mask: Mask, clicks: NDArray[np.int32], grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Turn a mask into what a look from farther away would hand over to a closer one, as `pyiseg.crops` does.

    The mask is averaged down to that look's grid, its edges softened, the clicks forced there, and the result brought
    to the closer look's grid as serving brings it.

    Args:
        rng: Source of all that is random.
        mask: bool, shape (H, W): the image of the closer look.
        clicks: int32, shape (N, 3), rows x, y, label on that image.
        grid: Height and width of its grid.

    Returns:
        Alpha on the grid, float32, shape ``grid``, 0..1. Fresh.
    """
    factor = np.exp(rng.uniform(np.log(NEAREST), np.log(FARTHEST)))
    h, w = (max(1, round(side / factor)) for side in grid)
    coarse = cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
    # Sums of weights round to a little more than 1.
    soft = cv2.GaussianBlur(coarse, (0, 0), max(1e-3, rng.uniform(0, SOFTEST)))
    alpha = np.ascontiguousarray(soft.clip(0, 1), np.float32)
    height, width = mask.shape
    _core.force_clicks(View((height, width), (height, width), (h, w)).grid_clicks(clicks), alpha)
    whole = Rect(0, 0, height, width)
    return resample_to_crop(alpha, whole, whole, grid).clip(0, 1)


def _pieces(mask: NDArray[np.uint8], clicks: Sequence[Click]) -> NDArray[np.uint8]:
    """Return what of a mask of 0 and 1 hangs together with a foreground click on it."""
    filled = mask.copy()
    for x, y, fg in clicks:
        if fg and filled[y, x] == 1:
            cv2.floodFill(filled, None, (x, y), 2, flags=4)
    return np.asarray(filled == 2, np.uint8)
