"""Memory that calls work in: lent for one call, and reused by the next one, whichever selection that is for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64  # Of a cache line: no two arrays share one.


class Scratch:
    """One call's memory, handed out array by array. Arrays are only good until the call ends."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)
        self._used = 0

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """Return an array of a shape and dtype, with anything in it."""
        start, size = self._used, math.prod(shape) * np.dtype(dtype).itemsize
        self._used += math.ceil(size / _ALIGNMENT) * _ALIGNMENT
        if self._used > self._memory.nbytes:
            # Only until the next call, which finds room for all of it.
            return np.empty(shape, dtype)
        return self._memory[start : start + size].view(dtype).reshape(shape)

    def reuse(self) -> None:
        """Take all arrays back."""
        if self._used > self._memory.nbytes:
            self._memory = np.empty(self._used, dtype=np.uint8)
        self._used = 0


class ScratchPool:
    """Lends scratch memory: as many pieces as there ever were calls at the same time."""

    def __init__(self) -> None:
        self._free: list[Scratch] = []

    @contextmanager
    def lend(self) -> Iterator[Scratch]:
        """Lend scratch memory for a with statement. Safe to be called from several threads."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        scratch.reuse()
        try:
            yield scratch
        finally:
            self._free.append(scratch)
