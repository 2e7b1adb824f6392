"""ONNX models of the networks of a model folder, traced with example inputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from onnx import external_data_helper
from torch import nn
from torch.export import Dim

from export.conversion.modules import ClickModule, GuideModule, ImageModule
from export.conversion.parity import Tensors, random_inputs
from export.models.network import Network

_TRACED = (256, 320)
# Initializers of fewer bytes stay in the FP16 variant: to say where they lie elsewhere would take nearly as much.
_LEAST_EXTERNAL = 256


class ExportedNetwork(NamedTuple):
    """A file to write: what computes it, with inputs by name to trace it with, outputs by name, and sides that vary."""

    name: str
    module: nn.Module
    inputs: Tensors
    outputs: list[str]
    dynamic: Any

    def to_onnx(self) -> onnx.ModelProto:
        """Return the network as an ONNX model, without the exporter's notes."""
        with quiet_exporter():
            program = torch.onnx.export(
                self.module.eval(),
                tuple(self.inputs.values()),
                dynamo=True,
                input_names=list(self.inputs),
                output_names=self.outputs,
                dynamic_shapes=self.dynamic,
                optimize=False,  # once is enough, below
                verbose=False,
            )
            assert program is not None
            program.optimize()
        return without_traces(program.model_proto)


def exported_networks(network: Network, half: Network | None = None) -> Iterator[ExportedNetwork]:
    """Yield the networks of a model folder: image (unless fusion is early), click, guide (if it is learned).

    Args:
        network: Folded.
        half: `export.conversion.precision.halved` of it, which is to be exported in its place. The guide is left out
            then: it is FP32 in either.
    """
    config, source = network.config, half or network
    dtype = source.click.head.weight.dtype
    inputs = random_inputs(config, *_TRACED)
    image, maps = inputs.pop("image"), inputs["click_maps"]
    if not config.feedback:
        del inputs["previous_alpha"]
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    # Sides are 32 * n: that is what every feature's size is derived from.
    n, m = Dim("n", min=1, max=256), Dim("m", min=1, max=256)

    def sides(x: torch.Tensor) -> dict[int, Any]:
        units = 32 * x.shape[2] // _TRACED[0]
        return {2: n * units if units > 1 else n, 3: m * units if units > 1 else m}

    if config.early_clicks:
        inputs["image"] = image
    else:
        with torch.no_grad():
            features = {name: x.to(dtype) for name, x in network.image(image).items()}
        names = list(features)
        yield ExportedNetwork("image", ImageModule(source, names, dtype), {"image": image}, names, (sides(image),))
        inputs |= features
    click = ClickModule(source, list(inputs), dtype)
    yield ExportedNetwork("click", click, inputs, ["alpha"], (tuple(map(sides, inputs.values())),))
    if half is None and network.guide is not None:
        planes = {"image": image} | ({"click_maps": maps[:, :: len(config.sigmas)]} if config.guide_clicks else {})
        free = {2: Dim("height", min=1, max=1 << 20), 3: Dim("width", min=1, max=1 << 20)}
        yield ExportedNetwork("guide", GuideModule(network), planes, ["guide"], (tuple(free for _ in planes),))


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
    for message in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    return model


def point_into(model: onnx.ModelProto, file: Path) -> None:
    """Take out of a model all initializers that stand in a file, but for small ones, and say where there instead."""
    content = file.read_bytes()
    for weight in model.graph.initializer:
        raw = weight.raw_data
        if len(raw) >= _LEAST_EXTERNAL and (offset := content.find(raw)) >= 0:
            external_data_helper.set_external_data(weight, location=file.name, offset=offset, length=len(raw))
            weight.ClearField("raw_data")
