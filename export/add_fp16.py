"""Add an FP16 variant for TensorRT to a model folder, without writing its other files anew.

    python -m export.add_fp16 runs/compact/checkpoint.pt pyiseg/models/default

The checkpoint must be the one that the folder was exported from: its weights are those of the folder, where they are
stored, and what was measured of the folder still holds.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from export.cli import run_main
from export.conversion.conversion import PARITY, SIZES, Conversion
from export.conversion.folder import list_files
from export.models.network import Network
from export.to_onnx import read_network, sharpen
from pyiseg import load_model
from pyiseg.manifest import Manifest


def add_to_folder(network: Network, folder: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> bool:
    """Write the FP16 variant and a manifest that lists it; a variant that is there already is replaced.

    Args:
        network: As trained; it is sharpened as the folder was.
        folder: A model folder.
        sizes: Heights and widths, multiples of 32, at which predictions are compared.

    Returns:
        Whether FP16 gives the same alpha; otherwise there is no variant, and none is listed.

    Raises:
        ValueError: The folder's networks are not this one.
        pyiseg.ModelError: It is no model folder, or damaged.
    """
    served = load_model(folder).click_params.guide
    if served != network.config.filter_guide:
        raise ValueError(
            f"{folder} has a guided filter with the guide {served!r}, the checkpoint's network one with "
            f"{network.config.filter_guide!r}; pass the one that the folder was exported from"
        )
    manifest = Manifest.read(folder)
    if (factor := manifest.training.get("sharpened", 1)) != 1:
        sharpen(network, factor)
    conversion = Conversion(network, manifest.precision, sizes)
    largest, _ = conversion.differences(folder)
    if not largest <= PARITY:  # NaN compares false
        raise ValueError(
            f"the networks of {folder} predict otherwise than the checkpoint (by {largest:.2g}, allowed {PARITY:.0e}); "
            "pass the one that the folder was exported from"
        )

    def list_without(left_out: tuple[str, ...]) -> None:
        files = {name: entry for name, entry in list_files(folder).items() if not name.endswith(left_out)}
        replace(manifest, files=files).write(folder)

    # The variant is listed only while it is there, so that the folder is whole whenever this is interrupted.
    list_without((".fp16.onnx",))
    for old in folder.glob("*.fp16.onnx"):
        old.unlink()
    added = conversion.add_fp16(folder)
    list_without(())
    return added


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, help="the model folder that was exported from it")
    args = parser.parse_args()
    run_main("add_fp16", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    add_to_folder(read_network(args.checkpoint)[0], args.folder)


if __name__ == "__main__":
    main()
