"""Several tabs, and servers that go, come back or forget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from support.browser import Server, UserPage

import pyiseg

OTTER, STONE = (340, 248), (90, 350)
CAUGHT_UP = "(({ prompts, shown, version }) => prompts.length === 2 && shown === version)(pyiseg.page.opened.active)"
CUT = ("WebSocket connection", "Failed to load resource", "ERR_CONNECTION")


@pytest.fixture
def own(chromium: Any) -> Iterator[Server]:
    """A server of this test's own, to be stopped."""
    from pyiseg.server import create_app

    server = Server(create_app())
    yield server
    server.stop()


def test_two_tabs_stay_equal(visit: Callable[..., UserPage], otter: Path, session: pyiseg.Session) -> None:
    first = visit()
    first.open(otter)
    first.click(*OTTER)
    second = visit(path=first.get("location.hash"), context=first.page.context)
    second.shows("otter.png")
    second.says("Opened")
    expected = session.click(*OTTER)
    assert np.array_equal(second.alpha(), expected)

    second.click(*STONE, button="right")
    expected = session.click(*STONE, fg=False)
    first.until(CAUGHT_UP)
    first.says("Object 1 was changed in another window")
    assert np.array_equal(first.alpha(), expected)

    second.page.get_by_role("button", name="New", exact=True).click()
    first.until("pyiseg.page.opened.objects.length === 2")
    name = second.page.get_by_label("Name of Object 2")
    name.fill("Stone")
    name.press("Enter")
    first.until("pyiseg.page.opened.objects[1].name === 'Stone'")
    assert first.get("pyiseg.page.opened.active.name") == "Object 1"  # each tab has its own active object
    second.click(*STONE)
    first.until("pyiseg.page.opened.objects[1].matte.selected > 0")
    assert np.array_equal(first.alpha(1), second.alpha(1))
    second.page.get_by_role("button", name="Delete Stone").click()
    first.until("pyiseg.page.opened.objects.length === 1")


def test_a_mask_of_another_tab_is_seen(visit: Callable[..., UserPage], otter: Path, tmp_path: Path) -> None:
    first = visit()
    first.open(otter)
    second = visit(path=first.get("location.hash"), context=first.page.context)
    second.shows("otter.png")
    mask = np.zeros((400, 600), np.uint8)
    mask[100:300, 200:400] = 255
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(mask).save(path)
    second.page.set_input_files("#mask-input", path)
    first.until("pyiseg.page.opened.active?.matte.selected === 40000")
    assert np.array_equal(first.alpha(), mask)


RESTS = "It is opened again when you go on"


def test_an_image_that_the_server_let_go_is_opened_again_when_it_is_used(
    visit: Callable[..., UserPage], otter: Path, session: pyiseg.Session
) -> None:
    user = visit()
    user.expected = CUT
    user.open(otter)
    session.click(*OTTER)
    user.click(*OTTER)
    user.page.get_by_role("button", name="New", exact=True).click()
    user.says("Object 2 is new")
    user.click(*STONE)
    user.press("[")
    user.says("Object 1 is active")
    user.get("pyiseg.page.view.zoom(1.1)")
    before, scale = user.get("[pyiseg.page.opened.id, pyiseg.page.view.scale]")
    user.page.request.delete(f"{user.url}api/images/{before}")
    user.notes(RESTS)
    assert user.get("document.getElementById('light').dataset.state") == "idle"
    assert user.get("pyiseg.page.opened.id") == before
    user.click(*STONE, button="right")  # it is done on what is opened again, on the object that was active
    assert user.get("pyiseg.page.opened.id") != before
    user.notes("It was opened again")
    assert RESTS not in "".join(user.notices)
    assert user.get("pyiseg.page.opened.active.name") == "Object 1"
    assert np.array_equal(user.alpha(), session.click(*STONE, fg=False))
    assert user.get("pyiseg.page.view.scale") == scale


def test_two_people_under_a_small_memory_limit_do_not_drive_each_other_out(
    visit: Callable[..., UserPage], chromium: Any, otter: Path, session: pyiseg.Session
) -> None:
    from pyiseg.server import create_app

    server = Server(create_app(memory_limit=10_500_000))  # one with its object holds 7 MB, and opening takes 2.4 MB
    try:
        people = [visit(url=server.url) for _ in range(2)]
        for user in people:
            user.expected = CUT
            user.open(otter)
            user.click(*OTTER)
        first, second = people
        first.notes(RESTS)
        image = second.get("pyiseg.page.opened.id")
        second.page.wait_for_timeout(500)  # a page that took its place back would have done it
        assert second.get("pyiseg.page.opened.socket.isOpen")
        first.click(*STONE, button="right")
        second.notes(RESTS)
        session.click(*OTTER)
        assert np.array_equal(first.alpha(), session.click(*STONE, fg=False))
        assert second.get("pyiseg.page.opened.id") == image
        second.click(*STONE, button="right")
        assert np.array_equal(second.alpha(), first.alpha())
    finally:
        server.stop()


def test_windows_on_an_image_that_left_meet_again(visit: Callable[..., UserPage], otter: Path) -> None:
    first = visit()
    first.expected = CUT
    first.open(otter)
    first.click(*OTTER)
    first.until("pyiseg.page.kept > 0")
    second = visit(path=first.get("location.hash"), context=first.page.context)
    second.expected = CUT
    second.shows("otter.png")
    first.page.request.delete(f"{first.url}api/images/{first.get('pyiseg.page.opened.id')}")
    second.notes(RESTS)
    first.notes(RESTS)
    second.click(*STONE, button="right")  # it has no file of its own: the browser keeps the first one's
    second.notes("It was opened again")
    first.press("Escape")
    first.notes("Another window has opened it again")
    first.shows("otter.png")
    first.until(CAUGHT_UP)
    assert first.get("location.hash") == second.get("location.hash")
    assert np.array_equal(first.alpha(), second.alpha())


def test_why_a_server_refuses_a_connection_is_told(visit: Callable[..., UserPage], otter: Path) -> None:
    from pyiseg.server import create_app

    server = Server(create_app(max_sockets=1))
    try:
        first = visit(url=server.url)
        first.open(otter)
        second = visit(url=server.url, path=first.get("location.hash"))
        second.notes("1 sockets are open, as many as this server takes")
        first.page.close()
        second.notes("Connected to the server again")
        assert second.page.get_by_role("alert").count() == 0  # what was wrong is over
    finally:
        server.stop()


def test_a_server_that_comes_back(
    visit: Callable[..., UserPage], own: Server, otter: Path, session: pyiseg.Session, tmp_path: Path
) -> None:
    from pyiseg.server import create_app

    user = visit(url=own.url)
    user.expected = CUT
    user.open(otter)
    mask = session.click(*OTTER)
    path = tmp_path / "mask.png"
    PIL.Image.fromarray(mask).save(path)
    user.page.set_input_files("#mask-input", path)
    user.says("begins with the mask")
    user.click(*STONE, button="right")
    expected = user.alpha()
    own.stop()
    user.notes("The connection to the server was lost")
    assert user.get("document.getElementById('light').dataset.state") == "lost"
    user.page.mouse.click(*user.place(*OTTER))
    user.notes("There is no connection to the server")
    again = Server(
        create_app(), own.port
    )  # it knows nothing of the image: the page has its file, its mask and its prompts
    try:
        user.notes("The server had let this image go. It was opened again")
        user.shows("otter.png")
        user.until("![...document.querySelectorAll('.notice')].some((notice) => notice.role === 'alert')")
        assert np.array_equal(user.alpha(), expected)
        assert [next(iter(prompt)) for prompt in user.prompts] == ["mask", "click"]
    finally:
        again.stop()


def test_a_reload_after_the_server_forgot(visit: Callable[..., UserPage], otter: Path, session: pyiseg.Session) -> None:
    user = visit()
    user.expected = CUT
    user.open(otter)
    user.click(*OTTER)
    image = user.get("pyiseg.page.opened.id")
    user.until("pyiseg.page.kept > 0")
    user.page.goto("about:blank")
    user.page.request.delete(f"{user.url}api/images/{image}")
    user.page.goto(f"{user.url}#image={image}")
    user.notes("It was opened again")
    user.shows("otter.png")
    assert np.array_equal(user.alpha(), session.click(*OTTER))


def test_a_lost_connection_alone_loses_nothing(
    visit: Callable[..., UserPage], otter: Path, session: pyiseg.Session
) -> None:
    first = visit()
    first.expected = CUT
    first.open(otter)
    first.click(*OTTER)
    second = visit(path=first.get("location.hash"), context=first.page.context)
    second.shows("otter.png")
    first.get("pyiseg.page.opened.socket.socket.close()")
    first.until("document.getElementById('light').dataset.state === 'lost'")
    second.click(*STONE, button="right")
    first.notes("Connected to the server again")
    first.until(CAUGHT_UP)
    session.click(*OTTER)
    assert np.array_equal(first.alpha(), session.click(*STONE, fg=False))
