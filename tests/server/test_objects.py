"""Objects by HTTP: every step, with alpha equal to the library's bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.served import Client, png, running
from support.toy_model import PHOTO

from pyiseg import Session
from pyiseg.server import create_app

HEIGHT, WIDTH = PHOTO.shape[:2]
PROMPTS: dict[str, tuple[dict[str, Any], Callable[[Session], Any]]] = {
    "click": ({"click": [60, 40, True]}, lambda session: session.click(60, 40)),
    "removing click": ({"click": [3, 4, False]}, lambda session: session.click(3, 4, False)),
    "click that selects unless told": ({"click": [30.4, 20.6]}, lambda session: session.click(30.4, 20.6)),
    "local": ({"local": [50, 30, True]}, lambda session: session.click(50, 30, local=True)),
    "box": ({"box": [10, 10, 70, 50]}, lambda session: session.box(10, 10, 70, 50)),
    "scribble": ({"scribble": [[9, 9], [40, 30]], "fg": True}, lambda session: session.scribble([(9, 9), (40, 30)])),
}


@pytest.fixture(scope="module")
def image(client: Client) -> str:
    return client.open(PHOTO)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_gives_the_matte_of_the_library(client: Client, image: str, toy: Path, name: str) -> None:
    prompt, by_library = PROMPTS[name]
    at, session = client.object(image), Session(PHOTO, model=toy)
    first = client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
    before = client.alpha(at)
    np.testing.assert_array_equal(before, session.click(20, 20))
    step = client.expect(200, "POST", f"{at}/prompts", json=prompt)
    wanted = by_library(session)
    np.testing.assert_array_equal(client.alpha(at), wanted)
    top, left, bottom, right = step["changed"]
    before[top:bottom, left:right] = client.alpha(at, (top, left, bottom, right))
    np.testing.assert_array_equal(before, wanted)
    assert step["changed"] == list(session.changed)
    assert step["version"] == first["version"] + 1 == 2
    assert len(step["prompts"]) == 2
    assert step["ms"] > 0
    rows, columns = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
    assert step["bounds"] == [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]


def test_undo_redo_remove_and_reset(client: Client, image: str, toy: Path) -> None:
    at, session = client.object(image), Session(PHOTO, model=toy)
    for x, y, fg in ((20, 20, True), (60, 40, True), (3, 4, False)):
        client.expect(200, "POST", f"{at}/prompts", json={"click": [x, y, fg]})
        session.click(x, y, fg)
    for what in ("undo", "undo", "redo", "undo", "redo", "redo", "redo"):
        step = client.expect(200, "POST", f"{at}/{what}")
        np.testing.assert_array_equal(client.alpha(at), getattr(session, what)())
        assert (step["can_undo"], step["can_redo"]) == (session.can_undo, session.can_redo)
        assert [prompt["click"] for prompt in step["prompts"]] == [list(click) for click in session.clicks]
        assert step["changed"] == list(session.changed)
    client.expect(200, "POST", f"{at}/remove", json={"index": 1})
    np.testing.assert_array_equal(client.alpha(at), session.remove(1))
    step = client.expect(200, "POST", f"{at}/reset")
    assert step["prompts"] == []
    assert step["bounds"] is None
    assert not client.alpha(at).any()
    assert client.expect(200, "POST", f"{at}/undo")["changed"] == [0, 0, 0, 0]


def test_no_step_renders_more_than_where_it_changed(
    client: Client, image: str, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 megapixels an undo would otherwise take as long as all of them."""
    at, session = client.object(image), Session(PHOTO, model=toy)
    wanted = {"reset": session.alpha}
    steps: list[tuple[str, Any]] = [("prompts", {"box": [10, 10, 70, 50]}), ("prompts", {"local": [50, 30, False]})]
    session.box(10, 10, 70, 50)
    wanted["box"], wanted["local"] = session.alpha, session.click(50, 30, False, local=True)
    wanted["removed"] = session.remove(0)
    steps += [("undo", None), ("redo", None), ("remove", {"index": 0}), ("undo", None), ("reset", None)]
    results = ("box", "local", "box", "local", "removed", "local", "reset")

    def whole(*_: Any) -> None:
        raise AssertionError("the whole matte was rendered")

    monkeypatch.setattr("pyiseg.steps.matte", whole)
    for (what, body), result in zip(steps, results, strict=True):
        step = client.expect(200, "POST", f"{at}/{what}", **({} if body is None else {"json": body}))
        np.testing.assert_array_equal(client.alpha(at), wanted[result])
        assert step["bounds"] == bounds_of(wanted[result]), what


def bounds_of(alpha: Any) -> list[int] | None:
    """Where alpha is not 0."""
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    return [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1] if rows.size else None


def test_an_object_begins_with_a_mask(client: Client, image: str, toy: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 20:50] = 255
    made = client.expect(201, "POST", f"{image}/objects", params={"name": "dog", "color": "#FF0000"}, content=png(mask))
    assert (made["name"], made["color"], made["prompts"]) == ("dog", "#ff0000", [{"mask": True}])
    assert made["bounds"] == [10, 20, 30, 50]
    at = f"{image}/objects/{made['id']}"
    np.testing.assert_array_equal(client.alpha(at), mask)
    client.expect(200, "POST", f"{at}/prompts", json={"click": [60, 40, True]})
    session = Session(PHOTO, model=toy, mask=mask)
    np.testing.assert_array_equal(client.alpha(at), session.click(60, 40))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (png(np.zeros((5, 6), np.uint8)), "the mask has 6 x 5 pixels"),
        (png(PHOTO), "the mask is in color"),
        (b"no image", "'mask' is not an image of a format that is read here"),
    ],
)
def test_a_mask_that_is_none_is_refused(client: Client, image: str, content: bytes, told: str) -> None:
    before = client.expect(200, "GET", image)["objects"]
    message = client.error(400, "POST", f"{image}/objects", content=content)
    assert message.startswith(told)
    assert "/tmp" not in message
    assert client.expect(200, "GET", image)["objects"] == before


def test_objects_are_told_renamed_and_removed(client: Client) -> None:
    image = client.open(PHOTO)
    first, second = client.object(image), client.object(image, params={"name": "a cat"})
    objects = client.expect(200, "GET", image)["objects"]
    assert [made["name"] for made in objects] == ["object 1", "a cat"]
    assert objects[0]["color"] != objects[1]["color"]
    changed = client.expect(200, "PATCH", first, json={"name": " a\u0000 dog ", "color": "#ABCDEF"})
    assert (changed["name"], changed["color"]) == ("a dog", "#abcdef")
    assert client.expect(200, "PATCH", first, json={})["name"] == "a dog"
    assert client.expect(204, "DELETE", second).content == b""
    assert [made["name"] for made in client.expect(200, "GET", image)["objects"]] == ["a dog"]
    for method, url in (("GET", f"{second}/alpha"), ("DELETE", second), ("POST", f"{second}/undo")):
        assert "no such object" in client.error(404, method, url)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ({"click": [WIDTH, 0, True]}, f"x is {WIDTH}, outside the image: it must be from 0 to {WIDTH - 1}"),
        ({"click": [0, "a", True]}, "y is 'a'; pass a finite number"),
        ({"click": [0, 0, "bg"]}, "fg is 'bg'; pass True to select or False to remove"),
        ({"click": [0]}, "click is [0]; pass {"),
        ({"click": 5}, "click is 5; pass {"),
        ({"box": [0, 0, 5]}, "box is [0, 0, 5]; pass {"),
        ({"box": [-9, -9, -5, -5]}, "the box (-9, -9, -5, -5) holds nothing of the image"),
        ({"scribble": []}, "points is empty"),
        ({"scribble": "abc"}, "scribble is 'abc'; pass pairs"),
        ({"scribble": [[1, 2, 3]]}, "points[0] is (1, 2, 3); pass a pair of numbers (x, y)"),
        ({"scribble": [[1, 1]] * 10_001}, "the scribble has 10001 points; pass at most 10000"),
        ({"mask": True}, "an object begins with a mask"),
        ({"click": [1, 1, True], "box": [0, 0, 1, 1]}, "prompt has the unknown key 'box'"),
        ({}, "prompt is {}; pass {"),
    ],
)
def test_a_wrong_prompt_is_told_as_by_the_library(client: Client, image: str, prompt: Any, told: str) -> None:
    at = client.object(image)
    assert client.error(400, "POST", f"{at}/prompts", json=prompt).startswith(told)
    assert client.expect(200, "GET", image)["objects"][-1]["version"] == 0


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("alpha?rect=0,0,5", "rect is [0, 0, 5]; pass (top, left, bottom, right)"),
        ("alpha?rect=a,b,c,d", "rect is 'a,b,c,d'"),
        (f"alpha?rect=0,0,5,{WIDTH + 1}", f"rect is (0, 0, 5, {WIDTH + 1})"),
        ("alpha?rect=5,0,4,9", "rect is (5, 0, 4, 9)"),
        ("alpha?format=bmp", "format is 'bmp'; pass one of deflate, png"),
        ("alpha?format=png&rect=3,3,3,3", "the rectangle (3, 3, 3, 3) holds no pixels"),
        ("download", "format is missing; pass one of cutout-png"),
        ("download?format=svg&tolerance=nan", "tolerance is 'nan'; pass a number from 0 to 1000"),
    ],
)
def test_a_wrong_query_is_told(client: Client, image: str, url: str, told: str) -> None:
    assert client.error(400, "GET", f"{client.object(image)}/{url}").startswith(told)


def test_alpha_as_png_and_of_nothing(client: Client, image: str) -> None:
    at = client.object(image)
    client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
    answer = client.get(f"{at}/alpha", params={"format": "png", "rect": "5,6,20,30"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-pyiseg-version"] == "1"
    assert client.alpha(at, (7, 7, 7, 7)).shape == (0, 0)


@pytest.mark.parametrize("key", ["name", "color"])
def test_null_changes_nothing_unsaid(client: Client, image: str, key: str) -> None:
    told = client.error(400, "PATCH", client.object(image), json={key: None})
    assert told == f"{key} is null; leave it out, and it stays as it is"


@pytest.mark.parametrize("index", [-4, 3, "0", None, True, 1.5])
def test_removing_what_is_not_there(client: Client, image: str, index: Any) -> None:
    at = client.object(image)
    client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
    assert client.error(400, "POST", f"{at}/remove", json={"index": index}).startswith("there is no prompt")


def test_as_many_objects_prompts_and_points_as_told(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(create_app(model=toy, max_objects=2)) as client:
        image = client.open(PHOTO)
        at = client.object(image)
        client.object(image)
        assert "2 objects, as many as it may" in client.error(409, "POST", f"{image}/objects")
        limit = client.expect(200, "GET", "/api/info")["max_points"]
        line = {"scribble": [[x % WIDTH, 5] for x in range(10_000)]}
        for _ in range(limit // 10_000):
            client.expect(200, "POST", f"{at}/prompts", json=line)
        assert "scribbles of this object" in client.error(409, "POST", f"{at}/prompts", json=line)
        client.expect(200, "POST", f"{at}/undo")
        client.expect(200, "POST", f"{at}/prompts", json=line)


def test_an_unexpected_error_tells_nothing_of_the_server(
    client: Client, image: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(session: Session) -> None:
        raise RuntimeError("in /home/someone/secret.py")

    at = client.object(image)
    monkeypatch.setattr("pyiseg.session_parts.undo_changed", fails)
    found = client.expect(500, "POST", f"{at}/undo")
    assert found["error"]["type"] == "InternalError"
    assert "secret" not in str(found)
    assert "secret.py" in caplog.text
    monkeypatch.undo()
    client.expect(200, "POST", f"{at}/undo")
