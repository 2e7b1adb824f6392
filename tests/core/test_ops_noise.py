"""Noise of images: samples of it and the means that reduce it, on every device against support/reference.py."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support import reference
from support.devices import DEVICES
from support.native import Native
from support.op_inputs import SHAPES, blobs, rng

Rgb = NDArray[np.uint8]


@pytest.fixture(params=DEVICES)
def native(request: pytest.FixtureRequest) -> Native:
    return Native(request.param)


def noisy(h: int, w: int, sigma: float = 12.0, seed: int = 0) -> Rgb:
    """Soft regions in two colors that reach from 0 to 255, with noise; some of it is clipped."""
    alpha = blobs(h, w, seed)[..., None]
    mixed = alpha * (250, 130, 5) + (1 - alpha) * (4, 110, 250)
    mixed = mixed + sigma * rng(seed, h, w).standard_normal((h, w, 3))
    return np.clip(mixed.round(), 0, 255).astype(np.uint8)


def reduced(native: Native, rgb: Rgb, limit: float) -> Rgb:
    return native.run("reduce_noise", rgb, limit, shape=rgb.shape, dtype=np.uint8)


@pytest.mark.parametrize("lattice", [(1, 1), (256, 256), (7, 5)])
@pytest.mark.parametrize("shape", [(3, 3), (3, 700), (500, 4), (37, 101), (300, 301)])
def test_noise_samples(native: Native, shape: tuple[int, int], lattice: tuple[int, int]) -> None:
    rgb = noisy(*shape)
    rows, columns = (min(n, side - 2) for n, side in zip(lattice, shape, strict=True))
    found = native.run("noise_samples", rgb, shape=(rows, columns, 3), dtype=np.int32)
    np.testing.assert_array_equal(found, reference.noise_samples(rgb, (rows, columns)))


def test_samples_of_everything_see_every_pixel_once(native: Native) -> None:
    """On a lattice as large as the image, its rows are shifted around and nothing is left out."""
    rgb = noisy(20, 31)
    found = native.run("noise_samples", rgb, shape=(18, 29, 3), dtype=np.int32)
    assert (found == -1).any()
    for i, row in enumerate(found):
        plain = reference.noise_samples(rgb[i : i + 3], (1, 29))[0]
        np.testing.assert_array_equal(np.sort(row, axis=0), np.sort(plain, axis=0))


def test_slopes_and_straight_edges_are_no_noise(native: Native) -> None:
    y, x = np.mgrid[:40, :50]
    slope = np.stack([x + 2 * y, 100 - x, 3 + y], axis=-1).astype(np.uint8)
    edge = np.where(x[..., None] < 20, (10, 200, 30), (90, 20, 130)).astype(np.uint8)
    for rgb in (slope, edge):
        assert not native.run("noise_samples", rgb, shape=(38, 48, 3), dtype=np.int32).any()


@pytest.mark.parametrize("limit", [1e-3, 300.0, 7000.0, 1e9])
@pytest.mark.parametrize("shape", SHAPES)
def test_reduce_noise(native: Native, shape: tuple[int, int], limit: float) -> None:
    rgb = noisy(*shape)
    exact, found = reference.reduce_noise(rgb, limit), reduced(native, rgb, limit)
    at_a_half = np.abs(exact % 1 - 0.5) < 1e-3
    wanted = np.floor(exact + 0.5).astype(int)
    assert not (found.astype(int) - wanted)[~at_a_half].any()
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("width", [63, 64, 65, 66, 1733])
def test_both_devices_give_the_same_bits(width: int) -> None:
    """Rows of an odd width begin in the midst of a word, and runs are moved inwards at their ends."""
    rgb = noisy(301, width)
    here, there = (reduced(Native(name), rgb, 2000.0) for name in DEVICES)
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_constants_survive(native: Native, value: int) -> None:
    rgb = np.full((33, 70, 3), value, np.uint8)
    np.testing.assert_array_equal(reduced(native, rgb, 500.0), rgb)


def test_colors_that_are_not_alike_are_not_mixed(native: Native) -> None:
    rgb = np.zeros((40, 50, 3), np.uint8)
    rgb[:, 25:] = (10, 0, 0)
    np.testing.assert_array_equal(reduced(native, rgb, 100.0), rgb)
    assert (reduced(native, rgb, 1000.0)[:, 24:26, 0] != rgb[:, 24:26, 0]).all()


def test_a_mean_of_nine_leaves_a_third_of_the_noise(native: Native) -> None:
    rgb = np.clip(128 + 9 * rng(3).standard_normal((200, 200, 3)), 0, 255).round().astype(np.uint8)
    assert reduced(native, rgb, 1e6).std() == pytest.approx(3.0, rel=0.05)


def test_outputs_must_lie_apart() -> None:
    memory = np.zeros((9, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="rgb and out share memory"):
        Native("cpu").ops.reduce_noise(memory[:6], 100.0, memory[3:])
