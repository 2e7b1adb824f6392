"""Engines for the stand-in of a GPU: ONNX Runtime behind the face of pyiseg.runtime.engine, in stream order."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from pyiseg import DeviceError, Model
from pyiseg.geometry import View
from pyiseg.runtime.engine import Engine
from support.devices import standin

DTYPES = {"tensor(float)": np.dtype(np.float32), "tensor(float16)": np.dtype(np.float16)}
SCRATCH = 64


class FakeExecution:
    """Runs when the stream does, with the addresses that were bound when it was enqueued, as a GPU does."""

    def __init__(self, engine: FakeEngine, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.engine, self.shapes = engine, dict(shapes)
        zeros = {name: np.zeros(shape, engine.inputs[name]) for name, shape in shapes.items()}
        results = engine.network.run(list(engine.outputs), zeros)
        self.outputs = {name: result.shape for name, result in zip(engine.outputs, results, strict=True)}
        self.scratch_bytes, self.addresses, self.scratch = SCRATCH, dict[str, int](), 0
        self.enqueued = 0

    def bind(self, name: str, address: int) -> None:
        assert name in self.shapes or name in self.outputs, name
        self.addresses[name] = address

    def set_device_memory(self, address: int) -> None:
        self.scratch = address

    def enqueue(self, stream: Any) -> None:
        assert self.scratch, "no scratch memory was given"
        self.enqueued += 1
        self.engine.on_enqueue(stream)
        views = {
            name: over(self.addresses[name], shape, dtype)
            for name, shape, dtype in (
                *((n, s, self.engine.inputs[n]) for n, s in self.shapes.items()),
                *((n, s, self.engine.outputs[n]) for n, s in self.outputs.items()),
            )
        }
        network, inputs, outputs = self.engine.network, list(self.shapes), list(self.outputs)

        def run() -> None:
            for name, result in zip(outputs, network.run(outputs, {n: views[n] for n in inputs}), strict=True):
                views[name][...] = result

        standin().call(stream.handle, run)


class FakeEngine:
    """One network, from a file (with weights beside it) or from bytes.

    on_enqueue is called with the stream whenever a network is enqueued; it may raise, or do what cannot be captured.
    """

    def __init__(self, network: Path | bytes, on_enqueue: Callable[[Any], None] = lambda stream: None) -> None:
        self.network = ort.InferenceSession(str(network) if isinstance(network, Path) else network)
        self.inputs = {x.name: DTYPES[x.type] for x in self.network.get_inputs()}
        self.outputs = {x.name: DTYPES[x.type] for x in self.network.get_outputs()}
        self.on_enqueue = on_enqueue

    def open(self, shapes: Mapping[str, tuple[int, ...]]) -> FakeExecution:
        if set(shapes) != set(self.inputs):
            raise DeviceError(f"shapes are for {sorted(shapes)}, the inputs are {sorted(self.inputs)}")
        return FakeExecution(self, shapes)


class FakeEngines:
    """Engines of a model folder; see pyiseg.runtime.engine.EngineProvider."""

    def __init__(self, *, half: bool = False, on_enqueue: Callable[[Any], None] = lambda stream: None) -> None:
        self.half, self.on_enqueue = half, on_enqueue

    def load(self, model: Model, view: View) -> dict[str, Engine]:
        engines: dict[str, Engine] = {}
        for name in model.files:
            part = name.removesuffix(".onnx")
            if part in ("image", "click", "guide"):
                file = f"{part}.fp16.onnx" if self.half and part != "guide" else name
                engines[part] = FakeEngine(model.folder / file, self.on_enqueue)
        return engines


def over(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """A numpy array over memory."""
    count = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer((ctypes.c_ubyte * count).from_address(address), dtype).reshape(shape)
