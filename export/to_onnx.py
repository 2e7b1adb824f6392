"""Write a trained network as a model folder: model.json and its ONNX files.

    python -m export.to_onnx runs/compact/checkpoint.pt pyiseg/models/default --weights export/weights/compact.pt

Any network of export/config.py: the checkpoint says which one it is. --precision says how the files compute; with
fp16-weights they are half as large and the arithmetic stays FP32. --weights writes the weights unfolded as well, for
training to go on from (`python -m export.train --start`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from export.command import in_half, read_checkpoint, run_main, size_text
from export.config import COMPACT, NETWORKS, NetworkConfig, network_config
from export.network import Network
from export.onnx_parts import (
    PRECISIONS,
    ClickPart,
    GuidePart,
    ImagePart,
    Precision,
    folded,
    halve_weights,
    halved,
    quiet_exporter,
    rounded,
    without_traces,
)
from export.parity import Inputs, answers, differences, random_inputs
from export.settings import available, load_settings
from pyiseg.files import written_whole

# ONNX Runtime against PyTorch: the largest difference of any output, and with FP16 arithmetic the mean one of alpha.
PARITY, HALF_PARITY = 1e-4, 2e-3
SIZES = ((256, 320), (32, 96), (384, 512))


def export_folder(
    network: Network,
    folder: Path,
    name: str,
    description: str,
    training: dict[str, Any],
    *,
    precision: Precision = "fp16-weights",
    licence: str = "unspecified",
    sizes: tuple[tuple[int, int], ...] = SIZES,
) -> None:
    """Write the model folder, whole: it is made beside its place and moved there when it is complete and checked.

    Args:
        network: As trained; it is left as it is.
        folder: A new one, an empty one or a model folder, which is replaced.
        name, description, licence: For model.json.
        training: What the weights were trained on and how, for model.json.
        precision: See `export.onnx_parts`.
        sizes: Heights and widths, multiples of 32, at which ONNX Runtime is compared with PyTorch.

    Raises:
        ValueError: The folder holds something else, see :func:`check_target`.
        RuntimeError: ONNX Runtime's answer differs from PyTorch's by more than 1e-4; with FP16 arithmetic, its alpha
            from that of FP32 by more than 2e-3 on average.
    """
    check_target(folder)
    shipped = whole = folded(network)
    if precision == "fp16-weights":
        shipped = rounded(whole)
        largest, _ = differences(answers(shipped, sizes[:1]), answers(whole, sizes[:1]))
        print(f"largest difference that rounding the weights to FP16 makes: {largest:.2g}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".exporting-"))
    try:
        work.chmod(0o755)
        _write_parts(shipped, work, precision)
        manifest = _manifest(network.config, work, name, description, licence, precision, training)
        (work / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")
        largest, mean = differences(answers(work, sizes, network.config), answers(shipped, sizes))
        what, difference, allowed = "ONNX Runtime and PyTorch", largest, PARITY
        if precision == "fp16":
            what, difference, allowed = "the alphas of FP16 and FP32, on average,", mean, HALF_PARITY
        if difference > allowed:
            raise RuntimeError(f"{what} differ by {difference:.2g} (allowed {allowed:.0e})")
        size = size_text(sum(file.stat().st_size for file in work.iterdir()))
        old = work.with_name(work.name + "-old")
        if folder.exists():
            os.replace(folder, old)
        os.replace(work, folder)
        shutil.rmtree(old, ignore_errors=True)
        print(f"wrote {folder} ({size}); {what} agree to {difference:.2g} (allowed {allowed:.0e})")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(folder: Path, *kept: Path) -> None:
    """Refuse a folder that must not be replaced.

    Args:
        folder: Where a model folder is to be written.
        kept: Files that are read or written too, and would be lost if they lay in it.

    Raises:
        ValueError: It is a file, holds something other than a model, or holds one of ``kept``.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, no model folder; choose a new name")
    for file in kept:
        if file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{folder} is replaced whole, and {file} lies in it; choose a new name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model.json").is_file():
        raise ValueError(f"{folder} is not empty and has no model.json: it is no model folder; choose a new name")


def _write_parts(network: Network, folder: Path, precision: Precision) -> None:
    config, (height, width) = network.config, (256, 320)
    inputs = random_inputs(config, height, width)
    image, maps = inputs.pop("image"), inputs["click_maps"]
    source, dtype = network, torch.float32
    if precision == "fp16":
        source, dtype = halved(network), torch.float16
    # Sides are 32 * n: that is what every feature's size is derived from.
    n, m = Dim("n", min=1, max=256), Dim("m", min=1, max=256)

    def sides(x: Tensor) -> dict[int, Any]:
        units = 32 * x.shape[2] // height
        return {2: n * units if units > 1 else n, 3: m * units if units > 1 else m}

    def write(name: str, module: nn.Module, tensors: Inputs, outputs: list[str], dynamic: Any) -> None:
        with quiet_exporter():
            program = torch.onnx.export(
                module.eval(),
                tuple(tensors.values()),
                dynamo=True,
                input_names=list(tensors),
                output_names=outputs,
                dynamic_shapes=dynamic,
                optimize=False,  # once is enough, below
                verbose=False,
            )
            assert program is not None
            program.optimize()
        model = without_traces(program.model_proto)
        onnx.save(halve_weights(model) if precision == "fp16-weights" else model, folder / name)

    if not config.feedback:
        del inputs["previous_alpha"]
    if config.early_clicks:
        inputs["image"] = image
    else:
        with torch.no_grad():
            features = network.image(image)
        part = ImagePart(source, list(features), dtype)
        write("image.onnx", part, {"image": image}, list(features), ({2: n * 32, 3: m * 32},))
        inputs |= features
    click = ClickPart(source, list(inputs), dtype)
    write("click.onnx", click, inputs, ["alpha"], (tuple(map(sides, inputs.values())),))
    free = {2: Dim("height", min=1, max=1 << 20), 3: Dim("width", min=1, max=1 << 20)}
    planes = {"image": image} | ({"click_maps": maps[:, :: len(config.sigmas)]} if config.guide_clicks else {})
    write("guide.onnx", GuidePart(network), planes, ["guide"], (tuple(free for _ in planes),))


def _manifest(
    config: NetworkConfig,
    folder: Path,
    name: str,
    description: str,
    licence: str,
    precision: Precision,
    training: dict[str, Any],
) -> dict[str, Any]:
    files, rules = sorted(folder.glob("*.onnx")), config.rules
    return {
        "format": 1,
        "name": name,
        "description": description,
        "licence": licence,
        "input": {
            "long_side": config.long_side,
            "multiple": 32,
            "preprocessing": "RGB in 0..1, Lanczos to the working size; the networks normalise it themselves",
        },
        "grid_stride": config.grid_stride,
        "click_sigmas": list(rules.sigmas),
        "guided_filter": {"radius": rules.radius, "eps": rules.eps},
        "clean": rules.clean,
        "clean_margin": rules.margin,
        "precision": precision,
        "files": {
            f.name: {"sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "bytes": f.stat().st_size} for f in files
        },
        "training": training,
    }


def load_network(state: dict[str, Any]) -> Network:
    """Build the network of a checkpoint, with its averaged weights; one that says nothing of its network is COMPACT.

    Args:
        state: What `export.train`, `export.import_published` or ``--weights`` of this module wrote.

    Raises:
        ValueError: It is no such checkpoint, or of another version's network.
    """
    if "average" not in state:
        raise ValueError(f"a checkpoint holds 'average', this has {', '.join(map(repr, state))}")
    config = network_config(state["network_config"]) if "network_config" in state else COMPACT
    network = Network(config, pretrained=False)
    try:
        network.load_state_dict(state["average"])
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the weights are not those of the network that the checkpoint describes: {error}") from None
    return network.eval()


def describe(config: NetworkConfig) -> tuple[str, str]:
    """Return a name and a line of description."""
    name = next((name for name, known in NETWORKS.items() if known == config), "custom")
    stream = {"efficientnet-lite0": "EfficientNet-Lite0", "resnet50-gn-ws": "ResNet-50 (GroupNorm)"}[
        config.image_stream
    ]
    fusion = {"early": "early", "late": "late", "both": "early and late"}[config.fusion]
    return name, f"{name.capitalize()} click-to-matte network, {stream}, {fusion} click fusion"


def name_of(training: dict[str, Any], config: NetworkConfig) -> str:
    """Return a name for a model: that of its settings, and what its network is where these have another."""
    name = training.get("settings", {}).get("name")
    if name is None:
        return describe(config)[0]
    if name not in available() or load_settings(name).network == config:
        return str(name)
    small = load_settings(name, ["network.base=small"]).network
    return f"{name} ({'small' if config == small else 'changed'})"


def training_of(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its training, for model.json."""
    if "training" in state:
        return dict(state["training"])
    training = {key: state[key] for key in ("started_from", "data", "pictures", "updates") if key in state}
    if "seconds" in state:
        training["minutes"] = round(state["seconds"] / 60, 1)
    if state.get("command"):
        training["command"] = state["command"]
    elif "settings" in state:
        minutes = f" --minutes {state['minutes']:g}" if state.get("minutes") else ""
        training["command"] = f"python -m export.train {state['settings']['name']} --data DATA --out OUT{minutes}"
    return training | {key: state[key] for key in ("config", "settings") if key in state}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, help="the model folder; replaced if it is one already")
    parser.add_argument("--name", help="for model.json; left out, that of the settings")
    parser.add_argument("--description", help="for model.json; left out, made from the configuration")
    parser.add_argument(
        "--licence", default="unspecified", help="of the weights, for model.json (default: %(default)s)"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16-weights")
    parser.add_argument("--weights", type=Path, help="also write the weights here, FP16, for training to go on from")
    args = parser.parse_args()
    run_main("to_onnx", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    # Before the minutes that an export takes.
    check_target(args.folder, args.checkpoint, *([] if args.weights is None else [args.weights]))
    state = read_checkpoint(args.checkpoint)
    try:
        network = load_network(state)
    except ValueError as error:
        raise ValueError(f"{args.checkpoint}: {error}") from None
    training = training_of(state)
    if args.weights is not None:
        half = in_half(state["average"], args.checkpoint)
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        kept = {"average": half, "training": training, "network_config": asdict(network.config)}
        with written_whole(args.weights) as file:
            torch.save(kept, file)
    names = args.name or name_of(training, network.config), args.description or describe(network.config)[1]
    export_folder(network, args.folder, *names, training, precision=args.precision, licence=args.licence)


if __name__ == "__main__":
    main()
