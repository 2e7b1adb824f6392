"""The network cut into the parts that become ONNX files, and the precisions that they are written in."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.layers import FoldedConv, GroupNorm, as_type
from export.network import Network

# fp32: as trained. fp16-weights: stored in half the space and cast back when the file is loaded, the arithmetic stays
# FP32. fp16: the arithmetic is FP16 too, except where sums over a picture are taken, for runtimes that take the types
# as they stand (TensorRT).
Precision = Literal["fp32", "fp16-weights", "fp16"]
PRECISIONS = get_args(Precision)


class ImagePart(nn.Module):
    """The image stream: its features as a tuple, in the order of the names. FP32 at both ends."""

    def __init__(self, network: Network, names: list[str], dtype: torch.dtype) -> None:
        super().__init__()
        self.image, self.names, self.dtype = network.image, names, dtype

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.image(as_type(image, self.dtype))
        return tuple(as_type(features[name], torch.float32) for name in self.names)


class ClickPart(nn.Module):
    """What runs per click, with inputs by position in the order of the names, FP32 at both ends.

    With early fusion that includes the image stream, and the image takes the features' place among the inputs.
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


def halved(network: Network) -> Network:
    """Return a copy of a folded network that computes in FP16, except for norms, sums over the picture and guide."""
    network = copy.deepcopy(network)
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
