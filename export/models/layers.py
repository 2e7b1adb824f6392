"""Layers that the streams and the decoder share. Whatever normalizes weights folds into a plain convolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.training.gradients import Conv3x3, pays

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(image: Tensor) -> Tensor:
    """RGB in 0..1, (B, 3, H, W), as networks trained on ImageNet take it."""
    mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


def as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x in a type. Where it has it already nothing is done, which the exporter need not write down then."""
    return x if x.dtype == dtype else x.to(dtype)


class FoldedConv(nn.Conv2d):
    """A convolution whose effective weight is computed from its parameters, so that it exports as a plain one."""

    def effective(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight and bias that a plain convolution needs to do the same."""
        return self.weight, self.bias

    folded = False

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, *self._now())

    def of_parts(self, parts: Sequence[Tensor | None], made: Tensor | None = None) -> Tensor:
        """Convolve input channels that lie in several tensors, without laying them side by side.

        Convolution is linear: the sum over the parts is what `forward` makes of them concatenated. It is faster to
        train: no copy, no gradient that is a slice of a wider tensor, and what is made can be made once for many.

        Args:
            parts: All input channels in their order, each (B, C, H, W); None for those that are in ``made``.
            made: What `of_channels` made of the others.
        """
        weight, bias = self._now()
        channels = sum(part.shape[1] for part in parts if part is not None)
        missing, start = weight.shape[1] - channels, 0
        result = None
        for part in parts:
            count = missing if part is None else part.shape[1]
            if part is not None:
                y = self._convolve(part, weight[:, start : start + count], bias if result is None else None)
                result = y if result is None else result.add_(y)
            start += count
        assert result is not None
        return result if made is None else result.add_(made)

    def of_channels(self, x: Tensor, inside: slice) -> Tensor:
        """Convolve some of the input channels, without bias: see `of_parts`.

        Args:
            x: These channels, (B, C, H, W).
            inside: Where they are among all input channels.
        """
        return self._convolve(x, self._now()[0][:, inside], None)

    def _now(self) -> tuple[Tensor, Tensor | None]:
        return (self.weight, self.bias) if self.folded else self.effective()

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.training and self.padding == self.dilation == (1, 1) and pays(x, weight, self.stride, self.groups):
            return Conv3x3.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def fold(self) -> None:
        """Make the effective weight the weight, once, for export. Training cannot go on afterwards."""
        if self.folded:
            return
        with torch.no_grad():
            weight, bias = self.effective()
            self.weight = nn.Parameter(weight.clone())
            self.bias = None if bias is None else nn.Parameter(bias.clone())
        self.folded = True


class StandardizedConv(FoldedConv):
    """Weight standardization (Qiao et al. 2019) with the constants of the published network."""

    def effective(self) -> tuple[Tensor, Tensor | None]:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        std = (self.weight.var(dim=(1, 2, 3), keepdim=True) + 1e-12).sqrt() + 1e-5
        return (self.weight - mean) / std, self.bias


class BatchNormConv(FoldedConv):
    """A convolution followed by a BatchNorm whose statistics stay frozen; its scale and shift are trained."""

    padding_value = 0.0

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, eps: float = 1e-3) -> None:
        # TensorFlow's 'same' padding at stride 2 is (0, 1) for 3x3 and (1, 2) for 5x5: done by hand in forward.
        padding = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.eps = eps
        self.tf_padding = ((kernel - 2) // 2, (kernel - 1) // 2) if stride == 2 else None
        self.gamma = nn.Parameter(torch.ones(cout))
        self.beta = nn.Parameter(torch.zeros(cout))
        self.register_buffer("mean", torch.zeros(cout))
        self.register_buffer("var", torch.ones(cout))

    def effective(self) -> tuple[Tensor, Tensor]:
        scale = self.gamma / (self.var + self.eps).sqrt()
        return self.weight * scale[:, None, None, None], self.beta - self.mean * scale

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.tf_padding is None else self.pad(x)
        if self.groups > 1 and x.device.type == "cpu" and x.dtype == torch.bfloat16:
            # oneDNN has no fast gradients of depthwise convolutions in bfloat16; they cost more than all else gains.
            with full_precision(x):
                return super().forward(x.float()).to(x.dtype)
        return super().forward(x)

    def pad(self, x: Tensor, value: float | None = None) -> Tensor:
        """Pad as TensorFlow does, with padding_value or the value given."""
        assert self.tf_padding is not None
        before, after = self.tf_padding
        return F.pad(x, (before, after, before, after), value=self.padding_value if value is None else value)


class GroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics are FP32, whatever the type of what it normalizes."""

    def forward(self, x: Tensor) -> Tensor:
        return as_type(super().forward(as_type(x, torch.float32)), x.dtype)


def conv3x3(cin: int, cout: int, groups: int | None, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and LeakyReLU; with groups, weight-standardized and with a GroupNorm between."""
    if groups is None:
        return nn.Sequential(FoldedConv(cin, cout, 3, stride, 1), nn.LeakyReLU(0.01, inplace=True))
    return nn.Sequential(
        StandardizedConv(cin, cout, 3, stride, 1),
        GroupNorm(groups, cout),
        nn.LeakyReLU(0.01, inplace=True),
    )


def double(x: Tensor) -> Tensor:
    """Bilinear doubling of both sides."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


@contextmanager
def full_precision(x: Tensor) -> Iterator[None]:
    """Keep autocast from doing products in 16 bits; without autocast this is nothing, also to an exporter."""
    if torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            yield
    else:
        yield


def pooling_matrix(size: int, bins: int, like: Tensor) -> Tensor:
    """Return the (bins, size) matrix of adaptive average pooling along one axis, FP32.

    Written with comparisons so that it exports with dynamic sizes: adaptive_avg_pool2d becomes hundreds of nodes. Bin i
    reaches from floor(i * size / bins) to ceil((i + 1) * size / bins), compared without the division: whole numbers,
    exact in FP32, where TensorRT builds no engine of an integer division's remainder.
    """
    index = torch.arange(size, device=like.device, dtype=torch.float32)[None, :]
    i = torch.arange(bins, device=like.device, dtype=torch.float32)[:, None]
    inside = (((index + 1) * bins > i * size) & (index * bins < (i + 1) * size)).float()
    return inside / inside.sum(dim=1, keepdim=True)


def unpooling_matrix(size: int, bins: int, like: Tensor) -> Tensor:
    """Return the (size, bins) matrix of bilinear upsampling along one axis, align_corners false, of like's type."""
    i = torch.arange(size, device=like.device, dtype=torch.float32)[:, None]
    position = ((i + 0.5) * (bins / size) - 0.5).clamp(0, bins - 1)
    bin_ = torch.arange(bins, device=like.device, dtype=torch.float32)[None, :]
    return as_type((1 - (position - bin_).abs()).clamp(min=0), like.dtype)


class PyramidPooling(nn.Module):
    """Pyramid pooling (Zhao et al. 2017): its input and, behind it, its averages at several scales."""

    def __init__(self, channels: int, scales: tuple[int, ...], pooled: int, groups: int) -> None:
        super().__init__()
        self.scales = scales
        self.branches = nn.ModuleList(
            nn.Sequential(
                StandardizedConv(channels, pooled, 1), GroupNorm(groups, pooled), nn.LeakyReLU(0.01, inplace=True)
            )
            for _ in scales
        )
        self.channels = channels + pooled * len(scales)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        parts = [x]
        for scale, branch in zip(self.scales, self.branches, strict=True):
            # Sums over the image are FP32, whatever the type of x.
            with full_precision(x):
                pooled = (
                    pooling_matrix(height, scale, x) @ as_type(x, torch.float32) @ pooling_matrix(width, scale, x).T
                )
            small = branch(as_type(pooled, x.dtype))
            parts.append(unpooling_matrix(height, scale, x) @ small @ unpooling_matrix(width, scale, x).T)
        return torch.cat(parts, dim=1)
