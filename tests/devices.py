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

    def click_maps(self, clicks: Array, sigmas: Sequence[float], h: int, w: int) -> Array:
        return self._run((2 * len(sigmas), h, w), np.float32, lambda out: _core.click_maps(clicks, sigmas, out))

    def pin_clicks(self, guide: Array, clicks: Array, lines: Array) -> Array:
        def call(out: Array) -> None:
            out[:] = lines
            _core.pin_clicks(guide, clicks, out)

        return self._run(lines.shape, np.float32, call)

    def force_clicks(self, clicks: Array, alpha: Array) -> Array:
        def call(out: Array) -> None:
            out[:] = alpha
            _core.force_clicks(clicks, out)

        return self._run(alpha.shape, np.float32, call)

    def keep_clicked_regions(self, alpha: Array, clicks: Array, margin: int) -> Array:
        labels = np.full(alpha.shape, -77, np.int32)
        return self._run(
            alpha.shape, np.float32, lambda out: _core.keep_clicked_regions(alpha, clicks, margin, labels, out)
        )

    def guided_filter_lines(self, guide: Array, p: Array, radius: int, eps: float) -> Array:
        scratch = np.full((2, *guide.shape), np.nan, np.float32)
        return self._run(
            (2, *guide.shape),
            np.float32,
            lambda out: _core.guided_filter_lines(guide, p, radius, eps, scratch, out),
        )

    def apply_lines(self, lines: Array, guide: Array, dtype: Any = np.float32) -> Array:
        return self._run(guide.shape, dtype, lambda out: _core.apply_lines(lines, guide, out))


class CudaOps:
    """The same on a CUDA device, with results copied back."""

    def _up(self, array: Array) -> Any:
        buffer = _core.cuda.Buffer(max(array.nbytes, 16))
        buffer.upload(array)
        return buffer

    def _room(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return self._up(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype))

    def _down(self, buffer: Any, shape: tuple[int, ...], dtype: Any) -> Array:
        array = np.empty(shape, dtype)
        buffer.download(array)
        return array

    def click_maps(self, clicks: Array, sigmas: Sequence[float], h: int, w: int) -> Array:
        shape = (2 * len(sigmas), h, w)
        c, out = self._up(clicks), self._room(shape, np.float32)
        _core.cuda.click_maps(c.ptr, len(clicks), sigmas, out.ptr, (h, w))
        return self._down(out, shape, np.float32)

    def pin_clicks(self, guide: Array, clicks: Array, lines: Array) -> Array:
        g, c, out = self._up(guide), self._up(clicks), self._up(lines)
        _core.cuda.pin_clicks(g.ptr, c.ptr, len(clicks), out.ptr, guide.shape)
        return self._down(out, lines.shape, np.float32)

    def force_clicks(self, clicks: Array, alpha: Array) -> Array:
        c, a = self._up(clicks), self._up(alpha)
        _core.cuda.force_clicks(c.ptr, len(clicks), a.ptr, alpha.shape)
        return self._down(a, alpha.shape, np.float32)

    def keep_clicked_regions(self, alpha: Array, clicks: Array, margin: int) -> Array:
        a, c = self._up(alpha), self._up(clicks)
        labels, out = self._room(alpha.shape, np.int32), self._room(alpha.shape, np.float32)
        _core.cuda.keep_clicked_regions(a.ptr, c.ptr, len(clicks), margin, labels.ptr, out.ptr, alpha.shape)
        return self._down(out, alpha.shape, np.float32)

    def guided_filter_lines(self, guide: Array, p: Array, radius: int, eps: float) -> Array:
        shape = (2, *guide.shape)
        g, q = self._up(guide), self._up(p)
        scratch, lines = self._room(shape, np.float32), self._room(shape, np.float32)
        _core.cuda.guided_filter_lines(g.ptr, q.ptr, radius, eps, scratch.ptr, lines.ptr, guide.shape)
        return self._down(lines, shape, np.float32)

    def apply_lines(self, lines: Array, guide: Array, dtype: Any = np.float32) -> Array:
        op = _core.cuda.apply_lines if dtype == np.float32 else _core.cuda.apply_lines_uint8
        ab, g, out = self._up(lines), self._up(guide), self._room(guide.shape, dtype)
        op(ab.ptr, lines.shape[1:], g.ptr, out.ptr, guide.shape)
        return self._down(out, guide.shape, dtype)


def ops(device: str) -> Any:
    """The ops of a device. Without a GPU the test says so and is skipped, or fails under PYISEG_REQUIRE_GPU=1."""
    if device == "cpu":
        return CpuOps()
    reason = no_gpu()
    if reason and os.environ.get("PYISEG_REQUIRE_GPU") == "1":
        pytest.fail(f"PYISEG_REQUIRE_GPU=1, but {reason}")
    if reason:
        pytest.skip(reason)
    return CudaOps()
