"""The networks of a model folder, as PyTorch modules with inputs and outputs by position."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from export.models.layers import FoldedConv, as_type
from export.models.network import Network


class ImageModule(nn.Module):
    """The image stream: of an FP32 image, its features as a tuple, in the order of the names and of the type given."""

    def __init__(self, network: Network, names: list[str], dtype: torch.dtype) -> None:
        super().__init__()
        self.image, self.names, self.dtype = network.image, names, dtype

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.image(as_type(image, self.dtype))
        return tuple(features[name] for name in self.names)


class ClickModule(nn.Module):
    """What runs per click, with inputs by position in the order of the names, to an alpha that is FP32.

    With early fusion that includes the image stream, and the image takes the features' place among the inputs. An
    image is FP32, all else of the type given.
    """

    def __init__(self, network: Network, names: list[str], dtype: torch.dtype) -> None:
        super().__init__()
        self.click, self.names, self.dtype = network.click, names, dtype
        self.image = network.image if network.config.early_clicks else None

    def forward(self, *inputs: Tensor) -> Tensor:
        named = {name: as_type(x, self.dtype) for name, x in zip(self.names, inputs, strict=True)}
        maps, previous = named.pop("click_maps"), named.pop("previous_alpha", None)
        features = named if self.image is None else self.image(named["image"], maps)
        return self.click.activate(as_type(self.click(maps, previous, features), torch.float32))


class GuideModule(nn.Module):
    """The guide, of the image and, where it sees the clicks, the finest map of each label. FP32: eps may be 1e-8."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        if network.guide is None:
            raise ValueError("this network is guided by the image's own colors: it has no guide to compute")
        self.guide = network.guide

    def forward(self, *planes: Tensor) -> Tensor:
        return self.guide.pointwise(*planes)


def folded(network: Network) -> Network:
    """Return a copy for export: every convolution plain, its normalization in its weights."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, FoldedConv):
            module.fold()
        elif isinstance(module, (nn.ReLU6, nn.LeakyReLU)):
            module.inplace = False  # the exporter takes an operation apart that writes in place, which is slow
    return network
