"""Damaged true masks, for a sequence to begin with: FocalClick (Chen et al. 2022) and RITM correct given masks so."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg.evaluation.metrics import iou

Mask = NDArray[np.bool_]

# A damaged mask keeps at least so much IoU; how much it loses is drawn between the two.
LEAST, MOST = 0.5, 0.95
# So many pixels around the click stay, on the object: what a grid pixel there is made of.
KEPT = 3
# Radii of a piece that is added or taken, in those of a disc of the object's area.
SMALLEST, LARGEST = 0.05, 0.6
ATTEMPTS = 40


def damaged(rng: np.random.Generator, truth: Mask, click: tuple[int, int]) -> Mask:
    """Add ellipses to a mask and take ellipses out of it; most lie on its outline, some anywhere in its box.

    Only the piece that was clicked is left, as serving leaves it.

    Args:
        rng: Where everything drawn comes from.
        truth: bool, shape (H, W), with the click on it.
        click: x and y of a pixel that stays selected.

    Returns:
        bool, shape (H, W), fresh; in one piece, and of an IoU with the truth of at least `LEAST` if the truth's
        clicked piece is.
    """
    wanted = rng.uniform(LEAST, MOST)
    radius = (truth.sum() / np.pi) ** 0.5
    mask = _piece(truth.astype(np.uint8), click)
    kept = cv2.circle(np.zeros_like(mask), click, KEPT, 1, -1) & mask
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
        trial = _piece(trial | kept, click)
        if iou(trial == 1, truth) >= LEAST:
            mask = trial
    return mask == 1


def _piece(mask: NDArray[np.uint8], click: tuple[int, int]) -> NDArray[np.uint8]:
    """What of a mask hangs together with a pixel of it."""
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    return (labels == labels[click[1], click[0]]).astype(np.uint8)
