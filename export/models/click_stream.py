"""What runs per click: the interaction stream, the comparison with clicked places, and the decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.models.config import Level, NetworkConfig
from export.models.layers import PyramidPooling, as_type, conv3x3, double, full_precision

Features = dict[str, Tensor]


class Comparison(nn.Module):
    """How alike every place is to the places under the clicks.

    Late fusion must carry a click across a whole object. The mean embedding under the foreground clicks, and that
    under the background clicks, are each multiplied with the embedding of every place and summed in groups of
    channels: a far place that looks like the clicked one is known to at once.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.channels, self.heads = channels, heads
        self.scale = (heads / channels) ** 0.5

    def forward(self, embedding: Tensor, background: Tensor, foreground: Tensor) -> Tensor:
        batch, channels, height, width = embedding.shape
        # Sums over the image are FP32, whatever the type of the embedding.
        flat = as_type(embedding.flatten(2), torch.float32)
        maps = as_type(torch.cat([background, foreground], dim=1).flatten(2), torch.float32)
        # Without a click of a label its weights sum to 0 and so does its likeness.
        weights = maps / (maps.sum(dim=2, keepdim=True) + 1e-3)
        grouped = flat.reshape(batch, self.heads, channels // self.heads, height * width)
        # As products of matrices with many rows or many columns: one of two rows by two columns is summed by ONNX
        # Runtime in an order that depends on the number of threads.
        with full_precision(flat):
            mean = (flat @ weights.transpose(1, 2)).transpose(1, 2) * self.scale
            mean = mean.reshape(batch, 2, self.heads, channels // self.heads).transpose(1, 2)
            alike = (mean @ grouped).transpose(1, 2)
        return as_type(alike.reshape(batch, 2 * self.heads, height, width), embedding.dtype)


class InteractionStream(nn.Module):
    """The click maps and the previous alpha, by plain convolutions; one skip for each stride."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        cin, stride = 2 * len(config.sigmas) + int(config.feedback), config.grid_stride
        self.convs = nn.ModuleList()
        self.channels: dict[int, int] = {}
        self.skips: dict[int, int] = {}
        for i, conv in enumerate(config.interaction):
            self.convs.append(conv3x3(cin, conv.channels, None, conv.stride))
            stride *= conv.stride
            cin = conv.channels
            if conv.skip:
                self.skips[i], self.channels[stride] = stride, cin

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        skips = {}
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i in self.skips:
                skips[self.skips[i]] = x
        return skips


class ClickStream(nn.Module):
    """What runs per click: interaction stream, fusion with the image features, decoder."""

    def __init__(self, config: NetworkConfig, image_channels: dict[int, int]) -> None:
        super().__init__()
        self.config = config
        self.interaction = InteractionStream(config) if config.interaction else None
        skips = {} if self.interaction is None else self.interaction.channels
        self.comparison = Comparison(*config.embedding) if config.embedding else None
        self.stages = nn.ModuleDict()
        self.reduce = nn.ModuleDict()
        # Where the image's features are in what enters a level, of the levels where `share` convolves them ahead.
        self.shared: dict[int, slice] = {}
        carried = 0
        for i, level in enumerate(config.decoder):
            if i > 0 and not level.raw:
                self.shared[level.stride] = slice(carried, carried + image_channels[level.stride])
            if level.raw:
                cin = carried + 3 + 2 * len(config.sigmas)
            else:
                cin = carried + image_channels[level.stride] + skips.get(level.stride, 0)
            cin += self._compared(level)
            key = str(level.stride)
            if i == 0:
                self.pool = PyramidPooling(cin, config.pool_scales, config.pool_channels, config.groups)
                cin = self.pool.channels
            convs = []
            for cout in level.convs:
                convs.append(conv3x3(cin, cout, config.groups if level.norm else None))
                cin = cout
            self.stages[key] = nn.Sequential(*convs)
            if level.reduce is not None:
                self.reduce[key] = nn.Conv2d(cin, level.reduce, 1)
                cin = level.reduce
            carried = cin
        self.head = nn.Conv2d(carried, 1, 1)
        if config.output == "clip":
            # Where clipping bites there is no gradient: predictions must begin in the middle of 0..1.
            nn.init.constant_(self.head.bias, 0.5)

    def share(self, features: Features) -> Features:
        """Convolve ahead what every click would convolve again, for clicks between which the weights stay the same.

        For training: the gradients of all clicks gather in the result and go through these convolutions once. The
        coarsest level is left as it is, for its pooling goes over all of its input.

        Args:
            features: What :class:`export.models.network.ImageStream` returned.

        Returns:
            The features, some of them convolved; :meth:`forward` takes them as well.
        """
        result = dict(features)
        for stride, inside in self.shared.items():
            first = self.stages[str(stride)][0][0]
            result[f"shared_{stride}"] = first.of_channels(result.pop(f"image_{stride}"), inside)
        return result

    def forward(self, click_maps: Tensor, previous_alpha: Tensor | None, features: Features) -> Tensor:
        """Return the prediction before its output function, (B, 1, h, w) on the grid.

        Args:
            click_maps: (B, 6, h, w), background then foreground, fine to coarse.
            previous_alpha: (B, 1, h, w), cleaned; zeros before the first click. Not looked at without feedback.
            features: What :class:`export.models.network.ImageStream` or :meth:`share` returned.
        """
        skips: dict[int, Tensor] = {}
        if self.interaction is not None:
            inputs = [click_maps]
            if self.config.feedback:
                if previous_alpha is None:
                    raise ValueError("feedback is set: the click stream takes previous_alpha too")
                inputs.append(previous_alpha)
            skips = self.interaction(torch.cat(inputs, dim=1))
        alike = self._compare(click_maps, features)
        x: Tensor | None = None
        for level in self.config.decoder:
            key = str(level.stride)
            shared = features.get(f"shared_{level.stride}")
            parts: list[Tensor | None] = [] if x is None else [double(x)]
            parts.append(None if shared is not None else features[f"image_{level.stride}"])
            if level.raw:
                parts.append(click_maps)
            elif level.stride in skips:
                parts.append(skips[level.stride])
            if self._compared(level) and alike is not None:
                parts.append(alike if level.stride == 8 else F.avg_pool2d(alike, level.stride // 8))
            x = self._level(key, parts, shared)
            if key in self.reduce:
                x = self.reduce[key](x)
        return self.head(x)

    def _level(self, key: str, parts: list[Tensor | None], shared: Tensor | None) -> Tensor:
        """Go through the convolutions of one level."""
        if shared is None:
            x = torch.cat([part for part in parts if part is not None], dim=1)
            return self.stages[key](self.pool(x) if key == str(self.config.decoder[0].stride) else x)
        (first, *after), *others = self.stages[key]
        x = first.of_parts(parts, shared)
        for layer in (*after, *others):
            x = layer(x)
        return x

    def activate(self, x: Tensor) -> Tensor:
        """Apply the output function: alpha in 0..1."""
        return x.sigmoid() if self.config.output == "sigmoid" else x.clamp(0, 1)

    def _compared(self, level: Level) -> int:
        """Channels of the comparison that enter this level."""
        return 2 * self.config.embedding[1] if self.config.embedding and level.stride >= 8 else 0

    def _compare(self, click_maps: Tensor, features: Features) -> Tensor | None:
        if self.comparison is None:
            return None
        # The finest Gaussian, averaged down to the embedding's stride: the features right under the clicks.
        fine = F.avg_pool2d(click_maps[:, :: len(self.config.sigmas)], 8 // self.config.grid_stride)
        return self.comparison(features["embedding"], fine[:, :1], fine[:, 1:])
