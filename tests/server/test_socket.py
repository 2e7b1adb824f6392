"""Sockets: steps and previews, several at once, slow ones, broken messages, and images that leave."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.served import Client, Socket, running
from support.toy_model import PHOTO
from websockets.exceptions import ConnectionClosed

from pyiseg import Session
from pyiseg.server import channel, create_app, limits

HEIGHT, WIDTH = PHOTO.shape[:2]


def blank() -> Any:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def test_steps_and_previews_equal_the_library(client: Client, toy: Path) -> None:
    image = client.open(PHOTO)
    at, session, mine = client.object(image), Session(PHOTO, model=toy), blank()
    id = at.rpartition("/")[2]
    with client.socket(image) as socket:
        assert socket.ask(seq=7, ping=True) == {"seq": 7, "pong": True}
        for seq, (x, y, fg) in enumerate(((20, 20, True), (60, 40, True), (3, 4, False))):
            found = socket.ask(seq=seq, object=id, preview={"click": [x, y, fg]})
            seen = mine.copy()
            socket.apply(found["preview"]["changed"], seen)
            assert (found["seq"], found["preview"]["version"]) == (seq, seq)
            np.testing.assert_array_equal(seen, session.preview(x, y, fg))
            np.testing.assert_array_equal(mine, client.alpha(at))  # a preview changes nothing
            step = socket.ask(seq=seq, object=id, prompt={"click": [x, y, fg]})["step"]
            socket.apply(step["changed"], mine)
            np.testing.assert_array_equal(mine, session.click(x, y, fg))
            assert step["changed"] == list(session.changed)
        for what in ("undo", "redo", "undo", "undo"):
            step = socket.ask(seq=1, object=id, do=what)["step"]
            socket.apply(step["changed"], mine)
            np.testing.assert_array_equal(mine, getattr(session, what)())
        step = socket.ask(seq=1, object=id, do="remove", index=-1)["step"]
        socket.apply(step["changed"], mine)
        assert not mine.any()
        # Nothing changes, so no bytes come: the next message is the answer to the next question.
        assert socket.ask(seq=8, object=id, do="reset")["step"]["changed"] == [0, 0, 0, 0]
        assert socket.ask(seq=9, ping=True)["seq"] == 9


def test_other_sockets_are_told_of_steps_and_objects(client: Client) -> None:
    image = client.open(PHOTO)
    at = client.object(image)
    id = at.rpartition("/")[2]
    with client.socket(image) as one, client.socket(image) as other:
        assert one.ask(seq=1, ping=True)["pong"]
        assert other.ask(seq=1, ping=True)["pong"]
        mine, theirs = blank(), blank()
        own = one.ask(seq=2, object=id, prompt={"click": [20, 20, True]})
        one.apply(own["step"]["changed"], mine)
        told = other.next()
        assert told == {"step": own["step"], "by": "other"}
        other.apply(told["step"]["changed"], theirs)
        # By HTTP: both are told.
        step = client.expect(200, "POST", f"{at}/prompts", json={"click": [60, 40, True]})
        for socket, alpha in ((one, mine), (other, theirs)):
            told = socket.next()
            assert told == {"step": step, "by": "other"}
            socket.apply(step["changed"], alpha)
            np.testing.assert_array_equal(alpha, client.alpha(at))
        client.object(image, params={"name": "second"})
        client.expect(200, "PATCH", at, json={"name": "first"})
        client.expect(204, "DELETE", at)
        for socket in (one, other):
            names = [[made["name"] for made in socket.next()["objects"]] for _ in range(3)]
            assert names == [["object 1", "second"], ["first", "second"], ["second"]]


def test_two_who_click_at_once_end_with_the_same(client: Client) -> None:
    image = client.open(PHOTO)
    at = client.object(image)
    id, count = at.rpartition("/")[2], 12
    alphas: list[Any] = [blank(), blank()]
    versions: list[list[int]] = [[], []]

    def clicks(socket: Socket, who: int) -> None:
        for n in range(count):
            socket.raw.send(json.dumps({"seq": n, "object": id, "prompt": {"click": [5 + 3 * n, 5 + 9 * who, True]}}))
        while len(versions[who]) < 2 * count:
            step = socket.next()["step"]
            versions[who].append(step["version"])
            if any(step["changed"]):
                socket.apply(step["changed"], alphas[who])

    with client.socket(image) as one, client.socket(image) as other:
        for socket in (one, other):
            socket.ask(seq=1, ping=True)
        threads = [threading.Thread(target=clicks, args=pair) for pair in ((one, 0), (other, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert versions == [list(range(1, 2 * count + 1))] * 2
    final = client.alpha(at)
    for alpha in alphas:
        np.testing.assert_array_equal(alpha, final)


def test_previews_that_are_overtaken_are_skipped(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    image = client.open(PHOTO)
    id = client.object(image).rpartition("/")[2]
    with client.socket(image) as socket:
        for seq in range(20):
            socket.raw.send(json.dumps({"seq": seq, "object": id, "preview": {"click": [seq, 20, True]}}))
        answers = []
        for seq in range(20):
            answer = socket.next()
            assert answer["seq"] == seq
            answers.append("skipped" in answer)
            if any(answer.get("preview", {}).get("changed", [0])):
                socket.raw.recv(60)
    assert not answers[-1]
    assert sum(answers) > 5


@pytest.mark.parametrize(
    ("message", "seq", "told"),
    [
        ("", None, "this is no JSON"),
        ("[" * 100_000, None, "the JSON is nested"),
        ("[]", None, "the JSON is a list"),
        (b"\x00", None, "messages are text"),
        ("x" * 500_001, None, "a message has at most 500000 characters"),
        ('{"seq": 1.5}', None, "seq is 1.5; send a whole number"),
        ('{"seq": 1}', 1, "object is None; send the id of an object"),
        ('{"seq": 1, "object": "none"}', 1, "there is no such object"),
        ('{"seq": 1, "object": ID}', 1, "do is None; send one of"),
        ('{"seq": 1, "object": ID, "do": "__init__"}', 1, "do is '__init__'; send one of"),
        ('{"seq": 1, "object": ID, "do": ["undo"]}', 1, "do is ['undo']; send one of"),
        ('{"seq": 1, "object": ID, "prompt": null}', 1, "prompt is None"),
        ('{"seq": 1, "object": ID, "prompt": {"click": [-1, 0]}}', 1, "x is -1, outside the image"),
        ('{"seq": 1, "object": ID, "preview": {"mask": true}}', 1, "an object begins with a mask"),
        ('{"seq": 1, "object": ID, "do": "remove", "index": 3}', 1, "there is no prompt 3"),
    ],
)
def test_a_wrong_message_is_told_and_the_socket_goes_on(
    client: Client, message: str | bytes, seq: int | None, told: str
) -> None:
    image = client.open(PHOTO)
    id = client.object(image).rpartition("/")[2]
    with client.socket(image) as socket:
        socket.raw.send(message.replace("ID", json.dumps(id)) if isinstance(message, str) else message)
        answer = socket.next()
        assert answer["seq"] == seq
        assert answer["error"]["message"].startswith(told)
        assert socket.ask(seq=2, ping=True)["pong"]


def test_a_socket_on_an_image_that_is_not_open_or_leaves(client: Client) -> None:
    with client.socket("/api/images/none") as socket:
        assert socket.next()["error"]["type"] == "NotFound"
        with pytest.raises(ConnectionClosed):
            socket.next()
        assert socket.raw.protocol.close_code == 4404
    image = client.open(PHOTO)
    with client.socket(image) as socket:
        socket.ask(seq=1, ping=True)
        client.expect(204, "DELETE", image)
        assert socket.next()["error"]["message"].startswith("this image was closed")
        with pytest.raises(ConnectionClosed):
            socket.next()
        assert socket.raw.protocol.close_code == 4404


def test_a_slow_socket_holds_up_nobody_and_is_told_what_it_missed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_UNSENT", 2_000)
    sending = threading.Event()
    original = channel.WebSocket.send_bytes
    slow: list[Any] = []

    async def send_bytes(self: Any, data: bytes) -> None:
        import anyio

        while self in slow and not sending.is_set():
            await anyio.sleep(0.01)
        await original(self, data)

    monkeypatch.setattr(channel.WebSocket, "send_bytes", send_bytes)
    accept = channel.WebSocket.accept

    async def accepting(self: Any, *args: Any, **named: Any) -> None:
        if not slow:
            slow.append(self)
        await accept(self, *args, **named)

    monkeypatch.setattr(channel.WebSocket, "accept", accepting)
    noise = np.random.default_rng(0).integers(0, 256, PHOTO.shape, np.uint8)
    image = client.open(noise)
    at = client.object(image)
    id = at.rpartition("/")[2]
    with client.socket(image) as late, client.socket(image) as quick:
        late.ask(seq=1, ping=True)
        mine = blank()
        for n in range(20):
            step = quick.ask(seq=n, object=id, prompt={"click": [n * 4, 20 + n % 2, True]})["step"]
            quick.apply(step["changed"], mine)
        np.testing.assert_array_equal(mine, client.alpha(at))
        sending.set()
        alpha, missed = blank(), []
        while not missed:
            message = late.next()
            missed = message.get("missed", [])
            if "step" in message and any(message["step"]["changed"]):
                late.apply(message["step"]["changed"], alpha)
        assert [(made["id"], made["version"]) for made in missed] == [(id, 20)]
        # From then on it is told everything again.
        step = quick.ask(seq=99, object=id, do="undo")["step"]
        quick.apply(step["changed"], mine)
        assert late.next()["step"]["version"] == 21


def test_a_socket_that_takes_nothing_is_closed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS_TO_SEND", 0.3)
    image = client.open(PHOTO)
    before = client.expect(200, "GET", "/api/info")["sockets"]
    original = channel.WebSocket.send_text

    async def never(self: Any, text: str) -> None:
        import anyio

        if "pong" in text:
            await anyio.sleep_forever()
        await original(self, text)

    monkeypatch.setattr(channel.WebSocket, "send_text", never)
    with client.socket(image) as socket:
        socket.raw.send(json.dumps({"seq": 1, "ping": True}))
        with pytest.raises(ConnectionClosed):
            socket.next()
    for _ in range(100):
        if client.expect(200, "GET", "/api/info")["sockets"] == before:
            return
        time.sleep(0.05)
    pytest.fail("the socket is still counted")


def test_going_away_in_the_middle_of_a_step_loses_nothing(client: Client) -> None:
    image = client.open(PHOTO)
    at = client.object(image)
    id = at.rpartition("/")[2]
    for n in range(5):
        with client.socket(image) as socket:
            socket.raw.send(json.dumps({"seq": n, "object": id, "prompt": {"click": [n * 9, 20, True]}}))
            socket.raw.socket.close()
    with client.socket(image) as socket:
        step = socket.ask(seq=1, object=id, prompt={"click": [60, 40, True]})["step"]
        assert len(step["prompts"]) == step["version"]
    # A step that was under way when its socket went may be made after this one.
    assert client.expect(200, "GET", image)["objects"][0]["version"] >= step["version"]


def test_two_hundred_sockets_and_no_more_than_told(toy: Path) -> None:
    with running(create_app(model=toy, max_sockets=200)) as client:
        image = client.open(PHOTO)
        at = client.object(image)
        with ExitStack() as stack:
            sockets = [stack.enter_context(client.socket(image)) for _ in range(200)]
            for socket in sockets:
                socket.ask(seq=0, ping=True)
            assert client.expect(200, "GET", "/api/info")["sockets"] == 200
            with client.socket(image) as other:
                assert "200 sockets are open" in other.next()["error"]["message"]
                with pytest.raises(ConnectionClosed):
                    other.next()
                assert other.raw.protocol.close_code == 1013
            step = client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
            final = client.alpha(at)
            for socket in sockets:
                alpha = blank()
                assert socket.next()["step"] == step
                socket.apply(step["changed"], alpha)
                np.testing.assert_array_equal(alpha, final)
        for _ in range(100):
            if client.expect(200, "GET", "/api/info")["sockets"] == 0:
                return
            time.sleep(0.05)
        pytest.fail("sockets are still counted")
