"""Zooming: which part is looked at, how a selection gets there, and that a session stays a function of its clicks."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import toy_model
from fake_engine import FakeEngines
from hypothesis import given
from hypothesis import strategies as st
from toy_device import OnDevice, gpu
from toy_model import change_manifest, photo, same

from pyiseg import ModelError, Session, _core, backend, load_model, zoom
from pyiseg.geometry import View
from pyiseg.model import Zoom
from pyiseg.zoom import Box

__all__ = ["gpu"]  # a fixture

RULES = {"from_click": 3, "enlarge": 1.6, "below": 0.4, "magnify": 2.5}
IMAGE = photo(240, 320)  # its bright disc has radius 48 and lies around (240, 120)
# One small place, refined and let grow; then what is small no more.
CLICKS = (
    *((60, 60, True), (66, 64, True), (58, 70, False), (64, 58, True), (84, 60, True), (60, 115, True)),
    *((60, 140, True), (80, 75, False), (175, 60, True), (230, 200, True), (160, 20, True)),
)


@pytest.fixture
def zooming(tmp_path: Path) -> Path:
    folder = toy_model.build(tmp_path / "zooming")
    change_manifest(folder, zoom=RULES)
    return folder


def boxes(session: Session) -> list[Box]:
    return [step.selection.box for step in session._steps]


def play(session: Session) -> list[npt.NDArray[np.uint8]]:
    return [session.click(*click) for click in CLICKS]


# Geometry


def test_a_selections_box_covers_its_pixels() -> None:
    alpha = np.zeros((10, 20), np.float32)
    alpha[3, 5] = alpha[6, 8] = 0.5
    alpha[0, 0] = 0.49
    part = Box(top=100, left=200, bottom=130, right=280)  # 3 rows and 4 columns to a grid pixel
    assert zoom.around_selection(alpha, part, [(222, 110)]) == Box(109, 220, 121, 236)
    assert zoom.around_selection(alpha, part, [(222, 110), (5, 299)]) == Box(109, 5, 300, 236)
    assert zoom.around_selection(np.zeros_like(alpha), part, [(7, 9)]) == Box(9, 7, 10, 8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_no_selected_pixel_is_outside_of_the_box(h: int, w: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = (rng.random((h, w)) < 0.05).astype(np.float32)
    part = Box(7, 11, 7 + height, 11 + width)
    found = zoom.around_selection(alpha, part, [(11, 7)])
    ys, xs = np.nonzero(np.vectorize(lambda y, x: alpha[y * h // height, x * w // width])(*np.mgrid[:height, :width]))
    assert all(found.has(x + 11, y + 7) for y, x in zip(ys, xs, strict=True))
    assert found.top >= part.top
    assert found.bottom <= max(part.bottom, 8)


def test_what_is_looked_at() -> None:
    rules, shape = Zoom(), (300, 400)
    whole, small = Box(0, 0, *shape), Box(100, 200, 150, 260)
    closer = zoom.choose(rules, shape, whole, small)
    assert closer == Box(85, 182, 165, 278)  # 1.6 times the sides, about the middle
    assert zoom.choose(rules, shape, closer, small) == closer
    moved = Box(100, 200, 160, 262)
    assert zoom.choose(rules, shape, closer, moved) == closer, "there is room in the part"
    grown = Box(100, 200, 164, 262)
    assert zoom.choose(rules, shape, closer, grown) == Box(80, 181, 183, 281), "its edge is near"
    assert zoom.choose(rules, shape, closer, Box(0, 0, 200, 250)) == whole, "it is small no more"
    corner = zoom.choose(rules, shape, whole, Box(0, 390, 10, 400))
    assert corner == Box(0, 368, 32, 400), "at least 32 pixels, and inside the image"
    assert zoom.choose(rules, shape, corner, Box(0, 388, 12, 400)) == corner, "beyond the image there is nothing"
    assert zoom.choose(rules, (20, 9), Box(0, 0, 20, 9), Box(3, 3, 4, 4)) == Box(0, 0, 20, 9)


def test_pixels_are_not_blown_up_beyond_use() -> None:
    assert zoom.long_side(Zoom(), Box(0, 0, 10, 40), 512, 32) == 128
    assert zoom.long_side(Zoom(), Box(0, 0, 300, 40), 512, 32) == 512
    assert zoom.long_side(Zoom(), Box(0, 0, 1, 1), 512, 32) == 32


def test_a_selection_is_carried_to_where_it_was() -> None:
    """A smooth selection, drawn on two grids, and brought from one to the other: in, out, sideways."""

    def drawn(box: Box, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
        y, x = np.mgrid[: grid[0], : grid[1]] + 0.5
        y, x = box.top + y * box.shape[0] / grid[0], box.left + x * box.shape[1] / grid[1]
        return np.exp(-((y - 70) ** 2 + (x - 90) ** 2) / 200, dtype=np.float64).astype(np.float32)

    one, other, aside = Box(0, 0, 160, 200), Box(35, 55, 105, 125), Box(60, 80, 140, 170)
    for source, from_grid, target, to_grid in (
        (one, (80, 96), other, (64, 64)),
        (other, (64, 64), one, (80, 96)),
        (other, (64, 64), aside, (40, 48)),
    ):
        found = zoom.carried(drawn(source, from_grid), source, target, to_grid)
        assert found.dtype == np.float32
        expected = drawn(target, to_grid)
        seen = zoom.carried(np.ones(from_grid, np.float32), source, target, to_grid) == 1
        assert np.abs(found - expected)[seen].max() < 0.02
        assert found[~seen].max(initial=0) < 0.3
    alpha = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    np.testing.assert_allclose(zoom.carried(alpha, other, other, (7, 5)), alpha, atol=1e-6)


# Sessions


def test_small_selections_are_looked_at_closer(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    whole = Box(0, 0, 240, 320)
    alphas = play(session)
    looked = boxes(session)
    assert looked[:2] == [whole, whole], "not before the third click"
    assert whole not in looked[2:6]
    assert looked[-1] == whole, "what is large is looked at whole again"
    for box, alpha, click in zip(looked, alphas, CLICKS, strict=True):
        outside = np.ones_like(alpha, bool)
        outside[box.slices] = False
        assert not alpha[outside].any()
        assert box.has(click[0], click[1])
        assert (alpha[click[1], click[0]] >= 128) == click[2], "every click is obeyed"
    assert alphas[5].any()


def test_without_rules_nothing_is_looked_at_closer(zooming: Path, toy: Path) -> None:
    plain = dataclasses.replace(load_model(zooming), zoom=None)
    session, other = Session(IMAGE, model=plain), Session(IMAGE, model=toy)
    for one, two in zip(play(session), play(other), strict=True):
        assert same(one, two)
    assert set(boxes(session)) == {session._parts.whole.box}


def test_a_part_is_an_image_of_its_own(zooming: Path) -> None:
    """By hand: the part cut out, its own pipeline, what was selected as the previous alpha."""
    session, model = Session(IMAGE, model=zooming), load_model(zooming)
    for click in CLICKS[:2]:
        session.click(*click)
    whole = session._parts.whole
    before = whole.pipeline.on_grid(whole.grid_clicks(CLICKS[:2]), session._steps[1].selection.lines)
    alpha = session.click(*CLICKS[2])
    box = boxes(session)[2]
    side = min(64, -(-int(2.5 * max(box.shape)) // 32) * 32)
    view = View.fit(box.shape, long_side=side, multiple=32, grid_stride=2)
    crop = np.ascontiguousarray(IMAGE[box.slices])
    _, pipeline = backend.build("cpu", model, view, crop, fall_back=False)
    clicks = view.grid_clicks([(x - box.left, y - box.top, fg) for x, y, fg in CLICKS[:3]])
    lines = pipeline.lines_of(zoom.carried(before, whole.box, box, view.grid))
    expected = pipeline.matte(clicks, pipeline.predict(clicks, lines))
    assert same(np.ascontiguousarray(alpha[box.slices]), expected)
    np.testing.assert_allclose(pipeline.on_grid(clicks[:2], lines), lines[1], atol=1e-6)


def test_a_session_is_a_function_of_its_clicks(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    alphas = play(session)
    assert len(set(boxes(session))) >= 4, "several parts, so that undoing has to make some again"
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
    assert session._parts._close is None
    for one, two in zip(play(session), alphas, strict=True):
        assert same(one, two)


def test_a_removing_click_away_from_the_part_is_obeyed(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for click in CLICKS[:4]:
        session.click(*click)
    assert session.click(3, 200, False)[200, 3] == 0
    assert boxes(session)[-1].has(3, 200)
    again = session.click(242, 121)
    assert again[121, 242] >= 128
    assert again[200, 3] == 0


def test_removing_clicks_alone_look_at_little(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    for x in (5, 60, 110, 170):
        assert not session.click(x, 40, False).any()
    assert session.click(240, 120)[120, 240] >= 128


def test_what_fails_while_zooming_leaves_the_session_as_it_was(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    alphas = [session.click(*click) for click in CLICKS[:2]]

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "build", broken)
        with pytest.raises(MemoryError):
            session.click(*CLICKS[2])
    assert session.clicks == CLICKS[:2]
    assert same(session.alpha, alphas[1])
    assert same(session.click(*CLICKS[2]), play(Session(IMAGE, model=zooming))[2])


def test_one_part_is_held_besides_the_whole(zooming: Path) -> None:
    session = Session(IMAGE, model=zooming)
    pipelines = []
    for click in CLICKS[:7]:
        session.click(*click)
        if session._parts._close is not None:
            pipelines.append(weakref.ref(session._parts._close.pipeline))
    assert len(set(boxes(session))) > 2
    assert len({pipeline() for pipeline in pipelines} - {None}) == 1


# On a device


def test_a_device_zooms_as_the_cpu_does(zooming: Path, gpu: SimpleNamespace) -> None:
    cpu, device = Session(IMAGE, model=zooming), Session(IMAGE, model=zooming, device="cuda")
    alphas = play(cpu)
    for click, alpha in zip(CLICKS, alphas, strict=True):
        assert same(device.click(*click), alpha)
    assert boxes(device) == boxes(cpu)
    for alpha in alphas[-2::-1]:
        assert same(device.undo(), alpha)  # the lines of parts that are made again come back from the host
    for alpha in alphas[1:]:
        assert same(device.redo(), alpha)
        assert same(np.from_dlpack(device.alpha_device), alpha)


def test_a_matte_of_a_part_is_left_on_the_device(zooming: Path, gpu: SimpleNamespace) -> None:
    cpu = Session(IMAGE, model=zooming)
    device = Session(OnDevice(IMAGE), model=zooming, device="cuda")
    for click in CLICKS:
        assert same(np.from_dlpack(device.click_on_device(*click)), cpu.click(*click))
    assert same(device.image, IMAGE)


# Manifests


def test_the_default_model_zooms() -> None:
    assert load_model().zoom == Zoom()


@pytest.mark.parametrize(
    ("key", "value"),
    [("from_click", 1), ("from_click", 2.5), ("enlarge", 0.5), ("below", 1.5), ("magnify", 0), ("magnify", None)],
)
def test_rules_are_checked(zooming: Path, key: str, value: Any) -> None:
    rules: dict[str, Any] = {**RULES, key: value}
    change_manifest(zooming, zoom={name: x for name, x in rules.items() if x is not None})
    with pytest.raises(ModelError, match=rf"zoom\.{key}.*export the model again"):
        load_model(zooming)


def test_a_click_builds_no_engine(zooming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where engines are built for certain sizes, a part takes those for any size, which the session made ready."""
    asked = []

    class Engines(FakeEngines):
        def load(self, model: Any, view: Any) -> Any:
            asked.append(view.image)
            return super().load(model, view)

        def prepare(self, model: Any) -> Any:
            asked.append("any")
            return super().load(model, None)

    engines = Engines()
    monkeypatch.setattr(backend, "why_not_cuda", lambda: "")
    monkeypatch.setattr(backend, "_engines_of", lambda index: engines)
    native = SimpleNamespace(**vars(_core.host), device_index=lambda: 0)
    monkeypatch.setattr(_core, "cuda", native, raising=False)
    session = Session(IMAGE, model=zooming, device="cuda")
    assert asked == ["any", (240, 320)]
    play(session)
    assert set(asked[2:]) == {"any"}
