"""Devices by name, and the face that every device's pipeline shows."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pyiseg.errors import DeviceError
from pyiseg.geometry import View
from pyiseg.model import Model

DEVICES = ("cpu", "cuda", "auto")


class Pipeline(Protocol):
    """One image on one device: what it costs once is paid when it is built, each click then reuses its buffers.

    Not safe to be used from two threads at once; two pipelines are.
    """

    def predict(
        self, clicks: npt.NDArray[np.int32], previous: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        """Predict the selection after the last of some clicks; a pure function of its arguments and the image.

        Args:
            clicks: int32, shape (N, 3), N >= 1, rows x, y, label on the grid, in the order they were made.
            previous: What this returned for all clicks but the last; None for the first click.

        Returns:
            float32, shape (2, h, w): lines (a, b), so that alpha = a * guide + b. A fresh array.
        """
        ...

    def matte(self, clicks: npt.NDArray[np.int32], lines: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Draw lines at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that `predict` was given for these lines: the guide may depend on them.
            lines: What it returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        ...


def available_devices() -> tuple[str, ...]:
    """Names that `pyiseg.Session` takes as ``device`` on this machine, besides ``"auto"``; the fastest one last."""
    return ("cpu",)


def resolve(device: str) -> str:
    """The device that a name stands for.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``, which stands for the fastest one that is available.

    Returns:
        One of `available_devices`.

    Raises:
        ValueError: Not a known name.
        DeviceError: A known device that cannot be used here.
    """
    if device not in DEVICES:
        raise ValueError(f"device is {device!r}; the known devices are {', '.join(map(repr, DEVICES))}")
    if device == "auto":
        return available_devices()[-1]
    if device not in available_devices():
        raise DeviceError("this version of pyiseg runs on the CPU only; pass device='cpu' or device='auto'")
    return device


def build(device: str, model: Model, view: View, rgb: npt.NDArray[np.uint8]) -> Pipeline:
    """Build the pipeline of one image on a resolved device. Imports that device's runtime.

    Args:
        device: A name that `resolve` returned; so far the CPU is the only one.
        model: The networks.
        view: How the model sees the image.
        rgb: The image, uint8, shape (H, W, 3). It may be kept, so it must not change.
    """
    try:
        from pyiseg.cpu import CpuPipeline
    except ImportError as error:
        if error.name is not None and error.name.startswith("pyiseg"):
            # The usual reason: Python started in a checkout takes the package there, not the installed one.
            raise DeviceError(
                f"the extension of pyiseg is not built in '{Path(__file__).parent}' ({error}): leave that folder, or "
                "run pip install -e . in the one above it"
            ) from error
        way_out = ": pip install onnxruntime" if error.name == "onnxruntime" else ""
        raise DeviceError(f"device 'cpu' cannot be used: {error}{way_out}") from error
    return CpuPipeline(model, view, rgb)
