"""session.py: boxes, scribbles, masks and local clicks are steps like clicks; previews, removal and closing."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.devices import standin
from support.toy_device import Devices, both, gpu, watched
from support.toy_model import CLICKS, PHOTO, build, photo, same

import pyiseg
from pyiseg import Session
from pyiseg.prompts import Box, LocalClick, Mask, Scribble

__all__ = ["gpu", "watched"]  # fixtures

HEIGHT, WIDTH = PHOTO.shape[:2]
HALF = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % WIDTH < WIDTH // 2

GIVEN = np.where(HALF, np.uint8(255), np.uint8(0))

MAKE: dict[str, Callable[[Session], object]] = {
    "click": lambda s: s.click(60, 30),
    "local": lambda s: s.click(20, 40, local=True),
    "box": lambda s: s.box(10, 12, 60, 40),
    "scribble": lambda s: s.scribble([(20, 20), (60, 30), (62, 44)]),
    "remove": lambda s: s.scribble([(5, 5), (40, 8)], fg=False),
}


def test_every_prompt_is_a_step(session: Session) -> None:
    seen = [session.alpha]
    for make in MAKE.values():
        made = make(session)
        assert same(made, session.alpha)
        seen.append(session.alpha)
    assert [type(prompt).__name__ for prompt in session.prompts] == [
        "Click",
        "LocalClick",
        "Box",
        "Scribble",
        "Scribble",
    ]
    assert session.prompts[1:3] == (LocalClick(20, 40, True), Box(10, 12, 60, 40))
    assert session.prompts[4] == Scribble(((5, 5), (40, 8)), False)
    assert session.clicks == ((60, 30, True), (20, 40, True))
    for before in seen[-2::-1]:
        assert same(session.undo(), before)
    assert session.prompts == ()
    for after in seen[1:]:
        assert same(session.redo(), after)


@pytest.mark.parametrize("name", MAKE)
def test_a_prompt_is_a_pure_function_of_what_came_before(toy: Path, name: str) -> None:
    one, other = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    for session in (one, other):
        session.click(*CLICKS[0])
    other.box(1, 1, 30, 30)
    other.undo()
    assert same(MAKE[name](one), MAKE[name](other))


def test_prompts_select_what_they_say(session: Session) -> None:
    assert session.scribble([(20, 20), (60, 30)])[30, 60] >= 128
    assert session.alpha[20, 20] >= 128
    assert session.scribble([(20, 20), (24, 22)], fg=False)[20, 20] < 128
    session.reset()
    alpha = session.box(30, 20, 60, 40)
    assert alpha[30, 45] >= 128
    beside = np.ones((HEIGHT, WIDTH), np.bool_)
    beside[12:49, 22:69] = False  # a grid pixel around the box, and what the filter softens
    assert not (alpha[beside] >= 128).any()


def test_a_box_adds_to_what_is_selected(session: Session) -> None:
    before = session.click(70, 45) >= 128
    after = session.box(10, 10, 40, 30) >= 128
    assert after[20, 25]
    assert (after & before).sum() > 0.9 * before.sum()


def test_a_session_begins_with_a_mask(toy: Path) -> None:
    session = Session(PHOTO, model=toy, mask=HALF)
    assert same(session.alpha, GIVEN)
    assert same(session.mask, HALF)
    assert session.prompts == (Mask(GIVEN),)
    refined = session.click(70, 40)
    assert refined[40, 70] >= 128
    from_nothing = Session(PHOTO, model=toy).click(70, 40)
    left = np.s_[:, : WIDTH // 4]
    assert (refined[left] >= 128).mean() > 0.3 > 0.1 > (from_nothing[left] >= 128).mean()  # it is not forgotten
    assert same(session.undo(), GIVEN)
    assert not session.undo().any()
    assert same(session.redo(), GIVEN)
    assert same(session.redo(), refined)
    session.remove(0)
    assert session.prompts == ((70, 40, True),)
    fresh = Session(PHOTO, model=toy)
    assert same(session.alpha, fresh.click(70, 40))


def test_a_soft_mask_comes_back_as_it_was(toy: Path) -> None:
    matte = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    session = Session(PHOTO, model=toy, mask=matte)
    assert same(session.alpha, matte)
    session.click(3, 3)
    assert same(session.undo(), matte)


def test_an_empty_mask_is_nothing(toy: Path) -> None:
    session, fresh = Session(PHOTO, model=toy, mask=np.zeros((HEIGHT, WIDTH), np.bool_)), Session(PHOTO, model=toy)
    assert not session.alpha.any()
    assert same(session.click(60, 30), fresh.click(60, 30))


def test_a_wrong_mask_makes_no_session(toy: Path) -> None:
    with pytest.raises(ValueError, match="mask has shape"):
        Session(PHOTO, model=toy, mask=HALF.T)


def test_a_local_click_changes_nothing_elsewhere(tmp_path: Path) -> None:
    # Color guided: on the grid alpha is the prediction itself, and it is 0 where nothing is selected.
    session = Session(PHOTO, model=build(tmp_path / "toy", color=True, form="residual", radius=1))
    before = session.click(20, 20)
    after = session.click(70, 50, local=True)
    assert after[50, 70] >= 128
    assert same(after[:30, :40], before[:30, :40])
    gone = session.click(70, 50, False, local=True)
    assert gone[50, 70] < 128
    assert same(gone[:30, :40], before[:30, :40])


def test_a_first_click_may_be_local(toy: Path) -> None:
    one, other = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    assert same(one.click(60, 30, local=True), other.click(60, 30))


def test_a_mask_is_read_from_a_file(toy: Path, tmp_path: Path) -> None:
    Image.fromarray(GIVEN).save(tmp_path / "mask.png")
    assert same(Session(PHOTO, model=toy, mask=tmp_path / "mask.png").alpha, GIVEN)
    with pytest.raises(FileNotFoundError, match="no image at"):
        Session(PHOTO, model=toy, mask="none.png")


def test_buttons_know_when_to_be_gray(session: Session) -> None:
    assert not session.can_undo
    assert not session.can_redo
    session.click(60, 30)
    assert session.can_undo
    assert not session.can_redo
    session.undo()
    assert not session.can_undo
    assert session.can_redo
    session.redo()
    session.remove(0)
    assert session.can_undo
    session.reset()
    assert not session.can_undo
    assert not session.can_redo


def test_a_local_click_is_previewed(session: Session) -> None:
    session.click(20, 20)
    shown = session.preview(60, 30, local=True)
    assert same(session.click(60, 30, local=True), shown)


def test_a_preview_changes_nothing(session: Session) -> None:
    session.click(*CLICKS[0])
    session.click(*CLICKS[1])
    session.undo()
    alpha = session.alpha
    shown = session.preview(*CLICKS[2])
    assert same(session.alpha, alpha)
    assert session.prompts == (CLICKS[0],)
    session.redo()
    assert session.prompts == tuple(CLICKS[:2])
    session.undo()
    assert same(session.click(*CLICKS[2]), shown)
    with pytest.raises(ValueError, match="outside the image"):
        session.preview(WIDTH, 0)


@pytest.mark.parametrize("place", range(4))
def test_any_prompt_can_be_removed(toy: Path, place: int) -> None:
    session, without = Session(PHOTO, model=toy), Session(PHOTO, model=toy)
    makes = [MAKE[name] for name in ("click", "box", "scribble", "local")]
    for number, make in enumerate(makes):
        make(session)
        if number != place:
            make(without)
    all_of_them = session.alpha
    assert same(session.remove(place), without.alpha)
    assert session.prompts == without.prompts
    assert same(session.undo(), all_of_them)
    assert len(session.prompts) == 4
    assert same(session.redo(), without.alpha)
    assert same(session.remove(-1), session.alpha)
    assert len(session.prompts) == 2


@pytest.mark.parametrize("index", [2, -3, 1.0, "0", True, None])
def test_what_is_not_there_is_not_removed(session: Session, index: object) -> None:
    for click in CLICKS[:2]:
        session.click(*click)
    alpha = session.alpha
    with pytest.raises(IndexError, match=r"there is no prompt .*: pass 0 to 1"):
        session.remove(index)  # type: ignore[arg-type]
    assert same(session.alpha, alpha)
    session.reset()
    with pytest.raises(IndexError, match="the session has none"):
        session.remove(0)


@pytest.mark.parametrize("name", [*MAKE, "remove()"])
def test_what_fails_leaves_the_session_as_it_was(toy: Path, watched: Devices, name: str) -> None:
    session = Session(PHOTO, model=toy, device="watched")
    for click in CLICKS[:3]:
        session.click(*click)
    session.undo()
    alpha, prompts = session.alpha, session.prompts

    def broken(*_: object) -> None:
        raise pyiseg.DeviceError("broken")

    watched.faults["predict"] = broken
    with pytest.raises(pyiseg.DeviceError, match="broken"):
        session.remove(0) if name == "remove()" else MAKE[name](session)
    watched.faults.clear()
    assert same(session.alpha, alpha)
    assert session.prompts == prompts
    session.redo()
    assert session.prompts == tuple(CLICKS[:3])


def test_a_closed_session_is_over(toy: Path) -> None:
    with Session(PHOTO, model=toy) as session:
        session.click(*CLICKS[0])
    for call in (lambda: session.click(1, 1), session.undo, session.reset, lambda: session.alpha, lambda: session.mask):
        with pytest.raises(ValueError, match=r"the session is closed: make another pyiseg\.Session"):
            call()
    session.close()  # once more is no fault
    with pytest.raises(ValueError, match="closed"):
        session.__enter__()
    with pytest.raises(ValueError, match="closed"):
        print(session.clicks)
    assert "0 prompts" in repr(session)


@pytest.mark.parametrize("variant", [{}, {"color": True, "form": "residual", "radius": 1}])
def test_on_a_gpu_the_bits_are_those_of_the_cpu(tmp_path: Path, gpu: Devices, variant: dict[str, object]) -> None:
    cpu, device = both(build(tmp_path / "toy", **variant))  # type: ignore[arg-type]
    for make in (*MAKE.values(), lambda s: s.preview(9, 9), lambda s: s.remove(1), lambda s: s.undo()):
        np.testing.assert_array_equal(make(device), make(cpu))
    masked = [Session(PHOTO, model=tmp_path / "toy", device=name, mask=HALF) for name in ("cpu", device.device)]
    np.testing.assert_array_equal(masked[1].alpha, masked[0].alpha)
    np.testing.assert_array_equal(masked[1].click(70, 40), masked[0].click(70, 40))
    np.testing.assert_array_equal(masked[1].click(5, 5, False, local=True), masked[0].click(5, 5, False, local=True))


def test_a_click_keeps_the_parts_of_a_mask_that_it_is_not_on() -> None:
    """There may be more of them than get clicks of their own, and small ones beside large ones."""
    rows, columns = np.mgrid[:600, :800]
    truth = np.zeros((600, 800), np.bool_)
    for x in range(60, 800, 160):
        for y in range(60, 600, 120):
            truth |= np.hypot(columns - x, rows - y) <= 32
    truth[:12, :12] = True
    rgb = np.where(truth[..., None], (200, 60, 50), (90, 120, 90)).astype(np.uint8)
    session = Session(rgb, mask=truth)
    session.click(60, 60)
    assert (session.mask & truth).sum() > 0.98 * (session.mask | truth).sum()
    assert same(session.alpha[:12, :12], np.full((12, 12), 255, np.uint8))
    session.click(6, 6, False)
    assert session.alpha[6, 6] < 128
    assert (session.mask & truth).sum() > 0.97 * truth.sum()


def test_a_mask_on_a_long_image_stays_as_it_is_far_from_a_click(tmp_path: Path) -> None:
    matte = np.zeros((40, 800), np.uint8)
    matte[5:35, 60:120] = np.random.default_rng(0).integers(1, 256, (30, 60))
    session = Session(photo(40, 800), model=build(tmp_path / "toy"), mask=matte)
    session.click(700, 20)
    assert same(session.alpha[:, :200], matte[:, :200])
    session.box(500, 5, 540, 30)
    assert same(session.alpha[:, :200], matte[:, :200])


def test_a_closed_session_holds_nothing_on_the_device(toy: Path, gpu: Devices) -> None:
    image = pyiseg.Image(PHOTO, model=toy, device="cuda")
    gc.collect()
    standin().synchronize()
    before = standin().allocated()
    session = Session(image)
    session.click(60, 30)
    session.close()
    gc.collect()
    standin().synchronize()
    assert standin().allocated() <= before
    assert session.shape == PHOTO.shape[:2]
