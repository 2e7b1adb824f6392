"""The FP16 siblings of a model folder's networks, for TensorRT: written where FP16 gives the same alpha."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from export.conversion.modules import halved
from export.conversion.parity import answers, differences
from export.conversion.writer import write_siblings
from export.models.network import Network

# The mean difference of alpha between FP16 and FP32 arithmetic.
HALF_PARITY = 2e-3


def add_siblings(
    network: Network, folder: Path, sizes: tuple[tuple[int, int], ...], expected: list[dict[str, Tensor]]
) -> bool:
    """Write image.fp16.onnx and click.fp16.onnx into a folder, if they answer as FP32 does; else say why not.

    Two things are compared with FP32: the network in PyTorch with every value rounded to FP16, for the arithmetic,
    and the files in ONNX Runtime, for what they say.

    Args:
        network: As it was written into the folder, folded.
        folder: It has the FP32 files already.
        sizes: Heights and widths to compare at.
        expected: The network's own answers at these sizes.

    Returns:
        Whether they are there.
    """
    half = halved(network)
    _, arithmetic = differences(answers(half, sizes), expected)
    # Before the export, which takes much longer. NaN compares false.
    if not arithmetic <= HALF_PARITY:
        return _left_out("FP16 arithmetic", arithmetic)
    written = write_siblings(network, half, folder)
    _, runtime = differences(answers(folder, sizes, network.config, half=True), expected)
    if not runtime <= HALF_PARITY:
        for file in written:
            file.unlink()
        return _left_out("ONNX Runtime's answer to them", runtime)
    difference = max(arithmetic, runtime)
    print(f"FP16 siblings for TensorRT: alpha is {difference:.2g} off on average (allowed {HALF_PARITY:.0e})")
    return True


def _left_out(what: str, difference: float) -> bool:
    off = "not a number: a value exceeds 65504" if difference != difference else f"{difference:.2g} off on average"
    print(
        f"no FP16 siblings: with {what} alpha is {off} (allowed {HALF_PARITY:.0e}); "
        "TensorRT will run this model in FP32, which takes longer"
    )
    return False
