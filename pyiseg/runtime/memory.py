"""Arrays on a device, how many bytes they are, and what to say when there are too many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.errors import DeviceError
from pyiseg.runtime.resample import Device


class Memory:
    """Makes arrays on one stream and holds them as long as itself. They are freed in that stream's order.

    Args:
        stream: A native stream.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._held: list[Any] = []

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Any:
        """An array of a shape and dtype, with anything in it."""
        array = self.stream.empty(shape, np.dtype(dtype))
        self._held.append(array)
        return array

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Any:
        """An array of zeros."""
        array = self.empty(shape, dtype)
        self.stream.fill_zero(array)
        return array

    def uploaded(self, values: npt.NDArray[Any]) -> Any:
        """A copy of a numpy array."""
        array = self.empty(values.shape, values.dtype)
        self.stream.upload(np.ascontiguousarray(values), array)
        return array

    def downloaded(self, array: Any) -> npt.NDArray[Any]:
        """A numpy array with what an array holds when the stream has come so far."""
        values = np.empty(array.shape, array.dtype)
        self.stream.download(array, values)
        return values

    @property
    def device(self) -> Device:
        """Where resizing runs, with its arrays made and held here."""
        return Device(self.stream, self.empty, self.uploaded, self.downloaded)

    @property
    def nbytes(self) -> int:
        """Of all arrays together."""
        return sum(array.nbytes for array in self._held)


@contextmanager
def failures(native: Any, doing: str) -> Iterator[None]:
    """Say of a device's failure what it was in the middle of, and what to do."""
    try:
        yield
    except _core.DeviceMemoryError as error:
        left = ""
        with suppress(AttributeError, _core.DeviceRuntimeError):  # a broken GPU gives no figures
            free, total = native.memory()
            left = f"; {free / 1e6:.0f} of {total / 1e6:.0f} MB are free"
        raise DeviceError(
            f"out of device memory while {doing}{left}: drop sessions that are no longer used, take a smaller image, "
            f"or pass device='cpu' ({error})"
        ) from error
    except _core.DeviceRuntimeError as error:
        raise DeviceError(f"the device failed while {doing}: {error}") from error


@contextmanager
def on_device(native: Any, stream: Any, doing: str) -> Iterator[None]:
    """Make a stream's device current, whatever thread this is, and say of failures what they were in the middle of."""
    with failures(native, doing), stream.current():
        try:
            yield
        except BaseException:
            # What is under way uses memory that may be let go now.
            with suppress(_core.DeviceRuntimeError):
                stream.synchronize()
            raise
