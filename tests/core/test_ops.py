"""Every op on every device against support/reference.py, and the properties that hold whatever the numbers."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import reference, tolerances
from support.devices import DEVICES, ops
from support.op_inputs import PATTERNS, SHAPES, SIGMAS, blobs, image, random_clicks, rng


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    return ops(request.param)


# click maps


@pytest.mark.parametrize("n", [0, 1, 2, 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_click_maps(device: Any, shape: tuple[int, int], n: int) -> None:
    clicks = random_clicks(n, *shape)
    maps = device.click_maps(clicks, SIGMAS, *shape)
    np.testing.assert_allclose(
        maps, reference.click_maps(clicks, SIGMAS, *shape), rtol=0, atol=tolerances.CLICK_MAPS, strict=False
    )


@pytest.mark.parametrize("sigmas", [[0.001], [2.0], [1e6], [0.5, 1, 2, 4, 8, 16, 32, 64]])
def test_click_maps_take_any_number_of_sigmas(device: Any, sigmas: list[float]) -> None:
    clicks = random_clicks(3, 40, 50)
    maps = device.click_maps(clicks, sigmas, 40, 50)
    np.testing.assert_allclose(maps, reference.click_maps(clicks, sigmas, 40, 50), rtol=0, atol=tolerances.CLICK_MAPS)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_click_order_does_not_matter(device: Any, data: st.DataObject) -> None:
    h, w = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 80))
    click = st.tuples(st.integers(0, w - 1), st.integers(0, h - 1), st.integers(0, 1))
    rows = data.draw(st.lists(click, min_size=1, max_size=8))
    shuffled = data.draw(st.permutations(rows))
    maps = device.click_maps(np.array(rows, np.int32), SIGMAS, h, w)
    np.testing.assert_array_equal(maps, device.click_maps(np.array(shuffled, np.int32), SIGMAS, h, w))
    for x, y, label in rows:
        np.testing.assert_array_equal(maps[label * 3 : label * 3 + 3, y, x], 1.0)
    assert maps.min() >= 0.0
    assert maps.max() <= 1.0


def test_maps_of_a_label_without_clicks_are_zero(device: Any) -> None:
    maps = device.click_maps(np.array([[3, 2, 1]], np.int32), SIGMAS, 9, 9)
    assert not maps[:3].any()
    assert maps[3:].any()


# forced clicks


@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_force_clicks(device: Any, shape: tuple[int, int], n: int) -> None:
    clicks, alpha = random_clicks(n, *shape), blobs(*shape)
    forced = device.force_clicks(clicks, alpha)
    np.testing.assert_allclose(forced, reference.force_clicks(clicks, alpha), rtol=0, atol=tolerances.FORCED)


@pytest.mark.parametrize("labels", [(0, 1), (1, 0), (1, 0, 1), (0, 0, 1, 1, 0)])
def test_the_later_click_wins_on_one_pixel(device: Any, labels: tuple[int, ...]) -> None:
    clicks = np.array([[2, 1, label] for label in labels], np.int32)
    assert device.force_clicks(clicks, np.full((4, 5), 0.25, np.float32))[1, 2] == labels[-1]


# pinned clicks


@pytest.mark.parametrize("n", [0, 1, 2, 9, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_pin_clicks(device: Any, shape: tuple[int, int], n: int) -> None:
    clicks, guide = random_clicks(n, *shape), image(*shape)
    lines = np.stack([image(*shape, seed=1), blobs(*shape)])
    pinned = device.pin_clicks(guide, clicks, lines)
    np.testing.assert_allclose(pinned, reference.pin_clicks(guide, clicks, lines), rtol=0, atol=tolerances.FORCED)


def test_a_pinned_click_is_obeyed_at_any_resolution(device: Any) -> None:
    """Wherever in its grid pixel a click was made; clicks of the other side two grid pixels away keep their own."""
    guide, lines = image(12, 14), np.stack([np.zeros((12, 14)), np.ones((12, 14))]).astype(np.float32)
    clicks = np.array([[5, 6, 0], [8, 6, 1]], np.int32)
    alpha = device.apply_coefficients(device.pin_clicks(guide, clicks, lines), image(60, 70), np.float32)
    assert (alpha[30:35, 25:30] == 0).all()
    assert (alpha[30:35, 40:45] == 1).all()


def test_an_obeyed_click_is_not_pinned(device: Any) -> None:
    guide, lines = image(6, 7), np.stack([np.zeros((6, 7)), np.full((6, 7), 0.7)]).astype(np.float32)
    np.testing.assert_array_equal(device.pin_clicks(guide, np.array([[3, 3, 1]], np.int32), lines), lines)


# clicked regions


@pytest.mark.parametrize("margin", [0, 1, 4, 200])
@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_keep_clicked_components(device: Any, shape: tuple[int, int], n: int, margin: int) -> None:
    alpha, clicks = blobs(*shape), random_clicks(n, *shape)
    kept = device.keep_clicked_components(alpha, clicks, margin)
    expected = reference.keep_clicked_components(alpha, clicks, margin)
    np.testing.assert_allclose(kept, expected, rtol=0, atol=tolerances.REGIONS)


@pytest.mark.parametrize("name", PATTERNS)
def test_regions_are_those_of_opencv(device: Any, name: str) -> None:
    alpha = PATTERNS[name]
    labels = cv2.connectedComponents((alpha > 0.5).astype(np.uint8), connectivity=8)[1]
    for seed in range(5):
        clicks = random_clicks(1 + seed, *alpha.shape, seed=seed)
        clicks[0, 2] = 1
        wanted = {labels[y, x] for x, y, fg in clicks.tolist() if fg} - {0}
        expected = np.where(np.isin(labels, list(wanted)), alpha, 0)
        np.testing.assert_array_equal(device.keep_clicked_components(alpha, clicks, 0), expected)


def test_margin_keeps_soft_pixels_near_a_kept_region_only(device: Any) -> None:
    alpha = np.full((9, 30), 0.4, np.float32)
    alpha[4, 4] = 0.9  # clicked
    alpha[4, 7] = 0.8  # a region of its own, inside the margin of the clicked one
    alpha[4, 22] = 0.7  # far away
    kept = device.keep_clicked_components(alpha, np.array([[4, 4, 1]], np.int32), 3)
    expected = np.zeros_like(alpha)
    expected[1:8, 1:8] = np.float32(0.4)
    expected[4, 4] = np.float32(0.9)
    expected[4, 7] = 0
    np.testing.assert_array_equal(kept, expected)


def test_only_a_foreground_click_above_one_half_keeps_a_region(device: Any) -> None:
    alpha = np.full((5, 8), 0.5, np.float32)  # exactly one half is outside
    alpha[:, :3] = 1
    background_click = np.array([[1, 1, 0]], np.int32)
    click_outside = np.array([[5, 1, 1]], np.int32)
    assert not device.keep_clicked_components(alpha, background_click, 2).any()
    assert not device.keep_clicked_components(alpha, click_outside, 2).any()
    assert not device.keep_clicked_components(alpha, np.empty((0, 3), np.int32), 2).any()


def test_nan_is_no_part_of_a_region(device: Any) -> None:
    alpha = np.array([[1, np.nan, 1, 0.3]], np.float32)
    kept = device.keep_clicked_components(alpha, np.array([[0, 0, 1]], np.int32), 4)
    np.testing.assert_array_equal(kept, np.array([[1, 0, 0, 0.3]], np.float32))


@pytest.mark.parametrize("shape", SHAPES)
def test_zero_coefficients(device: Any, shape: tuple[int, int]) -> None:
    """Where alpha was above 0 and was not kept, nothing is selected; everything else stays."""
    alpha, lines = blobs(*shape), np.stack([image(*shape, seed=1), image(*shape, seed=2)])
    kept = np.where(image(*shape, seed=3) > 0.5, alpha, 0).astype(np.float32)
    expected = np.where((alpha > 0) & (kept == 0), 0, lines)
    np.testing.assert_array_equal(device.zero_coefficients(alpha, kept, lines), expected)


# rounding to FP16

HALVES = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)  # all from 0 to 65504
BETWEEN = (HALVES[1:] + HALVES[:-1]) / 2  # exact, and as near to one as to the other


def assert_rounded(found: np.ndarray, values: np.ndarray) -> None:
    """To the nearest half, ties to even, as NumPy does it."""
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(found.view(np.uint16), expected.view(np.uint16))


def test_floats_above_one_half_become_the_nearest_half(device: Any) -> None:
    """A region that is kept holds what it held, whatever is above one half."""
    near = [np.nextafter(x, np.float32(to)) for x in (HALVES, BETWEEN) for to in (-np.inf, np.inf)]
    past = np.array([65519.996, 65520, 65536, 1e10, np.inf], np.float32)
    exponents = np.arange(126, 255, dtype=np.uint32)[:, None] << 23
    random = (exponents + rng(16).integers(0, 1 << 23, (129, 400), dtype=np.uint32)).view(np.float32)
    values = np.concatenate([HALVES, BETWEEN, *near, past, random.ravel()])
    values = values[values > 0.5][None]
    assert np.isin(values, BETWEEN).sum() > 16000
    kept = device.keep_clicked_components(values, np.array([[0, 0, 1]], np.int32), 0, np.float16)
    assert_rounded(kept, values)


def test_floats_below_one_become_the_nearest_half(device: Any) -> None:
    """Click maps come down to 0: sigmas are chosen so that a map's second pixel is a half, or between two of them."""
    aims = np.concatenate([HALVES, BETWEEN]).astype(np.float64)
    sigmas = np.sqrt(-0.5 / np.log(aims[(aims > 0) & (aims < 1)]))
    clicks, groups = np.array([[0, 0, 1]], np.int32), np.array_split(sigmas, -(-len(sigmas) // 8))
    halves, floats = (
        np.concatenate([device.click_maps(clicks, few, 1, 9, dtype)[len(few) :] for few in groups])
        for dtype in (np.float16, np.float32)
    )
    assert_rounded(halves, floats)
    ties = floats[np.isin(floats, BETWEEN)]
    assert (ties >= 2.0**-14).sum() > 1000
    assert (ties < 2.0**-14).sum() > 50, "subnormal halves, which are multiples of 2^-24"
