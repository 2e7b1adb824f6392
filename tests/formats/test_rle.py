"""Run-length encoding, against pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg.formats import mask_from_rle, rle

coco = pytest.importorskip("pycocotools.mask")
# Of pycocotools 2.0.11 with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def theirs(mask: Mask) -> dict[str, Any]:
    return dict(coco.encode(np.asfortranarray(mask.astype(np.uint8))))


def check(mask: Mask) -> None:
    ours, other = rle(mask), theirs(mask)
    assert ours["counts"].encode() == other["counts"]
    assert ours["size"] == list(other["size"]) == list(mask.shape)
    for encoded in (ours, other, rle(mask, compressed=False)):
        back = mask_from_rle(encoded)
        assert back.dtype == np.bool_
        assert np.array_equal(back, mask)
    assert np.array_equal(coco.decode(ours), mask)
    whole = coco.frPyObjects(rle(mask, compressed=False), *mask.shape)
    assert whole["counts"] == other["counts"]


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases(mask: Mask) -> None:
    check(mask)


@given(masks.masks())
def test_the_same_bytes_as_pycocotools(mask: Mask) -> None:
    check(mask)


def test_long_runs_and_large_differences() -> None:
    mask = np.zeros((3000, 40), np.bool_)
    check(~mask)
    mask[2999, 20:22] = mask[0, 0] = mask[1500:, 39] = True
    check(mask)
    check(masks.blob(300, 401).T)


def test_the_order_of_the_runs() -> None:
    assert rle(of(".#", "##"), compressed=False) == {"size": [2, 2], "counts": [1, 3]}
    assert rle(of("#.", ".."), compressed=False) == {"size": [2, 2], "counts": [0, 1, 3]}


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("04", "rle is 04; pass"),
        ({"size": [2, 2]}, "pass {'size': "),
        ({"size": [2, 0], "counts": [0]}, r"shape is \[2, 0\]"),
        ({"size": [2, 2], "counts": [1, 2]}, "add up to 3 pixels, not to the 2 x 2"),
        ({"size": [2, 2], "counts": [6, -2]}, "one is below 0"),
        ({"size": [2, 2], "counts": [1.0, 3.0]}, "no list of whole numbers"),
        ({"size": [2, 2], "counts": ""}, "damaged or cut off"),
        ({"size": [2, 2], "counts": "1T"}, "damaged or cut off"),
        ({"size": [2, 2], "counts": "\u00ff3"}, "damaged or cut off"),
        ({"size": [2, 2], "counts": "oooooooooooooooo0"}, "too large for any image"),
        ({"size": [2, 2], "counts": "5"}, "add up to 5 pixels"),
    ],
)
def test_what_is_none(encoded: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_from_rle(encoded)


def test_what_was_cut_off() -> None:
    whole = rle(masks.blob(60, 80))
    for length in range(len(whole["counts"])):
        with pytest.raises(ValueError, match="the counts of the rle"):
            mask_from_rle({**whole, "counts": whole["counts"][:length]})


@pytest.mark.parametrize(
    "counts",
    [
        [2**62, 2**62, 2**62, 2**62, 63],
        np.array([2**64 - 1, 64], np.uint64),
        [2**63 + 1, 2**63 + 62],
        [[63]],
        [[1], [2, 3]],
    ],
    ids=["signed", "unsigned", "two", "nested", "ragged"],
)
def test_counts_that_add_up_by_passing_the_largest_number(counts: Any) -> None:
    """The first three add up to 63 modulo 2^64, and ended the program: signal 11."""
    with pytest.raises(ValueError, match="the counts of the rle"):
        mask_from_rle({"size": [9, 7], "counts": counts})


@pytest.mark.parametrize("size", [[float("inf"), 7], [10**30, 1], [2**32, 2**32], [9, 7, 1], 5, None])
def test_a_size_that_is_none(size: Any) -> None:
    with pytest.raises(ValueError, match=r"shape is|add up to"):
        mask_from_rle({"size": size, "counts": [0]})
