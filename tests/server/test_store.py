"""Memory: what is counted, who leaves for others, and that nothing leaves while a request works on it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.served import Client, png, running
from support.toy_model import PHOTO

import pyiseg
from pyiseg import Session, session_parts
from pyiseg.server import create_app, opening, store
from pyiseg.server import limits as work_limits
from pyiseg.server.errors import ApiError
from pyiseg.server.limits import Limits

PHOTOS = [np.random.default_rng(n).integers(0, 256, (60, 80, 3), np.uint8) for n in range(4)]
NEEDED = store.BYTES_A_PIXEL * 60 * 80


def is_open(client: Client, at: str) -> bool:
    return client.get(at).status_code == 200


def bytes_of(toy: Path) -> int:
    return session_parts.image_nbytes(pyiseg.Image(PHOTOS[0], model=toy))


def test_the_image_used_longest_ago_leaves(toy: Path) -> None:
    limit = 2 * bytes_of(toy) + NEEDED - 1
    with running(create_app(model=toy, memory_limit=limit)) as client:
        first, second = client.open(PHOTOS[0]), client.open(PHOTOS[1])
        assert is_open(client, second)
        assert is_open(client, first)  # used last
        third = client.open(PHOTOS[2])
        assert [at for at in (first, third) if not is_open(client, at)] == []
        assert client.error(404, "GET", second).startswith("this image is not open")
        assert client.expect(200, "GET", "/api/info")["memory_used"] <= limit


def test_no_more_images_than_told(toy: Path) -> None:
    with running(create_app(model=toy, max_images=2)) as client:
        ats = [client.open(photo) for photo in PHOTOS]
        assert [is_open(client, at) for at in ats] == [False, False, True, True]


def test_the_initial_image_stays(toy: Path) -> None:
    with running(create_app(model=toy, initial=PHOTO, max_images=2)) as client:
        initial = f"/api/images/{client.expect(200, 'GET', '/api/info')['initial']}"
        ats = [client.open(photo) for photo in PHOTOS]
        assert is_open(client, initial)
        assert [is_open(client, at) for at in ats] == [False, False, False, True]


def test_what_can_never_fit_is_refused(toy: Path) -> None:
    with running(create_app(model=toy, memory_limit=NEEDED - 1)) as client:
        message = client.error(413, "POST", "/api/images", content=png(PHOTOS[0]))
        assert message.startswith("an image of 4800 pixels takes about 0 MB, more than the memory limit")


def test_an_image_in_use_stays_and_another_has_to_wait(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working, go_on = threading.Event(), threading.Event()
    undo = session_parts.undo_changed

    def slow(session: Session) -> Any:
        working.set()
        assert go_on.wait(30)
        return undo(session)

    limit = bytes_of(toy) + NEEDED - 100
    with running(create_app(model=toy, memory_limit=limit)) as client:
        image = client.open(PHOTOS[0])
        at = client.object(image)
        client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
        monkeypatch.setattr(session_parts, "undo_changed", slow)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(client.post(f"{at}/undo")))
        thread.start()
        assert working.wait(30)
        assert "memory that this server may use is in use" in client.error(
            503, "POST", "/api/images", content=png(PHOTOS[1])
        )
        go_on.set()
        thread.join(30)
        assert found[0].status_code == 200
        client.open(PHOTOS[1])
        assert not is_open(client, image)


def test_closing_an_image_in_use_waits_for_the_request(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working, go_on = threading.Event(), threading.Event()
    undo = session_parts.undo_changed

    sessions = list[Session]()

    def slow(session: Session) -> Any:
        sessions.append(session)
        working.set()
        assert go_on.wait(30)
        return undo(session)

    with running(create_app(model=toy)) as client:
        image = client.open(PHOTOS[0])
        at = client.object(image)
        monkeypatch.setattr(session_parts, "undo_changed", slow)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(client.post(f"{at}/undo")))
        thread.start()
        assert working.wait(30)
        client.expect(204, "DELETE", image)
        assert not is_open(client, image)
        go_on.set()
        thread.join(30)
        assert found[0].status_code == 200
        assert client.expect(200, "GET", "/api/info")["memory_used"] == 0
        with pytest.raises(ValueError, match="the session is closed"):
            undo(sessions[0])


def test_steps_count_and_are_refused_where_nothing_can_leave(toy: Path) -> None:
    probe = Session(PHOTOS[0], model=toy)
    empty = session_parts.session_nbytes(probe)
    probe.click(20, 20)
    a_step = session_parts.session_nbytes(probe) - empty
    assert a_step > 0
    limit = max(bytes_of(toy) + empty + 5 * a_step, NEEDED + 1)
    with running(create_app(model=toy, memory_limit=limit)) as client:
        at = client.object(client.open(PHOTOS[0]))
        before = client.expect(200, "GET", "/api/info")["memory_used"]
        statuses = []
        for n in range(40):
            answer = client.post(f"{at}/prompts", json={"click": [n, 20, True]})
            statuses.append(answer.status_code)
        assert client.expect(200, "GET", "/api/info")["memory_used"] > before
        assert set(statuses) == {200, 507}
        assert statuses == sorted(statuses)
        assert "remove objects that are no longer needed" in answer.json()["error"]["message"]
        client.expect(200, "POST", f"{at}/reset")  # gives the memory back
        client.expect(200, "POST", f"{at}/prompts", json={"click": [5, 20, True]})


def test_memory_of_a_session_is_that_of_its_history(toy: Path) -> None:
    session = Session(PHOTO, model=toy)
    sizes = [session_parts.session_nbytes(session)]
    for n in range(3):
        session.click(20 * n, 20)
        sizes.append(session_parts.session_nbytes(session))
    steps = np.diff(sizes)
    assert len(set(steps.tolist())) == 1
    session.undo()
    assert session_parts.session_nbytes(session) == sizes[3]  # it can be redone
    session.click(50, 50)
    assert session_parts.session_nbytes(session) == sizes[3]
    session.remove(0)  # two are made again
    assert session_parts.session_nbytes(session) == sizes[3] + 2 * steps[0]
    session.reset()
    assert session_parts.session_nbytes(session) == sizes[0]
    mask = np.zeros(PHOTO.shape[:2], bool)
    mask[5:9, 5:9] = True
    assert session_parts.session_nbytes(Session(PHOTO, model=toy, mask=mask)) >= sizes[0] + mask.size


def test_memory_of_an_image_is_at_least_its_pixels(toy: Path) -> None:
    rgba = np.dstack((PHOTO, np.full(PHOTO.shape[:2], 9, np.uint8)))
    opaque, transparent = (session_parts.image_nbytes(pyiseg.Image(x, model=toy)) for x in (PHOTO, rgba))
    assert opaque > PHOTO.nbytes
    assert transparent == opaque + rgba.nbytes


@pytest.mark.parametrize(
    "name", ["max_bytes", "max_pixels", "memory_limit", "max_images", "max_objects", "max_sockets"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_a_limit_that_is_none_is_refused(toy: Path, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; pass a whole number of at least 1$"):
        create_app(model=toy, **{name: value})


def test_room_is_given_back_where_opening_fails() -> None:
    kept = store.Store(Limits(memory_limit=1000))
    with kept.room_for(50):
        assert kept.used == 50 * store.BYTES_A_PIXEL
    with suppress(ValueError), kept.room_for(50):
        raise ValueError("damaged")
    assert kept.used == 0
    with pytest.raises(ApiError, match="'x' has 11 x 10 pixels, more than the 100"):
        opening.check_pixels(11, 10, "x", 100)


def test_no_more_uploads_at_once_than_told(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_UPLOADS", 2)
    with running(create_app(model=toy)) as client, ExitStack() as stack:
        for _ in range(2):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=30))
            raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n1")
        for _ in range(100):
            answer = client.post("/api/images", content=b"no image")
            if answer.status_code == 503:
                break
            time.sleep(0.02)
        assert answer.json()["error"]["message"] == "2 uploads are under way; try again in a moment"
        stack.close()  # they go away
        for _ in range(100):
            if client.post("/api/images", content=png(PHOTO)).status_code == 201:
                return
            time.sleep(0.02)
        pytest.fail("uploads that were given up are still counted")


def test_work_on_one_object_holds_up_no_other(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working, go_on = threading.Event(), threading.Event()
    undo = session_parts.undo_changed

    def slow(session: Session) -> Any:
        working.set()
        assert go_on.wait(30)
        return undo(session)

    monkeypatch.setattr(work_limits, "WORKERS", 2)
    with running(create_app(model=toy)) as client:
        image = client.open(PHOTO)
        one, other = client.object(image), client.object(image)
        client.expect(200, "POST", f"{one}/prompts", json={"click": [20, 20, True]})
        monkeypatch.setattr(session_parts, "undo_changed", slow)
        found: list[Any] = []
        asked = [
            threading.Thread(target=lambda: found.append(client.expect(200, "POST", f"{one}/undo"))),
            threading.Thread(
                target=lambda: found.append(
                    client.expect(200, "POST", f"{one}/prompts", json={"click": [60, 40, True]})
                )
            ),
        ]
        asked[0].start()
        assert working.wait(30)
        asked[1].start()  # on the same object: it waits for its turn
        client.expect(200, "POST", f"{other}/prompts", json={"click": [20, 20, True]})
        client.expect(200, "GET", "/api/info")
        assert found == []
        go_on.set()
        for thread in asked:
            thread.join(30)
        assert sorted(step["version"] for step in found) == [2, 3]
        assert [len(step["prompts"]) for step in sorted(found, key=lambda step: step["version"])] == [0, 1]
