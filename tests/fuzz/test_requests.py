"""The web server, sent anything: JSON, frames, queries, projects and sessions; it answers with the documented errors.

What arrives in pieces, too late or never is in tests/server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
pytest.importorskip("websockets")

from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import ANY, altered, changed, damaged, examples
from support.served import Client, png, running
from support.toy_model import PHOTO

from pyiseg.server import create_app

STATUSES = {200, 201, 204, 400, 403, 404, 405, 408, 409, 413}
PROMPTS: list[dict[str, Any]] = [
    {"click": [60, 30, True]},
    {"local": [60, 30]},
    {"box": [10, 10, 40, 50]},
    {"scribble": [[3, 3], [9, 20]], "fg": False},
]


class Served:
    """A server with an image and an object, whose unexpected errors are errors here."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.image = client.open(PHOTO, "a.png")
        self.object = client.object(self.image)
        self.saved = {(whole, number): self._saved(whole, number) for whole in (True, False) for number in range(4)}

    @property
    def id(self) -> str:
        return self.object.rpartition("/")[2]

    def _saved(self, whole: bool, number: int) -> bytes:
        """Return the file of a session, or of a project with one, after one of `PROMPTS`."""
        self.reset_to(number)
        place = self.image if whole else self.object
        return self.client.get(f"{place}/download", params={"format": "project" if whole else "session"}).content

    def reset_to(self, number: int) -> None:
        self.client.post(f"{self.object}/reset")
        self.client.post(f"{self.object}/prompts", json=PROMPTS[number])

    def ask(self, method: str, url: str, **options: Any) -> None:
        answer = self.client.request(method, url, **options)
        if answer.status_code == 307:  # a slash too many or too few: the same place, of this server
            assert answer.headers["location"].startswith(str(self.client.base_url)), answer.headers
            return
        assert answer.status_code in STATUSES, (answer.status_code, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            error = answer.json()["error"]
            assert set(error) == {"type", "message"}
            assert error["type"] != "InternalError"
            assert len(error["message"]) < 2000, error


@pytest.fixture(scope="module")
def served(toy: Path) -> Iterator[Served]:
    with running(create_app(model=toy, max_objects=4, memory_limit=50_000_000)) as client:
        yield Served(client)


def prompt() -> st.SearchStrategy[Any]:
    return st.sampled_from(PROMPTS).flatmap(changed) | ANY


@given(data=st.data())
@examples(100)
def test_bodies(data: st.DataObject, served: Served) -> None:
    place, value = data.draw(
        st.tuples(st.just("/prompts"), prompt())
        | st.tuples(st.just("/remove"), changed({"index": 0}))
        | st.tuples(st.just(""), changed({"name": "a", "color": "#ff0000"}))
    )
    content = json.dumps(value).encode()
    body = data.draw(st.just(content) | damaged(content))
    served.ask("POST" if place else "PATCH", served.object + place, content=body)


@given(data=st.data())
@examples(60)
def test_sessions_and_projects(data: st.DataObject, served: Served) -> None:
    """The image's objects are what they were where one is refused, and all there where it is taken."""
    whole, number = data.draw(st.booleans()), data.draw(st.integers(0, 3))
    served.reset_to(number)
    # Saved once: what is drawn may not depend on what the server has been through.
    saved = served.saved[whole, number]
    place = served.image if whole else served.object
    sent = data.draw(damaged(saved) | altered(json.loads(saved)))
    served.ask("POST", f"{place}/{'project' if whole else 'session'}", content=sent)
    there = [made["id"] for made in served.client.get(served.image).json()["objects"]]
    if served.id not in there:  # another project came in its place
        served.object = f"{served.image}/objects/{there[0]}" if there else served.client.object(served.image)


WORDS = st.sampled_from(
    [
        *("", "png", "deflate", "0,0,5,5", "5,5,5,5", "-1,0,1,1", "1e9", "nan", "inf", "-1", "0.5", "9" * 5000, "٣"),
        *("project", "cutout-png", "svg", "coco", "labelme", "yolo", "matte16-png", "label-map", "polygons", "alpha"),
        *("#ff0000", "\0", "\ud7ff"),
    ]
) | st.text(max_size=6)
KEYS = st.sampled_from(["rect", "format", "max_side", "tolerance", "segmentation", "foreground", "name", "color"])


@given(data=st.data())
@examples(100)
def test_queries(data: st.DataObject, served: Served) -> None:
    places = [
        ("GET", f"{served.object}/alpha"),
        ("GET", f"{served.object}/download"),
        ("GET", f"{served.image}/download"),
        ("GET", f"{served.image}/pixels"),
        ("HEAD", f"{served.image}/pixels"),
        ("GET", served.image),
    ]
    method, url = data.draw(st.sampled_from(places))
    served.ask(method, url, params=data.draw(st.dictionaries(KEYS, WORDS, max_size=4)))


PIECES = st.sampled_from(
    ["..", "%2e%2e", "%2f", "\\", "static", "api", "images", "objects", "%00", "%ff", "C:", "etc", ".", ""]
)


@given(st.lists(PIECES, max_size=7).map("/".join), st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]))
@examples(80)
def test_paths(served: Served, path: str, method: str) -> None:
    served.ask(method, f"{served.client.base_url}/{path}")  # whole: of a path alone httpx refuses two slashes


@given(st.lists(st.binary(max_size=60) | st.sampled_from([png(PHOTO)]).flatmap(damaged), max_size=2))
@examples(40)
def test_uploads(served: Served, bodies: list[bytes]) -> None:
    for body in bodies:
        served.ask("POST", "/api/images", params={"name": "b"}, content=body)
        served.ask("POST", f"{served.image}/objects", content=body or b"x")


@given(data=st.data())
@examples(40)
def test_messages(data: st.DataObject, served: Served) -> None:
    """On a socket: each has an answer, and the socket goes on."""
    good = [
        {"seq": 1, "object": served.id, "prompt": {"click": [60, 30, True]}},
        {"seq": 2, "object": served.id, "preview": {"click": [60, 30, True]}},
        {"seq": 3, "object": served.id, "do": "undo"},
        {"seq": 4, "object": served.id, "do": "remove", "index": 0},
        {"seq": 5, "ping": True},
    ]
    messages = data.draw(st.lists(st.sampled_from(good).flatmap(changed) | ANY, min_size=1, max_size=4))
    with served.client.socket(served.image) as socket:
        for message in messages:
            raw = data.draw(st.just(json.dumps(message)) | st.text(max_size=9)).encode("utf-8", "replace")
            socket.raw.send(raw if data.draw(st.integers(0, 5)) == 0 else raw.decode())
        socket.raw.send('{"seq": 99, "ping": true}')
        for _ in range(3 * len(messages) + 1):
            received = socket.raw.recv(20)
            answer = json.loads(received) if isinstance(received, str) else {}
            assert answer.get("error", {}).get("type") != "InternalError", answer
            if answer == {"seq": 99, "pong": True}:
                break
        else:
            pytest.fail("the last message has no answer")
