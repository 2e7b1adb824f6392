"""session.py: what changed, alpha in a rectangle, and prompts that render nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy_device import Devices, both, gpu
from support.toy_model import CLICKS, PHOTO, build, photo, same

from pyiseg import Click, Session
from pyiseg.geometry import Rect, View
from pyiseg.prompts import Box, LocalClick, Mask, Prompt, Scribble

__all__ = ["gpu"]  # a fixture

COLOR: dict[str, Any] = {"color": True, "form": "residual", "radius": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "averaged": {},
    "color": COLOR,
    "sees clicks": {"guide_clicks": True, "grid_stride": 1},
}
PROMPTS: tuple[Prompt, ...] = (
    Click(60, 30, True),
    Click(10, 12, True),
    LocalClick(12, 14, False),
    Scribble(((5, 50), (30, 52)), True),
    Box(40, 2, 70, 20),
    Click(60, 30, False),
    Click(60, 30, False),
)


def outside_is_the_same(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], rect: Rect) -> None:
    inside = np.zeros(before.shape, np.bool_)
    inside[rect.slices] = True
    np.testing.assert_array_equal(before[~inside], after[~inside])


@pytest.mark.parametrize("variant", VARIANTS)
def test_outside_of_what_changed_all_is_as_it_was(tmp_path: Path, variant: str) -> None:
    session = Session(PHOTO, model=build(tmp_path / "toy", **VARIANTS[variant]))
    assert session.changed == Rect(0, 0, 0, 0)
    before = session.alpha
    moves = [lambda prompt=prompt: session.add(prompt) for prompt in PROMPTS]
    moves += [session.undo, session.undo, session.redo, lambda: session.remove(1), session.undo, session.reset]  # type: ignore[list-item]
    for move in moves:
        move()
        after = session.alpha
        outside_is_the_same(before, after, session.changed)
        before = after


def test_a_small_change_is_a_small_rectangle(tmp_path: Path) -> None:
    session = Session(photo(600, 800), model=build(tmp_path / "toy", long_side=512, **COLOR))
    session.click(600, 300)
    rect = session.add(LocalClick(60, 60, True))
    assert rect.has(60, 60)
    assert rect.area < 0.1 * 600 * 800
    session.undo()
    assert session.changed == rect
    session.redo()
    assert session.changed == rect


def test_what_changes_nothing_is_empty(session: Session) -> None:
    session.undo()
    assert session.changed == (0, 0, 0, 0)
    session.click(*CLICKS[0])
    assert session.changed.area > 0
    alpha, changed = session.alpha, session.changed
    session.preview(3, 3)
    with pytest.raises(ValueError, match="outside"):
        session.click(-1, 0)
    assert session.changed == changed
    session.redo()
    assert session.changed.area == 0
    assert same(session.alpha, alpha)


def test_from_a_mask(toy: Path) -> None:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[5:20, 50:70] = 9
    session = Session(PHOTO, model=toy, mask=mask)
    assert session.changed == Rect(5, 50, 20, 70)
    before = session.alpha
    session.click(10, 40)
    outside_is_the_same(before, session.alpha, session.changed)
    session.undo()
    outside_is_the_same(before, session.alpha, session.changed)
    assert same(session.alpha_in((0, 40, 30, 80)), mask[:30, 40:])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(60, 80), (1, 1), (7, 300), (301, 57)])
def test_alpha_in_a_rectangle_is_that_of_the_whole(tmp_path: Path, variant: str, shape: tuple[int, int]) -> None:
    session = Session(photo(*shape), model=build(tmp_path / "toy", **VARIANTS[variant]))
    height, width = shape
    rng = np.random.default_rng(1)
    for _ in range(3):
        session.click(int(rng.integers(width)), int(rng.integers(height)))
        whole = session.alpha
        for _ in range(20):
            (top, bottom), (left, right) = (sorted(rng.integers(0, n + 1, 2).tolist()) for n in shape)
            assert same(session.alpha_in((top, left, bottom, right)), whole[top:bottom, left:right])


@pytest.mark.parametrize(
    "rect", [(0, 0, 61, 10), (-1, 0, 5, 5), (9, 0, 5, 5), (0, 0, 5), (0.5, 0, 5, 5), "rect", None, (0, 0, 5, 81)]
)
def test_what_is_no_rectangle_of_the_image_is_refused(session: Session, rect: Any) -> None:
    with pytest.raises(ValueError, match=r"^rect is .*pass \(top, left, bottom, right\)"):
        session.alpha_in(rect)


def test_a_prompt_is_added_as_its_method_does_it(toy: Path) -> None:
    one, other = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    for prompt in PROMPTS[:5]:
        one.add(prompt)
    other.click(60, 30)
    other.click(10, 12)
    other.click(12, 14, False, local=True)
    other.scribble([(5, 50), (30, 52)])
    other.box(40, 2, 70, 20)
    assert one.prompts == other.prompts
    assert same(one.alpha, other.alpha)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ((3, 4, True), r"prompt is \(3, 4, True\); pass a pyiseg.Click, pyiseg.LocalClick"),
        (Mask(np.zeros(PHOTO.shape[:2], np.uint8)), r"a session begins with a mask"),
        (Click(300, 3, True), "x is 300, outside the image"),
        (LocalClick(3, -3, True), "y is -3, outside the image"),
        (Box(90, 3, 99, 5), "holds nothing of the image"),
        (Scribble((), True), "points is empty"),
    ],
)
def test_what_is_no_prompt_is_refused(session: Session, prompt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        session.add(prompt)
    assert session.prompts == ()


@pytest.mark.parametrize("variant", VARIANTS)
def test_on_a_gpu(tmp_path: Path, gpu: Devices, variant: str) -> None:
    cpu, device = both(build(tmp_path / "toy", **VARIANTS[variant]))
    for prompt in PROMPTS:
        assert device.add(prompt) == cpu.add(prompt)
        rect = cpu.changed if cpu.changed.area else (3, 4, 9, 77)
        np.testing.assert_array_equal(device.alpha_in(rect), cpu.alpha_in(rect))
        np.testing.assert_array_equal(device.alpha, cpu.alpha)
    device.undo(), cpu.undo()
    assert device.changed == cpu.changed


@pytest.mark.parametrize(("image", "grid"), [((60, 80), (24, 32)), ((7, 300), (4, 96)), ((5, 5), (16, 16))])
def test_pixels_that_a_grid_pixel_reaches(image: tuple[int, int], grid: tuple[int, int]) -> None:
    from pyiseg import _core

    view, rng = View(image, (2 * grid[0], 2 * grid[1]), grid), np.random.default_rng(0)
    guide = np.ones(image, np.float32)
    for _ in range(40):
        cells = np.zeros(grid, np.bool_)
        cells[rng.integers(grid[0]), rng.integers(grid[1])] = True
        coefficients = np.stack([cells.astype(np.float32), np.zeros(grid, np.float32)])
        out = np.empty(image, np.float32)
        _core.apply_coefficients(coefficients, guide, out)
        rect = view.touched(cells)
        assert rect is not None
        reached = np.argwhere(out)
        if len(reached):
            assert rect.top <= reached[:, 0].min()
            assert reached[:, 0].max() < rect.bottom
            assert rect.left <= reached[:, 1].min()
            assert reached[:, 1].max() < rect.right
        spare = -(-image[0] // grid[0]) + 4, -(-image[1] // grid[1]) + 4
        assert rect.shape[0] <= 2 * spare[0]
        assert rect.shape[1] <= 2 * spare[1]
    assert view.touched(np.zeros(grid, np.bool_)) is None


def test_zooming_in_does_not_change_the_whole_image() -> None:
    image = np.full((900, 1200, 3), 128, np.uint8)
    y, x = np.mgrid[:900, :1200]
    image[np.hypot(x - 300, y - 300) < 60] = (200, 60, 50)
    session, before = Session(image), np.zeros((900, 1200), np.uint8)
    for click in ((300, 300, True), (310, 320, True), (280, 290, True), (330, 300, True), (290, 330, True)):
        rect = session.add(Click(*click))
        after = session.alpha
        outside_is_the_same(before, after, rect)
        assert rect.area < 0.3 * 900 * 1200
        before = after
    assert session.crop.area < 900 * 1200


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(60, 80), (30, 300), (400, 24)])
def test_whatever_is_done_outside_of_what_changed_all_is_as_it_was(tmp_path: Path, shape: Any, seed: int) -> None:
    """Long images too, whose windows leave selections behind; with and without a mask to begin with."""
    rng, (height, width) = np.random.default_rng(seed), shape
    mask = (rng.random(shape) < 0.3).astype(np.float32) * (rng.random() < 0.5)
    session = Session(photo(*shape), model=build(tmp_path / "toy", **COLOR), mask=mask)
    before = session.alpha
    for _ in range(14):
        x, y, a, b = (int(rng.integers(n)) for n in (width, height, width, height))
        fg = bool(rng.random() < 0.6)
        count = len(session.prompts)
        prompts = Click(x, y, fg), LocalClick(x, y, fg), Box(x, y, a, b), Scribble(((x, y), (a, b)), fg)
        kind = int(rng.integers(7))
        if kind < len(prompts):
            session.add(prompts[kind])
        elif kind == 6 and count:
            session.remove(int(rng.integers(count)))
        else:
            (session.undo if kind == 4 else session.redo)()
        after, rect = session.alpha, session.changed
        outside_is_the_same(before, after, rect)
        assert same(session.alpha_in(rect), after[rect.slices])
        before = after


def test_removing_a_click_of_another_window_changes_that(tmp_path: Path) -> None:
    session = Session(photo(40, 800), model=build(tmp_path / "toy", **COLOR))
    for x in (60, 400, 740):
        session.click(x, 20)
    before = session.alpha
    session.remove(0)
    outside_is_the_same(before, session.alpha, session.changed)
    assert session.changed.left < 100
