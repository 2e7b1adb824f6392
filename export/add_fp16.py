"""Add FP16 siblings for TensorRT to a model folder, without writing its other files anew.

    python -m export.add_fp16 runs/compact/checkpoint.pt pyiseg/models/default

The checkpoint must be the one that the folder was exported from: its weights are those of the folder, where they are
stored, and what was measured of the folder still holds.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from export.cli import read_checkpoint, run_main
from export.conversion.fp16 import add_siblings
from export.conversion.modules import folded, rounded
from export.conversion.parity import answers, differences
from export.models.network import Network
from export.to_onnx import PARITY, SIZES, list_files, load_network
from pyiseg import load_model
from pyiseg.manifest import Manifest


def add_to_folder(network: Network, folder: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> bool:
    """Write the siblings and a manifest that lists them; siblings that are there already are replaced.

    Args:
        network: As trained.
        folder: A model folder.
        sizes: Heights and widths, multiples of 32, at which answers are compared.

    Returns:
        Whether FP16 gives the same alpha; otherwise there are no siblings, and none are listed.

    Raises:
        ValueError: The folder's networks are not this one.
        pyiseg.ModelError: It is no model folder, or damaged.
    """
    served = load_model(folder).rules.guide
    if served != network.config.filter_guide:
        raise ValueError(
            f"{folder} has a guided filter with the guide {served!r}, the checkpoint's network one with "
            f"{network.config.filter_guide!r}; pass the one that the folder was exported from"
        )
    manifest = Manifest.read(folder)
    shipped = folded(network)
    if manifest.precision == "fp16-weights":
        shipped = rounded(shipped)
    expected = answers(shipped, sizes)
    largest, _ = differences(answers(folder, sizes, network.config), expected)
    if not largest <= PARITY:  # NaN compares false
        raise ValueError(
            f"the networks of {folder} answer otherwise than the checkpoint (by {largest:.2g}, allowed {PARITY:.0e}); "
            "pass the one that the folder was exported from"
        )

    def list_without(left_out: tuple[str, ...]) -> None:
        files = {name: entry for name, entry in list_files(folder).items() if not name.endswith(left_out)}
        replace(manifest, files=files).write(folder)

    # Siblings are listed only while they are there, so that the folder is whole whenever this is interrupted.
    list_without((".fp16.onnx",))
    for old in folder.glob("*.fp16.onnx"):
        old.unlink()
    added = add_siblings(shipped, folder, sizes, expected)
    list_without(())
    return added


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, help="the model folder that was exported from it")
    args = parser.parse_args()
    run_main("add_fp16", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    try:
        network = load_network(read_checkpoint(args.checkpoint))
    except ValueError as error:
        raise ValueError(f"{args.checkpoint}: {error}") from None
    add_to_folder(network, args.folder)


if __name__ == "__main__":
    main()
