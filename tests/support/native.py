"""Ops by name on any device: numpy arrays in, a fresh numpy array out, with a look at what lies beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pyiseg import _core
from pyiseg.runtime.resample import Device
from support.devices import native

Array = NDArray[Any]
MEAN_SCRATCH = _core.mean_scratch


class Native:
    """`_core` on numpy arrays ("cpu"), or a stream of its submodule cuda; see devices.py.

    A result starts as NaN or 77 between two guards of its own size, so that a pixel left out or a write outside shows.
    """

    def __init__(self, name: str) -> None:
        self.ops: Any = _core if name == "cpu" else native(name).Stream()
        self._streams = name != "cpu"
        self.device = Device(self.ops, self.empty, self.there, self.here)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        return self.ops.empty(shape, dtype) if self._streams else np.empty(shape, dtype)

    def there(self, array: Array) -> Any:
        if not self._streams:
            return array
        copy = self.ops.empty(array.shape, array.dtype)
        self.ops.upload(np.ascontiguousarray(array), copy)
        return copy

    def here(self, array: Any) -> Array:
        if not self._streams:
            return array
        copy = np.empty(array.shape, array.dtype)
        self.ops.download(array, copy)
        return copy

    def between_guards(self, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[Any, Any]:
        """Memory of three times the room, and its middle in the shape."""
        filler = np.nan if np.dtype(dtype).kind == "f" else 77
        memory = self.there(np.full((3, int(np.prod(shape))), filler, dtype))
        return memory, memory[1].reshape(shape)

    def result(self, memory: Any, shape: tuple[int, ...]) -> Array:
        before, inside, after = self.here(memory)
        untouched = np.isnan if inside.dtype.kind == "f" else (lambda x: x == 77)
        assert untouched(before).all()
        assert untouched(after).all()
        return inside.reshape(shape)

    def run(self, op: str, *arguments: Any, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Call an op whose last argument is what it writes."""
        memory, out = self.between_guards(shape, dtype)
        getattr(self.ops, op)(*(self.there(a) if isinstance(a, np.ndarray) else a for a in arguments), out)
        return self.result(memory, shape)
