"""Gradients of convolutions that PyTorch's own library computes slowly on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Fewer channels, or more pixels a side, and oneDNN is as fast: measured on one core with AVX2, 4 images.
LEAST_CHANNELS, MOST_PIXELS = 32, 64


def pays(x: Tensor, weight: Tensor, stride: tuple[int, ...], groups: int) -> bool:
    """Whether :class:`Conv3x3` trains this convolution faster than PyTorch does."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.requires_grad
        and not torch.is_autocast_enabled("cpu")
        and weight.shape[2:] == (3, 3)
        and set(stride) == {1}
        and groups == 1
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and max(x.shape[2:]) <= MOST_PIXELS
    )


class Conv3x3(torch.autograd.Function):
    """A 3x3 convolution, padded by 1, whose weight's gradient is nine products of matrices.

    For each place in the kernel that is the product of the output's gradient and of the input moved by so much, summed
    over all pixels. oneDNN takes two to three times as long as for the convolution; the products take no longer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, 1, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        to_x = torch.ops.aten.convolution_backward(
            grad, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [needs_x, False, False]
        )[0]
        to_weight = weight_gradient(x, grad) if needs_weight else None
        return to_x, to_weight, grad.sum(dim=(0, 2, 3)) if needs_bias else None


def weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of a 3x3 convolution's weight, (O, C, 3, 3).

    Args:
        x: Its input, (B, C, H, W), padded by 1 in the convolution.
        grad: The gradient of its output, (B, O, H, W).
    """
    width = x.shape[3]
    # Pixel after pixel with the padding in between, where the gradient is 0: moved by (row, column), the input then
    # begins row * (W + 2) + column pixels later, and nothing is copied.
    pixels = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2)
    last = 2 * (width + 2) + 2
    wanted = F.pad(grad.permute(0, 2, 3, 1), (0, 0, 0, 2, 0, 2)).flatten(0, 2)[: len(pixels) - last].t()
    moved = [row * (width + 2) + column for row in range(3) for column in range(3)]
    products = [wanted @ pixels[start : start + wanted.shape[1]] for start in moved]
    return torch.stack(products, dim=2).unflatten(2, (3, 3))
