"""The guided filter and its lines on every device against support/reference.py."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import reference, tolerances
from support.devices import DEVICES, ops
from support.op_inputs import SHAPES, SIZES, blobs, image, rng


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    return ops(request.param)


# guided filter


@pytest.mark.parametrize("eps", tolerances.GUIDED)
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_guided_filter(device: Any, shape: tuple[int, int], radius: int, eps: float) -> None:
    guide, p = image(*shape), blobs(*shape)
    a, b = device.guided_filter_coefficients(guide, p, radius, eps).astype(np.float64)
    expected_a, expected_b = reference.guided_filter_coefficients(guide, p, radius, eps)
    alpha, expected = a * guide + b, expected_a * guide + expected_b
    np.testing.assert_allclose(alpha, expected, rtol=0, atol=tolerances.GUIDED[eps])


def test_guided_filter_at_tiny_eps_on_a_nearly_flat_guide(device: Any) -> None:
    # Differences of 1e-4 in the guide, as in shadow: their squares are of eps's own size, 1e-8.
    guide = (0.3 + 1e-4 * rng(5).standard_normal((60, 90))).astype(np.float32)
    guide -= guide.mean(dtype=np.float64).astype(np.float32)
    p = blobs(60, 90)
    a, b = device.guided_filter_coefficients(guide, p, 2, 1e-8).astype(np.float64)
    expected_a, expected_b = reference.guided_filter_coefficients(guide, p, 2, 1e-8)
    np.testing.assert_allclose(a * guide + b, expected_a * guide + expected_b, rtol=0, atol=tolerances.GUIDED[1e-8])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    h=st.integers(1, 20),
    w=st.integers(1, 80),
    radius=st.integers(0, 4),
    value=st.floats(0, 1, width=32),
    eps=st.sampled_from(sorted(tolerances.GUIDED)),
)
def test_constants_survive_the_filter(device: Any, h: int, w: int, radius: int, value: float, eps: float) -> None:
    guide = image(h, w)
    lines = device.guided_filter_coefficients(guide, np.full((h, w), value, np.float32), radius, eps)
    alpha = lines[0] * guide + lines[1]
    np.testing.assert_allclose(alpha, value, rtol=0, atol=tolerances.CONSTANT)


def test_on_a_flat_guide_the_filter_is_the_box_mean_twice(device: Any) -> None:
    p = blobs(20, 30)
    a, b = device.guided_filter_coefficients(np.zeros((20, 30), np.float32), p, 1, 1e-3)
    mean = cv2.blur(cv2.blur(p, (3, 3)), (3, 3))
    np.testing.assert_array_equal(a, 0)
    np.testing.assert_allclose(b[2:-2, 2:-2], mean[2:-2, 2:-2], rtol=0, atol=tolerances.BOX_MEAN)


# alpha at full resolution


def random_coefficients(h: int, w: int) -> NDArray[np.float32]:
    return rng(h, w, 3).normal(0.3, 0.7, (2, h, w)).astype(np.float32)


@pytest.mark.parametrize(("grid", "size"), SIZES)
def test_apply_coefficients(device: Any, grid: tuple[int, int], size: tuple[int, int]) -> None:
    lines, guide = random_coefficients(*grid), image(*size)
    expected = reference.apply_coefficients(lines, guide)
    np.testing.assert_allclose(device.apply_coefficients(lines, guide), expected, rtol=0, atol=tolerances.APPLIED)
    as_bytes = device.apply_coefficients(lines, guide, np.uint8)
    difference = np.abs(as_bytes.astype(int) - reference.to_bytes(expected))
    assert difference.max() <= tolerances.APPLIED_BYTES
    at_a_half = np.abs(np.mod(255 * expected, 1) - 0.5) < 255 * tolerances.APPLIED
    assert not difference[~at_a_half].any()


@pytest.mark.parametrize("shape", [*SHAPES, (5, 1000), (1, 4099)])
def test_apply_coefficients_of_equal_size_is_exactly_the_line(device: Any, shape: tuple[int, int]) -> None:
    lines, guide = random_coefficients(*shape), image(*shape)
    exact = np.clip(lines[0] * guide + lines[1], np.float32(0), np.float32(1))
    np.testing.assert_array_equal(device.apply_coefficients(lines, guide), exact)


def test_bytes_round_halves_up_and_cover_the_range(device: Any) -> None:
    wanted = np.arange(256)
    values = ((wanted - 0.5) / 255).astype(np.float32)
    values = np.where(values * np.float32(255) + np.float32(0.5) < wanted, np.nextafter(values, np.float32(1)), values)
    lines = np.stack([np.zeros((1, 256), np.float32), values.astype(np.float32)[None]])
    np.testing.assert_array_equal(device.apply_coefficients(lines, np.zeros((1, 256), np.float32), np.uint8)[0], wanted)


def test_alpha_is_clipped_and_nan_is_zero(device: Any) -> None:
    guide = np.array([[-9, 9, np.nan, np.inf, -np.inf, 0.25]], np.float32)
    lines = np.stack([np.ones_like(guide), np.zeros_like(guide)])
    np.testing.assert_array_equal(device.apply_coefficients(lines, guide), [[0, 1, 0, 1, 0, 0.25]])
    np.testing.assert_array_equal(device.apply_coefficients(lines, guide, np.uint8), [[0, 255, 0, 255, 0, 64]])
