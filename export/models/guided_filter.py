"""The guided filter in PyTorch, differentiable in the prediction; a test holds it to the native ops that serve.

He, Sun and Tang, *Guided Image Filtering*, PAMI 2013. In two forms: "averaged" averages both coefficients over windows,
as the paper does; "residual" averages the slopes only and takes the offset that leaves the prediction on the grid as it
is. With two guides: a learned one of one channel, and the colors of the image.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Form = Literal["averaged", "residual"]


def guided_filter_coefficients(guide: Tensor, p: Tensor, radius: int, eps: float, form: Form = "averaged") -> Tensor:
    """Fit a prediction to a guide of one channel, differentiably in both.

    Args:
        guide, p: float32, shape (B, 1, h, w); the guide centered on its image's mean.
        radius: Windows are 2 * radius + 1 pixels wide, cut off at the border; 0 leaves p as it is.
        eps: Regularization, above 0.
        form: See the module.

    Returns:
        a and b, shape (B, 2, h, w): p is close to a * guide + b (He et al. 2013, eq. 5-8), in the residual form equal.
    """
    if radius == 0:  # windows of one pixel: what follows would come to the same
        return torch.cat([torch.zeros_like(p), p], dim=1)
    mean_guide, mean_p = _box(guide, radius), _box(p, radius)
    cov = _box(guide * p, radius) - mean_guide * mean_p
    var = (_box(guide * guide, radius) - mean_guide * mean_guide).clamp(min=0)
    a = cov / (var + eps)
    if form == "residual":
        a = _box(a, radius)
        return torch.cat([a, p - a * guide], dim=1)
    b = mean_p - a * mean_guide
    return _box(torch.cat([a, b], dim=1), radius)


@torch.no_grad()
def color_guide_statistics(image: Tensor, radius: int, eps: float) -> Tensor:
    """Compute what the color guided filter needs of an image, once for all predictions (He et al. 2013, eq. 19).

    Computed in float64: of colors that go together, variances of about eps are left of much larger ones.

    Args:
        image: R, G, B in 0..1 on the grid, shape (B, 3, h, w).
        radius: Windows are 2 * radius + 1 pixels wide, cut off at the border.
        eps: Regularization, above 0.

    Returns:
        float32, shape (B, 6, h, w), without gradient: the inverse of Sigma + eps U, which is symmetric, as rr, rg, rb,
        gg, gb, bb.
    """
    exact = image.double()
    exact = exact - exact.mean(dim=(2, 3), keepdim=True)
    mean = _box(exact, radius)
    r, g, b = exact.unbind(dim=1)
    products = torch.stack([r * r, r * g, r * b, g * g, g * b, b * b], dim=1)
    r, g, b = mean.unbind(dim=1)
    sigma = _box(products, radius) - torch.stack([r * r, r * g, r * b, g * g, g * b, b * b], dim=1)
    return _inverse(sigma, eps).float()


def color_guided_filter_coefficients(image: Tensor, statistics: Tensor, p: Tensor, radius: int) -> Tensor:
    """Fit a prediction to the colors of an image, in the residual form (He et al. 2013, eq. 19 and 21).

    Args:
        image: As for `color_guide_statistics`, which returned ``statistics``.
        statistics: Shape (B, 6, h, w).
        p: The prediction, float32 or float64, shape (B, 1, h, w). The result is linear in it. In float32 the slopes are
            off by up to some 1e-4, which is nothing to a loss; what serves computes in float64.
        radius: As for `color_guide_statistics`; 0 leaves p as it is.

    Returns:
        a_r, a_g, a_b and b, of p's type, shape (B, 4, h, w): p = a_r * R + a_g * G + a_b * B + b on the grid.
    """
    if radius == 0:
        return torch.cat([torch.zeros_like(image), p], dim=1)
    # Centered, for what rounding leaves of a covariance is multiplied by the inverse, which is up to 1 / eps. What is
    # subtracted cancels out, so that no gradient need go through it.
    colors = image - image.mean(dim=(2, 3), keepdim=True)
    centered = p - p.detach().mean(dim=(2, 3), keepdim=True)
    cov = _box(colors * centered, radius) - _box(colors, radius) * _box(centered, radius)
    rr, rg, rb, gg, gb, bb = statistics.to(p.dtype).split(1, dim=1)
    r, g, b = cov.split(1, dim=1)
    a = _box(torch.cat([rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b], dim=1), radius)
    return torch.cat([a, p - (a * image).sum(dim=1, keepdim=True)], dim=1)


def apply_coefficients(coefficients: Tensor, guide: Tensor) -> Tensor:
    """Return the alpha of coefficients, enlarged bilinearly to the guide's size: clip(a . guide + b, 0, 1).

    Args:
        coefficients: Slopes for each channel of the guide, then the offset, shape (B, C + 1, h, w).
        guide: Shape (B, C, H, W).

    Returns:
        Shape (B, 1, H, W).
    """
    enlarged = F.interpolate(coefficients, size=guide.shape[2:], mode="bilinear", align_corners=False)
    slopes, offset = enlarged.split([guide.shape[1], 1], dim=1)
    return ((slopes * guide).sum(dim=1, keepdim=True) + offset).clamp(0, 1)


def _box(x: Tensor, radius: int) -> Tensor:
    """Means of windows cut off at the border, one axis after the other: several times as fast as avg_pool2d."""
    for axis in (2, 3):
        size = x.shape[axis]
        around = F.pad(x, (0, 0, radius, radius) if axis == 2 else (radius, radius))
        total = around.narrow(axis, 0, size)
        for k in range(1, 2 * radius + 1):
            total = total + around.narrow(axis, k, size)
        place = torch.arange(size, device=x.device)
        count = (place + radius).clamp(max=size - 1) - (place - radius).clamp(min=0) + 1
        x = total / (count[:, None] if axis == 2 else count)
    return x


def _inverse(sigma: Tensor, eps: float) -> Tensor:
    """Invert symmetric matrices plus eps on the diagonal, by L D L^T: without it, small pivots would cancel.

    Args:
        sigma: rr, rg, rb, gg, gb, bb in the second dimension.
        eps: Added to rr, gg and bb.

    Returns:
        The inverses in the same order.
    """
    rr, rg, rb, gg, gb, bb = sigma.split(1, dim=1)
    d1 = rr + eps
    l21, l31 = rg / d1, rb / d1
    d2 = gg + eps - rg * l21
    rest = gb - rb * l21
    l32 = rest / d2
    d3 = bb + eps - rb * l31 - rest * l32
    # The inverse of L has -l21, -l32 and m below its diagonal.
    m = l21 * l32 - l31
    return torch.cat(
        [
            1 / d1 + l21 * l21 / d2 + m * m / d3,
            -l21 / d2 - m * l32 / d3,
            m / d3,
            1 / d2 + l32 * l32 / d3,
            -l32 / d3,
            1 / d3,
        ],
        dim=1,
    )
