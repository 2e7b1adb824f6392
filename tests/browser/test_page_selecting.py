"""Clicks, boxes, scribbles, undo: what the page shows is the library's, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.browser import UserPage

import pyiseg

OTTER, HEAD, STONE = (340, 248), (100, 155), (300, 350)


@pytest.fixture
def opened(user: UserPage, otter: Path) -> UserPage:
    user.open(otter)
    return user


def test_a_click_shows_the_librarys_matte(opened: UserPage, session: pyiseg.Session) -> None:
    expected = session.click(*OTTER)
    opened.click(*OTTER)
    assert opened.prompts == [{"click": [*OTTER, True]}]
    assert np.array_equal(opened.alpha(), expected)
    opened.page.get_by_role("button", name="Matte", exact=True).click()
    seen = opened.seen()
    assert np.array_equal(seen[..., :3], np.repeat(expected[..., None], 3, axis=2))


def test_what_is_said_of_a_click(opened: UserPage, session: pyiseg.Session) -> None:
    share = round(100 * np.mean(session.click(*OTTER) >= 128))
    opened.click(*OTTER)
    assert opened.said.startswith(f"Click 1 selects at {OTTER[0]}, {OTTER[1]}; {share} % of the image selected; ")
    assert opened.said.endswith(" ms round trip")
    server, round_trip = (float(part.split()[0]) for part in opened.page.text_content("#timing").split(", "))
    assert 0 < server <= round_trip


def test_overlay_and_cutout_show_the_image_through_the_matte(opened: UserPage, session: pyiseg.Session) -> None:
    before = opened.seen()[..., :3].astype(int)
    assert np.abs(before - session.image.astype(int)).max() <= 1
    opened.click(*OTTER)
    alpha = session.click(*OTTER)
    inside, outside = alpha == 255, alpha == 0
    eroded = inside & np.roll(inside, 3, 0) & np.roll(inside, -3, 0) & np.roll(inside, 3, 1) & np.roll(inside, -3, 1)
    beyond = (
        outside & np.roll(outside, 3, 0) & np.roll(outside, -3, 0) & np.roll(outside, 3, 1) & np.roll(outside, -3, 1)
    )
    overlay = opened.seen()[..., :3].astype(int)
    assert np.array_equal(overlay[beyond], before[beyond])
    assert (overlay[eroded][:, 2] > before[eroded][:, 2]).mean() > 0.95  # the first object is blue

    opened.page.get_by_role("button", name="Cut-out", exact=True).click()
    opened.page.get_by_label("Color behind the cut-out").fill("#ff00ff")
    cutout = opened.seen()[..., :3].astype(int)
    assert np.abs(cutout[eroded] - before[eroded]).max() <= 2
    assert (cutout[beyond] == [255, 0, 255]).all()
    soft = (alpha > 60) & (alpha < 200)
    blended = before * (alpha[..., None] / 255) + np.array([255, 0, 255]) * (1 - alpha[..., None] / 255)
    assert np.abs(cutout - blended)[soft].max() <= 4
    opened.page.get_by_label("Checkerboard").check()
    shades = np.unique(opened.seen()[..., :3][beyond], axis=0)
    assert len(shades) == 2


@pytest.mark.parametrize("how", ["right button", "Shift", "Alt", "Control", "Remove is set"])
def test_removing(opened: UserPage, session: pyiseg.Session, how: str) -> None:
    session.click(*OTTER)
    expected = session.click(*HEAD, fg=False)
    opened.click(*OTTER)
    if how == "right button":
        opened.click(*HEAD, button="right")
    elif how == "Remove is set":
        opened.page.get_by_role("button", name="Remove", exact=True).click()
        opened.click(*HEAD)
    else:
        opened.page.keyboard.down(how)
        opened.click(*HEAD)
        opened.page.keyboard.up(how)
    assert opened.prompts[-1] == {"click": [*HEAD, False]}
    assert np.array_equal(opened.alpha(), expected)
    assert opened.said.startswith("Click 2 removes")


def test_undo_and_redo_by_keys_and_buttons(opened: UserPage, session: pyiseg.Session) -> None:
    undo, redo = (opened.page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    assert undo.is_disabled()
    assert redo.is_disabled()
    first = session.click(*OTTER)
    second = session.click(*HEAD, fg=False)
    opened.click(*OTTER)
    opened.click(*HEAD, button="right")
    with opened.step():
        undo.click()
    assert np.array_equal(opened.alpha(), first)
    assert opened.said.startswith("Undone: Click 2 removes")
    with opened.step():
        opened.press("Control+z")
    assert not opened.alpha().any()
    assert undo.is_disabled()
    opened.press("Control+z")
    opened.says("Nothing to undo")
    with opened.step():
        redo.click()
    assert np.array_equal(opened.alpha(), first)
    with opened.step():
        opened.press("Control+Shift+z")
    assert np.array_equal(opened.alpha(), second)
    with opened.step(2):
        opened.press("Control+z", "Control+y")
    assert np.array_equal(opened.alpha(), second)
    assert redo.is_disabled()


def test_dragging_draws_a_box(opened: UserPage, session: pyiseg.Session) -> None:
    with opened.step():
        opened.drag((20, 60), (300, 200), (575, 315))
    [prompt] = opened.prompts
    x0, y0, x1, y1 = prompt["box"]
    assert abs(np.array([x0, y0, x1, y1]) - [20, 60, 575, 315]).max() <= 1
    assert np.array_equal(opened.alpha(), session.box(x0, y0, x1, y1))
    with opened.step():  # it may end outside
        opened.drag((500, 300), (700, 500))
    assert opened.prompts[-1]["box"][2:] == [599, 399]


def test_the_brush_scribbles(opened: UserPage, session: pyiseg.Session) -> None:
    opened.press("2")
    with opened.step():
        opened.drag((170, 170), (280, 225), (400, 230))
    with opened.step():
        opened.drag((250, 340), (400, 345), button="right")
    selecting, removing = opened.prompts
    assert selecting["fg"] is True
    assert removing["fg"] is False
    assert len(selecting["scribble"]) > 2
    session.scribble(selecting["scribble"])
    assert np.array_equal(opened.alpha(), session.scribble(removing["scribble"], fg=False))
    with opened.step():  # a dab is one point
        opened.click(*OTTER)
    assert opened.prompts[-1] == {"scribble": [[*OTTER]], "fg": True}


def test_a_box_does_not_remove(opened: UserPage) -> None:
    opened.press("x")
    opened.drag((20, 60), (300, 200))
    opened.notes("A box selects what is in it")
    assert opened.prompts == []


def test_prompts_are_listed_and_taken_back(opened: UserPage, session: pyiseg.Session) -> None:
    opened.page.get_by_label("Only what is connected").check()
    opened.click(*OTTER)
    opened.page.get_by_label("Only what is connected").uncheck()
    opened.click(*STONE, button="right")
    listed = opened.page.locator("#prompts li")
    texts = [text.strip() for text in listed.all_text_contents()]
    assert texts == [f"Local click 1 selects at {OTTER[0]}, {OTTER[1]}", f"Click 2 removes at {STONE[0]}, {STONE[1]}"]
    with opened.step():
        opened.page.get_by_role("button", name="Take back: Local click 1").click()
    assert np.array_equal(opened.alpha(), session.click(*STONE, fg=False))
    with opened.step():
        opened.page.get_by_role("button", name="Clear").click()
    assert opened.prompts == []
    assert opened.page.get_by_text("Clicks, boxes and scribbles are listed here").is_visible()


def test_zoom_and_pan(opened: UserPage, session: pyiseg.Session) -> None:
    scale = opened.get("pyiseg.page.view.scale")
    place = opened.place(*OTTER)
    opened.page.mouse.move(*place)
    opened.page.mouse.wheel(0, -600)
    opened.until(f"pyiseg.page.view.scale > {2 * scale}")
    zoomed = opened.place(*OTTER)
    assert max(abs(a - b) for a, b in zip(place, zoomed, strict=True)) <= opened.get("pyiseg.page.view.scale")
    opened.press("3")
    opened.drag(OTTER, (OTTER[0] + 40, OTTER[1] + 20))
    assert opened.prompts == []
    moved = opened.place(*OTTER)
    assert moved[0] > zoomed[0] + 50
    assert moved[1] > zoomed[1] + 25
    opened.press("1")
    opened.click(*OTTER)  # a click there is on that pixel still
    assert np.array_equal(opened.alpha(), session.click(*OTTER))
    opened.press("0")
    opened.until(f"pyiseg.page.view.scale === {scale}")


def test_a_preview_changes_nothing(opened: UserPage, session: pyiseg.Session) -> None:
    opened.click(*OTTER)
    opened.page.get_by_label("Preview while the pointer rests").check()
    opened.page.mouse.move(*opened.place(*STONE))
    opened.until("pyiseg.page.marks.previewed || !pyiseg.page.tools.preview")  # switched off on a slow machine
    assert np.array_equal(opened.alpha(), session.click(*OTTER))
    assert len(opened.prompts) == 1


def test_a_preview_is_of_the_click_that_would_be_made(opened: UserPage) -> None:
    opened.click(*OTTER)
    opened.page.get_by_label("Only what is connected").check()
    opened.page.get_by_label("Preview while the pointer rests").check()
    opened.get(
        "(window.asked = [], pyiseg.page.opened.socket.request = async (m) => { asked.push(m); return null; }, 0)"
    )
    opened.page.mouse.move(*opened.place(*STONE))
    opened.until("window.asked.length > 0")
    assert opened.get("Object.keys(window.asked.at(-1).preview)") == ["local"]
