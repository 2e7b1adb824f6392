"""Read the authors' published weights of Forte et al. 2020 (``InterSegSynthFT.pth``, MIT licence).

    python -m export.import_published InterSegSynthFT.pth models/published
    python -m export.import_published InterSegSynthFT.pth --weights runs/published.pt

The first writes a model folder, for ``pyiseg.Session(image, model="models/published")``; the second writes weights for
training to begin from (`python -m export.train --start`). Both can be asked for at once. With neither, the file is only
checked: every parameter must be there, and no other.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.cli import read_tensors, run_main
from export.conversion.folder import check_target, export_folder
from export.conversion.precision import PRECISIONS
from export.models.network import Network
from export.models.presets import PAPER
from export.models.published import check_published, our_state
from export.to_onnx import describe
from pyiseg.files import atomic_write

LICENSE = "MIT (licence of the published weights, by their authors)"


def read_published(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint of the published network.

    Args:
        path: What torch.save made of a table of tensors, which may lie under "state_dict" or "model", and whose names
            may all begin with "module.", as DataParallel has it.

    Returns:
        The tensors by their published names, FP32.

    Raises:
        ValueError: It is no such file, or not this network; the message names what is missing, unexpected or of
            another shape.
        OSError: It cannot be read.
    """
    content = read_tensors(path, "expected the authors' InterSegSynthFT.pth")
    if isinstance(content, Mapping) and "average" in content:
        raise ValueError(f"{path} is a checkpoint of this project: use python -m export.to_onnx {path} FOLDER")
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(x, Tensor) for x in content.values()):
        raise ValueError(f"{path} holds no table of tensors, neither outright nor under 'state_dict' or 'model'")
    if content and all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): x for name, x in content.items()}
    state = {name: x.float() for name, x in content.items()}
    try:
        check_published(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return state


def network_of(state: Mapping[str, Tensor]) -> Network:
    """Return the paper's network with published weights."""
    network = Network(PAPER, pretrained=False)
    network.load_state_dict(our_state(dict(state)), strict=False)
    return network.eval()


def record_of(path: Path) -> dict[str, Any]:
    """Return what is known of the weights' training, for model.json and checkpoints."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "started_from": f"{path.name}, published by the authors of Forte et al. 2020, MIT licence",
        "sha256": digest,
        "command": f"python -m export.import_published {path.name}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the authors' checkpoint")
    parser.add_argument("folder", type=Path, nargs="?", help="write a model folder here; replaced if it is one already")
    parser.add_argument("--weights", type=Path, help="write weights for training here")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the model folder's weights")
    parser.add_argument("--no-fp16", action="store_true", help="leave out the FP16 variant for TensorRT")
    args = parser.parse_args()
    run_main("import_published", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    if args.folder is not None:
        check_target(args.folder, args.file, *([] if args.weights is None else [args.weights]))
    state = read_published(args.file)
    print(f"{args.file}: the published network, {len(state)} tensors, {sum(map(Tensor.numel, state.values()))} values")
    network, record = network_of(state), record_of(args.file)
    if args.weights is not None:
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        kept = {"average": network.state_dict(), "training": record, "network_config": asdict(PAPER)}
        with atomic_write(args.weights) as file:
            torch.save(kept, file)
    if args.folder is not None:
        _, description = describe(PAPER)
        names = ("published", f"{description}, weights as published")
        options = {"precision": args.precision, "fp16": not args.no_fp16, "licence": LICENSE}
        export_folder(network, args.folder, *names, record, **options)


if __name__ == "__main__":
    main()
