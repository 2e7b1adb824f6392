"""Weights of pixels in the losses: lower at the edges of masks that are not close, higher on what is thin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.pictures import Array, Grade

# Pixels of the training picture on either side of a mask's edge that count as the edge.
EDGE_BAND = 4
# What is narrower than this, in pixels of the training picture, is thin: of the object, and of the gaps in it.
THIN_WIDTH = 12
# A corner of something wide reaches out of the discs that fit into it; what reaches out further than this is thin.
_CORNER = 2.5
# So many pixels around what is thin weigh as it does: on one side alone they would teach a bias.
_THIN_MARGIN = 2
# A value of 255 is the largest weight of a picture: losses are means over it, in which only proportions count.
FULL = 255

Mask = NDArray[np.bool_]


def pixel_weights(alpha: Array, grade: Grade, edges: float, thin: float) -> Array | None:
    """Return how much each pixel counts in the losses of a training picture.

    Args:
        alpha: The wanted alpha, uint8, shape (H, W).
        grade: How closely it follows the object. What is thin is told from exact and close masks only.
        edges: Weight within `EDGE_BAND` pixels of the mask's edge, 0 to 1, where 1 is that of all others.
        thin: By how much the weight of thin structures and gaps is raised: 1 doubles it.

    Returns:
        uint8, shape (H, W), fresh, where 255 is the largest; None where all pixels count the same.
    """
    mask = alpha > 127
    raised = thin if grade in ("exact", "close") else 0.0
    narrow = thin_parts(mask) if raised else None
    if edges == 1 and (narrow is None or not narrow.any()):
        return None
    weight = np.full(alpha.shape, 1 / (1 + raised), np.float32)
    if narrow is not None:
        weight[narrow] = 1
    if edges < 1:
        weight[edge_band(mask)] *= edges
    return np.rint(weight * FULL).astype(np.uint8)


def edge_band(mask: Mask) -> Mask:
    """Return the pixels that have both object and background within `EDGE_BAND` pixels, bool, shape (H, W)."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE_BAND + 1, 2 * EDGE_BAND + 1))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, disc)) > 0


def thin_parts(mask: Mask) -> Mask:
    """Return where the object, or a gap of its background, is narrower than `THIN_WIDTH`, with a small margin.

    A part is thin where no disc of that width that fits into the mask comes near: what an opening by it takes away.
    The sides of the picture do not make anything thin.

    Args:
        mask: bool, shape (H, W).
    """
    thin = (_residue(mask) | _residue(~mask)).astype(np.uint8)
    side = 2 * _THIN_MARGIN + 1
    return np.asarray(cv2.dilate(thin, np.ones((side, side), np.uint8))) > 0


def _residue(mask: Mask) -> Mask:
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    radius = THIN_WIDTH / 2
    # Depth is measured to the centers of pixels outside, half a pixel beyond the mask's edge.
    core = (depth >= radius + 0.5).astype(np.uint8)
    if not core.any():
        return mask
    reach = cv2.distanceTransform(1 - core, cv2.DIST_L2, 3)
    return np.asarray(mask & (reach > radius + _CORNER))
