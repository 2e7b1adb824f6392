"""Timing of work on a stream: by CUDA events where there is a GPU and PyTorch, else by the clock until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pyiseg import _core

NO_CLICKS = np.empty((0, 3), dtype=np.int32)


def on_gpu() -> bool:
    """Whether `_core.cuda` is a GPU, and not host threads in its place."""
    return not hasattr(_core, "standin")


class Stopwatch:
    """Times work on one stream.

    Args:
        native: `pyiseg._core.cuda`.
        stream: One of its streams.

    Attributes:
        events: Whether CUDA events are used.
    """

    def __init__(self, native: Any, stream: Any) -> None:
        self._native, self._stream = native, stream
        self._torch = _torch_with_cuda() if on_gpu() else None
        self.events = self._torch is not None

    def of(self, enqueue: Callable[[], None]) -> float:
        """Seconds from what enqueue enqueues first to where all of it is done."""
        if self._torch is None:
            self._stream.synchronize()
            start = time.perf_counter()
            enqueue()
            self._stream.synchronize()
            return time.perf_counter() - start
        cuda = self._torch.cuda
        begin, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        stream = cuda.ExternalStream(self._stream.handle)
        begin.record(stream)
        enqueue()
        end.record(stream)
        self._stream.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def of_one(self, enqueue: Callable[[int], None], launches: int, rounds: int) -> list[float]:
        """Seconds of one of several launches, captured as one graph so that no gaps lie between them.

        Each graph begins with a copy of 36 bytes, and takes a while to be launched: that of an empty one is taken off.

        Args:
            enqueue: Enqueues launch number i.
            launches: How many there are in the graph.
            rounds: How often the graph is launched; once more to warm up.
        """

        def all_of_them() -> None:
            for i in range(launches):
                enqueue(i)

        full, empty = self._captured(all_of_them), self._captured(lambda: None)
        for graph in (full, empty):
            self.of(lambda graph=graph: graph.launch(NO_CLICKS, 0, NO_CLICKS))
        nothing, something = [], []
        for _ in range(rounds):
            something.append(self.of(lambda: full.launch(NO_CLICKS, 0, NO_CLICKS)))
            nothing.append(self.of(lambda: empty.launch(NO_CLICKS, 0, NO_CLICKS)))
        overhead = float(np.median(nothing))
        # Where the difference is all noise, as on a host with work of microseconds, something is still better than 0.
        return [max(seconds - overhead, 1e-3 * seconds) / launches for seconds in something]

    def _captured(self, enqueue: Callable[[], None]) -> Any:
        feed = self._native.ClickFeed(self._stream, self._stream.empty((3, 1, 3), np.int32), (1, 1), (1, 1))
        return self._native.ClickGraph(feed, enqueue)


def _torch_with_cuda() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None
