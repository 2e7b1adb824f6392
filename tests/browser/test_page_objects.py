"""Several objects with names and colors, masks to begin with, downloads and sessions."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from support.browser import UserPage

import pyiseg

OTTER, STONE = (340, 248), (90, 350)


@pytest.fixture
def opened(user: UserPage, otter: Path) -> UserPage:
    user.open(otter)
    return user


@pytest.fixture
def two(opened: UserPage) -> UserPage:
    """The otter and the stone."""
    opened.click(*OTTER)
    opened.page.get_by_role("button", name="New", exact=True).click()
    opened.until("pyiseg.page.opened.objects.length === 2")
    opened.click(*STONE)
    return opened


@pytest.fixture
def sessions(otter: Path) -> list[pyiseg.Session]:
    image = pyiseg.Image(otter)
    made = [pyiseg.Session(image), pyiseg.Session(image)]
    made[0].click(*OTTER)
    made[1].click(*STONE)
    return made


def download(user: UserPage, section: str, label: str) -> tuple[str, bytes]:
    """Fetch a file by the menu: its name and content."""
    user.page.get_by_role("button", name="Download", exact=True).click()
    with user.page.expect_download() as waiting:
        user.page.get_by_role("region", name=section).get_by_role("button", name=label, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def decoded(content: bytes) -> Any:
    return np.array(PIL.Image.open(io.BytesIO(content)))


def test_two_objects(two: UserPage, sessions: list[pyiseg.Session]) -> None:
    for index, session in enumerate(sessions):
        assert np.array_equal(two.alpha(index), session.alpha)
    colors = two.get("pyiseg.page.opened.objects.map(({ color }) => color)")
    assert len(set(colors)) == 2
    assert two.get("pyiseg.page.opened.objects.map(({ name }) => name)") == ["Object 1", "Object 2"]
    two.press("[")
    two.says("Object 1 is active")
    with two.step():
        two.press("Control+z")  # of the active one only
    assert not two.alpha(0).any()
    assert np.array_equal(two.alpha(1), sessions[1].alpha)


def test_names_and_colors_are_the_servers(two: UserPage) -> None:
    name = two.page.get_by_label("Name of Object 1")
    name.fill("A very long name of an otter that sits on a stone at the water and looks at something far away")
    name.press("Enter")
    two.page.get_by_label("Color of A very long name").fill("#ff8800")
    two.until("pyiseg.page.opened.active.color === '#ff8800'")
    two.page.reload()
    two.shows("otter.png")
    assert two.get("pyiseg.page.opened.objects[0].name").startswith("A very long name")
    assert two.get("pyiseg.page.opened.objects[0].color") == "#ff8800"
    assert two.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_hidden_object_is_not_in_the_overlay(two: UserPage) -> None:
    two.page.get_by_label("Show Object 1 in the overlay").click()
    two.page.get_by_label("Show Object 2 in the overlay").click()
    hidden = two.seen()[..., :3].astype(int)
    image = np.array(
        PIL.Image.open(
            io.BytesIO(
                two.page.request.get(f"{two.url}api/images/{two.get('pyiseg.page.opened.id')}/pixels?format=png").body()
            )
        ).convert("RGB"),
        dtype=int,
    )
    assert np.abs(hidden - image).max() <= 1
    two.page.get_by_label("Show Object 1 in the overlay").click()
    assert np.abs(two.seen()[..., :3].astype(int) - image).max() > 50


def test_a_mask_to_begin_with(opened: UserPage, session: pyiseg.Session, otter: Path, tmp_path: Path) -> None:
    mask = session.click(*OTTER)
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(mask).save(path)
    opened.page.set_input_files("#mask-input", path)
    opened.says("begins with the mask mask.png")
    assert np.array_equal(opened.alpha(), mask)
    refined = pyiseg.Session(otter, mask=mask)
    opened.click(*STONE, button="right")
    assert np.array_equal(opened.alpha(), refined.click(*STONE, fg=False))


def test_a_wrong_mask(opened: UserPage, tmp_path: Path) -> None:
    opened.expected = ("400 (Bad Request)",)
    path = tmp_path / "small.png"
    PIL.Image.new("L", (10, 10)).save(path)
    opened.page.set_input_files("#mask-input", path)
    opened.page.get_by_role("alert").wait_for()
    assert opened.get("pyiseg.page.opened.objects.length") == 0


def test_deleting_an_object_can_be_undone(two: UserPage, sessions: list[pyiseg.Session]) -> None:
    two.page.get_by_role("button", name="Delete Object 2").click()
    two.notes("Deleted “Object 2”")
    assert two.get("pyiseg.page.opened.objects.length") == 1
    two.page.locator(".notice").get_by_role("button", name="Undo").click()
    two.says("Object 2 is back")
    assert np.array_equal(two.alpha(1), sessions[1].alpha)


def test_downloads_of_an_object(two: UserPage, sessions: list[pyiseg.Session]) -> None:
    two.press("[")
    session = sessions[0]
    name, content = download(two, "This object", "Cut-out, PNG")
    assert name.endswith(".png")
    assert np.array_equal(decoded(content), session.cutout(foreground="estimate"))
    two.page.get_by_role("button", name="Download", exact=True).click()
    two.page.get_by_label("Clean the colors of soft edges").uncheck()
    two.page.keyboard.press("Escape")
    _, content = download(two, "This object", "Cut-out, PNG")
    assert np.array_equal(decoded(content), session.cutout())
    _, content = download(two, "This object", "Matte, PNG")
    assert np.array_equal(decoded(content), session.alpha)
    _, content = download(two, "This object", "Outline, SVG")
    assert b"<svg" in content
    _, content = download(two, "This object", "COCO JSON")
    assert json.loads(content)["annotations"]


def test_a_downloaded_file_has_the_objects_own_name(two: UserPage) -> None:
    two.get("pyiseg.page.opened.change(pyiseg.page.opened.active, { name: 'Ölkännchen 猫' })")
    two.page.get_by_label("Name of Ölkännchen 猫").wait_for()
    names = [download(two, "This object", kind)[0] for kind in ("Matte, PNG", "Matte, 16-bit PNG")]
    assert names == ["otter-Ölkännchen 猫-matte.png", "otter-Ölkännchen 猫-matte16.png"]


def test_downloads_of_all_objects(two: UserPage, sessions: list[pyiseg.Session]) -> None:
    _, content = download(two, "All objects", "Label map, PNG")
    assert np.array_equal(decoded(content), pyiseg.label_map(sessions))
    _, content = download(two, "All objects", "COCO JSON")
    assert len(json.loads(content)["annotations"]) >= 2
    _, content = download(two, "All objects", "Outlines, SVG")
    assert b"<svg" in content


def test_a_session_is_saved_and_opened_again(two: UserPage, sessions: list[pyiseg.Session], tmp_path: Path) -> None:
    name, content = download(two, "Session", "Save session")
    saved = tmp_path / name
    saved.write_bytes(content)
    for _ in range(2):
        two.page.get_by_role("button", name="Delete Object").last.click()
    two.until("pyiseg.page.opened.objects.length === 0")
    two.page.set_input_files("#session-input", saved)
    two.says(f"Opened {name}")
    for index, session in enumerate(sessions):
        assert np.array_equal(two.alpha(index), session.alpha)
    sessions[0].save(tmp_path / "one.json")  # the library's own file makes one object more
    two.page.set_input_files("#session-input", tmp_path / "one.json")
    two.says("Opened one.json")
    assert np.array_equal(two.alpha(2), sessions[0].alpha)
    assert "another window" not in str(two.get("document.getElementById('live').textContent"))


def test_a_file_that_replaces_objects_can_be_taken_back(
    two: UserPage, sessions: list[pyiseg.Session], tmp_path: Path
) -> None:
    name, content = download(two, "Session", "Save session")
    (tmp_path / name).write_bytes(content)
    two.press("Control+z")
    two.until("pyiseg.page.opened.active.prompts.length === 0")
    changed = two.alpha(1)
    two.page.set_input_files("#session-input", tmp_path / name)
    two.says(f"Opened {name}")
    assert np.array_equal(two.alpha(1), sessions[1].alpha)
    two.page.get_by_role("status").filter(has_text="have taken the place").get_by_role("button", name="Undo").click()
    two.says("What was selected before is back")
    assert np.array_equal(two.alpha(1), changed)


def test_one_objects_session_opens_in_python(two: UserPage, sessions: list[pyiseg.Session], tmp_path: Path) -> None:
    two.press("[")
    name, content = download(two, "This object", "Session JSON")
    (tmp_path / name).write_bytes(content)
    again = pyiseg.Session.load(tmp_path / name, pyiseg.Image(sessions[0].image))
    assert np.array_equal(again.alpha, sessions[0].alpha)


def test_what_is_no_session(opened: UserPage, tmp_path: Path) -> None:
    opened.expected = ("400 (Bad Request)",)
    wrong = tmp_path / "wrong.json"
    for content in ("no JSON", '{"format": "something else"}'):
        wrong.write_text(content)
        opened.page.set_input_files("#session-input", wrong)
        opened.page.get_by_role("alert").wait_for()
        assert "“wrong.json”" in opened.notices[-1]
        opened.page.get_by_role("button", name="Dismiss this notice").last.click()
        opened.until("pyiseg.page.opened.objects.length === 0")
