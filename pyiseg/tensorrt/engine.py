"""Engines and their execution contexts behind `pyiseg.runtime.engine`. The TensorRT package comes as an argument."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyiseg.errors import DeviceError
from pyiseg.files import atomic_write

log = logging.getLogger("pyiseg")


class TensorRTEngine:
    """A deserialized engine; see `pyiseg.runtime.engine.Engine`. Its weights lie in device memory until it is dropped.

    Args:
        trt: The package.
        log: Its logger, `pyiseg.tensorrt.callbacks.make_log`.
        engine: An ``ICudaEngine``.
        runtime: What deserialized it.
        title: What it is, for errors.

    Attributes:
        kernels: Where TensorRT-RTX's compiled kernels are kept from one process to the next; None for nowhere.
    """

    def __init__(self, trt: Any, log: Any, engine: Any, runtime: Any, title: str) -> None:
        # Attributes die in the order they were set: what was made of another before that one.
        self._kernels: Any = None
        self._engine = engine
        self._runtime = runtime
        self.trt, self.log, self.title = trt, log, title
        self.kernels: Path | None = None
        self._saved = 0  # bytes of kernels that the file holds
        self._lock = threading.Lock()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = {name: self._dtype(name) for name in inputs}
        self.outputs = {name: self._dtype(name) for name in names if name not in inputs}

    def open(self, shapes: Mapping[str, tuple[int, ...]]) -> TensorRTExecution:
        """Make an execution context; see `pyiseg.runtime.engine.Engine.open`."""
        if set(shapes) != set(self.inputs):
            raise ValueError(f"{self.title} takes {sorted(self.inputs)}, not {sorted(shapes)}")
        try:
            # Contexts of one engine may be used by several threads, but nothing says that they may be made by several.
            with self._lock:
                execution = TensorRTExecution(self, self._context(), shapes)
                self._save_kernels()
                return execution
        except DeviceError as error:
            raise type(error)(f"{error}; pass device='cpu' to do without a GPU") from error

    def layers(self) -> str:
        """What the engine inspector says of its layers, one line each; details if it was built with them."""
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(self.trt.LayerInformationFormat.ONELINE))

    def _context(self) -> Any:
        doing = f"cannot make an execution context of {self.title}"
        with self.log.capture() as logs:
            try:
                context = self._new_context()
            except Exception as error:
                raise logs.error(doing, error) from error
            if context is None:
                raise logs.error(doing)
            return context

    def _new_context(self) -> Any:
        user_managed = self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(self._engine, "create_runtime_config"):
            return self._engine.create_execution_context(user_managed)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(user_managed)
        # TensorRT-RTX compiles kernels when they are needed. Those for a session's shapes must be there before its
        # clicks are captured, rather than be swapped in by a thread in the background; all sessions share them.
        strategies = getattr(self.trt, "DynamicShapesKernelSpecializationStrategy", None)
        if strategies is not None and hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
            config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        if hasattr(config, "create_runtime_cache"):
            if self._kernels is None:
                self._kernels = config.create_runtime_cache()
                self._load_kernels()
            config.set_runtime_cache(self._kernels)
        return self._engine.create_execution_context(config)

    def _load_kernels(self) -> None:
        """Take what another process compiled. TensorRT-RTX checks itself whether it fits, down to GPU and driver."""
        with contextlib.suppress(OSError, RuntimeError, TypeError):
            if self.kernels is not None:
                content = self.kernels.read_bytes()
                self._saved = len(content) if self._kernels.deserialize(content) else 0

    def _save_kernels(self) -> None:
        """Keep what was compiled since; some of it is only when an execution first runs, so by the next `open`."""
        if self._kernels is None or self.kernels is None:
            return
        try:
            content = bytes(self._kernels.serialize())
            if len(content) > self._saved:
                with atomic_write(self.kernels) as file:
                    file.write(content)
                self._saved = len(content)
        except (OSError, RuntimeError, TypeError) as error:
            log.debug("the kernels of %s are not kept: %s", self.title, error)

    def _dtype(self, name: str) -> np.dtype[Any]:
        kind = self._engine.get_tensor_dtype(name)
        known = {self.trt.float32: np.float32, self.trt.float16: np.float16}
        if kind not in known:
            raise DeviceError(f"{self.title}: '{name}' is {kind}; networks must take and give float32 or float16")
        return np.dtype(known[kind])


class TensorRTExecution:
    """An execution context; see `pyiseg.runtime.engine.ExecutionContext`. It keeps its engine."""

    def __init__(self, engine: TensorRTEngine, context: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        # Attributes die in the order they were set: the context before the engine and the kernels that it uses.
        self._context = context
        self._engine = engine
        with engine.log.capture() as logs:
            for name, shape in shapes.items():
                if not context.set_input_shape(name, tuple(shape)):
                    raise logs.error(f"{engine.title} was not built for '{name}' of shape {tuple(shape)}")
            self.outputs = {name: tuple(context.get_tensor_shape(name)) for name in engine.outputs}
            unknown = [f"'{name}' {shape}" for name, shape in self.outputs.items() if min(shape, default=0) < 0]
            if unknown:
                raise logs.error(f"{engine.title}: shapes of outputs are not known: {', '.join(unknown)}")
            # For these very shapes; what the engine states is for the largest it takes.
            self.scratch_bytes = int(context.update_device_memory_size_for_shapes())
            if logs.failed:
                raise logs.error(f"{engine.title} cannot be used for these shapes")

    def bind(self, name: str, address: int) -> None:
        """Say where a tensor lies; see `pyiseg.runtime.engine.ExecutionContext.bind`."""
        with self._engine.log.capture() as logs:
            if not self._context.set_tensor_address(name, address):
                raise logs.error(f"{self._engine.title} does not take {address:#x} as the address of '{name}'")

    def set_device_memory(self, address: int) -> None:
        """Give it its scratch memory; see `pyiseg.runtime.engine.ExecutionContext.set_device_memory`."""
        self._context.set_device_memory(address, self.scratch_bytes)

    def enqueue(self, stream: Any) -> None:
        """Enqueue the network; see `pyiseg.runtime.engine.ExecutionContext.enqueue`."""
        with self._engine.log.capture() as logs:
            try:
                enqueued = self._context.execute_async_v3(stream.handle)
            except Exception as error:
                raise logs.error(f"{self._engine.title} failed", error) from error
            if not enqueued:
                raise logs.error(f"{self._engine.title} failed")
