"""The guided filter's guide: what runs on every pixel of the image, at any resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.models.config import NetworkConfig
from export.models.layers import IMAGENET_MEAN, IMAGENET_STD, FoldedConv


class GuideConv(FoldedConv):
    """The guide's first convolution, on RGB in 0..1 and click maps; ImageNet's normalization is in its weights."""

    def __init__(self, maps: int, channels: int) -> None:
        super().__init__(3 + maps, channels, 1)
        self.register_buffer("mean", torch.tensor([*IMAGENET_MEAN, *[0.0] * maps]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor([*IMAGENET_STD, *[1.0] * maps]).view(1, -1, 1, 1))

    def effective(self) -> tuple[Tensor, Tensor]:
        weight = self.weight / self.std
        return weight, self.bias - (weight * self.mean).sum(dim=(1, 2, 3))


class Guide(nn.Module):
    """The guided filter's guide: a pointwise function of the image, so it runs at any resolution."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, self.clicks = config.guide_channels, config.guide_clicks
        self.hidden = GuideConv(2 * int(config.guide_clicks), channels)
        self.out = nn.Conv2d(channels, 1, 1)
        with torch.no_grad():
            # Begins as luminance (ITU-R BT.601), split into its positive and negative half by the ReLU.
            luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
            self.hidden.weight[0, :3], self.hidden.weight[1, :3] = luma, -luma
            self.hidden.bias.zero_()
            self.out.weight.mul_(0.1)
            self.out.weight[0, 0], self.out.weight[0, 1] = 1.0, -1.0

    def forward(self, image: Tensor, click_maps: Tensor | None = None) -> Tensor:
        """Return the guide, (B, 1, H, W).

        Args:
            image: RGB in 0..1, (B, 3, H, W).
            click_maps: (B, 6, H, W); only a guide that sees the clicks looks at the finest of each label.

        Raises:
            ValueError: The guide sees the clicks and is given no maps.
        """
        if not self.clicks:
            return self.pointwise(image)
        if click_maps is None:
            raise ValueError("guide_clicks is set: the guide takes click_maps too")
        return self.pointwise(image, click_maps[:, :: click_maps.shape[1] // 2])

    def pointwise(self, *planes: Tensor) -> Tensor:
        """Return the guide of an image and, if it sees the clicks, the finest map of each label, (B, 2, H, W)."""
        x = torch.cat(planes, dim=1) if len(planes) > 1 else planes[0]
        return self.out(F.relu(self.hidden(x)))
