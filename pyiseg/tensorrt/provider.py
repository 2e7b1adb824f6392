"""TensorRT: which of its packages is used, and where sessions get their engines.

Only this module imports any of the packages, when it is asked for one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Mapping
from weakref import WeakValueDictionary

from pyiseg.errors import DeviceError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.tensorrt.cache import EngineCache, Fetched
from pyiseg.tensorrt.callbacks import NoMemoryError
from pyiseg.tensorrt.engine import TensorRTEngine
from pyiseg.tensorrt.file import EngineKey, runtime_cache_of
from pyiseg.tensorrt.gpu import GpuInfo
from pyiseg.tensorrt.package import PACKAGES, VARIABLE, TensorRTPackage
from pyiseg.tensorrt.specs import EngineSpec, engine_specs

__all__ = ["PACKAGES", "VARIABLE", "GpuInfo", "TensorRT", "find_package", "why_not"]

OLDEST = (10, 3)  # of tensorrt

_opening = threading.Lock()


def find_package(name: str | None = None) -> TensorRTPackage:
    """The TensorRT package to use, imported.

    Args:
        name: "tensorrt" or "tensorrt_rtx". None takes what the environment variable PYISEG_TRT names or, without it,
            the one that is installed.

    Raises:
        ValueError: PYISEG_TRT names no such package.
        DeviceError: It is not installed, or cannot be used.
    """
    asked = "" if name else f", which {VARIABLE} asks for,"
    name = name or os.environ.get(VARIABLE) or None
    if name is not None and name not in PACKAGES:
        raise ValueError(f"{VARIABLE} is {name!r}; the known values are {', '.join(map(repr, PACKAGES))}")
    reasons, lines = [], []
    for package in PACKAGES if name is None else (name,):
        try:
            # Two threads must not open it twice: TensorRT has one logger a process.
            with _opening:
                return open_package(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                reasons.append(f"{package} cannot be imported: {error}")
        except ImportError as error:
            # It is there, and something that it needs is not, such as a library of CUDA.
            reasons.append(f"{package} cannot be imported: {error}")
        lines.append(PACKAGES[package])
    missing = "TensorRT is not installed" if name is None else f"{name}{asked} is not installed"
    raise DeviceError(f"{'; '.join(reasons) or missing}: {' or '.join(lines)}")


def why_not() -> str:
    """Why engines cannot be built or run with what is installed, with the way out; empty if they can.

    Raises:
        ValueError: PYISEG_TRT names no such package.
    """
    try:
        find_package()
    except DeviceError as error:
        return str(error)
    return ""


@functools.cache
def open_package(package: str) -> TensorRTPackage:
    """A package, opened once: its logger must outlive all that it makes."""
    trt = importlib.import_module(package)
    if not hasattr(trt, "Builder"):
        if getattr(trt, "__file__", None) is None:
            # Any folder of that name can be imported so (PEP 420), but only where no package is installed.
            raise ModuleNotFoundError(f"{list(trt.__path__)} is no package", name=package)
        raise ImportError(f"{trt.__file__} is not TensorRT")
    version = str(trt.__version__)
    if package == "tensorrt" and tuple(map(int, version.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise DeviceError(f"TensorRT {version} is too old: pip install --upgrade 'tensorrt>={oldest}'")
    return TensorRTPackage(package, version, trt)


class TensorRT:
    """Engines for one GPU; see `pyiseg.runtime.engine.EngineProvider`. One serves all threads of a process.

    An engine comes from another session, from the cache, or is built. It is loaded once, shared by all sessions that
    need it, and freed with the last of them.

    Args:
        gpu: What engines are built for. It must be the current device of all threads.
        cache: Where they are kept; None takes the usual place.
        trt: The TensorRT package; None takes the one that `find_package` finds.

    Raises:
        DeviceError: TensorRT is not installed.
    """

    def __init__(self, gpu: GpuInfo, cache: EngineCache | None = None, trt: TensorRTPackage | None = None) -> None:
        self.gpu = gpu
        self.cache = cache or EngineCache()
        self.trt = trt or find_package()
        self._open: WeakValueDictionary[EngineKey, TensorRTEngine] = WeakValueDictionary()
        self._failed: dict[EngineKey, str] = {}
        self._building = threading.Lock()

    def load(self, model: Model, view: View) -> Mapping[str, TensorRTEngine]:
        """Return the engines for a view; see `pyiseg.runtime.engine.EngineProvider.load`."""
        return self._all(model, view.working)

    def prepare(self, model: Model, *, windows: bool = False) -> Mapping[str, TensorRTEngine]:
        """Return the engines for crops, which may have any size; none if there will be no crops.

        Otherwise a click would build them, which takes minutes. Whoever keeps them makes it find them open.

        Args:
            model: It has crops if it zooms in.
            windows: Whether the image is predicted on in windows, which are crops too.

        Raises:
            DeviceError, ModelError: As for `load`.
        """
        return self._all(model, None) if model.zoom or windows else {}

    def _all(self, model: Model, working: tuple[int, int] | None) -> Mapping[str, TensorRTEngine]:
        try:
            return {spec.network: self.fetch(model, spec).engine for spec in engine_specs(model, working)}
        except DeviceError as error:
            raise type(error)(f"{error}; pass device='cpu' to do without a GPU") from error

    def fetch(self, model: Model, spec: EngineSpec) -> Fetched[TensorRTEngine]:
        """Return one engine and whether it was open, cached or built.

        Raises:
            DeviceError: It cannot be built or loaded. Where it could not be built, but for want of memory, that is
                not tried again.
            ModelError: The model's folder has changed, or its networks do not belong together.
        """
        key = self.engine_key(model, spec, self.gpu)
        # Who finds it open does not wait for others to be built.
        engine = self._open.get(key)
        if engine is None and key not in self._failed:
            with self._building:
                engine = self._open.get(key)
                if engine is None and key not in self._failed:
                    fetched = self._fetch(model, spec, key)
                    self._open[key] = fetched.engine
                    return fetched
        if engine is None:
            raise DeviceError(self._failed[key])
        return Fetched(engine, None, None)

    def _fetch(self, model: Model, spec: EngineSpec, key: EngineKey) -> Fetched[TensorRTEngine]:
        keys = [key]
        if self.trt.portable:
            keys.append(self.engine_key(model, spec, self.gpu.compute_capability))

        tried = False

        def build() -> bytes:
            nonlocal tried
            tried = True
            return self.trt.build(model, spec, self.gpu.compute_capability).content

        try:
            fetched = self.cache.fetch(keys, build, lambda content: self.trt.load(content, key.stem), model.folder)
        except DeviceError as error:
            if tried and not isinstance(error, NoMemoryError):
                self._failed[key] = str(error)
            raise
        if self.trt.portable and fetched.path is not None:
            kernels = runtime_cache_of(fetched.path)
            with contextlib.suppress(OSError):
                self.cache.drop_distrusted(kernels)  # they are code too
                fetched.engine.kernels = kernels
        return fetched

    def engine_key(self, model: Model, spec: EngineSpec, target: GpuInfo | tuple[int, int]) -> EngineKey:
        """Return the name that an engine is kept under: for this GPU, or for a compute capability."""
        return EngineKey.of(model, spec, self.trt.name, self.trt.version, target)
