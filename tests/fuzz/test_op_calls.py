"""Every op with arguments that are nearly right: it does its work or raises ValueError, and never touches other memory.

Each call begins with good arguments; some are then spoiled. PYISEG_FUZZ_CALLS says how many calls of each op, and
PYISEG_FUZZ_SEED which; the nightly run takes a million and a fresh seed. Memory around what is written is watched here;
what is read is watched under AddressSanitizer (.ci/sanitizers runs this file too).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.op_arguments import ALL_OPS, written_by
from support.random_ops import random_arguments

from pyiseg import _core

CALLS = int(os.environ.get("PYISEG_FUZZ_CALLS", "3000"))
SEED = int(os.environ.get("PYISEG_FUZZ_SEED", "18"))
GUARD = 64  # bytes before and after each array
FILLER = 0xA5

Generator = np.random.Generator


def guarded(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy of an array inside a larger memory, and that memory."""
    memory = np.full(array.nbytes + 2 * GUARD, FILLER, np.uint8)
    placed = memory[GUARD : GUARD + array.nbytes].view(array.dtype).reshape(array.shape)
    placed[...] = array
    return placed, memory


def other_shape(array: np.ndarray, r: Generator) -> np.ndarray:
    shape = list(array.shape)
    if shape:
        axis = int(r.integers(len(shape)))
        shape[axis] = max(0, shape[axis] + int(r.integers(-2, 3)))
    return np.zeros(shape, array.dtype)


def other_dtype(array: np.ndarray, r: Generator) -> np.ndarray:
    names = ["float16", "float32", "float64", "int32", "int64", "uint8", "bool", ">f4", "complex64"]
    return np.zeros(array.shape, names[int(r.integers(len(names)))])


def wild_values(array: np.ndarray, r: Generator) -> np.ndarray:
    spoiled = array.copy()
    if spoiled.size:
        where = r.integers(spoiled.size, size=min(3, spoiled.size))
        if spoiled.dtype.kind not in "iu":
            values = np.array([np.nan, np.inf, -np.inf, 3e38, -1e-40, 0.0])
        else:
            limits = np.iinfo(spoiled.dtype)
            values = np.array([limits.min, limits.max, -1 if limits.min else 0, 0, 1, 2])
        with np.errstate(all="ignore"):
            spoiled.reshape(-1)[where] = r.choice(values, size=len(where)).astype(spoiled.dtype)
    return spoiled


def strided(array: np.ndarray, r: Generator) -> np.ndarray:
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def misaligned(array: np.ndarray, r: Generator) -> np.ndarray:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    placed = memory[1:].view(array.dtype).reshape(array.shape)
    placed[...] = array
    return placed


def read_only(array: np.ndarray, r: Generator) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


SPOIL: list[Callable[[np.ndarray, Generator], np.ndarray]] = [
    other_shape,
    other_dtype,
    wild_values,
    strided,
    misaligned,
    read_only,
]
NUMBERS = (-(2**63), -(2**31), -1, 0, 1, 2, 63, 64, 65, 65536, 2**31 - 1, 2**31, 2**62, 2**63 - 1)
REALS = (float("nan"), float("inf"), -1.0, 0.0, 1e-13, 1e-3, 1.0, 1e9, 1e300)


def spoil(arguments: dict[str, Any], r: Generator) -> None:
    """Change some of the arguments, none in a quarter of the calls."""
    names = list(arguments)
    for _ in range(int(r.integers(4))):
        name = names[int(r.integers(len(names)))]
        value = arguments[name]
        if isinstance(value, np.ndarray):
            if value.size and r.random() < 0.1:  # two names for one memory
                other = arguments[names[int(r.integers(len(names)))]]
                arguments[name] = other if isinstance(other, np.ndarray) else value
            else:
                arguments[name] = SPOIL[int(r.integers(len(SPOIL)))](value, r)
        elif isinstance(value, bool):
            arguments[name] = not value
        elif isinstance(value, int):
            arguments[name] = NUMBERS[int(r.integers(len(NUMBERS)))]
        elif isinstance(value, float):
            arguments[name] = REALS[int(r.integers(len(REALS)))]
        else:
            arguments[name] = [REALS[int(r.integers(len(REALS)))] for _ in range(int(r.integers(10)))]


@pytest.mark.parametrize("op", ALL_OPS)
def test_nearly_right_arguments(op: str) -> None:
    seed = [SEED, *op.encode()]
    r = np.random.default_rng(seed)
    taken = 0
    for call in range(CALLS):
        arguments = random_arguments(op, r)
        spoil(arguments, r)
        memories = []
        for name, value in arguments.items():
            writeable = isinstance(value, np.ndarray) and name in written_by(op) and value.flags.writeable
            if writeable and value.flags.c_contiguous and value.flags.aligned and value.base is None:
                arguments[name], memory = guarded(value)
                memories.append(memory)
        before = {
            name: value.copy()
            for name, value in arguments.items()
            if isinstance(value, np.ndarray) and name not in written_by(op)
        }
        try:
            getattr(_core, op)(**arguments)
            taken += 1
        except (ValueError, TypeError):  # TypeError: a number that no C++ type holds
            pass
        for memory in memories:
            around = np.concatenate([memory[:GUARD], memory[-GUARD:]])
            assert (around == FILLER).all(), f"{op} wrote beside its results in call {call} of seed {SEED}"
        for name, value in before.items():
            np.testing.assert_array_equal(arguments[name], value, err_msg=f"{op} changed {name} in call {call}")
    assert taken > CALLS // 6, f"only {taken} of {CALLS} calls were good: the fuzzing has become blind"
