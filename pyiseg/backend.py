"""Devices by name, and the face that every device's pipeline shows."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.errors import DeviceError, ModelError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.device_image import DeviceImage

if TYPE_CHECKING:
    from pyiseg._core import Array
    from pyiseg.tensorrt.provider import TensorRT

DEVICES = ("cpu", "cuda", "auto")

Prediction: TypeAlias = Any
"""What a pipeline predicted, to be handed back to it."""


class Pipeline(Protocol):
    """One image on one device: what it costs once is paid when it is built, each click then reuses its buffers.

    Clicks are int32, shape (N, 3), rows x, y, label (1 selects, 0 removes), on the image, in the order they were made.
    Not safe to be used from two threads at once; two pipelines are.
    """

    def predict(self, clicks: npt.NDArray[np.int32], previous: Prediction | None) -> Prediction:
        """Predict the selection after the last of some clicks; a pure function of its arguments and the image.

        Args:
            clicks: At least one.
            previous: What this returned for all clicks but the last; None for the first click.

        Returns:
            The alpha that the guided filter is given: float32, shape (h, w), on the grid; where it lies is the
            pipeline's own affair. Fresh.
        """
        ...

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that `predict` was given for it: they are obeyed, and a learned guide may depend on them.
            prediction: What it returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        ...

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.float32]:
        """Render a prediction on the grid; the arguments are those of `matte`.

        Returns:
            Alpha, float32, shape (h, w), 0..1. A fresh array.
        """
        ...

    def carry(self, alpha: npt.NDArray[np.float32]) -> Prediction:
        """What stands for an alpha on the grid as it is, for `predict` to go on from.

        Args:
            alpha: float32, shape (h, w), 0..1.
        """
        ...

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> Pipeline:
        """Return the pipeline of a crop of the image, on the same device.

        Args:
            view: How the model sees the crop.
            rgb: The crop, uint8, shape (H, W, 3), C-contiguous. It may be kept, so it must not change.
        """
        ...

    def offload(self) -> None:
        """Free what is held for predictions that were returned; a later pipeline of the same view goes on from them."""
        ...


class DevicePipeline(Pipeline, Protocol):
    """A pipeline on a device whose memory is not numpy's."""

    def matte_on_device(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> Array:
        """What `matte` returns, left on the device, complete; without one, zeros. The next call overwrites it."""
        ...

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Array:
        """Bring a matte, uint8, shape (H, W), to the device; complete, and overwritten by the next call."""
        ...

    def image(self) -> npt.NDArray[np.uint8]:
        """The image, uint8, shape (H, W, 3), brought to the host. Fresh."""
        ...


def available_devices() -> tuple[str, ...]:
    """Names that `pyiseg.Session` takes as ``device`` on this machine, besides ``"auto"``; the fastest one last.

    A GPU counts when this build of pyiseg has the CUDA ops, the driver answers and TensorRT is installed; whether its
    engines can be built shows when the first session is made.
    """
    return ("cpu",) if why_not_cuda() else ("cpu", "cuda")


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
    if device == "cpu":
        return device
    reason = why_not_cuda()
    if not reason:
        return "cuda"
    if device == "cuda":
        raise DeviceError(f"device 'cuda' cannot be used: {reason}; or pass device='cpu'")
    if _has_gpu():
        _warn_once(f"pyiseg runs on the CPU although there is a GPU: {reason}")
    return "cpu"


def why_not_cuda() -> str:
    """Why ``device="cuda"`` cannot be used here, with the way out; empty if it can."""
    _core = _native()
    if not _core.cuda_built:
        return (
            "this build of pyiseg has no CUDA ops; in a clone of pyiseg, on a machine with nvcc, run: "
            "pip install -e '.[tensorrt]' -C cmake.define.PYISEG_CUDA=ON"
        )
    try:
        if _core.cuda.driver_version() == 0:
            return "there is no NVIDIA driver; install one from https://www.nvidia.com/drivers"
        if _core.cuda.device_count() == 0:
            return (
                "the driver finds no GPU, or is older than CUDA "
                f"{_core.cuda.runtime_version() // 1000} that pyiseg was built with (nvidia-smi tells both; "
                "CUDA_VISIBLE_DEVICES can hide GPUs)"
            )
        major, minor = _core.cuda.compute_capability()
    except _core.DeviceRuntimeError as error:
        return f"the GPU does not answer ({error})"
    if (major, minor) < (7, 5):
        return f"the GPU has compute capability {major}.{minor}; 7.5 (Turing) or newer is needed"
    from pyiseg.tensorrt import provider as tensorrt

    try:
        return tensorrt.why_not()
    except ValueError as error:  # the environment variable that chooses the package
        return str(error)


def cuda_state() -> list[tuple[str, str]]:
    """What ``device="cuda"`` needs, each with what there is of it: for people to read."""
    from pyiseg.errors import PyisegError
    from pyiseg.tensorrt import provider as tensorrt
    from pyiseg.tensorrt.gpu import gpu_here

    _core, gpu = _native(), gpu_here()
    ops = f"built with CUDA {_core.cuda.runtime_version() // 1000}" if _core.cuda_built else "not in this build"
    try:
        found = tensorrt.flavour()
        package = f"{found.name} {found.version}"
    except (PyisegError, ValueError) as error:
        package = str(error)
    here = "none that can be used" if gpu is None else f"{gpu.name}, CUDA {gpu.driver} driver"
    state = [("CUDA ops", ops), ("GPU", here), ("TensorRT", package)]
    reason = why_not_cuda()
    return [*state, ("no cuda", reason)] if reason else state


def build(
    device: str, model: Model, view: View, image: npt.NDArray[np.uint8] | DeviceImage, *, fall_back: bool
) -> tuple[str, Pipeline]:
    """Build the pipeline of one image. Imports the device's runtime.

    Args:
        device: A name that `resolve` returned.
        model: The networks.
        view: How the model sees the image.
        image: RGB, uint8, shape (H, W, 3). It may be kept, so it must not change.
        fall_back: Whether a GPU that fails gives way to the CPU, with one warning.

    Returns:
        The device that it has come to, and the pipeline.

    Raises:
        ValueError: The image lies on a GPU, and the device is the CPU.
        DeviceError: The device failed.
    """
    if device == "cuda":
        try:
            return "cuda", _cuda_pipeline(model, view, image)
        except (DeviceError, ModelError) as error:
            # A model's files may have changed since they were read; the CPU runs what was read.
            if not fall_back or isinstance(image, DeviceImage):
                raise
            _warn_once(f"pyiseg runs on the CPU although there is a GPU: {error}")
    if isinstance(image, DeviceImage):
        reason = why_not_cuda()
        way_out = f"'cuda' cannot be used: {reason}. Pass" if reason else "pass device='cuda', or"
        raise ValueError(
            f"image lies on a GPU but the session is to run on the CPU; {way_out} a numpy array: cupy.asnumpy(image), "
            "image.cpu().numpy() in torch"
        )
    return "cpu", _cpu_pipeline(model, view, image)


def _cpu_pipeline(model: Model, view: View, rgb: npt.NDArray[np.uint8]) -> Pipeline:
    _native()
    try:
        from pyiseg.runtime.cpu import CpuPipeline
    except ImportError as error:
        way_out = ": pip install onnxruntime" if error.name == "onnxruntime" else ""
        raise DeviceError(f"device 'cpu' cannot be used: {error}{way_out}") from error
    return CpuPipeline(model, view, rgb)


def _native() -> Any:
    """The extension."""
    try:
        from pyiseg import _core
    except ImportError as error:
        # The usual reason: Python started in a checkout takes the package there, not the installed one.
        raise DeviceError(
            f"the extension of pyiseg is not built in '{Path(__file__).parent}' ({error}): leave that folder, or "
            "run pip install -e . in the one above it"
        ) from error
    return _core


def _cuda_pipeline(model: Model, view: View, image: npt.NDArray[np.uint8] | DeviceImage) -> Pipeline:
    from pyiseg import _core
    from pyiseg.runtime.cuda import CudaPipeline

    try:
        index = _core.cuda.device_index()
    except _core.DeviceRuntimeError as error:
        raise DeviceError(f"the GPU does not answer: {error}") from error
    gpu = _engines_of(index)
    engines, of_crops = gpu.load(model, view), gpu.prepare(model)
    # Whoever opens one picture after the other has no session in between; loading engines again takes longer than one.
    _recent.append((engines, of_crops))
    return CudaPipeline(model, view, image, native=_core.cuda, engines=engines, of_crops=of_crops)


_recent: deque[Any] = deque(maxlen=2)
_per_gpu: dict[int, TensorRT] = {}
_finding = threading.Lock()


def _engines_of(index: int) -> TensorRT:
    """TensorRT for the GPU that is current in this thread; one each, so that its sessions share engines."""
    from pyiseg.tensorrt.gpu import gpu_here
    from pyiseg.tensorrt.provider import TensorRT

    with _finding:
        if index not in _per_gpu:
            gpu = gpu_here()
            if gpu is None:
                raise DeviceError("the GPU has gone; nvidia-smi tells more. Or pass device='cpu'")
            _per_gpu[index] = TensorRT(gpu)
        return _per_gpu[index]


def _has_gpu() -> bool:
    _core = _native()
    try:
        return bool(_core.cuda_built and _core.cuda.device_count() > 0)
    except _core.DeviceRuntimeError:
        return True


_warned = False


def _warn_once(message: str) -> None:
    """Warn of the GPU that is not used, the first time in this process: the reason may read differently each time."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=4)
