"""The model folder of a network: the one way there that all commands take."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from export.cli import size_text
from export.conversion.conversion import PARITY, SIZES, Conversion
from export.conversion.precision import Precision
from export.models.config import NetworkConfig
from export.models.network import Network
from pyiseg.manifest import MANIFEST, Manifest
from pyiseg.network_files import FileEntry


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
    """Write a network as a model folder, whole: it is moved to its place when it is complete and checked.

    Args:
        network: As trained; it is left as it is.
        folder: A new one, an empty one or a model folder, which is replaced.
        name, description, licence: For model.json.
        training: What the weights were trained on and how, for model.json.
        precision: See `export.conversion.precision`.
        fp16: Also write the FP16 variant, if it gives the same alpha; where not, it is said, and it is left out.
        sizes: Heights and widths, multiples of 32, at which ONNX Runtime is compared with PyTorch.

    Raises:
        ValueError: The folder holds something else, see :func:`check_target`, or a value is not one that model.json can
            state, see `pyiseg.manifest.Manifest`.
        RuntimeError: ONNX Runtime's prediction differs from PyTorch's by more than 1e-4.
    """
    check_target(folder)
    conversion = Conversion(network, precision, sizes)
    if precision == "fp16-weights":
        largest, _ = Conversion(network, sizes=sizes[:1]).differences(conversion.network)
        print(f"largest difference that rounding the weights to FP16 makes: {largest:.2g}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".exporting-"))
    try:
        work.chmod(0o755)
        conversion.write(work)
        largest, _ = conversion.differences(work)
        if not largest <= PARITY:  # NaN compares false
            raise RuntimeError(f"ONNX Runtime and PyTorch differ by {largest:.2g} (allowed {PARITY:.0e})")
        if fp16:
            conversion.add_fp16(work)
        _manifest(network.config, work, name, description, licence, precision, training).write(work)
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
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} is not empty and has no {MANIFEST}: it is no model folder; choose a new name")


def _manifest(
    config: NetworkConfig,
    folder: Path,
    name: str,
    description: str,
    licence: str,
    precision: Precision,
    training: dict[str, Any],
) -> Manifest:
    return Manifest(
        name=name,
        description=description,
        licence=licence,
        long_side=config.long_side,
        multiple=32,
        preprocessing="RGB in 0..1, Lanczos to the working size; the networks normalize it themselves",
        grid_stride=config.grid_stride,
        click_params=config.click_params,
        zoom=config.zoom,
        precision=precision,
        files=list_files(folder),
        training=training,
    )


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Return size and SHA-256 of the ONNX files of a folder, by name, as its manifest states them."""
    return {file.name: FileEntry.of(file.read_bytes()) for file in sorted(folder.glob("*.onnx"))}
