"""Connections of ``pyiseg serve``: those that nothing moves on, and those that are open when it ends.

An app sees requests only once their heads have come.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from pyiseg.server import heap, limits
from pyiseg.server.errors import ApiError, response_to

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_CHECKS = 10
"""In the shortest of the times: so much later a connection may end."""


class PatientHTTP(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Uvicorn's HTTP, with an end of its patience; for ``http`` of ``uvicorn.Config``.

    A connection is ended whose request's head has not come whole within `limits.SECONDS_TO_ASK`, counted from its
    beginning or from the end of the response before, and one that takes nothing of a response for
    `limits.SECONDS_TO_SEND`, or less than `limits.LEAST_RATE` after that. Where all responses together hold more than
    `limits.MOST_UNTAKEN`, the one with most of it is ended, however fast it is taken. A WebSocket has a protocol of its
    own, and bodies are read by `pyiseg.server.bodies`.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        now = self.loop.time()
        self._asking_since, self._took_at, self._unsent, self._begun = now, now, 0, False
        self._sending_since, self._to_send = now, 0
        self._check_later()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._begun = self._begun or self._awaits_head()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for another request's head from now on."""
        super().on_response_complete()
        self._asking_since, self._begun = self.loop.time(), False

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        self._check.cancel()
        super().connection_lost(exc)
        if self._unsent:
            heap.give_back_soon()

    def _awaits_head(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _check_later(self) -> None:
        shortest = min(limits.SECONDS_TO_ASK, limits.SECONDS_TO_SEND)
        self._check: asyncio.TimerHandle = self.loop.call_later(shortest / _CHECKS, self._look)

    def _look(self) -> None:
        if self.transport.get_protocol() is not self:
            return  # it is a WebSocket now
        now, unsent = self.loop.time(), self._untaken()
        if unsent == 0 or unsent < self._unsent:
            self._took_at = now
        if unsent == 0 or unsent > self._unsent:  # what was there before was taken, or it could not have grown
            self._sending_since, self._to_send = now, unsent
        self._unsent = unsent
        if not self._awaits_head() or unsent:
            self._asking_since, self._begun = now, False
        rest = (self._to_send - unsent) / limits.LEAST_RATE - (now - self._sending_since)  # as for uploads
        if min(self._took_at - now, rest) <= -limits.SECONDS_TO_SEND or (unsent and self._holds_most()):
            self.transport.abort()  # closing it would wait for what is unsent
        elif now - self._asking_since >= limits.SECONDS_TO_ASK and not self.transport.is_closing():
            if self._begun:
                told = b"the request's head did not come within %.0f seconds" % limits.SECONDS_TO_ASK
                self.transport.write(_TOO_SLOW % (len(told), told))
            self.transport.close()
        self._check_later()

    def _untaken(self) -> int:
        """Return how many bytes wait to be taken, while any of them wait here.

        The system takes megabytes and then no more until a third of them is gone, so where it tells, those count too:
        without them a client that is slow but steady seems to take nothing for long.
        """
        unsent = int(self.transport.get_write_buffer_size())
        if unsent == 0 or sys.platform != "linux":
            return unsent
        import fcntl
        import termios

        try:
            told = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # closed meanwhile
            return unsent
        return unsent + int.from_bytes(told, sys.byteorder)

    def _holds_most(self) -> bool:
        """Whether more waits in all connections than may, and nowhere more than here."""
        all_of_them = (one for one in self.server_state.connections if isinstance(one, PatientHTTP))
        held = [int(one.transport.get_write_buffer_size()) for one in all_of_them]
        return sum(held) > limits.MOST_UNTAKEN and self.transport.get_write_buffer_size() >= max(held)


def told_of_the_end(app: ASGIApp) -> ASGIApp:
    """Answer requests that uvicorn cancels because they are under way when the server ends; its log has one line.

    Args:
        app: Run by uvicorn itself; within another app, what is cancelled is that app's affair.
    """

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] == "http" and not begun:
                ending = ApiError(503, "Ending", "the server is ending; send the request again once it runs again")
                await response_to(ending)(scope, receive, send)

    return told
