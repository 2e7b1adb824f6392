"""Write a trained network as a model folder: model.json and its ONNX files.

    python -m export.to_onnx runs/compact/checkpoint.pt pyiseg/models/default --weights export/weights/compact.pt

Any network of export/models/config.py: the checkpoint says which one it is. --precision says how the weights are
stored; with fp16-weights they take half the space and the arithmetic stays FP32. TensorRT gets an FP16 variant, which
computes in FP16 (image.fp16.onnx and click.fp16.onnx), where that gives the same alpha; --no-fp16 leaves it out.
--weights writes the weights unfolded as well, for training to go on from (`python -m export.train --start`).
--sharpen makes alpha surer of itself without moving its edges; the weights that --weights writes stay as trained.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from export.checkpoint import training_of, write_weights
from export.cli import read_checkpoint, run_main
from export.conversion.folder import check_target, export_folder
from export.conversion.precision import PRECISIONS
from export.models.config import NetworkConfig, network_config
from export.models.network import Network, load_weights
from export.models.presets import NETWORKS
from export.training.config import available, load_settings


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


def read_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """Read a checkpoint and build its network; see `export.cli.read_checkpoint` and `load_network`."""
    state = read_checkpoint(path)
    try:
        return load_network(state), state
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def sharpen(network: Network, factor: float) -> None:
    """Multiply the prediction before its sigmoid, in the weights of the last layer: what is above a half stays there.

    Trained on rough masks, a network predicts haze where it is unsure. How much is to be chosen by validation.

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
    parser.add_argument("--no-fp16", action="store_true", help="leave out the FP16 variant for TensorRT")
    parser.add_argument(
        "--sharpen", type=float, default=1.0, metavar="FACTOR", help="of the prediction before its sigmoid (default: 1)"
    )
    parser.add_argument("--weights", type=Path, help="also write the weights here, FP16, for training to go on from")
    args = parser.parse_args()
    run_main("to_onnx", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    # Before the minutes that an export takes.
    check_target(args.folder, args.checkpoint, *([] if args.weights is None else [args.weights]))
    network, state = read_network(args.checkpoint)
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
