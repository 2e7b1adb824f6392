"""The ops of each device behind one face: arrays in, a fresh array out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyiseg import _core

Array = NDArray[Any]
GUARD = 64  # elements before and after each result that no op may touch


def no_gpu() -> str:
    """Why the CUDA ops cannot run here; empty if they can."""
    if not _core.cuda_built:
        return "this build has no CUDA ops"
    if hasattr(_core, "standin"):
        return "the CUDA device of this build is host threads"
    if _core.cuda.device_count() == 0:
        return "this machine has no CUDA device"
    return ""


class CpuOps:
    """Results start as NaN or -77 and lie between guards, so that a pixel left out or a write outside shows."""

    def _run(self, shape: tuple[int, ...], dtype: Any, call: Any) -> Array:
        size = int(np.prod(shape))
        filler = np.nan if np.dtype(dtype).kind == "f" else 77
        memory = np.full(size + 2 * GUARD, filler, dtype)
        out = memory[GUARD : GUARD + size].reshape(shape)
        call(out)
        guards = np.concatenate([memory[:GUARD], memory[GUARD + size :]])
        np.testing.assert_array_equal(guards, np.full(2 * GUARD, filler, dtype))
        return out

    def click_maps(self, clicks: Array, sigmas: Sequence[float], h: int, w: int, dtype: Any = np.float32) -> Array:
        return self._run((2 * len(sigmas), h, w), dtype, lambda out: _core.click_maps(clicks, sigmas, out))

    def pin_clicks(self, guide: Array, clicks: Array, coefficients: Array) -> Array:
        def call(out: Array) -> None:
            out[:] = coefficients
            _core.pin_clicks(guide, clicks, out)

        return self._run(coefficients.shape, np.float32, call)

    def force_clicks(self, clicks: Array, alpha: Array) -> Array:
        def call(out: Array) -> None:
            out[:] = alpha
            _core.force_clicks(clicks, out)

        return self._run(alpha.shape, np.float32, call)

    def keep_clicked_components(self, alpha: Array, clicks: Array, margin: int, dtype: Any = np.float32) -> Array:
        labels = np.full(alpha.shape, -77, np.int32)
        return self._run(
            alpha.shape, dtype, lambda out: _core.keep_clicked_components(alpha, clicks, margin, labels, out)
        )

    def zero_coefficients(self, alpha: Array, kept: Array, coefficients: Array) -> Array:
        def call(out: Array) -> None:
            out[:] = coefficients
            _core.zero_coefficients(alpha, kept, out)

        return self._run(coefficients.shape, np.float32, call)

    def guided_filter_coefficients(
        self, guide: Array, p: Array, radius: int, eps: float, residual: bool = False
    ) -> Array:
        scratch = np.full((2, *guide.shape), np.nan, np.float32)
        return self._run(
            (2, *guide.shape),
            np.float32,
            lambda out: _core.guided_filter_coefficients(guide, p, radius, eps, residual, scratch, out),
        )

    def apply_coefficients(self, coefficients: Array, guide: Array, dtype: Any = np.float32) -> Array:
        return self._run(guide.shape, dtype, lambda out: _core.apply_coefficients(coefficients, guide, out))


class StreamOps:
    """The same on a native stream, with results copied back."""

    def __init__(self, native: Any) -> None:
        self.stream = native.Stream()

    def _up(self, array: Array) -> Any:
        there = self.stream.empty(array.shape, array.dtype)
        self.stream.upload(np.ascontiguousarray(array), there)
        return there

    def _room(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return self._up(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype))

    def _down(self, there: Any) -> Array:
        array = np.empty(there.shape, there.dtype)
        self.stream.download(there, array)
        return array

    def click_maps(self, clicks: Array, sigmas: Sequence[float], h: int, w: int, dtype: Any = np.float32) -> Array:
        out = self._room((2 * len(sigmas), h, w), dtype)
        self.stream.click_maps(self._up(clicks), sigmas, out)
        return self._down(out)

    def pin_clicks(self, guide: Array, clicks: Array, coefficients: Array) -> Array:
        out = self._up(coefficients)
        self.stream.pin_clicks(self._up(guide), self._up(clicks), out)
        return self._down(out)

    def force_clicks(self, clicks: Array, alpha: Array) -> Array:
        out = self._up(alpha)
        self.stream.force_clicks(self._up(clicks), out)
        return self._down(out)

    def keep_clicked_components(self, alpha: Array, clicks: Array, margin: int, dtype: Any = np.float32) -> Array:
        labels, out = self._room(alpha.shape, np.int32), self._room(alpha.shape, dtype)
        self.stream.keep_clicked_components(self._up(alpha), self._up(clicks), margin, labels, out)
        return self._down(out)

    def zero_coefficients(self, alpha: Array, kept: Array, coefficients: Array) -> Array:
        out = self._up(coefficients)
        self.stream.zero_coefficients(self._up(alpha), self._up(kept), out)
        return self._down(out)

    def guided_filter_coefficients(
        self, guide: Array, p: Array, radius: int, eps: float, residual: bool = False
    ) -> Array:
        scratch, coefficients = (self._room((2, *guide.shape), np.float32) for _ in range(2))
        self.stream.guided_filter_coefficients(
            self._up(guide), self._up(p), radius, eps, residual, scratch, coefficients
        )
        return self._down(coefficients)

    def apply_coefficients(self, coefficients: Array, guide: Array, dtype: Any = np.float32) -> Array:
        out = self._room(guide.shape, dtype)
        self.stream.apply_coefficients(self._up(coefficients), self._up(guide), out)
        return self._down(out)


DEVICES = ("cpu", "cuda")
"""numpy arrays; a GPU, or host threads in its place where the extension was built so (tests/standin)."""


def ops(device: str) -> Any:
    """The ops of a device. Without a GPU the test says so and is skipped, or fails under PYISEG_REQUIRE_GPU=1."""
    if device == "cpu":
        return CpuOps()
    return StreamOps(native(device))


def native(device: str = "cuda") -> Any:
    """`_core.cuda`, whose device is a GPU or the stand-in for one; see `ops`."""
    assert device == "cuda"
    if not hasattr(_core, "standin"):
        need_gpu()
    return _core.cuda


def need_gpu() -> None:
    """Skip a test that only a GPU can pass where there is none, or fail it under PYISEG_REQUIRE_GPU=1."""
    reason = no_gpu()
    if reason and os.environ.get("PYISEG_REQUIRE_GPU") == "1":
        pytest.fail(f"PYISEG_REQUIRE_GPU=1, but {reason}")
    if reason:
        pytest.skip(reason)


def standin() -> Any:
    """`_core.standin`: a device of host threads, which can be looked into and broken.

    Without it the test says so and is skipped, or fails under PYISEG_REQUIRE_STANDIN=1.
    """
    found = getattr(_core, "standin", None)
    if found is None:
        reason = "needs an extension that was built with -C cmake.define.PYISEG_CUDA=STANDIN"
        (pytest.fail if os.environ.get("PYISEG_REQUIRE_STANDIN") == "1" else pytest.skip)(reason)
    return found
