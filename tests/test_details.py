"""Opposite clicks on one grid pixel: placed apart, and told apart in a little crop around them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_model
from support.cat import PHOTO as CAT
from support.sessions import crops_of, predictions
from support.toy_device import Devices, gpu, on_host, watched
from support.toy_model import change_manifest, photo, same

from pyiseg import Image, Session, load_model
from pyiseg.details import Detail, crop_between
from pyiseg.geometry import Rect, View

__all__ = ["gpu", "watched"]  # fixtures

VIEW = View((300, 400), (96, 128), (48, 64))  # 6.25 pixels to a grid pixel
WHOLE = Rect(0, 0, 300, 400)
RULES = {"from_click": 3, "enlarge": 1.6, "below": 0.4, "magnify": 2.5}
IMAGE = photo(600, 800)  # 25 pixels to a grid pixel of the toy; its disc has radius 120 and lies around (600, 300)
# The second shares its grid pixel with the first; later ones do with one or more before them, or lie elsewhere.
CLICKS = (
    *((605, 305, True), (613, 310, False), (300, 200, True), (310, 210, False), (303, 209, True)),
    *((700, 500, True), (612, 305, True), (500, 400, False)),
)


def placed(*clicks: tuple[int, int, int]) -> list[list[int]]:
    return VIEW.grid_clicks(clicks).tolist()


def test_the_earlier_of_opposite_clicks_makes_room() -> None:
    assert placed((102, 102, 1), (105, 102, 0)) == [[15, 16, 1], [16, 16, 0]], "away from the later one"
    assert placed((105, 102, 1), (102, 102, 0)) == [[17, 16, 1], [16, 16, 0]]
    assert placed((102, 102, 0), (102, 105, 1)) == [[16, 15, 0], [16, 16, 1]], "whichever is which"
    assert placed((102, 105, 1), (105, 102, 0)) == [[15, 17, 1], [16, 16, 0]]
    assert placed((101, 101, 1), (105, 102, 0)) == [[15, 16, 1], [16, 16, 0]], "nearer to straight than to diagonal"
    assert placed((102, 102, 1), (9, 9, 0), (105, 102, 0), (102, 102, 1)) == [
        *([15, 16, 1], [1, 1, 0], [17, 16, 0], [16, 16, 1])
    ]


def test_other_clicks_stay_where_they_are() -> None:
    assert placed((102, 102, 1), (105, 102, 1)) == [[16, 16, 1]] * 2, "no contradiction"
    assert placed((102, 102, 1), (102, 102, 0)) == [[16, 16, 1], [16, 16, 0]], "the same pixel of the image"
    assert placed((102, 102, 1), (107, 102, 0)) == [[16, 16, 1], [17, 16, 0]], "neighbors"
    assert placed((0, 0, 1), (2, 2, 0)) == [[0, 0, 1], [0, 0, 0]], "there is nothing beyond the image"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 1)), max_size=12))
def test_the_last_click_and_lone_ones_are_on_their_pixel(clicks: list[tuple[int, int, int]]) -> None:
    view = View((31, 31), (8, 8), (4, 4))
    found = view.grid_clicks(clicks)
    alone = [view.grid_clicks([click])[0].tolist() for click in clicks]
    assert ((found[:, :2] >= 0) & (found[:, :2] < 4)).all()
    for i, (place, at) in enumerate(zip(found.tolist(), alone, strict=True)):
        moved = any(other[:2] == at[:2] and other[2] != at[2] for other in alone[i + 1 :])
        assert place[2] == at[2]
        assert max(abs(place[0] - at[0]), abs(place[1] - at[1])) <= moved


def between(*clicks: tuple[int, int, bool], rect: Rect = WHOLE, window: Rect = WHOLE) -> Rect | None:
    view = dataclasses.replace(VIEW, image=rect.shape)
    return crop_between(clicks, rect, view, window, 64)


def test_which_crop_separates_clicks() -> None:
    near, on = (100, 102, True), (105, 102, False)
    assert between(near, on) == Rect(49, 49, 155, 155), "5 pixels in a crop of 5 * 64 / 3"
    assert between((300, 20, False), near, (102, 102, True), on) == Rect(70, 71, 134, 135), "the nearest counts"
    assert between((2, 1, True), (5, 1, False)) == Rect(0, 0, 64, 64), "inside the image"
    assert between((398, 298, True), (395, 298, False)) == Rect(236, 336, 300, 400)
    assert between((102, 100, True), (103, 100, False)) == Rect(84, 86, 116, 118), "no smaller than 32 pixels"
    assert between(near, on, window=Rect(90, 0, 130, 400)) == Rect(90, 49, 130, 155)


def test_where_no_crop_is_needed() -> None:
    assert between((100, 102, True)) is None
    assert between((100, 102, True), (105, 102, True)) is None
    assert between((100, 102, True), (100, 102, False)) is None, "the same pixel: the later one counts"
    assert between((100, 102, True), (107, 102, False)) is None, "neighbors on the grid"
    assert between((100, 102, True), (105, 102, False), (200, 200, True)) is None, "only for the last click"
    closer = Rect(90, 90, 120, 130)  # where a pixel has a grid pixel of its own
    assert between((100, 102, True), (105, 102, False), rect=closer) is None
    assert between((100, 102, True), (105, 102, False), rect=Rect(200, 200, 300, 400)) is None


def test_a_detail_gives_way_where_the_selection_changes() -> None:
    before, alpha = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    before[5:15, 5:15] = 255
    alpha[5:15, 5:10] = 250
    detail = Detail.of(Rect(100, 200, 120, 230), before, alpha)
    assert detail.crop == Rect(100, 200, 120, 230)
    assert detail.rect == Rect(105, 205, 115, 215)
    now = np.zeros((50, 60), np.uint8)
    now[25:35, 25:35] = 255
    now[30:35, 25:35] = 100  # removed since
    now[25, 35] = 255  # beside it
    expected = now.copy()
    expected[25:30, 25:30], expected[25:30, 30:35] = 250, 0
    detail.put_on(now, Rect(80, 180, 130, 240))
    np.testing.assert_array_equal(now, expected)
    before[:] = 9
    assert detail.before.max() == 255
    nothing = Detail.of(Rect(100, 200, 120, 230), alpha, alpha)
    nothing.put_on(now, Rect(80, 180, 130, 240))
    np.testing.assert_array_equal(now, expected)


@pytest.fixture(params=["late", "color"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    color: dict[str, Any] = {"form": "residual", "color": True, "radius": 1} if request.param == "color" else {}
    toy_model.build(tmp_path / "toy", **color)
    change_manifest(tmp_path / "toy", zoom=RULES)
    return tmp_path / "toy"


def play(session: Session) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*click) for click in CLICKS]


def test_close_opposite_clicks_are_both_obeyed(folder: Path) -> None:
    session = Session(IMAGE, model=folder)
    session.click(605, 305)
    before = session.mask.sum()
    alpha = session.click(613, 310, False)
    assert alpha[305, 605] >= 128
    assert alpha[310, 613] < 128
    assert session.mask.sum() > before / 2, "the selection is not lost"
    session.undo()
    session.reset()
    assert not session.click(613, 310, False).any()
    alpha = session.click(605, 305)
    assert alpha[305, 605] >= 128
    assert alpha[310, 613] < 128


def test_they_stay_obeyed_after_clicks_elsewhere(folder: Path) -> None:
    session = Session(IMAGE, model=folder)
    for click in ((605, 305, True), (613, 310, False), (600, 380, True), (680, 300, True)):
        alpha = session.click(*click)
        assert alpha[305, 605] >= 128
    assert alpha[310, 613] < 128
    assert session.click(600, 310, False)[310, 600] < 128


@pytest.mark.parametrize("fg", [True, False])
def test_a_click_on_a_detail_is_obeyed(folder: Path, fg: bool) -> None:
    """On a grid pixel of its own: the prediction for it does not change what the detail says."""
    (detail,) = predictions(Image(IMAGE, model=folder), CLICKS[:2])[-1].details
    session = Session(IMAGE, model=folder)
    for click in CLICKS[:2]:
        alpha = session.click(*click)
    there = detail.rect.slices
    y, x = np.mgrid[there]
    far = np.hypot(x - 609, y - 307) > 16  # from both, on the crop's grid
    places = np.argwhere(far & ((alpha[there] >= 128) != fg))
    assert len(places) > 50
    for i in np.random.default_rng(0).integers(0, len(places), 16):
        row, column = int(places[i, 0]) + detail.rect.top, int(places[i, 1]) + detail.rect.left
        assert (session.click(column, row, fg)[row, column] >= 128) == fg
        session.undo()


def test_details_of_the_cases_below(folder: Path) -> None:
    found = [len(x.details) for x in predictions(Image(IMAGE, model=folder), CLICKS)]
    assert found[:5] == [0, 1, 1, 1, 2]


def test_a_session_is_a_function_of_its_clicks(folder: Path) -> None:
    session = Session(IMAGE, model=folder)
    alphas = play(session)
    for alpha in [*alphas[-2::-1], np.zeros_like(alphas[0])]:
        assert same(session.undo(), alpha)
    for alpha in alphas:
        assert same(session.redo(), alpha)
        assert same(session.alpha, alpha)
    for _ in CLICKS[1:]:
        session.undo()
    for click, alpha in zip(CLICKS[1:], alphas[1:], strict=True):
        assert same(session.click(*click), alpha)


def test_a_device_has_the_cpus_bits(folder: Path, gpu: Devices) -> None:
    allocated = gpu.device.allocated()
    cpu, device = Session(IMAGE, model=folder), Session(IMAGE, model=folder, device="cuda")
    alphas = play(cpu)
    for click, alpha in zip(CLICKS, alphas, strict=True):
        assert same(on_host(device.click_on_device(*click)), alpha)
    assert crops_of(device) == crops_of(cpu)
    for alpha in alphas[-2::-1]:
        assert same(device.undo(), alpha)
        assert same(on_host(device.alpha_device), alpha)
    del device
    assert gpu.device.allocated() == allocated


def test_a_model_that_does_not_zoom_places_them_apart_only(folder: Path) -> None:
    plain = dataclasses.replace(load_model(folder), zoom=None)
    image = Image(IMAGE, model=plain)
    assert not any(x.details for x in predictions(image, CLICKS))
    session = Session(image)
    session.click(605, 305)
    assert session.click(613, 310, False).any()


def test_what_fails_leaves_the_session_as_it_was(folder: Path, watched: Devices) -> None:
    expected = play(Session(IMAGE, model=folder))

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    for name in ("for_crop", "matte"):
        session = Session(IMAGE, model=folder, device="watched")
        session.click(*CLICKS[0])
        watched.faults[name] = broken
        with pytest.raises(MemoryError):
            session.click(*CLICKS[1])
        watched.faults.clear()
        assert session.clicks == CLICKS[:1]
        assert same(session.click(*CLICKS[1]), expected[1])


def test_the_cat_of_a_large_image_is_not_lost() -> None:
    """The default model: with a removing click on the selecting one's grid pixel nothing was selected any more."""
    large = np.repeat(np.repeat(Session(CAT).image, 8, axis=0), 8, axis=1)
    session = Session(large)
    selected = session.click(1800, 960) >= 128
    assert selected.mean() > 0.5
    alpha = session.click(1794, 964, False)
    assert alpha[960, 1800] >= 128
    assert alpha[964, 1794] < 128
    assert (alpha >= 128).sum() > 0.9 * selected.sum()
    session.click(3500, 50, False)
    assert session.mask.sum() > 0.9 * selected.sum()
    assert not session.mask[964, 1794]
