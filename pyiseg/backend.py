"""Devices by name: what a name stands for, why a device cannot be used, and encoding an image on it."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.errors import DeviceError, ModelError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.device_image import DeviceImage
from pyiseg.settings import check_num_threads
from pyiseg.windows import is_long

if TYPE_CHECKING:
    from pyiseg.runtime import pipeline
    from pyiseg.tensorrt.provider import TensorRT

EncodedImage: TypeAlias = "pipeline.EncodedImage"
Source: TypeAlias = "npt.NDArray[np.uint8] | DeviceImage"
Factory: TypeAlias = "Callable[[Model, View, Source], EncodedImage]"


class Backend(NamedTuple):
    """What a device's name stands for; see `register`."""

    factory: Factory
    why_not: Callable[[], str]


def register(name: str, factory: Factory, why_not: Callable[[], str] = str) -> Backend | None:
    """Let a name stand for a device, from now on and in this process.

    Args:
        name: What `pyiseg.Session` and `pyiseg.Image` are to take as ``device``. "cpu" and "cuda" may be replaced;
            "auto" stands for "cuda" where that can be used, else for "cpu".
        factory: Called as ``factory(model, view, image)`` to encode an image; see `encode`. What it raises reaches the
            user, so it should be `pyiseg.DeviceError` or `pyiseg.ModelError`.
        why_not: Returns why the device cannot be used here, with the way out; an empty text if it can.

    Returns:
        What the name stood for before, to be registered again; None if nothing.

    Raises:
        ValueError: The name is "auto", or no name.
    """
    if name == "auto" or not (isinstance(name, str) and name):
        raise ValueError(f"device {name!r} cannot be registered; choose another name")
    before = _BACKENDS.get(name)
    _BACKENDS[name] = Backend(factory, why_not)
    return before


def unregister(name: str) -> None:
    """Let a name that `register` made known stand for nothing again; "cpu" and "cuda" for what they are.

    Raises:
        ValueError: The name is not known.
    """
    if name not in _BACKENDS:
        raise ValueError(f"device {name!r} is not known; the known devices are {', '.join(map(repr, _BACKENDS))}")
    if name in _BUILT_IN:
        _BACKENDS[name] = _BUILT_IN[name]
    else:
        del _BACKENDS[name]


def available_devices() -> tuple[str, ...]:
    """Names that `pyiseg.Session` takes as ``device`` on this machine, besides ``"auto"``; registered ones last.

    A GPU counts when this build of pyiseg has the CUDA ops, the driver answers and TensorRT is installed; whether its
    engines can be built shows when the first image is encoded.
    """
    return tuple(name for name, device in _BACKENDS.items() if not device.why_not())


def resolve(device: str) -> str:
    """Return the device that a name stands for.

    Args:
        device: A name that is registered, such as ``"cpu"`` and ``"cuda"``, or ``"auto"``, which stands for the fastest
            one that is available.

    Returns:
        A registered name.

    Raises:
        ValueError: Not a known name.
        DeviceError: A known device that cannot be used here.
    """
    if device != "auto":
        if not isinstance(device, str) or device not in _BACKENDS:
            raise ValueError(
                f"device is {device!r}; the known devices are {', '.join(map(repr, (*_BACKENDS, 'auto')))}"
            )
        reason = _BACKENDS[device].why_not()
        if reason:
            way_out = "" if device == "cpu" else "; or pass device='cpu'"
            raise DeviceError(f"device {device!r} cannot be used: {reason}{way_out}")
        return device
    reason = _BACKENDS["cuda"].why_not()
    if not reason:
        return "cuda"
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
    if hasattr(_core, "standin"):
        return "its CUDA ops were built for tests, to run on host threads; build pyiseg without PYISEG_CUDA=STANDIN"
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
        found = tensorrt.find_package()
        package = f"{found.name} {found.version}"
    except (PyisegError, ValueError) as error:
        package = str(error)
    here = "none that can be used" if gpu is None else f"{gpu.name}, CUDA {gpu.driver} driver"
    state = [("CUDA ops", ops), ("GPU", here), ("TensorRT", package)]
    reason = why_not_cuda()
    return [*state, ("no cuda", reason)] if reason else state


def encode(device: str, model: Model, view: View, image: Source, *, fall_back: bool) -> tuple[str, EncodedImage]:
    """Encode an image on a device. Imports the device's runtime.

    Args:
        device: A name that `resolve` returned.
        model: The networks.
        view: How the model sees the image.
        image: RGB, uint8, shape (H, W, 3). It may be kept, so it must not change.
        fall_back: Whether a GPU that fails gives way to the CPU, with one warning.

    Returns:
        The device that it has come to, and the encoded image.

    Raises:
        ValueError: The image lies on a GPU, and the device is the CPU.
        DeviceError: The device failed.
    """
    if device != "cpu":
        try:
            return device, _BACKENDS[device].factory(model, view, image)
        except (DeviceError, ModelError) as error:
            # A model's files may have changed since they were read; the CPU runs what was read.
            if not fall_back or isinstance(image, DeviceImage):
                raise
            _warn_once(f"pyiseg runs on the CPU although there is a GPU: {error}")
    if isinstance(image, DeviceImage):
        reason = _BACKENDS["cuda"].why_not()
        way_out = f"'cuda' cannot be used: {reason}. Pass" if reason else "pass device='cuda', or"
        raise ValueError(
            f"image lies on a GPU but the session is to run on the CPU; {way_out} a numpy array: cupy.asnumpy(image), "
            "image.cpu().numpy() in torch"
        )
    return "cpu", _BACKENDS["cpu"].factory(model, view, image)


def _on_cpu(model: Model, view: View, image: Source) -> EncodedImage:
    _native()
    try:
        from pyiseg.runtime.cpu import CpuImage
    except ImportError as error:
        way_out = ": pip install onnxruntime" if error.name == "onnxruntime" else ""
        raise DeviceError(f"device 'cpu' cannot be used: {error}{way_out}") from error
    assert isinstance(image, np.ndarray)
    return CpuImage(model, view, image)


def _native() -> Any:
    """The extension.

    Raises:
        SettingError: PYISEG_NUM_THREADS has a value that the extension refuses.
        DeviceError: It cannot be imported.
    """
    try:
        from pyiseg import _core
    except ImportError as error:
        check_num_threads()
        # The usual reason: Python started in a checkout takes the package there, not the installed one.
        raise DeviceError(
            f"the extension of pyiseg is not built in '{Path(__file__).parent}' ({error}): leave that folder, or "
            "run pip install -e . in the one above it"
        ) from error
    return _core


def _on_cuda(model: Model, view: View, image: Source) -> EncodedImage:
    from pyiseg import _core
    from pyiseg.runtime.cuda import CudaImage

    try:
        index = _core.cuda.device_index()
    except _core.DeviceRuntimeError as error:
        raise DeviceError(f"the GPU does not answer: {error}") from error
    gpu = _engines_of(index)
    engines, of_crops = gpu.load(model, view), gpu.prepare(model, windows=is_long(view.image))
    # Whoever opens one image after the other has no session in between; loading engines again takes longer than one.
    _recent.append((engines, of_crops))
    return CudaImage(model, view, image, native=_core.cuda, engines=engines, of_crops=of_crops)


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
        return bool(_core.cuda_built and not hasattr(_core, "standin") and _core.cuda.device_count() > 0)
    except _core.DeviceRuntimeError:
        return True


warned = False
"""Whether this process has said that it does not use the GPU."""


def _warn_once(message: str) -> None:
    """Warn of the GPU that is not used, the first time in this process: the reason may read differently each time."""
    global warned
    if not warned:
        warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=4)


_BUILT_IN = {"cpu": Backend(_on_cpu, str), "cuda": Backend(_on_cuda, why_not_cuda)}
_BACKENDS: dict[str, Backend] = dict(_BUILT_IN)
