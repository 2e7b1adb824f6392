"""A session's arrays on a device, and how many bytes they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.resampling import Device


class Memory:
    """Makes the arrays of one session and holds them as long as itself. They are freed on the session's stream.

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

    @property
    def device(self) -> Device:
        """Where resizing runs, with its arrays made and held here."""
        return Device(self.stream, self.empty, self.uploaded)

    @property
    def nbytes(self) -> int:
        """Of all arrays together."""
        return sum(array.nbytes for array in self._held)
