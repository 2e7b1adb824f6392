"""The images that are open: at most so many bytes of them, and those used longest ago leave first."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

import pyiseg
from pyiseg import session_parts
from pyiseg.server import heap
from pyiseg.server.channel import Channel, text_of
from pyiseg.server.errors import ApiError
from pyiseg.server.limits import MOST_UPLOADS, Limits
from pyiseg.server.objects import COLORS, Object

BYTES_A_PIXEL = 10
"""Of an image while it is opened, until it is known: pixels, decoded and without noise, and what decoding needs."""


class OpenImage:
    """An image that is open, its objects, and the sockets that look at it.

    Args:
        image: Encoded.
        name: As the client calls it.
        ms: Time that opening it took.
        pinned: Whether it stays when memory is short.

    Attributes:
        lock: Held while objects are made, removed or replaced.
        users: Requests that work on it now.
        closed: Whether it has left the store.
    """

    def __init__(self, image: pyiseg.Image, name: str, ms: float, pinned: bool = False) -> None:
        self.id, self.image, self.name, self.ms, self.pinned = secrets.token_urlsafe(16), image, name, ms, pinned
        self.objects: dict[str, Object] = {}
        self.channels: set[Channel] = set()
        self.lock, self.users, self.closed, self._made = anyio.Lock(), 0, False, 0
        self._own_bytes = session_parts.image_nbytes(image)
        self._object_bytes: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """Memory of the image and its objects, as last measured."""
        return self._own_bytes + sum(self._object_bytes.values())

    def described(self) -> dict[str, Any]:
        """Return what clients are told of it, see ``IMAGE`` in docs/server.md."""
        height, width = self.image.shape
        return {
            "id": self.id,
            "name": self.name,
            "width": width,
            "height": height,
            "transparent": self.image.rgba is not None,
            "objects": self.described_objects(),
            "ms": self.ms,
        }

    def described_objects(self) -> list[dict[str, Any]]:
        """Return what clients are told of its objects, in the order they were made."""
        return [made.described() for made in self.objects.values()]

    def object(self, id: str) -> Object:
        """Return an object.

        Raises:
            ApiError: There is none.
        """
        try:
            return self.objects[id]
        except KeyError:
            raise ApiError(
                404, "NotFound", "there is no such object on this image: it was removed; make another"
            ) from None

    def next_color(self) -> str:
        """Return a color for another object."""
        self._made += 1
        return COLORS[(self._made - 1) % len(COLORS)]

    def put(self, made: Object) -> None:
        """Add an object."""
        self.objects[made.id] = made
        self._object_bytes[made.id] = made.nbytes

    def measured(self, made: Object, nbytes: int) -> None:
        """Note how much memory an object holds now."""
        if made.id in self.objects:
            self._object_bytes[made.id] = nbytes

    def drop(self, id: str) -> Object:
        """Remove an object, and return it."""
        made = self.object(id)
        del self.objects[id]
        self._object_bytes.pop(id, None)
        return made

    def tell(self, message: dict[str, Any], but: Channel | None = None) -> None:
        """Send a message to all sockets on this image; waits for none."""
        text = text_of(message)  # once for all, who share its memory
        for channel in list(self.channels):
            if channel is not but:
                channel.post_text(text)

    def tell_step(self, of: Object, step: dict[str, Any], packed: bytes, but: Channel | None = None) -> None:
        """Send a step and what it changed to all sockets on this image but one; waits for none."""
        text = text_of({"step": step, "by": "other"})
        for channel in list(self.channels):
            if channel is not but:
                channel.offer(of.id, text, packed)

    def close(self) -> None:
        """Let go of all sessions, once no request works on them."""
        for made in self.objects.values():
            made.close()
        heap.give_back_soon()


class Store:
    """All open images.

    Args:
        limits: Of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.initial: str | None = None
        self.sockets = self._uploads = 0
        self._images: dict[str, OpenImage] = {}  # those used longest ago first
        self._reserved = 0

    @property
    def used(self) -> int:
        """Bytes that all open images hold, with what is kept free for those being opened."""
        return self._reserved + sum(image.nbytes for image in self._images.values())

    def __len__(self) -> int:
        return len(self._images)

    def find(self, id: str) -> OpenImage:
        """Return an open image, which is used now: all others leave before it.

        Raises:
            ApiError: It is not open.
        """
        found = self._images.pop(id, None)
        if found is None:
            raise ApiError(
                404,
                "NotFound",
                "this image is not open: it was closed, or had to leave for the memory of others, or never was here; "
                "open it again",
            )
        self._images[id] = found
        return found

    @contextmanager
    def use(self, id: str) -> Iterator[OpenImage]:
        """Return an open image that stays as long as the with statement.

        Raises:
            ApiError: It is not open.
        """
        found = self.find(id)
        found.users += 1
        try:
            yield found
        finally:
            found.users -= 1
            if found.closed and found.users == 0:
                found.close()
            self._make_room(0, found)  # what grew is not what leaves

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Take part in the uploads of the moment, each of which may hold as many bytes as an upload may have.

        Raises:
            ApiError: There are as many as there may be.
        """
        if self._uploads >= MOST_UPLOADS:
            raise ApiError(503, "Busy", f"{self._uploads} uploads are under way; try again in a moment")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    @contextmanager
    def room_for(self, pixels: int) -> Iterator[None]:
        """Keep memory free for an image that is being opened, by letting others go.

        Raises:
            ApiError: There is not enough, even without them.
        """
        wanted = BYTES_A_PIXEL * pixels
        if wanted > self.limits.memory_limit:
            raise ApiError(
                413,
                "TooLarge",
                f"an image of {pixels} pixels takes about {wanted / 1e6:.0f} MB, more than the memory limit of "
                f"{self.limits.memory_limit / 1e6:.0f} MB: shrink it first, or start the server with a larger limit",
            )
        self._make_room(wanted)
        if self.used + wanted > self.limits.memory_limit:
            raise ApiError(503, "Busy", "all of the memory that this server may use is in use; try again in a moment")
        self._reserved += wanted
        try:
            yield
        finally:
            self._reserved -= wanted

    def put(self, image: OpenImage) -> None:
        """Add an image; others leave for it."""
        while len(self._images) >= self.limits.max_images and self._let_oldest_go():
            pass
        self._images[image.id] = image
        self._make_room(0, image)

    def check_room(self, image: OpenImage) -> None:
        """Refuse to let an image's objects grow where the memory limit is reached and nothing else can leave.

        Raises:
            ApiError: See above.
        """
        self._make_room(0)
        if self.used > self.limits.memory_limit:
            raise ApiError(
                507,
                "MemoryLimit",
                f"the memory limit of {self.limits.memory_limit / 1e6:.0f} MB is reached, of which this image holds "
                f"{image.nbytes / 1e6:.0f} MB: remove objects that are no longer needed",
            )

    def remove(self, id: str) -> None:
        """Close an image.

        Raises:
            ApiError: It is not open.
        """
        self._let_go(self.find(id))

    def _make_room(self, wanted: int, but: OpenImage | None = None) -> None:
        while self.used + wanted > self.limits.memory_limit and self._let_oldest_go(but):
            pass

    def _let_oldest_go(self, but: OpenImage | None = None) -> bool:
        idle = (image for image in self._images.values() if not (image.users or image.pinned or image is but))
        oldest = next(idle, None)
        if oldest is not None:
            self._let_go(oldest)
        return oldest is not None

    def _let_go(self, image: OpenImage) -> None:
        del self._images[image.id]
        if image.id == self.initial:
            self.initial = None
        image.closed = True
        for channel in list(image.channels):
            channel.leave(
                4404, "NotFound", "this image was closed, or had to leave for the memory of others; open it again"
            )
        if image.users == 0:
            image.close()


def opened(image: pyiseg.Image, name: str, start: float, pinned: bool = False) -> OpenImage:
    """Return an image that was opened since a time of ``time.perf_counter``."""
    return OpenImage(image, name, round(1000 * (time.perf_counter() - start), 2), pinned)
