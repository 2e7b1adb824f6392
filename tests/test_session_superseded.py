"""A click that a later one with the other label supersedes no longer counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.toy_device import Devices, both, gpu
from support.toy_model import PHOTO, same

from pyiseg import Session
from pyiseg.crop import in_force

__all__ = ["gpu"]  # a fixture

CAT = Path(__file__).parent / "images" / "cat.jpg"


@pytest.mark.parametrize(
    ("placed", "kept"),
    [
        ([], []),
        ([(1, 1, 1)], [True]),
        ([(1, 1, 1), (1, 1, 0)], [False, True]),
        ([(1, 1, 1), (1, 1, 0), (1, 1, 1)], [False, False, True]),
        ([(1, 1, 1), (1, 1, 1)], [True, True]),
        ([(1, 1, 0), (1, 1, 1), (1, 1, 1)], [False, True, True]),
        ([(1, 1, 1), (2, 1, 0), (1, 1, 0), (2, 1, 0)], [False, True, True, True]),
    ],
)
def test_in_force(placed: list[tuple[int, int, int]], kept: list[bool]) -> None:
    assert in_force(np.array(placed, np.int32).reshape(-1, 3)).tolist() == kept


def test_a_selection_comes_back(toy: Path) -> None:
    session = Session(PHOTO, model=toy)
    selected = session.click(60, 30)
    assert session.click(60, 30, False)[30, 60] < 128
    assert same(session.click(60, 30), selected)
    assert len(session.clicks) == 3  # all are remembered


def test_the_cat_comes_back() -> None:
    """It was 0.02 % of the image once, and stayed so."""
    session = Session(CAT)
    selected = session.click(225, 120)
    assert (selected >= 128).mean() > 0.6
    assert (session.click(225, 120, False) >= 128).mean() < 0.05
    assert same(session.click(225, 120), selected)


def test_a_neighbor_on_the_same_grid_pixel_does_not_end_it() -> None:
    """Of an image of 4000 pixels a grid pixel is some 15 wide; a removing click beside it emptied it for good once."""
    with Image.open(CAT) as image:
        large = np.asarray(image.resize((4000, 2661)))
    session = Session(large)
    x, y = 1996, 1064
    selected = session.click(x, y)
    session.click(x + 3, y + 2, False)
    again = session.click(x, y) >= 128
    assert (again & (selected >= 128)).sum() > 0.9 * (again | (selected >= 128)).sum()


def test_others_stay_in_force(toy: Path) -> None:
    session, other = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    for click in ((20, 20, True), (60, 30, True), (60, 30, False)):
        session.click(*click)
    for click in ((20, 20, True), (60, 30, False)):
        other.click(*click)
    assert session.alpha[20, 20] >= 128
    assert session.alpha[30, 60] < 128


def test_on_a_gpu(toy: Path, gpu: Devices) -> None:
    cpu, device = both(toy)
    for click in ((60, 30, True), (20, 20, True), (60, 30, False), (60, 30, True), (61, 30, False)):
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    np.testing.assert_array_equal(device.undo(), cpu.undo())
