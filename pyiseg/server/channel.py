"""What waits to be sent on one socket: never more than so much, and nobody waits for a slow one."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
from starlette.websockets import WebSocket

from pyiseg.server import limits

_UNUSUAL = 1013
"""Code of a closed socket: try again later."""


def text_of(message: dict[str, Any]) -> str:
    """Return a message as it is sent."""
    return json.dumps(message, separators=(",", ":"))


class Channel:
    """The sending side of a socket. Messages are put into it without waiting, and sent by `run`.

    What others do comes as differences. Where so much waits that another would be too much, differences of that object
    are left out until the socket has caught up; then it is told which objects it missed some of, to fetch them anew.

    Args:
        socket: Accepted.
        described: Returns what clients are told of an object; None where it is gone.
    """

    def __init__(self, socket: WebSocket, described: Callable[[str], dict[str, Any] | None]) -> None:
        self._socket, self._described = socket, described
        self._unsent: deque[str | bytes] = deque()
        self._bytes, self._missed = 0, dict[str, None]()
        self._something, self._room = anyio.Event(), anyio.Event()
        self._leave: tuple[int, str] | None = None

    @property
    def full(self) -> bool:
        """Whether more waits than should."""
        return self._bytes > limits.MOST_UNSENT

    def post(self, message: dict[str, Any], packed: bytes = b"") -> None:
        """Send a message and, where there are any, bytes after it. Used for what is small or was asked for."""
        self.post_text(text_of(message), packed)

    def post_text(self, text: str, packed: bytes = b"") -> None:
        """Send a message that is a text already."""
        if self._leave is not None:
            return
        if self._bytes + len(text) > 4 * limits.MOST_UNSENT:
            self.leave(_UNUSUAL, "Slow", "too much waits to be sent on this socket; open it again")
            return
        self._put(text)
        if packed:
            self._put(packed)
        self._wake()

    def offer(self, object_id: str, text: str, packed: bytes) -> None:
        """Send what someone else did with an object, or note that it was missed."""
        too_much = self._bytes > 0 and self._bytes + len(text) + len(packed) > limits.MOST_UNSENT
        if too_much or object_id in self._missed:
            self._missed[object_id] = None
            self._wake()
        else:
            self.post_text(text, packed)

    def leave(self, code: int, kind: str, message: str) -> None:
        """Close the socket, with an error as the last message; what else waits is not sent."""
        if self._leave is None:
            self._unsent.clear()
            self._missed.clear()
            self._bytes = 0
            self.post({"error": {"type": kind, "message": message}})
            self._leave = (code, kind)
            self._wake()

    async def caught_up(self) -> None:
        """Wait until no more waits than should."""
        while self.full:
            self._room = anyio.Event()
            await self._room.wait()

    async def run(self) -> None:
        """Send what is put in, until the socket is to be closed or takes nothing any more."""
        while True:
            while self._unsent:
                item = self._unsent.popleft()
                self._bytes -= len(item)
                if not self.full:
                    self._room.set()
                with anyio.fail_after(limits.SECONDS_TO_SEND):
                    await (self._socket.send_text(item) if isinstance(item, str) else self._socket.send_bytes(item))
            if self._leave is not None:
                code, reason = self._leave
                await self._socket.close(code, reason)
                return
            if self._missed:
                described = [self._described(id) for id in self._missed]
                self._missed.clear()
                self.post({"missed": [told for told in described if told is not None]})
                continue
            self._something = anyio.Event()
            await self._something.wait()

    def _put(self, item: str | bytes) -> None:
        self._unsent.append(item)
        self._bytes += len(item)

    def _wake(self) -> None:
        self._something.set()
