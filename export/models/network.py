"""The network: image stream, neck, interaction stream, decoder and guide, put together from a NetworkConfig."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.models.click_stream import ClickStream, Features
from export.models.config import NetworkConfig
from export.models.efficientnet_lite0 import LITE, Lite0
from export.models.guide import Guide
from export.models.guided_filter import (
    apply_coefficients,
    color_guide_statistics,
    color_guided_filter_coefficients,
    guided_filter_coefficients,
)
from export.models.layers import (
    FoldedConv,
    double,
    normalize,
)
from export.models.resnet import ResNet50


class Neck(nn.Module):
    """Top-down pass over the image features (Lin et al. 2017), so that the click stream finds them digested."""

    def __init__(self, channels: dict[int, int], out: dict[int, int]) -> None:
        super().__init__()
        self.strides = sorted(out, reverse=True)
        self.lateral = nn.ModuleDict({str(s): nn.Conv2d(channels[s], out[s], 1) for s in self.strides})
        # The finest level gets no context: there its 3x3 convolutions would cost more than all the others together.
        self.down = nn.ModuleDict(
            {str(s): nn.Conv2d(out[c], out[s], 1) for c, s in zip(self.strides[:-2], self.strides[1:-1], strict=True)}
        )
        self.smooth = nn.ModuleDict({str(s): FoldedConv(out[s], out[s], 3, 1, 1) for s in self.strides[:-1]})

    def forward(self, features: dict[int, Tensor]) -> dict[int, Tensor]:
        result: dict[int, Tensor] = {}
        above: Tensor | None = None
        for stride in self.strides:
            key = str(stride)
            x = self.lateral[key](features[stride])
            if key in self.down and above is not None:
                x = x + double(self.down[key](above))
            x = F.relu(x)
            if key in self.smooth:
                x = F.relu(self.smooth[key](x))
            result[stride] = above = x
        return result


class ImageStream(nn.Module):
    """Encoder, neck and the embedding that clicks are compared in. Runs once an image, unless it sees the clicks."""

    def __init__(self, config: NetworkConfig, pretrained: bool) -> None:
        super().__init__()
        self.config = config
        maps = 2 * len(config.sigmas) if config.early_clicks else 0
        if config.image_stream in LITE:
            self.encoder: Lite0 | ResNet50 = LITE[config.image_stream](pretrained, maps)
        else:
            self.encoder = ResNet50(maps, config.image_width, config.groups)
        self.channels = dict(config.neck) if config.neck else dict(self.encoder.channels)
        self.neck = Neck(self.encoder.channels, self.channels) if config.neck else None
        self.embed = nn.Conv2d(self.channels[8], config.embedding[0], 1) if config.embedding else None

    def forward(self, image: Tensor, click_maps: Tensor | None = None) -> Features:
        """Return the features a click needs, by name.

        Args:
            image: RGB in 0..1, (B, 3, H, W).
            click_maps: (B, 6, h, w) on the grid; not looked at without early fusion.

        Raises:
            ValueError: Early fusion without click maps.
        """
        seen = image
        if self.config.early_clicks:
            if click_maps is None:
                raise ValueError("early_clicks is set: the image stream takes click_maps too")
            for _ in range(self.config.grid_stride.bit_length() - 1):
                click_maps = double(click_maps)
            seen = torch.cat([image, click_maps], dim=1)
        features = self.encoder(seen)
        if self.neck is not None:
            features = self.neck(features)
        result = {f"image_{stride}": x for stride, x in features.items()}
        if self.embed is not None:
            result["embedding"] = self.embed(features[8])
        if any(level.raw for level in self.config.decoder):
            result["image_1"] = normalize(image)
        return result


class Network(nn.Module):
    """All parts of one model."""

    def __init__(self, config: NetworkConfig, pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.image = ImageStream(config, pretrained)
        self.click = ClickStream(config, self.image.channels)
        # The image's own colors need nothing learned: with them there is no such module, and no guide.onnx.
        self.guide = Guide(config) if config.filter_guide == "learned" else None

    def guides(self, image: Tensor, click_maps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what the guided filter needs at the image's size and on the grid.

        Args:
            image: RGB in 0..1, (B, 3, H, W).
            click_maps: (B, 6, h, w) on the grid; only a guide that sees the clicks takes them.

        Returns:
            Of a learned guide, it centered on its mean, (B, 1, H, W), and its average on the grid, (B, 1, h, w). Of
            the color guide, the image itself and, without gradient, (B, 9, h, w): its average on the grid, then
            `export.models.guided_filter.color_guide_statistics` of that.
        """
        stride = self.config.grid_stride
        if self.guide is None:
            # Planes, not pixels: the filter goes over the colors one by one.
            image = image.detach().contiguous()
            on_grid = F.avg_pool2d(image, stride)
            statistics = color_guide_statistics(on_grid, self.config.radius, self.config.eps)
            return image, torch.cat([on_grid, statistics], dim=1)
        full = self.guide(image, click_maps)
        full = full - full.mean(dim=(2, 3), keepdim=True)
        return full, F.avg_pool2d(full, stride)

    def refine(self, alpha: Tensor, full_guide: Tensor, grid_guide: Tensor) -> Tensor:
        """Return the alpha (B, 1, H, W) that the guided filter makes of a prediction (B, 1, h, w).

        Args:
            alpha: The prediction.
            full_guide, grid_guide: As `guides` returned them.
        """
        config = self.config
        if self.guide is None:
            on_grid, statistics = grid_guide[:, :3], grid_guide[:, 3:]
            coefficients = color_guided_filter_coefficients(on_grid, statistics, alpha, config.radius)
        else:
            form = config.filter_form
            coefficients = guided_filter_coefficients(grid_guide, alpha, config.radius, config.eps, form)
        return apply_coefficients(coefficients, full_guide)


def load_weights(network: Network, state: Mapping[str, Tensor]) -> None:
    """Load weights into a network, those of its learned guide only if it has one.

    Args:
        network: Its weights are replaced.
        state: Weights by name, as `state_dict` returns them.

    Raises:
        ValueError: They are those of another network; the message says how they differ.
    """
    if not (isinstance(state, Mapping) and all(isinstance(name, str) for name in state)):
        raise ValueError(f"they are no weights by name but {type(state).__name__}: take a checkpoint of export.train")
    if network.guide is None:
        # Older weights had a learned guide. The rest of them is of use without it, and the colors take its place.
        state = {name: x for name, x in state.items() if not name.startswith("guide.")}
    elif not any(name.startswith("guide.") for name in state):
        raise ValueError(
            "they have no learned guide (guide.*), which network.filter_guide='learned' needs: set "
            "network.filter_guide to 'color' and network.filter_form to 'residual', or take weights that have one"
        )
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        # PyTorch lists every name, over many lines.
        few = " ".join(str(error).split())
        raise ValueError(few if len(few) <= 200 else f"{few[:200]} …") from None
