"""The op that estimates colors at soft edges: against float64, its checks, and bits that depend on nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import foreground as reference

from pyiseg import _core

Bytes = NDArray[np.uint8]
GUARD = 64


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


def native(rgb: Bytes, alpha: Bytes, filler: int = 77) -> Bytes:
    """Run the op into guarded memory, with scratch that holds something."""
    scratch = np.full(_core.foreground_scratch(*alpha.shape) + 2 * GUARD, filler, np.uint8)
    out = np.full(rgb.size + 2 * GUARD, filler, np.uint8)
    inner = out[GUARD:-GUARD].reshape(rgb.shape)
    _core.estimate_foreground(rgb, alpha, scratch[GUARD:-GUARD], inner)
    for memory in (scratch, out):
        assert (memory[:GUARD] == filler).all()
        assert (memory[-GUARD:] == filler).all()
    return inner


def noise(h: int, w: int, seed: int = 0) -> tuple[Bytes, Bytes]:
    """An image and a matte that nothing in it is simple in: a third each of clear, opaque and soft pixels."""
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.integers(-255, 2 * 255, (h, w)), 0, 255).astype(np.uint8)
    return rng.integers(0, 256, (h, w, 3), dtype=np.uint8), alpha


def smooth(h: int, w: int) -> tuple[Bytes, Bytes]:
    """A disc with a wide ramp, in colors that change slowly; tiles without a soft pixel are in it where it is large."""
    y, x = np.mgrid[:h, :w]
    front = np.dstack([255 - x * 255 / w, y * 255 / h, x * 120 / w])
    back = np.dstack([y * 255 / h, x * 255 / w, 255 - y * 255 / h])
    radius = 0.35 * min(h, w)
    return reference.composed(front, back, ((radius - np.hypot(y - h / 2, x - w / 2)) / 6 + 0.5).clip(0, 1))


SIZES = [(1, 1), (1, 2), (2, 1), (1, 9), (7, 1), (2, 2), (15, 17), (16, 64), (17, 65), (33, 131), (50, 200), (129, 260)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("make", [noise, smooth])
def test_against_float64(make: Callable[[int, int], tuple[Bytes, Bytes]], size: tuple[int, int]) -> None:
    rgb, alpha = make(*size)
    difference = np.abs(native(rgb, alpha).astype(int) - reference.estimate(rgb, alpha))
    # Levels are rounded to bytes, so FP32 may differ by 1 where a value lies between two, and that is rare.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_opaque_and_clear_pixels_keep_their_colors(size: tuple[int, int]) -> None:
    rgb, alpha = noise(*size)
    hard = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(native(rgb, alpha)[hard], rgb[hard])


@pytest.mark.parametrize("value", [0, 255])
def test_without_a_soft_pixel_the_image_comes_back(value: int) -> None:
    rgb, alpha = noise(70, 150)
    alpha[:] = value
    np.testing.assert_array_equal(native(rgb, alpha), rgb)


@pytest.mark.parametrize("value", [1, 128, 254])
def test_where_all_is_equally_soft(value: int) -> None:
    rgb, alpha = noise(70, 150)
    alpha[:] = value
    np.testing.assert_allclose(native(rgb, alpha).astype(int), reference.estimate(rgb, alpha).astype(int), atol=1)


@pytest.mark.parametrize("make", [noise, smooth])
def test_bits_depend_on_the_arguments_only(make: Callable[[int, int], tuple[Bytes, Bytes]]) -> None:
    rgb, alpha = make(333, 517)
    _core.set_num_threads(1)
    expected = native(rgb, alpha)
    for threads in (2, 3, 8):
        _core.set_num_threads(threads)
        np.testing.assert_array_equal(native(rgb, alpha, filler=255 - threads), expected)


def test_a_soft_pixel_is_seen_wherever_it_is() -> None:
    h, w = 40, 140
    rgb = np.zeros((h, w, 3), np.uint8)
    for y, x in ((0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1), (15, 63), (16, 64), (31, 127)):
        alpha = np.zeros((h, w), np.uint8)
        alpha[y, x] = 128
        rgb[:] = 20
        rgb[y, x] = 120
        out = native(rgb, alpha)
        # All around is background of 20, so it shows half of 20 and half of 220.
        assert np.abs(out[y, x].astype(int) - 220).max() <= 2
        out[y, x] = rgb[y, x]
        np.testing.assert_array_equal(out, rgb)


def good() -> dict[str, Any]:
    rgb, alpha = noise(6, 8)
    scratch = np.zeros(_core.foreground_scratch(6, 8), np.uint8)
    return {"rgb": rgb, "alpha": alpha, "scratch": scratch, "out": np.empty_like(rgb)}


def read_only(array: Bytes) -> Bytes:
    array.flags.writeable = False
    return array


SHARED = np.zeros((6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rgb": np.zeros((6, 8, 3), np.float32)}, "rgb has dtype float32; it must be uint8"),
        ({"rgb": np.zeros((6, 8, 4), np.uint8)}, "rgb has shape (6, 8, 4)"),
        ({"rgb": np.zeros((8, 6, 3), np.uint8).transpose(1, 0, 2)}, "rgb with shape (6, 8, 3) is not C-contiguous"),
        ({"alpha": np.zeros((6, 8), np.float32)}, "alpha has dtype float32"),
        ({"alpha": np.zeros((6, 8, 1), np.uint8)}, "alpha has shape (6, 8, 1)"),
        ({"alpha": np.zeros((8, 6), np.uint8)}, "alpha"),
        ({"scratch": np.zeros(0, np.uint8)}, "scratch has shape (0,); it must be at least (170,)"),
        ({"scratch": np.zeros((200, 1), np.uint8)}, "scratch has shape (200, 1)"),
        ({"scratch": read_only(np.zeros(180, np.uint8))}, "scratch is read-only"),
        ({"out": np.zeros((6, 9, 3), np.uint8)}, "out"),
        ({"out": read_only(np.zeros((6, 8, 3), np.uint8))}, "out is read-only"),
        ({"rgb": SHARED, "out": SHARED}, "rgb and out share memory"),
    ],
)
def test_wrong_arrays_are_refused(wrong: dict[str, Any], words: str) -> None:
    _core.estimate_foreground(**good())
    with pytest.raises(ValueError, match=re.escape(words)):
        _core.estimate_foreground(**good() | wrong)


def test_scratch_of_no_image_is_refused() -> None:
    assert _core.foreground_scratch(1, 1) == 0
    with pytest.raises(ValueError, match="0"):
        _core.foreground_scratch(0, 5)
