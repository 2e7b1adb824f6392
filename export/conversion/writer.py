"""The parts of a network as ONNX files: those every runtime takes, and their siblings that compute in FP16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from onnx import external_data_helper
from torch import Tensor, nn
from torch.export import Dim

from export.conversion.modules import (
    ClickPart,
    GuidePart,
    ImagePart,
    Precision,
    halve_weights,
    quiet_exporter,
    without_traces,
)
from export.conversion.parity import Inputs, random_inputs
from export.models.network import Network

_TRACED = (256, 320)
# Initialisers of fewer bytes stay in the sibling: to say where they lie elsewhere would take nearly as much.
_LEAST_EXTERNAL = 256


class Part(NamedTuple):
    """A file to write: what computes it, with inputs by name to trace it with, outputs by name, and sides that vary."""

    name: str
    module: nn.Module
    inputs: Inputs
    outputs: list[str]
    dynamic: Any


def write_parts(network: Network, folder: Path, precision: Precision) -> None:
    """Write click.onnx, without early fusion image.onnx and, where the guide is learned, guide.onnx.

    Args:
        network: Folded; with "fp16-weights", `export.conversion.modules.rounded`.
        folder: Where to.
        precision: How the weights are stored.
    """
    guides = [] if network.guide is None else [_guide(network)]
    for part in (*streams(network, network, torch.float32), *guides):
        model = _exported(part)
        onnx.save(halve_weights(model) if precision == "fp16-weights" else model, folder / f"{part.name}.onnx")


def write_siblings(network: Network, half: Network, folder: Path) -> list[Path]:
    """Write click.fp16.onnx and, without early fusion, image.fp16.onnx beside the files of `write_parts`.

    Weights that stand in click.onnx or image.onnx byte by byte are not written again: they are ONNX external data,
    with that file, an offset and a length.

    Args:
        network: As it was written.
        half: `export.conversion.modules.halved` of it.
        folder: Where to, and where the others lie.

    Returns:
        The files.
    """
    written = []
    for part in streams(network, half, torch.float16):
        model = _exported(part)
        point_into(model, folder / f"{part.name}.onnx")
        path = folder / f"{part.name}.fp16.onnx"
        path.write_bytes(model.SerializeToString())
        written.append(path)
    return written


def streams(network: Network, source: Network, dtype: torch.dtype) -> Iterator[Part]:
    """Image and click part of a source, with inputs of its type.

    Args:
        network: In FP32; says what shapes the features have.
        source: What is to be exported: the same, or `export.conversion.modules.halved` of it.
        dtype: Of its weights.
    """
    inputs = random_inputs(network.config, *_TRACED)
    image = inputs.pop("image")
    if not network.config.feedback:
        del inputs["previous_alpha"]
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    # Sides are 32 * n: that is what every feature's size is derived from.
    n, m = Dim("n", min=1, max=256), Dim("m", min=1, max=256)

    def sides(x: Tensor) -> dict[int, Any]:
        units = 32 * x.shape[2] // _TRACED[0]
        return {2: n * units if units > 1 else n, 3: m * units if units > 1 else m}

    if network.config.early_clicks:
        inputs["image"] = image
    else:
        with torch.no_grad():
            features = {name: x.to(dtype) for name, x in network.image(image).items()}
        part = ImagePart(source, list(features), dtype)
        yield Part("image", part, {"image": image}, list(features), ({2: n * 32, 3: m * 32},))
        inputs |= features
    yield Part(
        "click", ClickPart(source, list(inputs), dtype), inputs, ["alpha"], (tuple(map(sides, inputs.values())),)
    )


def _guide(network: Network) -> Part:
    config = network.config
    inputs = random_inputs(config, *_TRACED)
    free = {2: Dim("height", min=1, max=1 << 20), 3: Dim("width", min=1, max=1 << 20)}
    planes = {"image": inputs["image"]}
    if config.guide_clicks:
        planes["click_maps"] = inputs["click_maps"][:, :: len(config.sigmas)]
    return Part("guide", GuidePart(network), planes, ["guide"], (tuple(free for _ in planes),))


def _exported(part: Part) -> onnx.ModelProto:
    with quiet_exporter():
        program = torch.onnx.export(
            part.module.eval(),
            tuple(part.inputs.values()),
            dynamo=True,
            input_names=list(part.inputs),
            output_names=part.outputs,
            dynamic_shapes=part.dynamic,
            optimize=False,  # once is enough, below
            verbose=False,
        )
        assert program is not None
        program.optimize()
    return without_traces(program.model_proto)


def point_into(model: onnx.ModelProto, file: Path) -> None:
    """Take out of a model all initialisers that stand in a file, but for small ones, and say where there instead."""
    content = file.read_bytes()
    for weight in model.graph.initializer:
        raw = weight.raw_data
        if len(raw) >= _LEAST_EXTERNAL and (offset := content.find(raw)) >= 0:
            external_data_helper.set_external_data(weight, location=file.name, offset=offset, length=len(raw))
            weight.ClearField("raw_data")
