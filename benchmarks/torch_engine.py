"""PyTorch behind the face of `pyiseg.runtime.engine`, so that where TensorRT is missing all else runs and is measured.

A network is called as it stands, on tensors that lie over the addresses that were bound, and is captured like anything
else on the stream. Three things make that safe:

* Memory. What PyTorch allocates while a stream is captured, a graph uses at each of its launches, long after PyTorch
  believes it free. Each execution therefore allocates from a `torch.cuda.MemPool` of its own, which nothing else is
  given memory from as long as the execution is there: its tensors are reused by the same stream only, in its order.
  The run before capturing (`CudaPipeline` makes one) fills the pool, so that capturing asks the driver for nothing.
* cuBLAS keeps a workspace for each stream for ever, by the stream's address. They are dropped whenever an execution is
  made, so that each one's workspace lies in its own pool and never in that of a session that is gone.
* Constants that a network makes from Python numbers are copied from the host, which a capture refuses. They are made
  once and kept (`_Constants`).

Pools of executions that are gone are emptied when the next one is made, or by `release`: emptying calls `cudaFree`,
which must not happen while this thread captures, and Python may drop an execution at any time.

On the CPU the same runs on the stand-in for a GPU (tests/standin), which is how it is tested without one.
"""

from __future__ import annotations

import ctypes
import threading
import warnings
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from export.conversion.modules import ClickModule, GuideModule, ImageModule, folded
from export.conversion.precision import halved, rounded
from export.models.network import Network
from pyiseg import DeviceError, Model, _core
from pyiseg.geometry import View
from pyiseg.runtime.engine import Engine

_TYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float16): torch.float16}

# PyTorch's allocator empties its cache only while no thread allocates from a pool of its own.
_allocator = threading.Lock()
_finished: list[Any] = []  # pools of executions that are gone


class TorchEngines:
    """Engines of one network; see `pyiseg.runtime.engine.EngineProvider`. The caller knows of which model folder.

    Convolutions and products of FP32 are computed in FP32, not TF32, and always by the same algorithm: this sets
    PyTorch's switches for the whole process.

    Args:
        network: As trained, or `torch_networks.as_shipped`; it is left as it is.
        half: Whether image and click network compute in FP16, as the FP16 variant of a model folder does.
        device: "cuda", or "cpu" for the stand-in.
    """

    def __init__(self, network: Network, *, half: bool = True, device: str = "cuda") -> None:
        whole = rounded(folded(network))
        source = halved(whole) if half else whole
        config, low = network.config, np.dtype(np.float16 if half else np.float32)

        def dtypes(*names: str) -> dict[str, np.dtype[Any]]:
            # Images and answers are FP32 always.
            return {name: np.dtype(np.float32) if name in ("image", "alpha", "guide") else low for name in names}

        self._engines: dict[str, Engine] = {}
        features = ["image"]
        if not config.early_clicks:
            with torch.no_grad():
                features = list(whole.image(torch.zeros(1, 3, 64, 64)))
            module: nn.Module = ImageModule(source, features, _TYPES[low])
            self._engines["image"] = TorchEngine(module, dtypes("image"), dtypes(*features), device)
        inputs = ["click_maps", *(["previous_alpha"] if config.feedback else []), *features]
        module = ClickModule(source, inputs, _TYPES[low])
        self._engines["click"] = TorchEngine(module, dtypes(*inputs), dtypes("alpha"), device)
        if config.filter_guide == "learned":
            planes = {name: np.dtype(np.float32) for name in ("image", "click_maps")[: 1 + config.guide_clicks]}
            module = GuideModule(source)
            self._engines["guide"] = TorchEngine(module, planes, dtypes("guide"), device, channels_last=False)

    def load(self, model: Model, view: View) -> Mapping[str, Engine]:
        """Return the engines; see `pyiseg.runtime.engine.EngineProvider.load`."""
        return dict(self._engines)


def release() -> None:
    """Give back to the driver what executions that are gone have left, and what PyTorch has cached."""
    with _allocator:
        _release()


class TorchEngine:
    """One network on one device; see `pyiseg.runtime.engine.Engine`.

    Args:
        module: Takes the inputs by position; returns a tensor, or a tuple of them. It is moved to the device.
        inputs, outputs: dtypes by name, in the order of the module's.
        device: "cuda" or "cpu".
        channels_last: Whether it computes on a GPU with channels side by side, as tensor cores read them.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Mapping[str, np.dtype[Any]],
        outputs: Mapping[str, np.dtype[Any]],
        device: str = "cuda",
        *,
        channels_last: bool = True,
    ) -> None:
        self.inputs, self.outputs, self.device = dict(inputs), dict(outputs), torch.device(device)
        channels_last = channels_last and self.device.type == "cuda"
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._module = module.eval().to(self.device, memory_format=self._layout)
        self._constants = _Constants()
        self._known: dict[tuple[tuple[int, ...], ...], dict[str, tuple[int, ...]]] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions would rather have another name for it
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True

    def open(self, shapes: Mapping[str, tuple[int, ...]]) -> TorchExecution:
        """Make an execution; see `pyiseg.runtime.engine.Engine.open`."""
        if set(shapes) != set(self.inputs):
            raise DeviceError(f"shapes are for {sorted(shapes)}, the inputs are {sorted(self.inputs)}")
        with _allocator, _Failures():
            if self.device.type == "cuda":
                _release()
            return TorchExecution(self, shapes, self._shapes(shapes))

    def run(self, tensors: Mapping[str, Tensor]) -> None:
        """Run the network on tensors by name, and write to those of the outputs."""
        with torch.inference_mode(), self._constants:
            inputs = (tensors[name].contiguous(memory_format=self._layout) for name in self.inputs)
            results = self._module(*inputs)
            for name, result in zip(self.outputs, (results,) if isinstance(results, Tensor) else results, strict=True):
                tensors[name].copy_(result)

    def _shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs, found by running the network on zeros; it also makes the constants."""
        key = tuple(tuple(shapes[name]) for name in self.inputs)
        if key not in self._known:
            zeros = (
                torch.zeros(shape, dtype=_TYPES[dtype], device=self.device).contiguous(memory_format=self._layout)
                for shape, dtype in zip(key, self.inputs.values(), strict=True)
            )
            with torch.inference_mode(), self._constants:
                results = self._module(*zeros)
            found = (results,) if isinstance(results, Tensor) else results
            self._known[key] = {name: tuple(x.shape) for name, x in zip(self.outputs, found, strict=True)}
        return self._known[key]


class TorchExecution:
    """A network of one session; see `pyiseg.runtime.engine.ExecutionContext`. It needs no scratch: it has a pool.

    Args:
        engine: The network.
        shapes: Of the inputs.
        outputs: Of the outputs.
    """

    def __init__(
        self, engine: TorchEngine, shapes: Mapping[str, tuple[int, ...]], outputs: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.outputs, self.scratch_bytes = dict(outputs), 0
        self._engine = engine
        self._all = {name: (tuple(shapes[name]), dtype) for name, dtype in engine.inputs.items()}
        self._all |= {name: (outputs[name], dtype) for name, dtype in engine.outputs.items()}
        self._bound: dict[str, Tensor] = {}
        self._over: dict[tuple[str, int], Tensor] = {}
        self._pool: Any = None
        if engine.device.type == "cuda":
            self._pool = torch.cuda.MemPool()
            weakref.finalize(self, _finished.append, self._pool).atexit = False

    def bind(self, name: str, address: int) -> None:
        """Say where a tensor lies; see `pyiseg.runtime.engine.ExecutionContext.bind`."""
        # The guide's strips are bound over and over, also while capturing.
        if (name, address) not in self._over:
            shape, dtype = self._all[name]
            self._over[name, address] = tensor_over(address, shape, dtype, self._engine.device)
        self._bound[name] = self._over[name, address]

    def set_device_memory(self, address: int) -> None:
        """Nothing is needed; see `pyiseg.runtime.engine.ExecutionContext.set_device_memory`."""

    def enqueue(self, stream: Any) -> None:
        """Enqueue the network; see `pyiseg.runtime.engine.ExecutionContext.enqueue`."""
        engine = self._engine
        if self._pool is None:
            bound = dict(self._bound)
            _core.standin.call(stream.handle, lambda: engine.run(bound))
            return
        with _allocator, _Failures(), ExitStack() as context:
            context.enter_context(torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)))
            context.enter_context(torch.cuda.use_mem_pool(self._pool))
            engine.run(self._bound)


def tensor_over(address: int, shape: tuple[int, ...], dtype: np.dtype[Any], device: torch.device) -> Tensor:
    """A tensor over memory, C-contiguous; whoever calls keeps the memory.

    Args:
        address: In the device's memory.
        shape, dtype: Of the tensor.
        device: Where it lies.
    """
    if device.type == "cpu":
        count = int(np.prod(shape)) * dtype.itemsize
        return torch.from_numpy(np.frombuffer((ctypes.c_ubyte * count).from_address(address), dtype).reshape(shape))
    tensor = torch.as_tensor(_Memory(address, shape, dtype), device=device)
    if tensor.data_ptr() != address:
        raise DeviceError(f"PyTorch copied the memory at {address:#x} instead of sharing it")
    return tensor


class _Memory:
    """Device memory as other libraries take it, without a copy."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": dtype.str,
            "strides": None,
            "version": 2,
        }


class _Constants(TorchFunctionMode):
    """Makes every tensor that a network makes of Python numbers only once."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[Any, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call func, or return what it returned the first time."""
        if func is not Tensor.new_tensor:
            return func(*args, **(kwargs or {}))
        key = (args[1], args[0].dtype, args[0].device)
        if key not in self._made:
            self._made[key] = func(*args, **(kwargs or {}))
        return self._made[key]


class _Failures:
    """Turns PyTorch's errors into the one that `pyiseg.runtime.engine` speaks of."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, torch.OutOfMemoryError):
            raise DeviceError(
                "out of device memory in PyTorch: drop sessions that are no longer used, take a smaller image, or pass "
                f"device='cpu' ({str(error).splitlines()[0]})"
            ) from error
        if isinstance(error, RuntimeError) and not isinstance(error, DeviceError):
            raise DeviceError(f"PyTorch failed: {error}") from error


def _release() -> None:
    _finished.clear()
    if torch.cuda.is_initialized():
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()
