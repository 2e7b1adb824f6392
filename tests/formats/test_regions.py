"""Changes of a matte's edges and regions, against OpenCV and SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg.formats import feather, fill_holes, grow, keep_largest, shrink

RADII = (0, 0.9, 1, 1.5, 2, 2.9, 7.3, 30)
CHANGES = (lambda alpha: feather(alpha, 2), lambda alpha: grow(alpha, 2), lambda alpha: shrink(alpha, 2))


def disc(radius: float) -> Mask:
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return x * x + y * y <= radius * radius


@st.composite
def alphas(draw: st.DrawFn) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    mask = draw(masks.masks())
    noise = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, mask.shape, dtype=np.uint8)
    return np.where(mask, noise, 0).astype(np.uint8)


@given(alphas(), st.sampled_from(RADII))
def test_grow_and_shrink_as_opencv_does(alpha: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], radius: float) -> None:
    kernel = disc(radius).astype(np.uint8)
    assert np.array_equal(grow(alpha, radius), cv2.dilate(alpha, kernel))
    assert np.array_equal(shrink(alpha, radius), cv2.erode(alpha, kernel))


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases(mask: Mask) -> None:
    assert np.array_equal(fill_holes(mask) > 0, ndimage.binary_fill_holes(mask))
    for change in (*CHANGES, fill_holes, keep_largest):
        before = mask.copy()
        found = change(mask)
        assert found.dtype == np.uint8
        assert found.shape == mask.shape
        assert np.array_equal(mask, before)
        assert found.any() or not mask.all()


@given(masks.masks())
def test_holes_are_those_of_scipy(mask: Mask) -> None:
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask) * np.uint8(255))


@given(masks.masks())
def test_the_largest_region_is_that_of_scipy(mask: Mask) -> None:
    labels, count = ndimage.label(mask)
    found = keep_largest(mask)
    if not count:
        assert not found.any()
        return
    sizes = np.bincount(labels.ravel())[1:]
    (kept,) = np.unique(labels[found > 0])
    assert sizes[kept - 1] == sizes.max() == (found == 255).sum()


@pytest.mark.parametrize("radius", [1, 2, 5, 10])
def test_feather_is_a_gaussian(radius: float) -> None:
    alpha = masks.blob(90, 120) * np.uint8(255)
    wanted = ndimage.gaussian_filter(alpha.astype(np.float64), radius / 2, mode="nearest")
    assert np.abs(feather(alpha, radius) - wanted).max() < 6  # Pillow's is of three boxes


def test_a_feathered_edge_is_as_wide_as_is_said() -> None:
    alpha = np.zeros((1, 80), np.uint8)
    alpha[:, 40:] = 255
    for radius in (4, 10):
        row = feather(np.repeat(alpha, 9, axis=0), radius)[4].astype(int)
        assert (np.diff(row) >= 0).all()
        assert row[39 - radius] <= 0.03 * 255
        assert row[40 + radius] >= 0.97 * 255
        assert row[-1] == 255  # goes on beyond the image
        assert 0 < row[40 - radius // 2] < 128


def test_nothing_changes_by_nothing() -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for function in (feather, grow, shrink):
        found = function(alpha, 0)
        assert np.array_equal(found, alpha)
        assert not np.shares_memory(found, alpha)
    for whole in (fill_holes, keep_largest):
        assert not np.shares_memory(whole(alpha), alpha)


def test_a_selection_does_not_come_off_the_border() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[:, :12] = True
    found = shrink(mask, 3) > 0
    assert found[:, :9].all()
    assert not found[:, 9:].any()


def test_the_soft_rim_of_a_hole_is_filled_and_that_of_the_outside_is_not() -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[4:36, 4:36] = 255
    alpha[12:28, 12:28] = np.pad(np.zeros((12, 12), np.uint8), 2, constant_values=170)
    alpha[4:36, 4:36] = np.minimum(alpha[4:36, 4:36], np.pad(np.full((30, 30), 255, np.uint8), 1, constant_values=190))
    found = fill_holes(alpha)
    assert (found[8:32, 8:32] == 255).all()
    assert (found[4, 4:36] == 190).all()
    assert not found[:4].any()


def test_a_thin_soft_wall_keeps_its_outside() -> None:
    alpha = np.pad(np.zeros((5, 5), np.uint8), 2, constant_values=200)
    alpha = np.pad(alpha, 3)
    found = fill_holes(alpha)
    assert (found[5:10, 5:10] == 255).all()
    assert (found[3, 3:12] == 200).all()


def test_soft_edges_of_the_largest_region_stay() -> None:
    alpha = np.zeros((12, 30), np.uint8)
    alpha[2:10, 2:12] = 60
    alpha[3:9, 3:11] = 255
    alpha[3:6, 20:24] = 255
    alpha[7, 20:24] = 90  # a faint speck
    found = keep_largest(alpha)
    assert np.array_equal(found[:, :15], alpha[:, :15])
    assert not found[:, 15:].any()
    alpha[4, 11:20] = 50  # a faint bridge
    found = keep_largest(alpha)
    assert found[4, 15] == 50
    assert not found[3:6, 20:24].any()


def test_of_nothing_selected_nothing_is_kept() -> None:
    assert not keep_largest(np.full((5, 5), 127, np.uint8)).any()
    assert np.array_equal(keep_largest(of("##.#")), [[255, 255, 0, 0]])


@pytest.mark.parametrize("radius", [-1, float("nan"), float("inf"), "2", None, True])
def test_a_radius_that_is_none(radius: object) -> None:
    for function in (feather, grow, shrink):
        with pytest.raises(ValueError, match=r"radius is .*; pass a number of pixels, not below 0"):
            function(of("#"), radius)  # type: ignore[arg-type]


def test_alpha_that_is_none() -> None:
    for function in (*CHANGES, fill_holes, keep_largest):
        with pytest.raises(ValueError, match="alpha has dtype float64"):
            function(np.zeros((2, 2)))
