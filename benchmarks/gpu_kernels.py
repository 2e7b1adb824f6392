"""How near each kernel comes to the card's copy bandwidth."""

from __future__ import annotations

from typing import Any

import numpy as np
from gpu_kernel_cases import Array, Case
from gpu_timing import Stopwatch, on_gpu

from pyiseg import _core

ALL_SETS = 256_000_000
"""Inputs and outputs of large cases are rotated among sets of so many bytes together, so that no cache holds them."""
MANY_BYTES = 2_000_000_000
"""What the launches of a graph move together, where that takes no more than 200: a millisecond's work on fast cards."""


def copy_bandwidth(native: Any, nbytes: int, rounds: int) -> float:
    """Bytes a second that a copy within the device's memory moves, those read and those written together."""
    stream = native.Stream()
    values = np.random.default_rng(0).integers(0, 256, nbytes, dtype=np.uint8)
    pairs = [(_there(stream, values), stream.empty((nbytes,), np.uint8)) for _ in range(2)]
    seconds = Stopwatch(native, stream).of_one(lambda i: stream.copy(*pairs[i % 2]), 4, rounds)
    for _, copied in pairs:
        found = np.empty_like(values)
        stream.download(copied, found)
        assert np.array_equal(found, values), "a copy differs"
    return 2 * nbytes / float(np.median(seconds))


def measure(native: Any, case: Case, bandwidth: float, rounds: int) -> dict[str, Any]:
    """Time one case, having checked its answer against the CPU's.

    Raises:
        AssertionError: The answers differ.
    """
    stream = native.Stream()
    held = sum(array.nbytes for array in (*case.inputs, *case.outputs))
    count = max(1, min(8, ALL_SETS // held)) if case.rotate else 1
    sets = checked(stream, case, count)
    launches = max(4, min(200, MANY_BYTES // case.bytes)) if on_gpu() else 2
    seconds = Stopwatch(native, stream).of_one(lambda i: case.call(stream, *sets[i % count]), launches, rounds)
    median = float(np.median(seconds))
    return {
        "bytes": case.bytes,
        "median_us": round(1e6 * median, 2),
        "p95_us": round(1e6 * float(np.percentile(seconds, 95)), 2),
        "gb_per_s": round(case.bytes / median / 1e9, 1),
        "of_copy": round(case.bytes / median / bandwidth, 3),
        "sets": count,
    }


def checked(stream: Any, case: Case, count: int) -> list[tuple[list[Any], list[Any]]]:
    """Sets of a case's inputs and outputs on a stream, each of which has given the CPU's answer once.

    Raises:
        AssertionError: It has not.
    """
    expected = [array.copy() for array in case.outputs]
    case.call(_core, case.inputs, expected)
    sets = []
    for _ in range(count):
        inputs, outputs = ([_there(stream, x) for x in arrays] for arrays in (case.inputs, case.outputs))
        case.call(stream, inputs, outputs)
        found = np.empty_like(case.outputs[-1])
        stream.download(outputs[-1], found)
        off = float(np.abs(found.astype(np.float64) - expected[-1]).max())
        assert off <= case.tolerance, f"{case.name} at {case.size} is {off} off, allowed are {case.tolerance}"
        sets.append((inputs, outputs))
    return sets


def _there(stream: Any, array: Array) -> Any:
    copy = stream.empty(array.shape, array.dtype)
    stream.upload(array, copy)
    return copy
