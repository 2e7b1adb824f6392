"""The ops that resize images, guides and maps on every device: Pillow to the bit, or support/reference.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support import reference, tolerances
from support.devices import DEVICES
from support.native import MEAN_SCRATCH, Native
from support.op_inputs import rng

from pyiseg import _core
from pyiseg.runtime.resample import fixed_windows, windows

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (5, 31), (7, 64), (33, 40), (64, 97)]
# pixels along a side, and of the result
SIDES = [(1, 1), (1, 7), (7, 1), (2, 3), (5, 5), (13, 64), (64, 13), (100, 33), (33, 100), (301, 7), (96, 95)]


@pytest.fixture(params=DEVICES)
def native(request: pytest.FixtureRequest) -> Native:
    return Native(request.param)


def bytes_of(*shape: int) -> NDArray[np.uint8]:
    """Random bytes, half of them 0 or 255 so that what overshoots is clipped."""
    r = rng(*shape)
    return np.where(r.random(shape) < 0.5, r.integers(0, 2, shape) * 255, r.integers(0, 256, shape)).astype(np.uint8)


def floats_of(*shape: int) -> NDArray[np.float32]:
    return rng(*shape).normal(0.2, 1, shape).astype(np.float32)


# bytes to planes


@pytest.mark.parametrize("size", SIZES)
def test_planes_are_the_quotient_by_255(native: Native, size: tuple[int, int]) -> None:
    rgb = bytes_of(*size, 3)
    planes = native.run("hwc_to_chw", rgb, 0, shape=(1, 3, *size), dtype=np.float32)
    np.testing.assert_array_equal(planes[0], np.divide(rgb.transpose(2, 0, 1), np.float32(255)))


def test_every_byte_becomes_its_quotient(native: Native) -> None:
    rgb = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    planes = native.run("hwc_to_chw", rgb, 0, shape=(1, 3, 16, 16), dtype=np.float32)
    np.testing.assert_array_equal(planes[0, 1].ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


# first pixel and length of a strip of an image of 37 x 101 pixels, 3737
STRIPS = [(0, 1), (0, 3737), (0, 1024), (1, 1023), (37, 2050), (3736, 1), (3736, 64), (1000, 4000), (0, 5000)]


@pytest.mark.parametrize(("first", "length"), STRIPS)
def test_a_strip_of_planes_ends_in_zeros(native: Native, first: int, length: int) -> None:
    rgb = bytes_of(37, 101, 3)
    strip = native.run("hwc_to_chw", rgb, first, shape=(1, 3, 1, length), dtype=np.float32)[0, :, 0]
    there = rgb.reshape(-1, 3)[first : first + length].T / np.float32(255)
    np.testing.assert_array_equal(strip[:, : there.shape[1]], there)
    assert not strip[:, there.shape[1] :].any()


@pytest.mark.parametrize(("first", "length"), STRIPS)
def test_a_strip_of_maps_is_a_copy_that_ends_in_zeros(native: Native, first: int, length: int) -> None:
    maps = floats_of(2, 37, 101)
    strip = native.run("copy_strip", maps, first, shape=(1, 2, 1, length), dtype=np.float32)[0, :, 0]
    there = maps.reshape(2, -1)[:, first : first + length]
    np.testing.assert_array_equal(strip[:, : there.shape[1]], there)
    assert not strip[:, there.shape[1] :].any()


# reduction


def reduced(native: Native, rgb: NDArray[np.uint8], fx: int, fy: int) -> NDArray[np.uint8]:
    shape = (-(-rgb.shape[0] // fy), -(-rgb.shape[1] // fx), 3)
    return native.run("reduce_rgb", rgb, fx, fy, shape=shape, dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_reduction_is_pillows(native: Native, size: tuple[int, int]) -> None:
    rgb = bytes_of(*size, 3)
    image = Image.fromarray(rgb)
    for fx in range(1, 10):
        for fy in range(1, 10):
            np.testing.assert_array_equal(reduced(native, rgb, fx, fy), np.asarray(image.reduce((fx, fy))))


@pytest.mark.parametrize(("fx", "fy"), [(1, 39), (39, 1), (40, 300), (17, 23)])
def test_reduction_by_large_factors_is_pillows(native: Native, fx: int, fy: int) -> None:
    for rgb in (bytes_of(301, 82, 3), np.full((301, 82, 3), 255, np.uint8)):
        expected = np.asarray(Image.fromarray(rgb).reduce((fx, fy)))
        np.testing.assert_array_equal(reduced(native, rgb, fx, fy), expected)


def test_reduction_gives_rounded_means(native: Native) -> None:
    rgb = bytes_of(64, 97, 3)
    for fx, fy in ((2, 2), (3, 5), (9, 7)):
        means = reduced(native, rgb, fx, fy)
        np.testing.assert_allclose(means, reference.box_means(rgb, fx, fy), rtol=0, atol=tolerances.REDUCED)


# resampling


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("side", "result"), SIDES)
def test_bytes_are_resampled_as_by_pillow(native: Native, side: int, result: int, kind: Any) -> None:
    made = fixed_windows(kind, side, result)
    for other in (1, 4, 11):
        wide, high = bytes_of(other, side, 3), bytes_of(side, other, 3)
        x = native.run("resample_rgb_x", wide, made.starts, made.weights, shape=(other, result, 3), dtype=np.uint8)
        y = native.run("resample_rgb_y", high, made.starts, made.weights, shape=(result, other, 3), dtype=np.uint8)
        np.testing.assert_array_equal(x, np.asarray(Image.fromarray(wide).resize((result, other), FILTERS[kind])))
        np.testing.assert_array_equal(y, np.asarray(Image.fromarray(high).resize((other, result), FILTERS[kind])))


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("side", "result"), SIDES)
def test_planes_are_resampled_as_by_pillow(native: Native, side: int, result: int, kind: Any) -> None:
    made = windows(kind, side, result)
    for other in (1, 4, 37):
        wide, high = floats_of(2, other, side), floats_of(2, side, other)
        x = native.run("resample_x", wide, made.starts, made.weights, shape=(2, other, result), dtype=np.float32)
        y = native.run("resample_y", high, made.starts, made.weights, shape=(2, result, other), dtype=np.float32)
        for c in range(2):
            across = Image.fromarray(wide[c]).resize((result, other), FILTERS[kind])
            down = Image.fromarray(high[c]).resize((other, result), FILTERS[kind])
            np.testing.assert_array_equal(x[c], np.asarray(across))
            np.testing.assert_array_equal(y[c], np.asarray(down))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(FILTERS)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    result=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    value=st.floats(-4, 4, width=32),
    byte=st.integers(0, 255),
)
def test_constants_survive_resampling(
    native: Native, kind: Any, size: tuple[int, int], result: tuple[int, int], value: float, byte: int
) -> None:
    (h, w), (rows, columns) = size, result
    across, down = windows(kind, w, columns), windows(kind, h, rows)
    plane = np.full((1, h, w), value, np.float32)
    x = native.run("resample_x", plane, across.starts, across.weights, shape=(1, h, columns), dtype=np.float32)
    y = native.run("resample_y", x, down.starts, down.weights, shape=(1, rows, columns), dtype=np.float32)
    np.testing.assert_array_equal(y, np.float32(value))
    across, down = fixed_windows(kind, w, columns), fixed_windows(kind, h, rows)
    rgb = np.full((h, w, 3), byte, np.uint8)
    x = native.run("resample_rgb_x", rgb, across.starts, across.weights, shape=(h, columns, 3), dtype=np.uint8)
    y = native.run("resample_rgb_y", x, down.starts, down.weights, shape=(rows, columns, 3), dtype=np.uint8)
    np.testing.assert_array_equal(y, byte)


@pytest.mark.parametrize(("first", "length"), STRIPS)
def test_a_strip_is_resampled_as_the_whole(native: Native, first: int, length: int) -> None:
    for high in (5, 90):
        planes, made = floats_of(2, high, 101), windows("bilinear", high, 37)
        arguments = (planes, made.starts, made.weights)
        whole = native.run("resample_y", *arguments, shape=(2, 37, 101), dtype=np.float32).reshape(2, -1)
        strip = native.run("resample_strip", *arguments, first, shape=(1, 2, 1, length), dtype=np.float32)[0, :, 0]
        there = whole[:, first : first + length]
        np.testing.assert_array_equal(strip[:, : there.shape[1]], there)
        assert not strip[:, there.shape[1] :].any()


# mean


@pytest.mark.parametrize("size", [*SIZES, (16, 256), (63, 65), (64, 64), (130, 97), (480, 641)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_mean(native: Native, size: tuple[int, int], offset: float) -> None:
    values = floats_of(*size) + np.float32(offset)
    scratch = np.full(MEAN_SCRATCH, np.nan)
    mean = native.run("mean", values, scratch, shape=(1,), dtype=np.float32)
    assert mean[0] == np.float32(values.mean(dtype=np.float64))


@pytest.mark.parametrize("size", [*SIZES, (33, 131)])
def test_subtraction(native: Native, size: tuple[int, int]) -> None:
    values, mean = floats_of(*size), np.array([0.3], np.float32)
    memory, out = native.between_guards(size, np.float32)
    there = native.there(values)
    if isinstance(there, np.ndarray):
        out[:] = there
    else:
        native.ops.copy(there, out)
    native.ops.subtract(native.there(mean), out)
    np.testing.assert_array_equal(native.result(memory, size), values - mean)


# threads


@pytest.fixture
def threads() -> Iterator[None]:
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


def everything(native: Native) -> list[NDArray[Any]]:
    """Results of all ops, large enough for several threads."""
    rgb, planes = bytes_of(300, 411, 3), floats_of(2, 300, 411)
    across, down = windows("bilinear", 411, 517), windows("box", 300, 97)
    fixed_across, fixed_down = fixed_windows("lanczos", 411, 256), fixed_windows("lanczos", 300, 192)
    scratch = np.zeros(MEAN_SCRATCH)
    f32, u8, run = np.float32, np.uint8, native.run
    return [
        run("hwc_to_chw", rgb, 11, shape=(1, 3, 1, 131072), dtype=f32),
        run("reduce_rgb", rgb, 3, 2, shape=(150, 137, 3), dtype=u8),
        run("resample_rgb_x", rgb, fixed_across.starts, fixed_across.weights, shape=(300, 256, 3), dtype=u8),
        run("resample_rgb_y", rgb, fixed_down.starts, fixed_down.weights, shape=(192, 411, 3), dtype=u8),
        run("resample_x", planes, across.starts, across.weights, shape=(2, 300, 517), dtype=f32),
        run("resample_y", planes, down.starts, down.weights, shape=(2, 97, 411), dtype=f32),
        run("resample_strip", planes, down.starts, down.weights, 5, shape=(1, 2, 1, 40000), dtype=f32),
        run("copy_strip", planes, 5, shape=(1, 2, 1, 131072), dtype=f32),
        run("mean", planes[0], scratch, shape=(1,), dtype=f32),
    ]


def test_results_do_not_depend_on_the_number_of_threads_or_the_device(native: Native, threads: None) -> None:
    _core.set_num_threads(1)
    alone = everything(Native("cpu"))
    for n in (1, 2, 3, 8):
        _core.set_num_threads(n)
        for one, several in zip(alone, everything(native), strict=True):
            np.testing.assert_array_equal(one, several)
