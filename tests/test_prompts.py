"""prompts.py and prompt_clicks.py: what is refused, and which clicks stand for what."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from pyiseg.geometry import Rect, View
from pyiseg.prompt_clicks import (
    MASK_PARTS,
    clicks_of_box,
    clicks_of_mask,
    next_on_path,
    path_of_scribble,
    rect_of_box,
)
from pyiseg.prompts import (
    Box,
    Click,
    Mask,
    Scribble,
    checked_box,
    checked_click,
    checked_fg,
    checked_mask,
    checked_scribble,
)

SHAPE = (30, 50)
WHOLE = Rect(0, 0, 300, 600)
VIEW = View((300, 600), (128, 256), (64, 128))


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((3, 4, 20, 25), (3, 4, 20, 25)),
        ((20, 25, 3, 4), (3, 4, 20, 25)),
        ((20, 4, 3, 25), (3, 4, 20, 25)),
        ((2.5, 3.5, 2.4, 3.4), (2, 3, 3, 4)),
        ((-7, -3, 90, 90), (0, 0, 49, 29)),
        ((5, 5, 5, 5), (5, 5, 5, 5)),
        (np.array([1, 2, 3, 4], np.int16), (1, 2, 3, 4)),
    ],
)
def test_a_box_is_two_corners(corners: Any, box: tuple[int, int, int, int]) -> None:
    assert checked_box(*corners, SHAPE) == Box(*box)


@pytest.mark.parametrize("corners", [(60, 3, 70, 9), (-9, 3, -1, 9), (3, 30, 9, 40), (3, -5, 9, -1)])
def test_a_box_beside_the_image_is_refused(corners: Any) -> None:
    with pytest.raises(ValueError, match=r"holds nothing of the image: x must be from 0 to 49, y from 0 to 29"):
        checked_box(*corners, SHAPE)


@pytest.mark.parametrize("value", [np.nan, np.inf, "3", None, True, 1j])
def test_a_corner_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^y0 is {re.escape(repr(value))}; pass a finite number$"):
        checked_box(1, value, 3, 4, SHAPE)


def test_a_scribble_is_pairs() -> None:
    wanted = Scribble(((1, 2), (3, 4)), True)
    for points in (
        [(1, 2), (3, 4)],
        np.array([[1, 2], [3, 4]]),
        np.array([[0.6, 1.5], [3.2, 4.0]]),
        iter(wanted.points),
    ):
        assert checked_scribble(points, 1, SHAPE) == wanted


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "points is empty"),
        ("12", "pass pairs of numbers"),
        (5, "pass pairs of numbers"),
        ([5, 6], "pass pairs of numbers"),
        ([(1, 2, 3)], r"points\[0\] is \(1, 2, 3\); pass a pair"),
        ([(1, 2), (50, 4)], r"points\[1\] x is 50, outside the image: it must be from 0 to 49"),
        ([(1, 2), (4, -1)], r"points\[1\] y is -1, outside"),
        ([(1, np.nan)], r"points\[0\] y is nan"),
    ],
)
def test_what_is_no_scribble_is_refused(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_scribble(points, True, SHAPE)


def test_masks_of_every_kind_are_one() -> None:
    truth = np.zeros(SHAPE, np.bool_)
    truth[3:9, 4:20] = True
    wanted = np.where(truth, 255, 0)
    for mask in (truth, wanted.astype(np.uint8), truth.astype(np.float32), truth.astype(np.float16), truth.tolist()):
        np.testing.assert_array_equal(checked_mask(mask, SHAPE).alpha, wanted)
    resized = truth * 1.00001 - 1e-6
    np.testing.assert_array_equal(checked_mask(resized, SHAPE).alpha, wanted)
    soft = np.linspace(0, 1, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    assert checked_mask(soft, SHAPE).alpha.max() == 255
    assert len(np.unique(checked_mask(soft, SHAPE).alpha)) == 256


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((50, 30), np.bool_), r"mask has shape \(50, 30\), and the image \(30, 50\); is it transposed\?"),
        (np.ones((30, 50, 3), np.uint8), r"pass one channel, mask\[..., 0\]"),
        (np.ones(SHAPE, np.uint8), r"its largest value is 1, of 255; pass mask.astype\(bool\)"),
        (np.full(SHAPE, 255.0), "values 255 to 255; floating point goes from 0 to 1"),
        (np.full(SHAPE, np.nan), r"holds NaN or infinity; pass numpy.nan_to_num\(mask\)"),
        (np.ones(SHAPE, np.int64), r"mask has dtype int64; pass bool.*mask.astype\(numpy.uint8\)"),
        (np.ones(SHAPE, np.uint16), "mask / 65535 for a 16-bit matte"),
        (np.ones((15, 25), np.bool_), "resize it to 50 x 30 pixels first"),
        (None, r"mask has shape \(\), .*pass an array, or the path of an image file"),
    ],
)
def test_what_is_no_mask_is_refused(mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_mask(mask, SHAPE)


def test_a_mask_is_copied_and_compared_by_its_pixels() -> None:
    given = np.zeros(SHAPE, np.uint8)
    mask = checked_mask(given, SHAPE)
    given[:] = 255
    assert not mask.alpha.any()
    assert mask == Mask(np.zeros(SHAPE, np.uint8))
    assert mask != Mask(given)
    assert len({mask, Mask(np.zeros(SHAPE, np.uint8)), Mask(given)}) == 2
    with pytest.raises(ValueError, match="read-only"):
        mask.alpha[0, 0] = 1


def test_a_click_is_checked() -> None:
    assert checked_click(2.5, np.uint8(3), np.False_, SHAPE) == Click(3, 3, False)
    with pytest.raises(ValueError, match="y is 30, outside the image: it must be from 0 to 29"):
        checked_click(3, 30, True, SHAPE)
    with pytest.raises(ValueError, match=r"x is (a int of very many digits|1000.*…), outside"):
        checked_click(10**5000, 0, True, SHAPE)
    with pytest.raises(ValueError, match="pass a pair") as caught:
        checked_scribble([tuple(range(100_000))], True, SHAPE)
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="fg is 'bg'; pass True to select or False to remove"):
        checked_fg("bg")


def test_a_box_is_clicked_in_its_middle_and_around_its_corners() -> None:
    inside, around = clicks_of_box(Box(100, 100, 201, 151), WHOLE, VIEW)
    assert inside == Click(150, 125, True)
    assert sorted(around) == [(x, y, False) for x in (85, 216) for y in (85, 166)]
    assert clicks_of_box(Box(0, 0, 599, 299), WHOLE, VIEW)[1] == []
    assert clicks_of_box(Box(0, 100, 100, 299), WHOLE, VIEW)[1] == [Click(115, 85, False)]
    assert rect_of_box(Box(3, 4, 20, 25)) == Rect(4, 3, 26, 21)


def test_a_scribble_goes_through_every_grid_pixel_on_its_way() -> None:
    path = path_of_scribble(Scribble(((10, 20), (500, 20), (500, 250)), True), WHOLE, VIEW)
    assert path[0] == (10, 20)
    assert path[-1] == (500, 250)
    placed = VIEW.grid_clicks([(x, y, 1) for x, y in path])
    assert np.abs(np.diff(placed[:, :2], axis=0)).max() == 1
    assert path_of_scribble(Scribble(((7, 8),), True), WHOLE, VIEW) == [(7, 8)]
    assert path_of_scribble(Scribble(((7, 8), (7, 8)), True), WHOLE, VIEW) == [(7, 8)]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [("", None), ("....", None), ("x", 0), ("xxx", 1), ("x.xxx", 3), ("xx.xx", 0), ("..xxxx", 3), ("xxxx..", 1)],
)
def test_the_next_click_on_a_path_is_in_the_longest_run(wrong: str, place: int | None) -> None:
    assert next_on_path(np.array([c == "x" for c in wrong], np.bool_)) == place


def test_every_large_part_of_a_mask_is_clicked_where_it_is_deepest() -> None:
    alpha = np.zeros(VIEW.grid, np.float32)
    alpha[5:20, 5:20] = 1
    alpha[40:60, 60:101] = 0.8
    alpha[2, 100] = 1  # less than 2 % of the largest part
    places = [tuple(place) for place in VIEW.grid_clicks(clicks_of_mask(alpha, VIEW))[:, 1::-1].tolist()]
    assert len(places) == 2  # rows, columns; the largest part first
    assert 48 <= places[0][0] <= 51
    assert places[1] == (12, 12)
    for x, y, fg in clicks_of_mask(alpha, VIEW):
        column, row = VIEW.grid_clicks([(x, y, 1)])[0, :2]
        assert fg
        assert alpha[row, column] > 0.5
    assert clicks_of_mask(np.zeros(VIEW.grid, np.float32), VIEW) == []
    assert len(clicks_of_mask(np.ones(VIEW.grid, np.float32), VIEW)) == 1


def test_no_more_parts_are_clicked_than_the_network_is_used_to() -> None:
    alpha = np.zeros(VIEW.grid, np.float32)
    alpha[1::8, 1::8] = alpha[2::8, 1::8] = 1
    assert len(clicks_of_mask(alpha, VIEW)) == MASK_PARTS
