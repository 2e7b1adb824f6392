"""A server in a thread, and what tests ask it by HTTP and by WebSocket."""

from __future__ import annotations

import inspect
import io
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import uvicorn
from PIL import Image
from websockets.sync.client import ClientConnection, connect


class Client(httpx.Client):
    """Asks a server, and fails where the status is not the one that is expected."""

    def __init__(self, port: int, path: str = "") -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}{path}", timeout=60, trust_env=False)
        self.port, self.path = port, path

    def expect(self, status: int, method: str, url: str, **options: Any) -> Any:
        """Return the parsed JSON of an answer, or the answer itself where it is none."""
        answer = self.request(method, url, **options)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json() if answer.headers.get("content-type") == "application/json" else answer

    def error(self, status: int, method: str, url: str, **options: Any) -> str:
        """Return the message of an error."""
        found = self.expect(status, method, url, **options)
        assert set(found) == {"error"}
        assert set(found["error"]) == {"type", "message"}
        return str(found["error"]["message"])

    def open(self, pixels: npt.NDArray[np.uint8], name: str = "photo.png") -> str:
        """Open an image, and return where it is."""
        made = self.expect(201, "POST", "/api/images", params={"name": name}, content=png(pixels))
        return f"/api/images/{made['id']}"

    def object(self, image: str, **options: Any) -> str:
        """Make an object, and return where it is."""
        made = self.expect(201, "POST", f"{image}/objects", **options)
        return f"{image}/objects/{made['id']}"

    def alpha(self, at: str, rect: tuple[int, int, int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Fetch alpha of an object."""
        query = {} if rect is None else {"rect": ",".join(map(str, rect))}
        answer = self.get(f"{at}/alpha", params=query)
        assert answer.status_code == 200, answer.text
        top, left, bottom, right = map(int, answer.headers["x-pyiseg-rect"].split(","))
        return unpacked(answer.content, (top, left, bottom, right))

    @contextmanager
    def socket(self, image: str, **options: Any) -> Iterator[Socket]:
        """Open a socket on an image."""
        with connect(f"ws://127.0.0.1:{self.port}{self.path}{image}/ws", **options, **_SOCKET) as connection:
            yield Socket(connection)


_SOCKET: dict[str, Any] = {"max_size": None, "compression": None}
if "proxy" in inspect.signature(connect).parameters:  # from websockets 15 on
    _SOCKET["proxy"] = None


class Socket:
    """A socket on an image."""

    def __init__(self, connection: ClientConnection) -> None:
        self.raw = connection

    def ask(self, **message: Any) -> Any:
        """Send a message, and return the next one."""
        self.raw.send(json.dumps(message))
        return self.next()

    def next(self, timeout: float = 60) -> Any:
        """Return the next text message, parsed."""
        text = self.raw.recv(timeout)
        assert isinstance(text, str)
        return json.loads(text)

    def apply(self, changed: list[int], alpha: npt.NDArray[np.uint8]) -> None:
        """Lay the bytes that come next over alpha."""
        packed = self.raw.recv(60)
        assert isinstance(packed, bytes)
        top, left, bottom, right = changed
        alpha[top:bottom, left:right] = unpacked(packed, (top, left, bottom, right))


def unpacked(packed: bytes, rect: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """Return the rows of a rectangle."""
    top, left, bottom, right = rect
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(bottom - top, right - left).copy()


def png(pixels: npt.NDArray[np.uint8], **options: Any) -> bytes:
    """Return an image as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


@contextmanager
def running(app: Any, path: str = "", **options: Any) -> Iterator[Client]:
    """Run an app on a free port, and give a client of it."""
    config = uvicorn.Config(
        app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=2, access_log=False, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        with Client(server.servers[0].sockets[0].getsockname()[1], path) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
