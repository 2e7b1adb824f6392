"""Sessions that look closer: every click is obeyed, and a session stays a function of its clicks."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import toy_model
from support.fake_engine import FakeEngines
from support.toy_device import OnDevice, gpu
from support.toy_model import change_manifest, photo, same

from pyiseg import ModelError, Session, _core, backend, load_model, zoom
from pyiseg.crops import Crops
from pyiseg.demo import PHOTO
from pyiseg.geometry import Rect, View
from pyiseg.runtime import cuda
from pyiseg.runtime import history as device_history
from pyiseg.runtime.cpu import CpuPipeline

__all__ = ["gpu"]  # a fixture

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


def boxes(session: Session) -> list[Rect]:
    return [step.selection.rect for step in session._steps]


def play(session: Session) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*click) for click in CLICKS]


@pytest.mark.parametrize("variant", ["late", "color"])
def test_small_selections_are_looked_at_zoomed(tmp_path: Path, variant: str) -> None:
    session = Session(IMAGE, model=model(tmp_path / "zooming", variant))
    alphas = play(session)
    looked = boxes(session)
    assert looked[:2] == [WHOLE, WHOLE], "not before the third click"
    assert WHOLE not in looked[2:6]
    assert looked[-1] == WHOLE, "what is large is looked at whole again"
    for box, alpha, click in zip(looked, alphas, CLICKS, strict=True):
        outside = np.ones_like(alpha, bool)
        outside[box.slices] = False
        assert not alpha[outside].any()
        assert box.has(click[0], click[1])
        assert (alpha[click[1], click[0]] >= 128) == click[2], "every click is obeyed"


def test_a_selection_is_not_cut_off_at_the_edge_of_a_part(zooming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(session: Session) -> list[bool]:
        result = []
        for i, step in enumerate(session._steps):
            part = session._crops._crop(step.selection.rect)
            alpha = part.pipeline.on_grid(part.clicks_in(CLICKS[: i + 1]), step.selection.prediction)
            selected = zoom.selection_bounds(alpha, part.rect)
            result.append(selected is not None and zoom.touches_crop_edge(selected, part.rect, WHOLE))
        return result

    session = Session(IMAGE, model=zooming)
    play(session)
    assert not any(cut(session))
    monkeypatch.setattr(Crops, "_wider", lambda self, found, clicks: found.rect)
    careless = Session(IMAGE, model=zooming)
    play(careless)
    assert any(cut(careless)), "this is a case where it would be"
    assert boxes(careless) != boxes(session)


def test_without_rules_nothing_is_looked_at_zoomed(zooming: Path, toy: Path) -> None:
    plain = dataclasses.replace(load_model(zooming), zoom=None)
    session, other = Session(IMAGE, model=plain), Session(IMAGE, model=toy)
    for one, two in zip(play(session), play(other), strict=True):
        assert same(one, two)
    assert set(boxes(session)) == {WHOLE}


def test_a_part_is_an_image_of_its_own(zooming: Path) -> None:
    """By hand: the part cut out, its own pipeline, what was selected as the previous alpha."""
    session, loaded = Session(IMAGE, model=zooming), load_model(zooming)
    for click in CLICKS[:2]:
        session.click(*click)
    whole = session._crops.whole
    before = whole.pipeline.on_grid(whole.clicks_in(CLICKS[:2]), session._steps[1].selection.prediction)
    alpha = session.click(*CLICKS[2])
    box = boxes(session)[2]
    side = min(64, -(-int(2.5 * max(box.shape)) // 32) * 32)
    view = View.fit(box.shape, long_side=side, multiple=32, grid_stride=2)
    crop = np.ascontiguousarray(IMAGE[box.slices])
    _, pipeline = backend.build("cpu", loaded, view, crop, fall_back=False)
    clicks = np.array([(x - box.left, y - box.top, fg) for x, y, fg in CLICKS[:3]], np.int32)
    carried = zoom.resample_to_crop(before, whole.rect, box, view.grid)
    expected = pipeline.matte(clicks, pipeline.predict(clicks, pipeline.carry(carried)))
    assert same(np.ascontiguousarray(alpha[box.slices]), expected)
    np.testing.assert_array_equal(pipeline.on_grid(clicks[:2], pipeline.carry(carried)), carried)


@pytest.mark.parametrize("clean", ["before", "after"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_session_is_a_function_of_its_clicks(tmp_path: Path, variant: str, clean: str) -> None:
    folder = model(tmp_path / "toy", variant, clean=clean)
    session = Session(IMAGE, model=folder)
    alphas = play(session)
    assert len(set(boxes(session))) >= 3, "undoing has to make parts again"
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
    assert session._crops._zoomed is None
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


def test_a_removing_click_outside_of_the_part_changes_nothing(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for click in CLICKS[:4]:
        alpha = session.click(*click)
    assert same(session.click(300, 200, False), alpha)
    assert boxes(session)[4] == boxes(session)[3] != WHOLE
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
    assert boxes(session) == [WHOLE] * 3
    session.click(64, 58)
    assert boxes(session)[3] != WHOLE


def test_removing_clicks_before_the_first_selecting_one_do_not_count() -> None:
    """The default model: what one click selects of the cat is not less for the removing clicks before it."""
    plain = Session(PHOTO, model=dataclasses.replace(load_model(), zoom=None))
    session = Session(PHOTO)
    for one in (plain, session):
        for x, y in ((440, 5), (445, 290), (5, 5)):
            assert not one.click(x, y, False).any()
        one.click(225, 120)
    assert len(set(boxes(session))) == 1
    assert same(session.alpha, plain.alpha)
    assert session.mask.sum() > 10_000


def test_where_nothing_is_selected_the_whole_is_looked_at(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for click in ((60, 60, True), (60, 60, False), (66, 64, True), (66, 64, False), (60, 60, False)):
        alpha = session.click(*click)
    if not alpha.any():
        session.click(200, 60)
        assert boxes(session)[-1] == WHOLE


def test_what_fails_while_looking_closer_leaves_the_session_as_it_was(zooming: Path) -> None:
    expected = play(Session(IMAGE, model=zooming))

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    for name, count in (("for_crop", 2), ("predict", 3), ("matte", 3), ("on_grid", 3)):
        session = Session(IMAGE, model=zooming)
        for click in CLICKS[:count]:
            session.click(*click)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CpuPipeline, name, broken)
            with pytest.raises(MemoryError):
                session.click(*CLICKS[count])
        assert session.clicks == CLICKS[:count]
        assert same(session.alpha, expected[count - 1])
        assert same(session.click(*CLICKS[count]), expected[count])


def test_a_reset_that_fails_loses_nothing(zooming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(IMAGE, model=zooming)
    for click in CLICKS[:4]:
        alpha = session.click(*click)
    closer = session._crops._zoomed
    assert closer is not None

    def broken() -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closer.pipeline, "offload", broken)
        with pytest.raises(MemoryError):
            session.reset()
    assert session.clicks == CLICKS[:4]
    assert same(session.alpha, alpha)


def test_one_part_is_held_besides_the_whole(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    pipelines = []
    for click in CLICKS[:6]:
        session.click(*click)
        if session._crops._zoomed is not None:
            pipelines.append(weakref.ref(session._crops._zoomed.pipeline))
    assert len(set(boxes(session))) > 2
    assert len({pipeline() for pipeline in pipelines} - {None}) == 1
    for click in CLICKS[6:]:
        session.click(*click)
    assert boxes(session)[-1] == WHOLE
    assert {pipeline() for pipeline in pipelines} == {None}, "and none when the whole is looked at again"


@pytest.mark.parametrize("variant", ["late", "early", "residual", "color"])
def test_a_device_looks_closer_as_the_cpu_does(
    tmp_path: Path, gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    monkeypatch.setattr(cuda, "CAPACITY", 3)
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    folder = model(tmp_path / "toy", variant)
    allocated = _core.host.allocated()
    cpu, device = Session(IMAGE, model=folder), Session(IMAGE, model=folder, device="cuda")
    alphas = play(cpu)
    for click, alpha in zip(CLICKS, alphas, strict=True):
        assert same(device.click(*click), alpha)
    assert boxes(device) == boxes(cpu)
    for alpha in alphas[-2::-1]:
        assert same(device.undo(), alpha)  # predictions of parts that are made again come back from the host
    for alpha in alphas[1:]:
        assert same(device.redo(), alpha)
        assert same(np.from_dlpack(device.alpha_device), alpha)
    del device
    assert _core.host.allocated() == allocated


def test_a_matte_of_a_part_is_brought_to_the_device(zooming: Path, gpu: SimpleNamespace) -> None:
    cpu = Session(IMAGE, model=zooming)
    device = Session(OnDevice(IMAGE), model=zooming, device="cuda")
    for click in CLICKS:
        assert same(np.from_dlpack(device.click_on_device(*click)), cpu.click(*click))
    assert same(device.image, IMAGE)


def test_a_click_asks_for_no_engine_and_no_gpu(zooming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part takes the engines for any size that the session was made with, on the session's GPU."""
    asked = []

    class EngineProvider(FakeEngines):
        def load(self, model: Any, view: Any) -> Any:
            asked.append(view.image)
            return super().load(model, view)

        def prepare(self, model: Any) -> Any:
            asked.append("any")
            return super().load(model, None)

    monkeypatch.setattr(backend, "why_not_cuda", lambda: "")
    monkeypatch.setattr(backend, "_engines_of", lambda index: asked.append(index) or EngineProvider())
    native = SimpleNamespace(**vars(_core.host), device_index=lambda: 1)
    monkeypatch.setattr(_core, "cuda", native, raising=False)
    session = Session(IMAGE, model=zooming, device="cuda")
    assert asked == [1, (240, 320), "any"]
    native.device_index = lambda: 0
    play(session)
    assert len(set(boxes(session))) > 2
    assert asked == [1, (240, 320), "any"]


@pytest.mark.parametrize("rules", [{**RULES, "from_click": 1}, {**RULES, "farther": 1}, 4, {"below": "much"}])
def test_a_manifests_rules_are_checked(zooming: Path, rules: Any) -> None:
    change_manifest(zooming, zoom=rules)
    with pytest.raises(ModelError, match=r"'zoom' does not fit: .*export the model again"):
        load_model(zooming)
