"""Sessions on long and narrow images: predicted on in windows, and still a function of their clicks."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import toy_model
from support.sessions import crops_of
from support.toy_device import Devices, gpu, on_device, on_host, watched
from support.toy_model import change_manifest, same

from pyiseg import Image, Session, backend, load_model
from pyiseg.crop import in_force
from pyiseg.geometry import Rect, View
from pyiseg.runtime import history as device_history

__all__ = ["gpu", "watched"]  # fixtures

RULES = {"from_click": 3, "enlarge": 1.6, "below": 0.9, "magnify": 2.5}
SHORT, LONG = 120, 1800
# In one place, beside it, far off, back between, and there so often that it zooms in; then far off again.
CLICKS = (
    *((200, 60, True), (260, 80, False), (340, 60, True), (520, 40, True), (1600, 60, True), (1610, 68, True)),
    *((1596, 56, True), (1616, 50, False), (1200, 60, False), (840, 60, True), (200, 60, False), (220, 20, True)),
)


def strip(length: int = LONG, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A wide image: dark and noisy, with a bright disc every 200 pixels."""
    rgb = np.random.default_rng(seed).integers(0, 60, (SHORT, length, 3), dtype=np.uint8)
    y, x = np.mgrid[:SHORT, :length]
    rgb[np.hypot(x % 200 - 60, y - 60) < 12] += np.array([190, 150, 150], dtype=np.uint8)
    return rgb


def turned(image: npt.NDArray[np.uint8], tall: bool) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(image.swapaxes(0, 1)) if tall else image


def at(click: tuple[int, int, bool], tall: bool) -> tuple[int, int, bool]:
    return (click[1], click[0], click[2]) if tall else click


@pytest.fixture(params=["zooms", "plain"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    toy_model.build(tmp_path / "toy")
    if request.param == "zooms":
        change_manifest(tmp_path / "toy", zoom=RULES)
    return tmp_path / "toy"


def play(session: Session, tall: bool = False) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*at(click, tall)) for click in CLICKS]


@pytest.mark.parametrize("ratio", [8, 12, 20])
@pytest.mark.parametrize("tall", [False, True])
def test_a_plain_disc_is_selected(ratio: int, tall: bool) -> None:
    """The default model; as it saw the whole, at 12 to 1 IoU was below 0.5 in most places."""
    rng = np.random.default_rng(ratio)
    image = (np.array((60, 90, 120)) + rng.integers(0, 12, (120, 120 * ratio, 3))).astype(np.uint8)
    y, x = np.mgrid[:120, : 120 * ratio]
    wanted = np.hypot(x - 40 * ratio, y - 60) < 35
    image[wanted] = (190, 70, 50)
    session = Session(turned(image, tall))
    session.click(*at((40 * ratio, 60, True), tall))
    selected = turned(session.mask, tall)
    assert (selected & wanted).sum() / (selected | wanted).sum() > 0.95


def test_a_window_is_an_image_of_its_own(folder: Path) -> None:
    session, image = Session(strip(), model=folder), strip()
    alpha = session.click(*CLICKS[0])
    assert session.crop == Rect(0, 20, 120, 380)
    cut = np.ascontiguousarray(image[:, 20:380])
    view = View.fit((120, 360), long_side=64, multiple=32, grid_stride=2)
    loaded = load_model(folder)
    pipeline = backend.encode("cpu", loaded, view, cut, fall_back=False)[1].pipeline()
    clicks = np.array([(180, 60, 1)], np.int32)
    assert same(np.ascontiguousarray(alpha[:, 20:380]), pipeline.matte(clicks, pipeline.predict(clicks, None)))
    assert not alpha[:, :20].any()
    assert not alpha[:, 380:].any()


@pytest.mark.parametrize("length", [6 * SHORT, 300])
def test_what_is_not_that_long_is_looked_at_whole(tmp_path: Path, length: int) -> None:
    folder = toy_model.build(tmp_path / "toy")
    image = strip(length)
    session = Session(image, model=folder)
    clicks = [(x * length // LONG, y, fg) for x, y, fg in CLICKS]
    alphas = [session.click(*click) for click in clicks]
    encoded = Image(image, model=folder).encoded
    pipeline, view, before = encoded.pipeline(), encoded.view, None
    for count, alpha in enumerate(alphas, 1):
        made = np.array(clicks[:count], np.int32)
        kept = in_force(view.grid_clicks(made))
        before = pipeline.predict(made[kept], before, int(kept[:-1].sum()))
        assert same(alpha, pipeline.matte(made[kept], before))
    assert set(crops_of(session)) == {Rect(0, 0, SHORT, length)}


@pytest.mark.parametrize("tall", [False, True])
def test_what_lies_outside_of_the_window_keeps_its_alpha(folder: Path, tall: bool) -> None:
    session = Session(turned(strip(), tall), model=folder)
    before = np.zeros((SHORT, LONG), np.uint8)
    moved = 0
    for click in CLICKS:
        alpha = turned(session.click(*at(click, tall)), tall)
        crop = session.crop
        top, left, bottom, right = (crop.left, crop.top, crop.right, crop.bottom) if tall else crop
        assert 0 <= top < bottom <= SHORT
        near = slice(max(0, click[0] - 720), click[0] + 720)  # no window is longer than six short sides
        assert right - left <= 720
        untouched = np.ones(LONG, bool)
        untouched[near] = False
        np.testing.assert_array_equal(alpha[:, untouched], before[:, untouched])
        assert (alpha[click[1], click[0]] >= 128) == click[2], "every click is obeyed"
        moved += int(alpha[:, untouched].any())
        before = alpha
    assert moved > 4
    assert (before[:, 1580:1640] >= 128).any(), "what was selected elsewhere is still there"


@pytest.mark.parametrize("tall", [False, True])
def test_a_session_is_a_function_of_its_clicks(folder: Path, tall: bool) -> None:
    image = turned(strip(), tall)
    session = Session(image, model=folder)
    alphas = play(session, tall)
    crops = crops_of(session)
    assert len(set(crops)) >= 5
    zoomed = [crop for crop in crops if max(crop.shape) < 3 * SHORT]
    assert bool(zoomed) == (load_model(folder).zoom is not None)
    for alpha in [*alphas[-2::-1], np.zeros_like(alphas[0])]:
        assert same(session.undo(), alpha)
    for alpha in alphas:
        assert same(session.redo(), alpha)
        assert same(session.alpha, alpha)
    for _ in CLICKS[3:]:
        session.undo()
    for click, alpha in zip(CLICKS[3:], alphas[3:], strict=True):
        assert same(session.click(*at(click, tall)), alpha)
    other = Session(Image(image, model=folder))
    for one, two in zip(play(other, tall), alphas, strict=True):
        assert same(one, two)


def test_clicks_on_one_object_meet_in_one_window(folder: Path) -> None:
    session = Session(strip(), model=folder)
    session.click(200, 60)
    session.click(560, 60)
    assert session.crop.has(200, 60)
    assert session.crop.shape[1] > 3 * SHORT, "a longer window that holds both"
    session.click(1200, 60)
    assert session.crop == Rect(0, 1020, 120, 1380), "too far off: the last click's window decides"


def test_a_region_whose_clicks_lie_outside_of_the_window_stays(tmp_path: Path) -> None:
    """A bright bar from one window into the next: clicked on in the first only."""
    folder = toy_model.build(tmp_path / "toy")
    image = np.random.default_rng(0).integers(0, 40, (SHORT, LONG, 3), dtype=np.uint8)
    image[80:100, 200:1300] = 255
    session = Session(image, model=folder)
    first = session.click(700, 90)
    end = session.crop.right
    assert session.crop == Rect(0, 340, 120, 1060), "the longest window, and the bar is longer"
    alpha = session.click(end + 30, 20)
    left = session.crop.left
    assert not session.crop.has(700, 90)
    assert end > left + 20, "the windows overlap"
    bar = np.s_[84:96, left : end - 4]
    assert (first[bar] >= 128).all()
    assert (alpha[bar] >= 128).all()
    removed = session.click(left + 10, 90, False)
    assert removed[90, left + 10] < 128, "a click in it lets the network decide again"


def test_removing_clicks_alone_select_nothing(folder: Path) -> None:
    session = Session(strip(), model=folder)
    for x in (200, 1000, 1600, 260):
        assert not session.click(x, 60, False).any()


def test_what_fails_on_the_way_to_another_window_leaves_the_session_as_it_was(folder: Path, watched: Devices) -> None:
    expected = play(Session(strip(), model=folder))

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    for name in ("for_crop", "predict", "matte"):
        session = Session(strip(), model=folder, device="watched")
        for click in CLICKS[:4]:
            session.click(*click)
        watched.faults[name] = broken
        with pytest.raises(MemoryError):
            session.click(*CLICKS[4])
        watched.faults.clear()
        assert session.clicks == CLICKS[:4]
        assert same(session.alpha, expected[3])
        assert same(session.click(*CLICKS[4]), expected[4])


def test_one_window_or_crop_is_held(folder: Path, watched: Devices) -> None:
    session = Session(strip(), model=folder, device="watched")
    for click in CLICKS:
        session.click(*click)
        assert len({crop() for crop in watched.crops} - {None}) == 1
    assert len(watched.crops) >= 5


@pytest.mark.parametrize("tall", [False, True])
def test_a_device_has_the_cpus_bits(folder: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch, tall: bool) -> None:
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    allocated = gpu.device.allocated()
    image = turned(strip(), tall)
    cpu, device = Session(image, model=folder), Session(on_device(image), model=folder, device="cuda")
    alphas = play(cpu, tall)
    for click, alpha in zip(CLICKS, alphas, strict=True):
        assert same(on_host(device.click_on_device(*at(click, tall))), alpha)
    assert crops_of(device) == crops_of(cpu)
    for alpha in alphas[-2::-1]:
        assert same(device.undo(), alpha)
    for alpha in alphas[1:]:
        assert same(device.redo(), alpha)
        assert same(on_host(device.alpha_device), alpha)
    del device
    assert gpu.device.allocated() == allocated


def test_a_very_tall_screenshot_needs_little_memory(tmp_path: Path) -> None:
    folder = toy_model.build(tmp_path / "toy", color=True, form="residual", radius=1)
    image = np.full((27277, 1080, 3), 10, np.uint8)
    for top in range(100, 27000, 400):
        image[top : top + 200, 100:800] = (240, 220, 200)
    session = Session(image, model=folder)
    session.click(300, 200)
    window = session.crop
    assert window.shape == (3240, 1080)
    tracemalloc.start()
    try:
        for y in (20200, 5000, 26000):
            session.click(300, y)
        alpha, peak = session.alpha, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(alpha[y, 300] >= 128 for y in (200, 20200, 5000, 26000))
    # Besides the mattes of the whole, the one before and this one: some windows with their pixels in RGB.
    assert peak < 2 * alpha.nbytes + 30 * 3240 * 1080


def test_a_box_is_looked_at_in_a_window_that_holds_it() -> None:
    image = np.full((120, 2400, 3), (90, 120, 90), np.uint8)
    image[40:80, 300:1700] = (200, 60, 50)
    session = Session(image)
    alpha = session.box(290, 35, 1710, 85)
    assert session.crop.left <= 290
    assert session.crop.right >= 1711
    truth = np.zeros((120, 2400), np.bool_)
    truth[40:80, 300:1700] = True
    assert ((alpha >= 128) & truth).sum() > 0.8 * ((alpha >= 128) | truth).sum()
