"""Connections of ``pyiseg serve`` that nothing moves on, by real sockets: heads that never end, responses not taken."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.served import Client, running

from pyiseg.server import connections, create_app, heap, limits

HEAD = b"GET /api/info HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def impatient(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of a server that waits for half a second."""
    monkeypatch.setattr(limits, "SECONDS_TO_ASK", 0.5)
    monkeypatch.setattr(limits, "SECONDS_TO_SEND", 0.5)
    with running(create_app(model=toy), http=connections.PatientHTTP) as client:
        yield client


@contextlib.contextmanager
def connected(client: Client, receives: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as raw:
        if receives is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        raw.settimeout(10)
        raw.connect(("127.0.0.1", client.port))
        yield raw


def until_closed(raw: socket.socket) -> bytes:
    """What comes until the server closes the connection; a timeout where it does not."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := raw.recv(1_000_000):
            got += chunk
    return got


def test_a_connection_without_a_request_is_closed(impatient: Client) -> None:
    with connected(impatient) as raw:
        assert until_closed(raw) == b""


def test_a_head_that_never_ends_is_answered_with_408(impatient: Client) -> None:
    with connected(impatient) as raw:
        raw.sendall(HEAD)
        assert until_closed(raw).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_byte_by_byte_is_given_up(impatient: Client) -> None:
    with connected(impatient) as raw:
        raw.setblocking(False)
        start, closed = time.monotonic(), False
        while not closed and time.monotonic() < start + 10:
            with contextlib.suppress(BlockingIOError):
                raw.send(b"X")
            time.sleep(0.05)
            try:
                closed = raw.recv(1000) == b""
            except BlockingIOError:
                pass
            except OSError:
                closed = True
        assert closed
    impatient.expect(200, "GET", "/api/info")


def test_the_head_of_a_second_request_has_to_end_too(impatient: Client) -> None:
    with connected(impatient) as raw:
        raw.sendall(HEAD + b"\r\n")
        assert raw.recv(100_000).startswith(b"HTTP/1.1 200 ")
        raw.sendall(HEAD)
        assert b"HTTP/1.1 408 " in until_closed(raw)


def test_a_connection_without_a_second_request_is_closed(impatient: Client) -> None:
    with connected(impatient) as raw:
        raw.sendall(HEAD + b"\r\n")
        came = until_closed(raw)
        assert came.startswith(b"HTTP/1.1 200 ")
        assert b"408" not in came


def test_a_connection_with_short_requests_stays(impatient: Client) -> None:
    """Between two looks: the time counted on from the connection's beginning, and 408 answered the next request."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=10)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(40):
            connection.request("GET", "/api/info")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            time.sleep(0.04)
        assert connection.sock is first


def test_a_request_that_takes_longer_than_that_is_answered(impatient: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(impatient) as raw:
        raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 12\r\n\r\n")
        for _ in range(6):
            time.sleep(0.2)
            raw.sendall(b"ab")
        assert b"HTTP/1.1 400 " in raw.recv(100_000)


def test_a_socket_stays_open(impatient: Client) -> None:
    at = impatient.open(np.zeros((40, 50, 3), np.uint8))
    with impatient.socket(at) as opened:
        time.sleep(1.2)
        assert opened.ask(seq=1, ping=True)["pong"]


def test_a_response_that_nobody_takes_is_given_up(impatient: Client) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), np.uint8)
    at = impatient.open(noise)
    ask = f"GET {at}/pixels?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with connected(impatient, receives=4096) as raw:
        raw.sendall(ask)
        time.sleep(3)
        whole = len(impatient.get(f"{at}/pixels", params={"format": "png"}).content)
        assert len(until_closed(raw)) < whole


def test_a_response_that_is_taken_in_crumbs_is_given_up(impatient: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilobyte now and then kept a connection, and its response in memory, for as long as the client liked."""
    monkeypatch.setattr(limits, "SECONDS_TO_SEND", 1.0)
    monkeypatch.setattr(limits, "LEAST_RATE", 10_000_000)
    at = impatient.open(np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8))
    ask = f"GET {at}/pixels?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    whole = len(impatient.get(f"{at}/pixels", params={"format": "png"}).content)
    with connected(impatient, receives=65536) as raw:
        raw.sendall(ask)
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := raw.recv(60_000):
                got += len(chunk)
                time.sleep(0.05)
    assert got < whole


def test_where_too_much_waits_the_largest_response_is_given_up(
    impatient: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty clients that took 1.5 kB of 22 MB now and then had a server take 1.5 GB."""
    monkeypatch.setattr(limits, "SECONDS_TO_SEND", 60.0)
    monkeypatch.setattr(limits, "MOST_UNTAKEN", 9_500_000)
    given = threading.Event()
    monkeypatch.setattr(heap, "give_back_soon", given.set)  # the C library would keep what is freed
    noise = np.random.default_rng(1).integers(0, 256, (2200, 2200, 3), np.uint8)
    asks = [f"{impatient.open(pixels)}/pixels?format=png" for pixels in (noise[:1700, :1700], noise)]
    wholes = [len(impatient.get(ask).content) for ask in asks]
    assert wholes[0] < 9_500_000 < sum(wholes) - 9_000_000, "systems take up to 4 MB of each"
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(connected(impatient, receives=4096)) for _ in asks]
        for raw, ask in zip(raws, asks, strict=True):
            raw.sendall(f"GET {ask} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        begins = [raw.recv(1) for raw in raws]
        assert given.wait(10)
        small, large = map(until_closed, raws)
    assert begins == [b"H", b"H"]
    assert len(small) > wholes[0]
    assert len(large) < wholes[1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what they have")
def test_a_response_that_is_taken_steadily_comes_whole(impatient: Client) -> None:
    """The system had taken megabytes, and took no more until a third was gone: it looked as if nothing was taken."""
    at = impatient.open(np.random.default_rng(1).integers(0, 256, (1400, 1400, 3), np.uint8))
    ask = f"GET {at}/pixels?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    whole = len(impatient.get(f"{at}/pixels", params={"format": "png"}).content)
    with connected(impatient, receives=4096) as raw:
        raw.sendall(ask)
        got, begun = 0, time.monotonic()
        while chunk := raw.recv(1_000_000):
            got += len(chunk)
            time.sleep(max(0, begun + got / 800_000 - time.monotonic()))
    assert got > whole


def test_a_response_that_is_taken_slowly_comes_whole(impatient: Client) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (700, 700, 3), np.uint8)
    at = impatient.open(noise)
    ask = f"GET {at}/pixels?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    whole = len(impatient.get(f"{at}/pixels", params={"format": "png"}).content)
    with connected(impatient, receives=4096) as raw:
        raw.sendall(ask)
        got = 0
        while chunk := raw.recv(120_000):
            got += len(chunk)
            time.sleep(0.02)
    assert got > whole
