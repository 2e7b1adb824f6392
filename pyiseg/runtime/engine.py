"""The narrow face between a pipeline and whatever runs its networks on a device. Protocols only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from pyiseg.geometry import View
from pyiseg.model import Model

GUIDE_STRIP = 1 << 17
"""Pixels given to the guide's engine at a time: the last strip is filled up, so that one shape serves any image."""


class ExecutionContext(Protocol):
    """An engine at work for one session, on inputs of fixed shapes. Not for two threads at once."""

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the outputs by name."""
        ...

    @property
    def scratch_bytes(self) -> int:
        """Device memory that it works in; whoever opened it gives it that much by `set_device_memory`. May be 0."""
        ...

    def bind(self, name: str, address: int) -> None:
        """Say where an input or output lies in device memory. All must be bound before `enqueue`."""
        ...

    def set_device_memory(self, address: int) -> None:
        """Give it `scratch_bytes` of device memory, which it holds until it is dropped."""
        ...

    def enqueue(self, stream: Any) -> None:
        """Enqueue the network on a stream and return at once; also while the stream is being captured.

        Args:
            stream: A native stream; ``stream.handle`` is its address, a ``cudaStream_t``.

        Raises:
            DeviceError: It was refused.
        """
        ...


class Engine(Protocol):
    """One network built for one device; shared between sessions."""

    @property
    def inputs(self) -> Mapping[str, np.dtype[Any]]:
        """Dtypes of the inputs by name, float32 or float16."""
        ...

    @property
    def outputs(self) -> Mapping[str, np.dtype[Any]]:
        """Dtypes of the outputs by name, likewise."""
        ...

    def open(self, shapes: Mapping[str, tuple[int, ...]]) -> ExecutionContext:
        """Make what one session needs of its own.

        Args:
            shapes: Of all inputs, by name.

        Raises:
            DeviceError: No memory, or shapes it was not built for.
        """
        ...


class EngineProvider(Protocol):
    """Where engines come from."""

    def load(self, model: Model, view: View) -> Mapping[str, Engine]:
        """Return the engines of a model: "click", "image" unless fused early, "guide" if it is learned.

        Raises:
            DeviceError: They cannot be built or loaded.
        """
        ...
