"""A network on its way from PyTorch to ONNX files: as it ships, with inputs and the outputs expected of them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from export.conversion.modules import folded
from export.conversion.parity import file_outputs, network_outputs, random_inputs
from export.conversion.precision import Precision, halve_weights, halved, rounded
from export.conversion.writer import exported_networks, point_into
from export.models.network import Network

# ONNX Runtime against PyTorch: the largest difference of any output.
PARITY = 1e-4
# The mean difference of alpha between FP16 and FP32 arithmetic.
HALF_PARITY = 2e-3
SIZES = ((256, 320), (32, 96), (384, 512))


class Conversion:
    """A network, inputs, and the outputs that its ONNX files must give.

    Args:
        network: As trained; it is left as it is.
        precision: How the weights are stored.
        sizes: Heights and widths of the inputs, multiples of 32.

    Attributes:
        network: As it ships: folded, and with the precision "fp16-weights" its weights rounded.
        inputs: By name, for each size.
        expected: The outputs of ``network`` by name, for each size.
    """

    def __init__(
        self, network: Network, precision: Precision = "fp32", sizes: tuple[tuple[int, int], ...] = SIZES
    ) -> None:
        network = folded(network)
        self.network = rounded(network) if precision == "fp16-weights" else network
        self.precision = precision
        self.inputs = [random_inputs(network.config, *size) for size in sizes]
        self.expected = [network_outputs(self.network, each) for each in self.inputs]

    @cached_property
    def half(self) -> Network:
        """The network in FP16 arithmetic."""
        return halved(self.network)

    def write(self, folder: Path) -> None:
        """Write click.onnx, without early fusion image.onnx and, where the guide is learned, guide.onnx."""
        for exported in exported_networks(self.network):
            model = exported.to_onnx()
            onnx.save(
                halve_weights(model) if self.precision == "fp16-weights" else model, folder / f"{exported.name}.onnx"
            )

    def differences(self, found: Network | Path, *, fp16: bool = False) -> tuple[float, float]:
        """Compare the outputs of another network, or of ONNX files in ONNX Runtime, with those expected.

        Args:
            found: A network in PyTorch, or the folder of the files.
            fp16: Run the FP16 variant of the files.

        Returns:
            The largest difference of any output, and the mean one of alpha at the size where that is largest. Either
            is NaN where any output is.
        """
        if isinstance(found, Path):
            outputs = file_outputs(found, self.inputs, fp16=fp16)
        else:
            outputs = [network_outputs(found, each) for each in self.inputs]
        apart = [{name: (a[name] - b[name]).abs() for name in b} for a, b in zip(outputs, self.expected, strict=True)]
        # NumPy's max, other than Python's, is NaN if any value is.
        largest = np.max([float(x.max()) for each in apart for x in each.values()])
        return float(largest), float(np.max([float(each["alpha"].mean()) for each in apart]))

    def write_fp16(self, folder: Path) -> list[Path]:
        """Write click.fp16.onnx and, without early fusion, image.fp16.onnx beside the files that `write` wrote.

        Weights that stand in click.onnx or image.onnx byte by byte are not written again: they are ONNX external data,
        with that file, an offset and a length.

        Returns:
            The files.
        """
        written = []
        for exported in exported_networks(self.network, self.half):
            model = exported.to_onnx()
            point_into(model, folder / f"{exported.name}.onnx")
            written.append(folder / f"{exported.name}.fp16.onnx")
            written[-1].write_bytes(model.SerializeToString())
        return written

    def add_fp16(self, folder: Path) -> bool:
        """Write the FP16 variant into a folder, if it gives the same alpha as FP32 does; else say why not.

        Two things are compared with FP32: the network in PyTorch with every value rounded to FP16, for the arithmetic,
        and the files in ONNX Runtime, for what they say.

        Args:
            folder: It has the FP32 files already.

        Returns:
            Whether it is there.
        """
        _, arithmetic = self.differences(self.half)
        # Before the export, which takes much longer. NaN compares false.
        if not arithmetic <= HALF_PARITY:
            return _left_out("FP16 arithmetic", arithmetic)
        written = self.write_fp16(folder)
        _, runtime = self.differences(folder, fp16=True)
        if not runtime <= HALF_PARITY:
            for file in written:
                file.unlink()
            return _left_out("ONNX Runtime's prediction from them", runtime)
        difference = max(arithmetic, runtime)
        print(f"FP16 variant for TensorRT: alpha is {difference:.2g} off on average (allowed {HALF_PARITY:.0e})")
        return True


def _left_out(what: str, difference: float) -> bool:
    off = "not a number: a value exceeds 65504" if difference != difference else f"{difference:.2g} off on average"
    print(
        f"no FP16 variant: with {what} alpha is {off} (allowed {HALF_PARITY:.0e}); "
        "TensorRT will run this model in FP32, which takes longer"
    )
    return False
