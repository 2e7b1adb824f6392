"""Arrays that share memory with what an op writes, or lie where no element may, are refused by every op."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.op_arguments import ALL_OPS, IMAGE_OPS, WINDOWS, written_by

from pyiseg import _core


def arrays_of(op: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in ALL_OPS[op]().items() if isinstance(value, np.ndarray)}


def sharing() -> Iterator[tuple[str, str, str]]:
    """Every op, with each array that it writes into and each other one."""
    for op in ALL_OPS:
        names = list(arrays_of(op))
        written = written_by(op)
        for out in written:
            for other in names:
                if other != out and (other not in written or names.index(other) < names.index(out)):
                    yield op, out, other


def in_memory(memory: np.ndarray, offset: int, like: np.ndarray) -> np.ndarray:
    """An array with the values of another one, in bytes of a memory from an offset on."""
    placed = memory[offset : offset + like.nbytes].view(like.dtype).reshape(like.shape)
    placed[...] = like
    return placed


@pytest.mark.parametrize(("op", "out", "other"), list(sharing()))
@pytest.mark.parametrize("end", ["first", "last"])
def test_what_is_written_may_share_no_memory(op: str, out: str, other: str, end: str) -> None:
    arguments = ALL_OPS[op]()
    written, read = arguments[out], arguments[other]
    memory = np.zeros(written.nbytes + read.nbytes + 64, np.uint8)
    # One element is in both: the first of what is written, or the last.
    size = max(written.itemsize, read.itemsize)
    first = -(-read.nbytes // size) * size
    if end == "first":
        arguments[out] = in_memory(memory, first - size, written)
        arguments[other] = in_memory(memory, 0, read)
        shared = first - size < read.nbytes
    else:
        first = -(-written.nbytes // size) * size
        arguments[other] = in_memory(memory, first - size, read)
        arguments[out] = in_memory(memory, 0, written)
        shared = first - size < written.nbytes
    if not shared:
        pytest.skip("their elements do not meet at this end")
    with pytest.raises(ValueError, match="share memory"):
        getattr(_core, op)(**arguments)


def off_by_one() -> Iterator[tuple[str, str]]:
    return ((op, name) for op in ALL_OPS for name, array in arrays_of(op).items() if array.itemsize > 1)


@pytest.mark.parametrize(("op", "name"), list(off_by_one()))
def test_arrays_between_elements_are_refused(op: str, name: str) -> None:
    arguments = ALL_OPS[op]()
    arguments[name] = in_memory(np.zeros(arguments[name].nbytes + 1, np.uint8), 1, arguments[name])
    assert not arguments[name].flags.aligned
    with pytest.raises(
        ValueError, match=rf"{name.removeprefix('row_').removeprefix('column_')} with shape .* multiple of"
    ):
        getattr(_core, op)(**arguments)


@pytest.mark.parametrize("op", ["resample_rgb_x", "resample_rgb_y"])
@pytest.mark.parametrize("weight", [2**31 - 1, -(2**31), 2**24])
def test_weights_whose_sums_do_not_fit_are_refused(op: str, weight: int) -> None:
    arguments: dict[str, Any] = IMAGE_OPS[op]()
    arguments["weights"] = WINDOWS.weights.copy()
    arguments["weights"][1, 2] = weight
    with pytest.raises(ValueError, match=r"weights\[:, 2\] add up to \d+ without their signs; they may make 8413"):
        getattr(_core, op)(**arguments)
