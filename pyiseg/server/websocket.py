"""The WebSocket API: steps and previews of one image, and what others do with it."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from pyiseg.prompts import shortened
from pyiseg.server import bodies, limits
from pyiseg.server.channel import Channel
from pyiseg.server.errors import ApiError, log, told
from pyiseg.server.http import Api
from pyiseg.server.prompt_json import prompt_of
from pyiseg.server.store import OpenImage
from pyiseg.server.work import in_thread

_BUSY, _NOT_FOUND = 1013, 4404


class Connection:
    """One socket: reads messages, answers them in order, and sends what waits, each in a task of its own.

    Args:
        api: What HTTP and WebSocket share.
        socket: Accepted.
        entry: The image.
    """

    def __init__(self, api: Api, socket: WebSocket, entry: OpenImage) -> None:
        self._api, self._socket, self._entry = api, socket, entry
        self.channel = Channel(socket, self._described)
        self._waiting: deque[str] = deque()
        self._came, self._taken = anyio.Event(), anyio.Event()

    async def run(self) -> None:
        """Serve the socket until it is closed, from either side."""
        self._entry.channels.add(self.channel)
        try:
            async with anyio.create_task_group() as tasks:
                for task in (self._read, self._answer, self._send):
                    tasks.start_soon(self._until_left, task, tasks.cancel_scope)
        finally:
            self._entry.channels.discard(self.channel)

    @staticmethod
    async def _until_left(task: Any, scope: anyio.CancelScope) -> None:
        try:
            await task()
        except (WebSocketDisconnect, anyio.BrokenResourceError, OSError, RuntimeError, TimeoutError) as error:
            # All that servers raise of a socket that is gone, or takes nothing; RuntimeError is Starlette's.
            log.debug("a socket ended: %r", error)
        except Exception as error:
            log.error("a socket failed", exc_info=error)
        scope.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None or len(text) > limits.MOST_JSON:
                why = "messages are text" if text is None else f"a message has at most {limits.MOST_JSON} characters"
                self.channel.post({"seq": None, "error": {"type": "ValueError", "message": f"{why}; send JSON"}})
                continue
            while len(self._waiting) >= limits.MOST_WAITING:
                self._taken = anyio.Event()
                await self._taken.wait()
            self._waiting.append(text)
            self._came.set()

    async def _answer(self) -> None:
        while True:
            while not self._waiting:
                self._came = anyio.Event()
                await self._came.wait()
            await self.channel.caught_up()
            text = self._waiting.popleft()
            self._taken.set()
            seq = None
            try:
                message = bodies.json_object(text)
                seq = message.get("seq")
                if isinstance(seq, bool) or not isinstance(seq, (int, type(None))):
                    seq = None
                    raise ValueError(f"seq is {shortened(message.get('seq'))}; send a whole number")
                await self._answer_to(seq, message)
            except Exception as error:
                self.channel.post({"seq": seq, "error": told(error)[1]})

    async def _send(self) -> None:
        try:
            await self.channel.run()
        except TimeoutError:
            with anyio.move_on_after(1):
                await self._socket.close(_BUSY, "Slow")

    async def _answer_to(self, seq: int | None, message: dict[str, Any]) -> None:
        if message.get("ping") is True:
            self.channel.post({"seq": seq, "pong": True})
            return
        if "preview" in message and self._waiting:
            self.channel.post({"seq": seq, "skipped": True})
            return
        with self._api.store.use(self._entry.id) as entry:
            named = message.get("object")
            if not isinstance(named, str):
                raise ValueError(f"object is {shortened(named)}; send the id of an object")
            made = entry.object(named)
            if "preview" in message:
                prompt = prompt_of(message["preview"], entry.image.shape)
                async with made.lock:
                    outcome = await in_thread(made.preview, prompt)
                answer: dict[str, Any] = {
                    "preview": {"changed": list(outcome.changed), "ms": outcome.ms, "version": made.version}
                }
                packed = outcome.packed
            else:
                action = self._api.action(entry, made, message)
                step, packed = await self._api.step(entry, made, action, self.channel)
                answer = {"step": step}
        # Nothing is waited for between the step and this: the socket has all steps of an object in their order.
        self.channel.post({"seq": seq, **answer}, packed)

    def _described(self, id: str) -> dict[str, Any] | None:
        made = self._entry.objects.get(id)
        return None if made is None else made.described()


async def serve_socket(api: Api, socket: WebSocket) -> None:
    """Serve a socket on an image, or close it with an error as its only message."""
    await socket.accept()
    store = api.store
    try:
        entry = store.find(socket.path_params["image"])
        if store.sockets >= store.limits.max_sockets:
            raise ApiError(
                503, "TooMany", f"{store.sockets} sockets are open, as many as this server takes; try again later"
            )
    except ApiError as error:
        await socket.send_json({"error": told(error)[1]})
        await socket.close(_NOT_FOUND if error.status == 404 else _BUSY, error.kind)
        return
    store.sockets += 1
    try:
        await Connection(api, socket, entry).run()
    finally:
        store.sockets -= 1
