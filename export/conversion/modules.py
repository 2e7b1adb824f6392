"""The network cut into the parts that become ONNX files, and the precisions that they are written in."""

from __future__ import annotations

import copy
import itertools
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.models.layers import FoldedConv, GroupNorm, StandardisedConv, as_type
from export.models.network import Network

# How weights are stored. fp32: as trained. fp16-weights: in half the space, cast back when the file is loaded. The
# arithmetic is FP32 either way; that of the siblings for TensorRT (`export.conversion.fp16`) is FP16 either way.
Precision = Literal["fp32", "fp16-weights"]
PRECISIONS = get_args(Precision)


class ImagePart(nn.Module):
    """The image stream: of an FP32 image, its features as a tuple, in the order of the names and of the type given."""

    def __init__(self, network: Network, names: list[str], dtype: torch.dtype) -> None:
        super().__init__()
        self.image, self.names, self.dtype = network.image, names, dtype

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.image(as_type(image, self.dtype))
        return tuple(features[name] for name in self.names)


class ClickPart(nn.Module):
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


class GuidePart(nn.Module):
    """The guide, of the image and, where it sees the clicks, the finest map of each label. FP32: eps may be 1e-8."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        if network.guide is None:
            raise ValueError("this network is guided by the image's own colors: it has no guide to compute")
        self.guide = network.guide

    def forward(self, *planes: Tensor) -> Tensor:
        return self.guide.pointwise(*planes)


def folded(network: Network) -> Network:
    """Return a copy for export: every convolution plain, its normalisation in its weights."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, FoldedConv):
            module.fold()
        elif isinstance(module, (nn.ReLU6, nn.LeakyReLU)):
            module.inplace = False  # the exporter takes an operation apart that writes in place, which is slow
    return network


def rounded(network: Network) -> Network:
    """Return a copy of a folded network with all weights rounded to FP16: what is compared is what is shipped."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    return network


class ShrunkConv(nn.Module):
    """A convolution of its input times a constant."""

    def __init__(self, conv: nn.Conv2d, factor: float) -> None:
        super().__init__()
        self.conv, self.factor = conv, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x * self.factor)


def halved(network: Network) -> Network:
    """Return a copy of a folded network that computes in FP16, except for norms, sums over the picture and guide.

    Standardised weights have a variance of 1, so a sum of n products grows as the square root of n: in the default
    model beyond 65504, FP16's largest. The norm behind takes any scale out again, so there the input is made that much
    smaller. By a power of two: nothing is rounded anew. The weights stay the bytes they are in the FP32 file.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for (name, conv), (_, norm) in itertools.pairwise(list(parent.named_children())):
            if isinstance(conv, StandardisedConv):
                assert isinstance(norm, GroupNorm), "a standardised convolution has its norm right behind it"
                factor = 2.0 ** -round(math.log2(conv.weight[0].numel()) / 2)
                if conv.bias is not None:
                    conv.bias.data.mul_(factor)
                norm.eps *= factor**2
                setattr(parent, name, ShrunkConv(conv, factor))
    network.image.half()
    network.click.half()
    for module in network.modules():
        if isinstance(module, GroupNorm):
            module.float()
    return network


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence what PyTorch's exporter says of itself: it would bury what there is to know of the model."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed", which nothing here needs
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: ", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes on every node: source paths and stack traces of the machine it ran on."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every FP32 weight of more than 64 values as FP16 with a Cast behind it."""
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) > 64:
            name = weight.name
            values = numpy_helper.to_array(weight)
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_fp16"))
            casts.append(helper.make_node("Cast", [name + "_fp16"], [name], to=TensorProto.FLOAT, name=name + "_cast"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return model
