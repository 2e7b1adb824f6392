"""Weights of pixels in the losses: lower at the edges of masks that are not close, higher on what is thin."""

from __future__ import annotations

import cv2
import numpy as np

from export.data.io import Array, Grade

# Pixels of the training image on either side of a mask's edge that count as the edge.
EDGE_BAND = 4
# What is up to so wide, in pixels of the training image, is thin: of the object, and of the gaps in it.
THIN_WIDTH = 12
# A corner of something wide reaches out of the discs that fit into it; what reaches out further than this is thin.
_CORNER = 3
# So many pixels around what is thin weigh as it does: on one side alone they would teach a bias.
_THIN_MARGIN = 2
# A value of 255 is the largest weight of an image: losses are means over it, in which only proportions count.
FULL = 255


def pixel_weights(alpha: Array, grade: Grade, edges: float, thin: float) -> Array | None:
    """Return how much each pixel counts in the losses of a training image.

    Args:
        alpha: The wanted alpha, uint8, shape (H, W).
        grade: How closely it follows the object. What is thin is told from exact and close masks only.
        edges: Weight within `EDGE_BAND` pixels of the mask's edge, 0 to 1, where 1 is that of all others.
        thin: By how much the weight of thin structures and gaps is raised: 1 doubles it.

    Returns:
        uint8, shape (H, W), fresh, where 255 is the largest; None where all pixels count the same.
    """
    mask = (alpha > 127).astype(np.uint8)
    raised = thin if grade in ("exact", "close") else 0.0
    kind = thin_parts(mask) if raised else np.zeros_like(mask)
    if edges == 1 and not kind.any():
        return None
    if edges < 1:
        kind += 2 * edge_band(mask)
    # Of what is neither thin nor at an edge, is thin, is at an edge, is both.
    values = np.array([1, 1 + raised, edges, edges * (1 + raised)]) * (FULL / (1 + raised))
    return np.asarray(cv2.LUT(kind, np.resize(np.rint(values), 256).astype(np.uint8)))


def edge_band(mask: Array) -> Array:
    """Return 1 where there are object and background within `EDGE_BAND` rows and columns, else 0.

    Args:
        mask: 1 on the object, else 0, uint8, shape (H, W).
    """
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((2 * EDGE_BAND + 1,) * 2, np.uint8)))


def thin_parts(mask: Array) -> Array:
    """Return 1 where the object, or a gap of its background, is up to `THIN_WIDTH` wide, and a little around; else 0.

    A part is thin where no disc that is wider and fits into the mask comes near: what an opening by it takes away.
    The sides of the image do not make anything thin.

    Args:
        mask: 1 on the object, else 0, uint8, shape (H, W).
    """
    thin = _residue(mask) | _residue(1 - mask)
    return np.asarray(cv2.dilate(thin, np.ones((2 * _THIN_MARGIN + 1,) * 2, np.uint8)))


def _residue(mask: Array) -> Array:
    core = cv2.erode(mask, _disc(THIN_WIDTH // 2))
    opened = np.asarray(cv2.dilate(core, _disc(THIN_WIDTH // 2 + _CORNER)), np.uint8)
    return mask & (1 - opened)


def _disc(radius: int) -> Array:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
