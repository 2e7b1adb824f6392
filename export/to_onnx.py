"""Write a trained network as a model folder: model.json and its ONNX files.

    python -m export.to_onnx runs/compact/checkpoint.pt pyiseg/models/default --weights export/weights/compact.pt

Any network of export/models/config.py: the checkpoint says which one it is. --precision says how the weights are
stored; with fp16-weights they take half the space and the arithmetic stays FP32. For TensorRT there are siblings that
compute in FP16, image.fp16.onnx and click.fp16.onnx, where that gives the same alpha; --no-fp16 leaves them out.
--weights writes the weights unfolded as well, for training to go on from (`python -m export.train --start`).
--sharpen makes alpha surer of itself without moving its edges; the weights that --weights writes stay as trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from export.checkpoint import training_of, write_weights
from export.cli import read_checkpoint, run_main, size_text
from export.conversion.fp16 import add_siblings
from export.conversion.modules import PRECISIONS, Precision, folded, rounded
from export.conversion.parity import answers, differences
from export.conversion.writer import write_parts
from export.models.config import NetworkConfig, network_config
from export.models.network import Network, load_weights
from export.models.presets import NETWORKS
from export.training.config import available, load_settings

# ONNX Runtime against PyTorch: the largest difference of any output.
PARITY = 1e-4
SIZES = ((256, 320), (32, 96), (384, 512))


def export_folder(
    network: Network,
    folder: Path,
    name: str,
    description: str,
    training: dict[str, Any],
    *,
    precision: Precision = "fp16-weights",
    fp16: bool = True,
    licence: str = "unspecified",
    sizes: tuple[tuple[int, int], ...] = SIZES,
) -> None:
    """Write the model folder, whole: it is made beside its place and moved there when it is complete and checked.

    Args:
        network: As trained; it is left as it is.
        folder: A new one, an empty one or a model folder, which is replaced.
        name, description, licence: For model.json.
        training: What the weights were trained on and how, for model.json.
        precision: See `export.conversion.modules`.
        fp16: Also write FP16 siblings, if they give the same alpha; where not, it is said, and they are left out.
        sizes: Heights and widths, multiples of 32, at which ONNX Runtime is compared with PyTorch.

    Raises:
        ValueError: The folder holds something else, see :func:`check_target`.
        RuntimeError: ONNX Runtime's answer differs from PyTorch's by more than 1e-4.
    """
    check_target(folder)
    shipped = whole = folded(network)
    if precision == "fp16-weights":
        shipped = rounded(whole)
    expected = answers(shipped, sizes)
    if shipped is not whole:
        largest, _ = differences(expected[:1], answers(whole, sizes[:1]))
        print(f"largest difference that rounding the weights to FP16 makes: {largest:.2g}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".exporting-"))
    try:
        work.chmod(0o755)
        write_parts(shipped, work, precision)
        largest, _ = differences(answers(work, sizes, network.config), expected)
        if not largest <= PARITY:  # NaN compares false
            raise RuntimeError(f"ONNX Runtime and PyTorch differ by {largest:.2g} (allowed {PARITY:.0e})")
        if fp16:
            add_siblings(shipped, work, sizes, expected)
        manifest = _manifest(network.config, work, name, description, licence, precision, training)
        (work / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")
        size = size_text(sum(file.stat().st_size for file in work.iterdir()))
        old = work.with_name(work.name + "-old")
        if folder.exists():
            os.replace(folder, old)
        os.replace(work, folder)
        shutil.rmtree(old, ignore_errors=True)
        print(f"wrote {folder} ({size}); ONNX Runtime and PyTorch agree to {largest:.2g} (allowed {PARITY:.0e})")
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


def _manifest(
    config: NetworkConfig,
    folder: Path,
    name: str,
    description: str,
    licence: str,
    precision: Precision,
    training: dict[str, Any],
) -> dict[str, Any]:
    rules = config.rules
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
        "guided_filter": {"form": rules.form, "guide": rules.guide, "radius": rules.radius, "eps": rules.eps},
        "clean": rules.clean,
        "clean_margin": rules.margin,
        **({"zoom": asdict(config.zoom)} if config.zoom is not None else {}),
        "precision": precision,
        "files": list_files(folder),
        "training": training,
    }


def list_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of the ONNX files of a folder, as model.json states them."""
    files = {file.name: file.read_bytes() for file in sorted(folder.glob("*.onnx"))}
    return {n: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for n, content in files.items()}


def load_network(state: dict[str, Any]) -> Network:
    """Build the network of a checkpoint, with its averaged weights.

    Args:
        state: What `export.train`, `export.import_published` or ``--weights`` of this module wrote. One that says
            nothing of its network is from before there were several, and has the values that `NetworkConfig` had then.

    Raises:
        ValueError: It is no such checkpoint, or of another version's network.
    """
    if "average" not in state:
        raise ValueError(f"a checkpoint holds 'average', this has {', '.join(map(repr, state))}")
    config = network_config(state.get("network_config", {}))
    network = Network(config, pretrained=False)
    try:
        load_weights(network, state["average"])
    except ValueError as error:
        raise ValueError(f"the weights are not those of the network that the checkpoint describes: {error}") from None
    return network.eval()


def sharpen(network: Network, factor: float) -> None:
    """Multiply the answer before its sigmoid, in the weights of the last layer: what is above a half stays there.

    Trained on rough masks, a network answers haze where it is unsure. How much is to be chosen by validation.

    Raises:
        ValueError: The factor is not positive, or the network's output is no sigmoid.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"--sharpen is {factor}; it must be above 0")
    if network.config.output != "sigmoid":
        raise ValueError(f"--sharpen needs network.output 'sigmoid', this is '{network.config.output}': leave it out")
    with torch.no_grad():
        network.click.head.weight.mul_(factor)
        network.click.head.bias.mul_(factor)


def describe(config: NetworkConfig) -> tuple[str, str]:
    """Return a name and a line of description."""
    name = next((name for name, known in NETWORKS.items() if known == config), "custom")
    stream = {
        "efficientnet-lite0": "EfficientNet-Lite0",
        "efficientnet-lite2": "EfficientNet-Lite2",
        "resnet50-gn-ws": "ResNet-50 (GroupNorm)",
    }[config.image_stream]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, help="the model folder; replaced if it is one already")
    parser.add_argument("--name", help="for model.json; left out, that of the settings")
    parser.add_argument("--description", help="for model.json; left out, made from the configuration")
    parser.add_argument(
        "--licence", default="unspecified", help="of the weights, for model.json (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp16-weights", help="of the weights (default: %(default)s)"
    )
    parser.add_argument("--no-fp16", action="store_true", help="leave out the FP16 siblings for TensorRT")
    parser.add_argument(
        "--sharpen", type=float, default=1.0, metavar="FACTOR", help="of the answer before its sigmoid (default: 1)"
    )
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
        write_weights(args.weights, {**state, "network_config": asdict(network.config)}, args.checkpoint)
    names = args.name or name_of(training, network.config), args.description or describe(network.config)[1]
    if args.sharpen != 1:
        sharpen(network, args.sharpen)
        training["sharpened"] = args.sharpen
    options = {"precision": args.precision, "fp16": not args.no_fp16, "licence": args.licence}
    export_folder(network, args.folder, *names, training, **options)


if __name__ == "__main__":
    main()
