"""Losses. Predictions and truths are float32, shape (B, 1, H, W); ``valid`` is 1 where a pixel is judged, else 0."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_iou(alpha: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - sum(alpha*truth) / sum(max(alpha, truth)), the first term of equation (1) in Forte et al. 2020, per image."""
    product = (alpha * truth * valid).sum(dim=(1, 2, 3))
    larger = (torch.maximum(alpha, truth) * valid).sum(dim=(1, 2, 3))
    return 1 - product / larger.clamp(min=1)


def click_error(alpha: Tensor, clicks: Tensor, summed: bool = False) -> Tensor:
    """Squared error at the clicks, the second term of equation (1), per image.

    Args:
        clicks: (B, 1, H, W), 1 at foreground clicks, -1 at background clicks, else 0.
        summed: Over the clicks, as in the paper; else their mean, so that sequences may differ in length.
    """
    at_click = clicks.abs()
    error = (at_click * (alpha - clicks.clamp(min=0)) ** 2).sum(dim=(1, 2, 3))
    return error if summed else error / at_click.sum(dim=(1, 2, 3)).clamp(min=1)


def normalized_focal(logits: Tensor, truth: Tensor, valid: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss whose weights sum to the number of pixels (Sofiiuk et al. 2019, AdaptIS), per image.

    The focal weight (1 - pt)^gamma shrinks as training goes well; dividing by its sum keeps the gradient's size.
    """
    error = (logits.sigmoid() - truth).abs()
    weight = (error**gamma * valid).detach()
    weight = weight * valid.sum(dim=(1, 2, 3), keepdim=True) / weight.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3)
    loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight
    return loss.sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp(min=1)


def absolute_error(alpha: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error, per image: what a matte is judged by."""
    return ((alpha - truth).abs() * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp(min=1)


def mirror_difference(alpha: Tensor) -> Tensor:
    """Squared difference from the mean of a prediction and its mirror image's, in the pixels selected, per image.

    The mean is a target without a gradient: averaged over both, predictions are better than each of them.

    Args:
        alpha: (B, 1, h, w); B is even, and every second one is of the mirror image of the one before.
    """
    now = alpha.detach()
    other = now.reshape(-1, 2, *now.shape[1:]).flip(1, 4).reshape(now.shape)
    mean = (now + other) / 2
    error = ((alpha - mean) ** 2).sum(dim=(1, 2, 3))
    return error / mean.sum(dim=(1, 2, 3)).clamp(min=1)
