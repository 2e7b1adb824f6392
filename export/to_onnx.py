"""Write a trained network as a model folder: model.json and its ONNX files.

    python -m export.to_onnx runs/compact/checkpoint.pt pyiseg/models/default --weights export/weights/compact.pt

Weights are stored in FP16 and cast to FP32 when the file is loaded: half the size, the arithmetic stays FP32. --weights
writes them unfolded as well, for training to go on from (`python -m export.train --start`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from export.config import COMPACT, NetworkConfig
from export.layers import FoldedConv
from export.network import Features, Network
from pyiseg.files import written_whole

PARITY = 1e-4


class ClickPart(nn.Module):
    """The click stream with its features as positional inputs, as ONNX wants them."""

    def __init__(self, network: Network, names: list[str]) -> None:
        super().__init__()
        self.click, self.names = network.click, names

    def forward(self, click_maps: Tensor, previous_alpha: Tensor, *features: Tensor) -> Tensor:
        named: Features = dict(zip(self.names, features, strict=True))
        return self.click.activate(self.click(click_maps, previous_alpha, named))


class ImagePart(nn.Module):
    """The image stream with its features as a tuple, in the order of the names."""

    def __init__(self, network: Network, names: list[str]) -> None:
        super().__init__()
        self.image, self.names = network.image, names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.image(image)
        return tuple(features[name] for name in self.names)


def round_to_half(network: nn.Module) -> None:
    """Fold every convolution and round all weights to FP16, in place: what is compared is what is shipped."""
    for module in network.modules():
        if isinstance(module, FoldedConv):
            module.fold()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())


def export_folder(network: Network, folder: Path, name: str, description: str, training: dict[str, Any]) -> None:
    """Write the model folder, whole: it is made beside its place and moved there when it is complete and checked.

    Args:
        network: Its weights are folded and rounded to FP16 in place.
        folder: Replaced if it exists.
        training: What the weights were trained on and how, for model.json.

    Raises:
        RuntimeError: ONNX Runtime's answer differs from PyTorch's by more than 1e-4.
    """
    network.eval()
    config = network.config
    before = probe(network)
    round_to_half(network)
    print(f"largest difference that rounding the weights to FP16 makes: {(probe(network) - before).abs().max():.2g}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".exporting-"))
    try:
        work.chmod(0o755)
        _write_parts(network, work)
        manifest = _manifest(config, work, name, description, training)
        (work / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")
        error = parity(network, work)
        if error > PARITY:
            raise RuntimeError(f"ONNX Runtime differs from PyTorch by {error:.2g}, more than {PARITY:g}")
        print(f"largest difference between ONNX Runtime and PyTorch: {error:.2g}")
        old = work.with_name(work.name + "-old")
        if folder.exists():
            os.replace(folder, old)
        os.replace(work, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def probe(network: Network) -> Tensor:
    """Return the network's alpha on fixed random inputs."""
    generator = torch.Generator().manual_seed(0)
    side, grid = 256, 256 // network.config.grid_stride
    with torch.no_grad():
        features = network.image(torch.rand(1, 3, side, side, generator=generator))
        maps = torch.rand(1, 6, grid, grid, generator=generator)
        previous = torch.rand(1, 1, grid, grid, generator=generator)
        return network.click.activate(network.click(maps, previous, features))


def parity(
    network: Network, folder: Path, sizes: tuple[tuple[int, int], ...] = ((256, 320), (32, 96), (384, 512))
) -> float:
    """Return the largest difference between ONNX Runtime and PyTorch over random inputs of several sizes."""
    sessions = {f.stem: onnxruntime.InferenceSession(str(f)) for f in folder.glob("*.onnx")}
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for height, width in sizes:
        image = torch.rand(1, 3, height, width, generator=generator)
        h, w = height // network.config.grid_stride, width // network.config.grid_stride
        maps, previous = torch.rand(1, 6, h, w, generator=generator), torch.rand(1, 1, h, w, generator=generator)
        with torch.no_grad():
            features = network.image(image)
            alpha = network.click.activate(network.click(maps, previous, features))
            guide = network.guide(image)
        names = [o.name for o in sessions["image"].get_outputs()]
        got = dict(zip(names, sessions["image"].run(None, {"image": image.numpy()}), strict=True))
        feed = {"click_maps": maps.numpy(), "previous_alpha": previous.numpy(), **got}
        pairs = [
            (sessions["click"].run(None, feed)[0], alpha),
            (sessions["guide"].run(None, {"image": image.numpy()})[0], guide),
        ]
        worst = max(worst, *(float(np.abs(a - b.numpy()).max()) for a, b in pairs))
    return worst


def _write_parts(network: Network, folder: Path) -> None:
    height, width, stride = 256, 320, network.config.grid_stride
    image = torch.rand(1, 3, height, width)
    with torch.no_grad():
        features = network.image(image)
    names = list(features)
    # Sides are 32 * n: that is what every feature's size is derived from.
    n, m = Dim("n", min=1, max=256), Dim("m", min=1, max=256)

    def sides(divisor: int) -> dict[int, Any]:
        return {2: n * (32 // divisor) if divisor < 32 else n, 3: m * (32 // divisor) if divisor < 32 else m}

    _write(folder / "image.onnx", ImagePart(network, names), (image,), ["image"], names, ({2: n * 32, 3: m * 32},))
    grid = (height // stride, width // stride)
    inputs = (torch.rand(1, 6, *grid), torch.rand(1, 1, *grid), *features.values())
    shapes = [height // x.shape[2] for x in features.values()]
    dynamic = (sides(stride), sides(stride), tuple(sides(s) for s in shapes))
    part = ClickPart(network, names)
    _write(folder / "click.onnx", part, inputs, ["click_maps", "previous_alpha", *names], ["alpha"], dynamic)
    free = {2: Dim("height", min=1, max=1 << 20), 3: Dim("width", min=1, max=1 << 20)}
    _write(folder / "guide.onnx", network.guide, (image,), ["image"], ["guide"], (free,))


def _write(
    path: Path, module: nn.Module, args: tuple[Tensor, ...], inputs: list[str], outputs: list[str], dynamic: Any
) -> None:
    program = torch.onnx.export(
        module.eval(),
        args,
        dynamo=True,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=dynamic,
        verbose=False,
    )
    assert program is not None
    program.optimize()
    onnx.save(halve_weights(without_traces(program.model_proto)), path)


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


def _manifest(
    config: NetworkConfig, folder: Path, name: str, description: str, training: dict[str, Any]
) -> dict[str, Any]:
    files, rules = sorted(folder.glob("*.onnx")), config.rules
    return {
        "format": 1,
        "name": name,
        "description": description,
        "licence": "Apache-2.0",
        "input": {
            "long_side": config.long_side,
            "multiple": 32,
            "preprocessing": "RGB in 0..1, Lanczos to the working size; the networks normalise it themselves",
        },
        "grid_stride": config.grid_stride,
        "click_sigmas": list(rules.sigmas),
        "guided_filter": {"radius": rules.radius, "eps": rules.eps},
        "clean_margin": rules.margin,
        "files": {
            f.name: {"sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "bytes": f.stat().st_size} for f in files
        },
        "training": training,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="compact")
    parser.add_argument(
        "--description", default="Compact click-to-matte network, EfficientNet-Lite0, late click fusion"
    )
    parser.add_argument("--weights", type=Path, help="also write the weights here, FP16, for training to go on from")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    network = Network(COMPACT, pretrained=False)
    network.load_state_dict(state["average"])
    training = {
        "started_from": state["started_from"],
        "data": state["data"],
        "pictures": state["pictures"],
        "updates": state["updates"],
        "minutes": round(state["seconds"] / 60, 1),
        "command": f"python -m export.train --data DATA --out OUT --minutes {state['minutes']:g}",
        "config": state["config"],
    }
    if args.weights is not None:
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        half = {name: x.half() for name, x in state["average"].items()}
        with written_whole(args.weights) as file:
            torch.save({"average": half, "training": training}, file)
    export_folder(network, args.folder, args.name, args.description, training)


if __name__ == "__main__":
    main()
