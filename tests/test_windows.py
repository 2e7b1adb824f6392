"""windows.py and kept.py: which part of a long image is looked at, and what stays selected outside of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiseg import windows
from pyiseg.geometry import Rect
from pyiseg.kept import Kept, nonzero_bounds

WIDE = (100, 2000)


def choose(shape: tuple[int, int], current: Rect | None, selection: Rect | None, x: int, y: int) -> Rect:
    """The window; on a tall image it is the same, with rows and columns exchanged."""
    found = windows.choose_window(shape, current, selection, (x, y))

    def turned(rect: Rect | None) -> Rect | None:
        return None if rect is None else Rect(rect.left, rect.top, rect.right, rect.bottom)

    again = windows.choose_window(shape[::-1], turned(current), turned(selection), (y, x))
    assert turned(again) == found
    return found


@pytest.mark.parametrize(
    ("shape", "long"),
    [
        *(((100, 600), False), ((100, 601), True), ((600, 100), False), ((601, 100), True), ((27277, 1080), True)),
        *(((1, 64), False), ((1, 65), True), ((8, 64), False), ((1, 1), False), ((3, 1), False)),
    ],
)
def test_which_images_are_long(shape: tuple[int, int], long: bool) -> None:
    assert windows.is_long(shape) == long


def test_a_window_lies_around_the_click_and_inside_the_image() -> None:
    assert choose(WIDE, None, None, 1000, 50) == Rect(0, 850, 100, 1150)
    assert choose(WIDE, None, None, 0, 0) == Rect(0, 0, 100, 300)
    assert choose(WIDE, None, None, 1999, 99) == Rect(0, 1700, 100, 2000)
    assert choose((1, 700), None, None, 300, 0) == Rect(0, 268, 1, 332), "at least 64 pixels"


def test_a_window_stays_while_clicks_lie_well_inside() -> None:
    window = Rect(0, 850, 100, 1150)
    for x in (1000, 887, 1112):
        assert choose(WIDE, window, None, x, 5) == window
    assert choose(WIDE, window, None, 886, 5) == Rect(0, 736, 100, 1036)
    at_the_end = Rect(0, 0, 100, 300)
    assert choose(WIDE, at_the_end, None, 0, 5) == at_the_end, "beyond the image there is nothing"


def test_a_window_grows_for_the_selection_and_the_click() -> None:
    window = Rect(0, 850, 100, 1150)
    near = choose(WIDE, window, Rect(10, 950, 90, 1050), 1150, 5)
    assert near.shape == (100, 300)
    assert (near.left <= 950, near.right >= 1188) == (True, True)
    far = choose(WIDE, window, Rect(10, 950, 90, 1050), 1500, 5)
    assert far == Rect(0, 950, 100, 1538)
    too_far = choose(WIDE, window, Rect(10, 950, 90, 1050), 1600, 5)
    assert too_far == Rect(0, 1450, 100, 1750), "the last click's alone"


def test_a_window_is_widened_around_a_long_selection() -> None:
    window = Rect(0, 850, 100, 1150)
    assert windows.widen(WIDE, window, Rect(10, 950, 90, 1150), (900, 50)) == Rect(0, 725, 100, 1325)
    assert windows.widen(WIDE, Rect(0, 0, 100, 300), Rect(10, 0, 90, 300), (100, 50)) == Rect(0, 0, 100, 600)
    longest = Rect(0, 725, 100, 1325)
    assert windows.widen(WIDE, longest, Rect(10, 725, 90, 1325), (900, 50)) == longest
    tall = Rect(850, 0, 1150, 100)
    assert windows.widen(WIDE[::-1], tall, Rect(950, 10, 1150, 90), (50, 900)) == Rect(725, 0, 1325, 100)


@given(st.integers(1, 40), st.integers(65, 3000), st.data())
def test_a_window_holds_its_click(short: int, length: int, data: st.DataObject) -> None:
    shape = (short, max(length, 6 * short + 1))
    place = st.integers(0, shape[1] - 1)
    current = windows.choose_window(shape, None, None, (data.draw(place), 0))
    first = data.draw(st.integers(current.left, current.right - 1))
    last = data.draw(st.integers(first + 1, current.right))
    x = data.draw(place)
    found = windows.choose_window(shape, current, Rect(0, first, short, last), (x, short - 1))
    assert found.has(x, short - 1)
    assert 0 <= found.left < found.right <= shape[1]
    assert (found.top, found.bottom) == (0, short)
    assert found.shape[1] <= max(6 * short, 64)
    assert windows.choose_window(shape, found, None, (x, 0)) == found, "the same click again stays"
    wider = windows.widen(shape, found, Rect(0, found.left, short, found.left + 1), (x, 0))
    assert wider.has(x, 0)
    assert wider.has(found.left, 0)
    assert wider.shape[1] == min(shape[1], max(6 * short, 64))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_what_was_left_last_counts(seed: int, count: int) -> None:
    rng, expected, kept = np.random.default_rng(seed), np.zeros((20, 90), np.uint8), Kept()
    for _ in range(count):
        left = int(rng.integers(0, 70))
        rect = Rect(0, left, 20, left + int(rng.integers(1, 20)))
        alpha = rng.integers(0, 256, rect.shape, np.uint8) * (rng.random(rect.shape) < rng.choice([0, 0.02, 0.9]))
        alpha = alpha.astype(np.uint8)
        before = kept.alpha(Rect(0, 0, 20, 90))
        after = kept.with_window(rect, alpha)
        np.testing.assert_array_equal(kept.alpha(Rect(0, 0, 20, 90)), before, "it never changes")
        kept = after
        expected[rect.slices] = alpha
        alpha[:] = 7
        np.testing.assert_array_equal(kept.alpha(Rect(0, 0, 20, 90)), expected)
    part = Rect(3, 30, 15, 60)
    np.testing.assert_array_equal(kept.alpha(part), expected[part.slices])


def test_memory_is_that_of_what_is_selected() -> None:
    alpha = np.zeros((100, 200), np.uint8)
    assert Kept().with_window(Rect(0, 0, 100, 200), alpha).nbytes == 0
    alpha[10:30, 50:60] = 255
    kept = Kept().with_window(Rect(0, 0, 100, 200), alpha)
    assert kept.nbytes == 200
    assert kept.with_window(Rect(0, 0, 100, 400), np.zeros((100, 400), np.uint8)).nbytes == 0, "covered by a larger one"


def test_bounds() -> None:
    alpha = np.zeros((10, 20), np.uint8)
    assert nonzero_bounds(alpha, Rect(5, 5, 15, 25)) is None
    alpha[3, 4], alpha[6, 9] = 1, 200
    assert nonzero_bounds(alpha, Rect(5, 5, 15, 25)) == Rect(8, 9, 12, 15)
    assert nonzero_bounds(alpha, Rect(5, 5, 15, 25), least=128) == Rect(11, 14, 12, 15)


def test_on_a_grid_it_is_averaged() -> None:
    rect, alpha = Rect(0, 100, 40, 180), np.zeros((40, 80), np.uint8)
    alpha[:, :20] = 255
    kept = Kept().with_window(rect, alpha)
    found = kept.on_grid(rect, (2, 8))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.repeat([[1, 1, 0, 0, 0, 0, 0, 0]], 2, 0))
    np.testing.assert_allclose(kept.on_grid(Rect(0, 110, 40, 130), (1, 1)), 0.5, atol=1 / 255)
    assert not kept.on_grid(Rect(0, 400, 40, 480), (2, 8)).any()


@pytest.mark.parametrize("label", [0, 1])
def test_a_region_without_a_click_stays_with_its_soft_edge(label: int) -> None:
    rect, alpha = Rect(0, 0, 40, 160), np.zeros((40, 160), np.uint8)
    one, other = np.s_[8:24, 8:40], np.s_[8:24, 100:140]
    alpha[one], alpha[other], alpha[8:24, 40:42], alpha[8:24, 98:100] = 255, 200, 90, 90
    kept, grid = Kept().with_window(rect, alpha), (20, 80)
    nowhere, in_one = np.zeros((0, 3), np.int32), np.array([(10, 8, label)], np.int32)
    found = kept.unclicked(rect, grid, nowhere)
    assert found is not None
    np.testing.assert_array_equal(found, alpha)
    found = kept.unclicked(rect, grid, in_one)
    assert found is not None
    expected = alpha.copy()
    expected[:, :50] = 0
    np.testing.assert_array_equal(found, expected)
    assert in_one[0, 2] == label
    beside = np.array([(20, 8, label)], np.int32)  # on the soft edge of the first, which would stay selected there
    found = kept.unclicked(rect, grid, beside)
    assert found is not None
    assert not found[14:20, 38:44].any()
    assert found[10, 41] == 90
    both = np.array([(10, 8, label), (60, 8, label)], np.int32)
    assert kept.unclicked(rect, grid, both) is None
    assert kept.unclicked(Rect(0, 200, 40, 360), grid, nowhere) is None
