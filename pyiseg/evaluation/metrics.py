"""How good a selection is, how many clicks it took, and how well and how far around each click was obeyed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg.evaluation.overlap import iou as iou  # one of the metrics, for those that import it from here
from pyiseg.prompts import Click


def boundary_iou(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None = None
) -> float:
    """IoU of the two masks' inner rims (Cheng et al. 2021); 1 where both are empty.

    A rim is what of a mask lies within 2 % of the image's diagonal of the mask's edge, in chessboard distance; where
    the image cuts a mask off is edge too.

    Args:
        prediction, truth, void: As for :func:`iou`.
    """
    return iou(rim(prediction), rim(truth), void)


def rim(mask: NDArray[np.bool_], share: float = 0.02) -> NDArray[np.bool_]:
    """The part of a mask near its edge, bool, shape (H, W); see :func:`boundary_iou`."""
    width = max(1, round(share * math.hypot(*mask.shape)))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # What is outside of the image counts as not in the mask, which is not OpenCV's default.
    core = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    inner: NDArray[np.bool_] = mask & (core == 0)
    return inner


def wrong_region(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None, click: Click
) -> NDArray[np.bool_]:
    """The 8-connected region of wrong pixels that a click was placed in to correct it.

    Args:
        prediction, truth, void: As for :func:`iou`, with the prediction as it was before the click.
        click: On a wrong pixel.

    Returns:
        bool, shape (H, W); pixels that miss foreground or that are wrongly selected, as is the clicked one.
    """
    wrong = (truth & ~prediction) if click.fg else (prediction & ~truth)
    if void is not None:
        wrong &= ~void
    _, labels = cv2.connectedComponents(wrong.astype(np.uint8), connectivity=8)
    region: NDArray[np.bool_] = wrong & (labels == labels[click.y, click.x])
    return region


def corrected_share(region: NDArray[np.bool_], prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Corrective click accuracy (Forte et al. 2020, figure 6): the share of a wrong region that is right now.

    Args:
        region: What was wrong before the click and holds it, as from :func:`wrong_region`; not empty.
        prediction: The mask after the click.
        truth: The wanted mask.
    """
    return float((prediction == truth)[region].mean())


def corrected_reach(
    region: NDArray[np.bool_], prediction: NDArray[np.bool_], truth: NDArray[np.bool_], click: Click
) -> tuple[float, float]:
    """How far around a click the errors of its kind go.

    Args:
        region, prediction, truth: As for :func:`corrected_share`.
        click: On a pixel of the region.

    Returns:
        In pixels, with distances from the click rounded up to whole ones: the largest distance within which at least
        half of the region's pixels are right after the click, 0 where the clicked pixel is not; and the distance of
        the region's farthest pixel, which is the most that the first can be. Both count the clicked pixel as 1.
    """
    y, x = np.nonzero(region)
    distance = 1 + np.ceil(np.hypot(x - click.x, y - click.y)).astype(np.intp)
    right = (prediction == truth)[y, x]
    within, right_within = (
        np.cumsum(np.bincount(distance, weights=weights, minlength=int(distance.max()) + 1))
        for weights in (None, right.astype(np.float64))
    )
    # At distance 0 there is nothing: it is the answer where no other distance qualifies.
    half = np.flatnonzero(2 * right_within >= within)
    return float(half[-1]), float(distance.max())


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


def mean_with_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float | None]:
    """The mean of some images' values, and half the width of its 95 % confidence interval.

    The interval is that of the normal approximation over images, 1.96 s / sqrt(n) with the sample's deviation s; None
    for a single image.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    return mean, 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
