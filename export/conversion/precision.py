"""The precisions that weights are stored in and that networks compute in."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.models.layers import GroupNorm, StandardizedConv
from export.models.network import Network

# How weights are stored. fp32: as trained. fp16-weights: in half the space, cast back when the file is loaded. The
# arithmetic is FP32 either way; that of the FP16 variant for TensorRT is FP16 either way.
Precision = Literal["fp32", "fp16-weights"]
PRECISIONS = get_args(Precision)


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
    """Return a copy of a folded network that computes in FP16, except for norms, sums over the image and guide.

    Standardized weights have a variance of 1, so a sum of n products grows as the square root of n: in the default
    model beyond 65504, FP16's largest. The norm behind takes any scale out again, so there the input is made that much
    smaller. By a power of two: nothing is rounded anew. The weights stay the bytes they are in the FP32 file.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for (name, conv), (_, norm) in itertools.pairwise(list(parent.named_children())):
            if isinstance(conv, StandardizedConv):
                assert isinstance(norm, GroupNorm), "a standardized convolution has its norm right behind it"
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
