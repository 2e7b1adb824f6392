"""The image stream of Forte et al. 2020: ResNet-50, GroupNorm, weight standardization, dilated to stride 8."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.models.layers import GroupNorm, StandardizedConv, normalize


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions, each with GroupNorm, added to the input.

    Args:
        cin, width: Input channels and those in the middle; 4 * width come out.
        stride, dilation: Of the 3x3 convolution.
        downsample: Stride of the 1x1 convolution that the input goes through; None adds the input as it is.
        groups: Of every GroupNorm.
    """

    def __init__(self, cin: int, width: int, stride: int, dilation: int, downsample: int | None, groups: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = StandardizedConv(cin, width, 1, bias=False), GroupNorm(groups, width)
        self.conv2 = StandardizedConv(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = GroupNorm(groups, width)
        self.conv3, self.bn3 = StandardizedConv(width, 4 * width, 1, bias=False), GroupNorm(groups, 4 * width)
        self.downsample = None
        if downsample is not None:
            conv = StandardizedConv(cin, 4 * width, 1, downsample, bias=False)
            self.downsample = nn.Sequential(conv, GroupNorm(groups, 4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """The image stream: RGB in 0..1, with click maps behind it or without, to features at strides 2, 4 and 8.

    Args:
        click_channels: Click maps behind the RGB; 0 without early fusion.
        width: Channels of the stem; 64 is the published network.
        groups: Of every GroupNorm.
    """

    def __init__(self, click_channels: int, width: int = 64, groups: int = 32) -> None:
        super().__init__()
        self.channels = {2: width, 4: 4 * width, 8: 32 * width}
        self.conv1 = StandardizedConv(3 + click_channels, width, 7, 2, 3, bias=False)
        self.bn1 = GroupNorm(groups, width)
        self.layer1 = self._layer(width, width, 3, 1, (1, 1), groups)
        self.layer2 = self._layer(4 * width, 2 * width, 4, 2, (1, 1), groups)
        # Stride is traded for dilation: the convolution that would have had the stride keeps half of it.
        self.layer3 = self._layer(8 * width, 4 * width, 6, 1, (1, 2), groups)
        self.layer4 = self._layer(16 * width, 8 * width, 3, 1, (2, 4), groups)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Map (B, 3 + click channels, H, W) to features by stride."""
        x = torch.cat([normalize(image[:, :3]), image[:, 3:]], dim=1)
        stem = F.relu(self.bn1(self.conv1(x)))
        layer1 = self.layer1(F.max_pool2d(stem, 3, 2, 1))
        return {2: stem, 4: layer1, 8: self.layer4(self.layer3(self.layer2(layer1)))}

    def freeze(self, blocks: int) -> list[nn.Parameter]:
        """Nothing is frozen."""
        return []

    @staticmethod
    def _layer(
        cin: int, width: int, blocks: int, stride: int, dilations: tuple[int, int], groups: int
    ) -> nn.Sequential:
        first, rest = dilations
        parts = [Bottleneck(cin, width, stride, first, stride, groups)]
        parts += [Bottleneck(4 * width, width, 1, rest, None, groups) for _ in range(blocks - 1)]
        return nn.Sequential(*parts)
