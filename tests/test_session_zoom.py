"""Sessions that zoom in: every click is obeyed, and a session stays a function of its clicks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import toy_model
from support.cat import PHOTO
from support.fake_engine import FakeEngines
from support.sessions import crops_of, predictions
from support.toy_device import Devices, gpu, on_device, on_host, standing_in, watched
from support.toy_model import change_manifest, photo, same

from pyiseg import Image, ModelError, Session, _core, backend, load_model, zoom
from pyiseg.crop import Crop
from pyiseg.geometry import Rect, View
from pyiseg.image import HELD_CROPS
from pyiseg.model import Zoom
from pyiseg.runtime import cuda_pipeline
from pyiseg.runtime import history as device_history
from pyiseg.runtime.cuda import CudaImage

__all__ = ["gpu", "watched"]  # fixtures

RULES = {"from_click": 3, "enlarge": 1.6, "below": 0.4, "magnify": 2.5}
IMAGE = photo(240, 320)
WHOLE = Rect(0, 0, 240, 320)
# One small place, refined and let grow; then what is small no more.
CLICKS = (
    *((60, 60, True), (66, 64, True), (58, 70, False), (64, 58, True), (84, 60, True), (60, 115, True)),
    *((60, 140, True), (80, 75, False), (175, 60, True), (230, 200, True), (160, 20, True)),
)
VARIANTS: dict[str, dict[str, Any]] = {
    "late": {},
    "early": {"early_fusion": True},
    "no feedback": {"feedback": False},
    "guide sees clicks": {"guide_clicks": True, "grid_stride": 1},
    "residual": {"form": "residual"},
    "color": {"form": "residual", "color": True, "radius": 1},
}


def model(folder: Path, variant: str = "late", **changes: Any) -> Path:
    toy_model.build(folder, **VARIANTS[variant])
    change_manifest(folder, zoom=RULES, **changes)
    return folder


@pytest.fixture
def zooming(tmp_path: Path) -> Path:
    return model(tmp_path / "zooming")


def play(session: Session) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*click) for click in CLICKS]


@pytest.mark.parametrize("variant", ["late", "color"])
def test_small_selections_are_zoomed_in_on(tmp_path: Path, variant: str) -> None:
    session = Session(IMAGE, model=model(tmp_path / "zooming", variant))
    alphas = play(session)
    looked = crops_of(session)
    assert looked[:2] == [WHOLE, WHOLE], "not before the third click"
    assert WHOLE not in looked[2:6]
    assert looked[-1] == WHOLE, "what is large is looked at whole again"
    for box, alpha, click in zip(looked, alphas, CLICKS, strict=True):
        outside = np.ones_like(alpha, bool)
        outside[box.slices] = False
        assert not alpha[outside].any()
        assert box.has(click[0], click[1])
        assert (alpha[click[1], click[0]] >= 128) == click[2], "every click is obeyed"


def test_a_selection_is_not_cut_off_at_the_edge_of_a_crop(zooming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut() -> list[bool]:
        result, image = [], Image(IMAGE, model=zooming)
        for i, found in enumerate(predictions(image, CLICKS)):
            view = image.model.view(found.rect.shape, zoom.long_side(Zoom(**RULES), found.rect, 64, 32))
            crop = image.encoded
            if found.rect != WHOLE:
                crop = crop.for_crop(view, np.ascontiguousarray(IMAGE[found.rect.slices]))
            clicks = Crop(found.rect, view, crop.pipeline()).clicks_in(CLICKS[: i + 1])
            selected = zoom.selection_bounds(crop.pipeline().on_grid(clicks, found.prediction), found.rect)
            result.append(selected is not None and zoom.touches_crop_edge(selected, found.rect, WHOLE))
        return result

    careful = crops_of(played(zooming))
    assert not any(cut())
    monkeypatch.setattr(zoom, "touches_crop_edge", lambda *_: False)
    careless = crops_of(played(zooming))
    monkeypatch.undo()
    assert careless != careful, "this is a case where it would be"


def played(folder: Path) -> Session:
    session = Session(IMAGE, model=folder)
    play(session)
    return session


def test_without_rules_nothing_is_zoomed_in_on(zooming: Path, toy: Path) -> None:
    plain = dataclasses.replace(load_model(zooming), zoom=None)
    session, other = Session(IMAGE, model=plain), Session(IMAGE, model=toy)
    for one, two in zip(play(session), play(other), strict=True):
        assert same(one, two)
    assert set(crops_of(session)) == {WHOLE}


def test_a_crop_is_an_image_of_its_own(zooming: Path) -> None:
    """By hand: the part cut out, its own pipeline, what was selected as the previous alpha."""
    session, loaded = Session(IMAGE, model=zooming), load_model(zooming)
    for click in CLICKS[:2]:
        session.click(*click)
    image = Image(IMAGE, model=loaded)
    placed = np.array(CLICKS[:2], np.int32)
    before = image.encoded.pipeline().on_grid(placed, predictions(image, CLICKS[:2])[1].prediction)
    alpha = session.click(*CLICKS[2])
    box = crops_of(session)[2]
    side = min(64, -(-int(2.5 * max(box.shape)) // 32) * 32)
    view = View.fit(box.shape, long_side=side, multiple=32, grid_stride=2)
    crop = np.ascontiguousarray(IMAGE[box.slices])
    pipeline = backend.encode("cpu", loaded, view, crop, fall_back=False)[1].pipeline()
    clicks = np.array([(x - box.left, y - box.top, fg) for x, y, fg in CLICKS[:3]], np.int32)
    carried = zoom.resample_to_crop(before, WHOLE, box, view.grid)
    expected = pipeline.matte(clicks, pipeline.predict(clicks, pipeline.carry(carried)))
    assert same(np.ascontiguousarray(alpha[box.slices]), expected)
    np.testing.assert_array_equal(pipeline.on_grid(clicks[:2], pipeline.carry(carried)), carried)


@pytest.mark.parametrize("clean", ["before", "after"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_session_is_a_function_of_its_clicks(tmp_path: Path, variant: str, clean: str) -> None:
    folder = model(tmp_path / "toy", variant, clean=clean)
    session = Session(IMAGE, model=folder)
    alphas = play(session)
    assert len(set(crops_of(session))) >= 3, "undoing has to make parts again"
    for alpha in [*alphas[-2::-1], np.zeros_like(alphas[0])]:
        assert same(session.undo(), alpha)
    for alpha in alphas:
        assert same(session.redo(), alpha)
        assert same(session.alpha, alpha)
    for _ in CLICKS[5:]:
        session.undo()
    for click, alpha in zip(CLICKS[5:], alphas[5:], strict=True):
        assert same(session.click(*click), alpha)
    session.reset()
    assert session.crop == WHOLE
    for one, two in zip(play(session), alphas, strict=True):
        assert same(one, two)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 700), (700, 2), (40, 500), (31, 33)])
def test_of_any_shape(zooming: Path, shape: tuple[int, int]) -> None:
    height, width = shape
    session = Session(photo(height, width), model=zooming)
    places = [(0, 0), (width - 1, height - 1), (width // 2, height // 2), (0, height - 1), (width // 3, 0)]
    alphas = [session.click(x, y, i % 4 != 2) for i, (x, y) in enumerate(places * 2)]
    assert all(alpha.shape == shape for alpha in alphas)
    for alpha in alphas[-2::-1]:
        assert same(session.undo(), alpha)


def test_a_removing_click_outside_of_the_crop_changes_nothing(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for click in CLICKS[:4]:
        alpha = session.click(*click)
    assert same(session.click(300, 200, False), alpha)
    assert crops_of(session)[4] == crops_of(session)[3] != WHOLE
    after = session.click(84, 60)
    assert after[60, 84] >= 128
    assert after[200, 300] == 0
    assert same(session.undo(), alpha)
    assert len(session.clicks) == 5


def test_a_removing_click_on_the_whole_is_obeyed_there(zooming: Path) -> None:
    """One that the part would not show: what is outside of a part is not asked."""
    session = Session(IMAGE, model=zooming)
    for click in ((60, 60, True), (66, 64, True)):
        session.click(*click)
    assert session.click(310, 230, False)[230, 310] == 0
    assert crops_of(session) == [WHOLE] * 3
    session.click(64, 58)
    assert crops_of(session)[3] != WHOLE


def test_removing_clicks_before_the_first_selecting_one_do_not_count() -> None:
    """The default model: what one click selects of the cat is not less for the removing clicks before it."""
    plain = Session(PHOTO, model=dataclasses.replace(load_model(), zoom=None))
    session = Session(PHOTO)
    for one in (plain, session):
        for x, y in ((440, 5), (445, 290), (5, 5)):
            assert not one.click(x, y, False).any()
        one.click(225, 120)
    assert len(set(crops_of(session))) == 1
    assert same(session.alpha, plain.alpha)
    assert session.mask.sum() > 10_000


def test_where_nothing_is_selected_the_whole_is_looked_at(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for click in ((60, 60, True), (60, 60, False), (66, 64, True), (66, 64, False), (60, 60, False)):
        alpha = session.click(*click)
    if not alpha.any():
        session.click(200, 60)
        assert crops_of(session)[-1] == WHOLE


def test_what_fails_while_zooming_in_leaves_the_session_as_it_was(zooming: Path, watched: Devices) -> None:
    expected = play(Session(IMAGE, model=zooming))

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    for name, count in (("for_crop", 2), ("predict", 3), ("matte", 3), ("on_grid", 3)):
        session = Session(IMAGE, model=zooming, device="watched")
        for click in CLICKS[:count]:
            session.click(*click)
        watched.faults[name] = broken
        with pytest.raises(MemoryError):
            session.click(*CLICKS[count])
        watched.faults.clear()
        assert session.clicks == CLICKS[:count]
        assert same(session.alpha, expected[count - 1])
        assert same(session.click(*CLICKS[count]), expected[count])


def test_a_reset_that_fails_loses_nothing(zooming: Path, watched: Devices) -> None:
    session = Session(IMAGE, model=zooming, device="watched")
    for click in CLICKS[:4]:
        alpha = session.click(*click)
    assert session.crop != WHOLE

    def broken() -> None:
        raise MemoryError

    watched.faults["offload"] = broken
    with pytest.raises(MemoryError):
        session.reset()
    watched.faults.clear()
    assert session.clicks == CLICKS[:4]
    assert same(session.alpha, alpha)


def test_one_crop_is_held_besides_the_whole(zooming: Path, watched: Devices) -> None:
    session = Session(IMAGE, model=zooming, device="watched")
    looked = set()
    for click in CLICKS[:6]:
        session.click(*click)
        looked.add(session.crop)
    assert len(looked) > 2
    assert len({crop() for crop in watched.crops} - {None}) == 1
    for click in CLICKS[6:]:
        session.click(*click)
    assert session.crop == WHOLE
    assert {crop() for crop in watched.crops} == {None}, "and none when predictions are on the whole again"


def test_of_many_zoomed_sessions_on_an_image_a_few_hold_their_crop(zooming: Path, watched: Devices) -> None:
    """The others' is encoded again when they go on, and gives the same bits."""
    alone = play(Session(IMAGE, model=zooming))
    image = Image(IMAGE, model=zooming, device="watched")
    sessions = [Session(image) for _ in range(2 * HELD_CROPS)]
    for count in range(3):
        for session in sessions:
            session.click(*CLICKS[count])
    assert all(session.crop != WHOLE for session in sessions)
    assert sum(crop() is not None for crop in watched.crops) == HELD_CROPS
    for session in (*sessions, *sessions[::-1]):
        assert same(session.alpha, alone[2])
    for session in sessions:
        assert same(session.click(*CLICKS[3]), alone[3])
    assert sum(crop() is not None for crop in watched.crops) == HELD_CROPS
    sessions.clear()
    del session
    assert not any(crop() for crop in watched.crops)


@pytest.mark.parametrize("variant", ["late", "early", "residual", "color"])
def test_a_device_zooms_in_as_the_cpu_does(
    tmp_path: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    monkeypatch.setattr(cuda_pipeline, "CAPACITY", 3)
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    folder = model(tmp_path / "toy", variant)
    allocated = gpu.device.allocated()
    cpu, device = Session(IMAGE, model=folder), Session(IMAGE, model=folder, device="cuda")
    alphas = play(cpu)
    for click, alpha in zip(CLICKS, alphas, strict=True):
        assert same(device.click(*click), alpha)
    assert crops_of(device) == crops_of(cpu)
    for alpha in alphas[-2::-1]:
        assert same(device.undo(), alpha)  # predictions on crops that are encoded again come back from the host
    for alpha in alphas[1:]:
        assert same(device.redo(), alpha)
        assert same(on_host(device.alpha_device), alpha)
    del device
    assert gpu.device.allocated() == allocated


def test_a_matte_of_a_crop_is_brought_to_the_device(zooming: Path, gpu: Devices) -> None:
    cpu = Session(IMAGE, model=zooming)
    device = Session(on_device(IMAGE), model=zooming, device="cuda")
    for click in CLICKS:
        assert same(on_host(device.click_on_device(*click)), cpu.click(*click))
    assert same(device.image, IMAGE)


def test_a_click_asks_for_no_engine(zooming: Path, gpu: Devices) -> None:
    """A crop takes the engines for any size that the image was encoded with."""
    asked = []

    class Counted(FakeEngines):
        def load(self, model: Any, view: Any) -> Any:
            asked.append("any" if view is None else view.image)
            return super().load(model, view)

    def encode(model: Any, view: Any, image: Any) -> CudaImage:
        engines = Counted()
        opened, of_crops = engines.load(model, view), engines.load(model, None)
        return CudaImage(model, view, image, native=_core.cuda, engines=opened, of_crops=of_crops)

    with standing_in("cuda", encode):
        session = Session(IMAGE, model=zooming, device="cuda")
        assert asked == [(240, 320), "any"]
        play(session)
        assert len(set(crops_of(session))) > 2
        assert asked == [(240, 320), "any"]


@pytest.mark.parametrize("rules", [{**RULES, "from_click": 1}, {**RULES, "farther": 1}, 4, {"below": "much"}])
def test_a_manifests_rules_are_checked(zooming: Path, rules: Any) -> None:
    change_manifest(zooming, zoom=rules)
    with pytest.raises(ModelError, match=r"'zoom' does not fit: .*export the model again"):
        load_model(zooming)
