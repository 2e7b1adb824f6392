"""zoom.py: which part of an image is looked at, and how a selection gets there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiseg import load_model, zoom
from pyiseg.geometry import Rect
from pyiseg.model import Zoom

SHAPE, SIDE = (300, 400), 512
WHOLE, SMALL = Rect(0, 0, *SHAPE), Rect(100, 200, 150, 260)
CLOSER = Rect(85, 182, 165, 278)  # 1.6 times the sides, about the middle


def choose(current: Rect, selection: Rect, shape: tuple[int, int] = SHAPE, rules: Zoom | None = None) -> Rect:
    return zoom.choose_crop(rules or Zoom(), shape, SIDE, current, selection)


def test_a_selections_box_covers_its_pixels() -> None:
    alpha = np.zeros((10, 20), np.float32)
    part = Rect(top=100, left=200, bottom=130, right=280)  # 3 rows and 4 columns to a grid pixel
    assert zoom.selection_bounds(alpha, part) is None
    alpha[3, 5] = alpha[6, 8] = 0.5
    alpha[0, 0] = 0.49
    found = zoom.selection_bounds(alpha, part)
    assert found == Rect(109, 220, 121, 236)
    assert found.with_pixel(222, 110) == found
    assert found.with_pixel(5, 299) == Rect(109, 5, 300, 236)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_no_selected_pixel_is_outside_of_the_box(h: int, w: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = (rng.random((h, w)) < 0.05).astype(np.float32)
    alpha[rng.integers(h), rng.integers(w)] = 1
    part = Rect(7, 11, 7 + height, 11 + width)
    found = zoom.selection_bounds(alpha, part)
    assert found is not None
    y, x = np.mgrid[:height, :width]
    ys, xs = np.nonzero(alpha[y * h // height, x * w // width])
    assert all(found.has(x + 11, y + 7) for y, x in zip(ys, xs, strict=True))
    assert found.top >= part.top
    assert found.left >= part.left
    assert found.bottom <= part.bottom
    assert found.right <= part.right


def test_what_is_looked_at() -> None:
    assert choose(WHOLE, SMALL) == CLOSER
    assert choose(CLOSER, SMALL) == CLOSER
    assert choose(CLOSER, Rect(100, 200, 160, 262)) == CLOSER, "there is room in the part"
    assert choose(CLOSER, Rect(100, 200, 164, 262)) == Rect(80, 181, 183, 281), "its edge is near"
    assert choose(CLOSER, Rect(0, 0, 200, 250)) == WHOLE, "it is small no more"
    corner = choose(WHOLE, Rect(0, 390, 10, 400))
    assert corner == Rect(0, 368, 32, 400), "at least 32 pixels, and inside the image"
    assert choose(corner, Rect(0, 388, 12, 400)) == corner, "beyond the image there is nothing"
    assert choose(Rect(0, 0, 20, 9), Rect(3, 3, 4, 4), shape=(20, 9)) == Rect(0, 0, 20, 9)


def test_what_is_near_a_limit_does_not_go_to_and_fro() -> None:
    shape = (1000, 1000)
    whole = Rect(0, 0, *shape)
    fits, larger, too_large = (Rect(100, 100, 100 + side, 100 + side) for side in (395, 410, 460))
    part = choose(whole, fits, shape)
    assert part.shape == (632, 632)
    assert choose(whole, larger, shape) == whole
    assert choose(part, larger, shape) == part, "there is room in the part"
    shifted = Rect(300, 300, 710, 710)
    assert choose(part, shifted, shape).shape == (656, 656), "not for all of it that was chosen anew"
    assert choose(part, too_large, shape) == part
    assert choose(part, Rect(100, 100, 660, 660), shape) == whole
    # And one that has become much smaller is zoomed in on again.
    assert choose(part, Rect(300, 300, 320, 320), shape).shape == (32, 32)
    assert choose(part, Rect(300, 300, 520, 520), shape) == part


@pytest.mark.parametrize(("shape", "closer"), [((64, 64), False), ((96, 128), False), ((300, 400), True)])
def test_what_shows_nothing_more_is_not_looked_at(shape: tuple[int, int], closer: bool) -> None:
    """All of an image of 128 pixels gets 4 working pixels to one already; a part would get 2.5."""
    part = choose(Rect(0, 0, *shape), Rect(10, 10, 18, 18), shape)
    assert (part != Rect(0, 0, *shape)) == closer


def test_where_a_selection_is_cut_off() -> None:
    part = Rect(0, 50, 100, 400)
    assert not zoom.touches_crop_edge(Rect(0, 60, 90, 400), part, WHOLE), "beyond the image there is nothing"
    assert zoom.touches_crop_edge(Rect(0, 50, 90, 400), part, WHOLE)
    assert zoom.touches_crop_edge(Rect(10, 60, 100, 390), part, WHOLE)
    assert not zoom.touches_crop_edge(WHOLE, WHOLE, WHOLE)


def test_pixels_are_not_blown_up_beyond_use() -> None:
    assert zoom.long_side(Zoom(), Rect(0, 0, 10, 40), 512, 32) == 128
    assert zoom.long_side(Zoom(), Rect(0, 0, 300, 40), 512, 32) == 512
    assert zoom.long_side(Zoom(), Rect(0, 0, 1, 1), 512, 32) == 32


def bell(box: Rect, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A smooth selection on the grid of a part."""
    y, x = np.mgrid[: grid[0], : grid[1]] + 0.5
    y, x = box.top + y * box.shape[0] / grid[0], box.left + x * box.shape[1] / grid[1]
    return np.exp(-((y - 70) ** 2 + (x - 90) ** 2) / 200).astype(np.float32)


ONE, OTHER, ASIDE = Rect(0, 0, 160, 200), Rect(35, 55, 105, 125), Rect(60, 80, 140, 170)


@pytest.mark.parametrize(
    ("source", "from_grid", "target", "to_grid"),
    [(ONE, (80, 96), OTHER, (64, 64)), (OTHER, (64, 64), ONE, (80, 96)), (OTHER, (64, 64), ASIDE, (40, 48))],
    ids=["in", "out", "sideways"],
)
def test_a_selection_is_carried_to_where_it_was(
    source: Rect, from_grid: tuple[int, int], target: Rect, to_grid: tuple[int, int]
) -> None:
    found = zoom.resample_to_crop(bell(source, from_grid), source, target, to_grid)
    assert found.dtype == np.float32
    seen = zoom.resample_to_crop(np.ones(from_grid, np.float32), source, target, to_grid) == 1
    assert seen.any()
    assert np.abs(found - bell(target, to_grid))[seen].max() < 0.05
    assert found[~seen].max(initial=0) < 0.3


def test_what_is_carried_keeps_its_size() -> None:
    alpha = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    np.testing.assert_allclose(zoom.resample_to_crop(alpha, OTHER, OTHER, (7, 5)), alpha, atol=1e-6)
    # Far out, each pixel is the mean of many: nothing thin falls between them.
    line = np.zeros((256, 256), np.float32)
    line[:, 100:103] = 1
    whole = zoom.resample_to_crop(line, Rect(1000, 1000, 1200, 1200), Rect(0, 0, 4000, 4000), (256, 256))
    found = float(whole.sum()) * (4000 / 256) ** 2
    assert found == pytest.approx(float(line.sum()) * (200 / 256) ** 2, rel=0.2)


def test_the_default_model_looks_zoomed() -> None:
    assert load_model().zoom == Zoom()


@pytest.mark.parametrize(
    ("name", "value"),
    [("from_click", 1), ("from_click", 2.5), ("enlarge", 0.5), ("below", 1.5), ("magnify", 0), ("below", True)],
)
def test_rules_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"zoom\.{name} is {value!r}; it must be a"):
        Zoom(**{name: value})
