"""The color guided filter in residual form, on every device against support/reference.py and what must hold of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import reference, tolerances
from support.devices import DEVICES, ops
from support.native import Native
from support.op_inputs import SHAPES, SIZES, blobs, image, random_clicks, rng

from pyiseg.geometry import View
from pyiseg.runtime.resample import image_on_grid, windows

Float32 = NDArray[np.float32]


@pytest.fixture(params=DEVICES)
def native(request: pytest.FixtureRequest) -> Native:
    return Native(request.param)


def colors(h: int, w: int, seed: int = 0) -> Float32:
    """R, G, B in 0..1 that go together more than not, as in photographs: shapes, an edge, a little noise."""
    gray = 0.5 + 0.4 * image(h, w, seed)
    tint = np.array([0.1, 0.0, -0.1])[:, None, None] * blobs(h, w, seed + 5)
    return np.clip(gray + tint + 0.01 * rng(seed, h, w).standard_normal((3, h, w)), 0, 1).astype(np.float32)


def color_image(h: int, w: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.ascontiguousarray((255 * colors(h, w, seed)).round().astype(np.uint8).transpose(1, 2, 0))


def statistics_of(native: Native, planes: Float32, radius: int, eps: float) -> Float32:
    shape = (6, *planes.shape[1:])
    return native.run("color_guide_statistics", planes, radius, eps, shape=shape, dtype=np.float32)


def coefficients_of(native: Native, planes: Float32, p: Float32, radius: int, eps: float) -> Float32:
    scratch = native.there(np.full((3, *p.shape), np.nan, np.float32))
    found = statistics_of(native, planes, radius, eps)
    shape = (4, *p.shape)
    return native.run(
        "color_guided_filter_coefficients", planes, found, p, radius, scratch, shape=shape, dtype=np.float32
    )


def applied(native: Native, coefficients: Float32, guide: NDArray[Any], dtype: Any = np.float32) -> NDArray[Any]:
    return native.run("apply_coefficients", coefficients, guide, shape=guide.shape[:2], dtype=dtype)


def random_coefficients(h: int, w: int) -> Float32:
    return rng(h, w, 3).normal([[[0.3]], [[-0.2]], [[0.1]], [[0.3]]], 0.7, (4, h, w)).astype(np.float32)


@pytest.mark.parametrize("radius", [0, 1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics(native: Native, shape: tuple[int, int], radius: int) -> None:
    planes = colors(*shape)
    found = statistics_of(native, planes, radius, 1e-3)
    expected = reference.color_guide_statistics(planes, radius, 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5 / 1e-3)  # an inverse is up to 1 / eps


@pytest.mark.parametrize("eps", tolerances.COLOR)
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients(native: Native, shape: tuple[int, int], radius: int, eps: float) -> None:
    planes, p = colors(*shape), blobs(*shape)
    found = coefficients_of(native, planes, p, radius, eps).astype(np.float64)
    exact = reference.color_guide_statistics(planes, radius, eps)
    expected = reference.color_guided_filter_coefficients(planes, exact, p, radius)
    # Between grid pixels the image differs from the grid's; here by as much as a neighbor does.
    other = np.roll(planes, 1, axis=2)
    alpha, wanted = ((c[:3] * other).sum(axis=0) + c[3] for c in (found, expected))
    np.testing.assert_allclose(alpha, wanted, rtol=0, atol=tolerances.COLOR[eps])
    np.testing.assert_allclose((found[:3] * planes).sum(axis=0) + found[3], p, rtol=0, atol=tolerances.COLOR_ON_GRID)


@pytest.mark.parametrize("eps", [1e-6, 1e-4])
def test_gray_images_lose_no_digits_that_matter(native: Native, eps: float) -> None:
    """R = G = B: the covariances' matrix has rank one, and only eps makes it invertible."""
    plane = (0.5 + 0.4 * image(60, 90)).clip(0, 1).astype(np.float32)
    planes, p = np.stack([plane] * 3), blobs(60, 90)
    found = coefficients_of(native, planes, p, 1, eps).astype(np.float64)
    exact = reference.color_guide_statistics(planes, 1, eps)
    expected = reference.color_guided_filter_coefficients(planes, exact, p, 1)
    other = np.roll(plane, 1, axis=1)
    alpha, wanted = (c[:3].sum(axis=0) * other + c[3] for c in (found, expected))
    np.testing.assert_allclose(alpha, wanted, rtol=0, atol=tolerances.COLOR[eps])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    h=st.integers(1, 20),
    w=st.integers(1, 80),
    radius=st.integers(0, 4),
    value=st.floats(0, 1, width=32),
    eps=st.sampled_from(sorted(tolerances.COLOR)),
)
def test_constants_survive(native: Native, h: int, w: int, radius: int, value: float, eps: float) -> None:
    coefficients = coefficients_of(native, colors(h, w), np.full((h, w), value, np.float32), radius, eps)
    assert not coefficients[:3].any()
    np.testing.assert_array_equal(coefficients[3], np.float32(value))


def test_coefficients_are_linear_in_the_prediction(native: Native) -> None:
    planes, p, other = colors(31, 45), blobs(31, 45), blobs(31, 45, seed=4)
    both = coefficients_of(native, planes, (0.25 * p + 0.75 * other).astype(np.float32), 1, 1e-3)
    apart = [coefficients_of(native, planes, x, 1, 1e-3) for x in (p, other)]
    np.testing.assert_allclose(both, 0.25 * apart[0] + 0.75 * apart[1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DEVICES)
def test_residual_form_of_the_learned_guide(name: str, shape: tuple[int, int], radius: int) -> None:
    guide, p = image(*shape), blobs(*shape)
    a, b = ops(name).guided_filter_coefficients(guide, p, radius, 1e-3, residual=True).astype(np.float64)
    expected = reference.guided_filter_coefficients(guide, p, radius, 1e-3, residual=True)
    np.testing.assert_allclose(a, expected[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(a * guide + b, p, rtol=0, atol=tolerances.GUIDED[1e-3])


# alpha at full resolution


@pytest.mark.parametrize(("grid", "size"), SIZES)
def test_apply(native: Native, grid: tuple[int, int], size: tuple[int, int]) -> None:
    coefficients, rgb = random_coefficients(*grid), color_image(*size)
    expected = reference.apply_color_coefficients(coefficients, rgb)
    np.testing.assert_allclose(applied(native, coefficients, rgb), expected, rtol=0, atol=tolerances.APPLIED_COLOR)
    as_bytes = applied(native, coefficients, rgb, np.uint8)
    difference = np.abs(as_bytes.astype(int) - reference.to_bytes(expected))
    assert difference.max() <= tolerances.APPLIED_BYTES
    at_a_half = np.abs(np.mod(255 * expected, 1) - 0.5) < 255 * tolerances.APPLIED_COLOR
    assert not difference[~at_a_half].any()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_where_all_coefficients_are_zero_alpha_is_zero(native: Native, dtype: Any) -> None:
    """Nothing is computed there, which must not show: not beside it, and not at the ends of rows."""
    coefficients = random_coefficients(20, 40)
    coefficients[:, :, 9:30] = 0
    coefficients[:, 12:, :] = 0
    for width in (640, 650, 95):
        rgb = color_image(60, width)
        found = applied(native, coefficients, rgb, dtype)
        expected = reference.apply_color_coefficients(coefficients, rgb)
        if dtype == np.uint8:
            assert np.abs(found.astype(int) - reference.to_bytes(expected)).max() <= tolerances.APPLIED_BYTES
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerances.APPLIED_COLOR)
        assert not found[expected == 0].any()


def test_a_white_and_a_black_pixel(native: Native) -> None:
    rgb = np.array([[[255, 255, 255], [0, 0, 0]]], np.uint8)
    coefficients = np.array([0.25, 0.125, 0.0625, 0.5], np.float32)[:, None, None] * np.ones((4, 1, 2), np.float32)
    np.testing.assert_allclose(applied(native, coefficients, rgb), [[0.9375, 0.5]], rtol=0, atol=1e-7)


# clicks are obeyed


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("n", [0, 1, 3, 40])
@pytest.mark.parametrize(("grid", "size"), SIZES)
def test_pin_image_clicks(native: Native, grid: tuple[int, int], size: tuple[int, int], n: int, learned: bool) -> None:
    coefficients = random_coefficients(*grid)[2 if learned else 0 :].copy()
    guide = image(*size) if learned else color_image(*size)
    image_clicks = random_clicks(n, *size)
    clicks = View(size, grid, grid).grid_clicks(image_clicks)
    there = [native.there(x) for x in (guide, image_clicks, clicks)]
    flags, out = native.there(np.full(grid, np.nan, np.float32)), native.there(coefficients.copy())
    native.ops.pin_image_clicks(*there, flags, out)
    pinned = native.here(out)
    apply = reference.apply_coefficients if learned else reference.apply_color_coefficients
    expected = reference.pin_image_clicks(apply(coefficients, guide), image_clicks, clicks, coefficients)
    np.testing.assert_array_equal(pinned, expected.astype(np.float32))
    alpha = apply(pinned, guide)
    for (x, y, label), place in zip(image_clicks.tolist(), clicks[:, :2], strict=True):
        others = clicks[image_clicks[:, 2] != label, :2]
        if not (np.abs(others - place).max(axis=1, initial=0) <= 3).any():
            assert alpha[y, x] >= 0.6 if label else alpha[y, x] <= 0.4


def test_all_clicks_on_a_grid_pixel_are_obeyed(native: Native) -> None:
    """Two at different places of one grid pixel: the second alone would not show that the first is disobeyed."""
    grid, size = (6, 8), (48, 64)
    coefficients = np.zeros((4, *grid), np.float32)
    coefficients[0], coefficients[3] = 4.0, -1.0  # red selects
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[24:32, 36:40, 0] = 255  # the right half of grid pixel (4, 3)
    image_clicks = np.array([[33, 25, 1], [38, 30, 1]], np.int32)
    clicks = View(size, grid, grid).grid_clicks(image_clicks)
    assert clicks[:, :2].tolist() == [[4, 3], [4, 3]]
    flags, out = native.there(np.zeros(grid, np.float32)), native.there(coefficients.copy())
    native.ops.pin_image_clicks(*(native.there(x) for x in (rgb, image_clicks, clicks)), flags, out)
    pinned = native.here(out)
    expected = reference.pin_image_clicks(
        reference.apply_color_coefficients(coefficients, rgb), image_clicks, clicks, coefficients
    )
    np.testing.assert_array_equal(pinned, expected.astype(np.float32))
    assert (reference.apply_color_coefficients(pinned, rgb)[image_clicks[:, 1], image_clicks[:, 0]] == 1).all()


# the image on the grid


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 1), (37, 50), (64, 97), (300, 200), (5, 301)])
@pytest.mark.parametrize("grid", [(16, 32), (32, 16), (1, 1), (7, 5)])
def test_image_on_grid(native: Native, size: tuple[int, int], grid: tuple[int, int]) -> None:
    rgb, view = color_image(*size), View(size, grid, grid)
    memory, out = native.between_guards((3, *grid), np.float32)
    image_on_grid(native.device, view, native.there(rgb), out)
    found = native.result(memory, (3, *grid))
    kinds = ["area" if grid[i] < size[i] else "bilinear" for i in (0, 1)]
    down, across = (reference.filter_matrix(kinds[i], size[i], grid[i]) for i in (0, 1))
    expected = down @ (rgb.transpose(2, 0, 1) / 255.0) @ across.T
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerances.ON_GRID)


def test_area_windows_cover_everything_once() -> None:
    for size, result in ((7, 3), (640, 256), (4000, 256), (513, 512), (1000, 1)):
        made = windows("area", size, result)
        weights = np.zeros((result, size))
        for i, start in enumerate(made.starts):
            weights[i, start : start + len(made.weights)] += made.weights[:, i]
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(weights.sum(axis=0), result / size, atol=1e-9)


# what is refused; the rest of it in tests/core/test_core.py


def test_outputs_must_lie_apart() -> None:
    core, f = Native("cpu").ops, np.float32
    memory = np.zeros((13, 4, 5), f)
    with pytest.raises(ValueError, match="image and statistics share memory"):
        core.color_guide_statistics(memory[:3], 1, 1e-3, memory[2:8])
    with pytest.raises(ValueError, match="scratch and coefficients share memory"):
        core.color_guided_filter_coefficients(
            np.zeros((3, 4, 5), f), np.zeros((6, 4, 5), f), np.zeros((4, 5), f), 1, memory[:3], memory[2:6]
        )
