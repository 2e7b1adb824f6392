"""Which selections on an image hold the crop that they zoomed in on."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Holder(Protocol):
    """A selection that may hold a crop."""

    def let_go(self) -> None:
        """Hold no crop any more, as soon as it is not at work on it; called from any thread."""
        ...


class HeldCrops:
    """The selections on one image that hold a crop, at most so many at once: memory does not grow with their number.

    Safe to be used from several threads.

    Args:
        most: How many selections may hold their crop; for another one the crop is encoded again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock, self._holders = threading.Lock(), list[weakref.ref[Holder]]()

    def hold(self, selection: Holder) -> None:
        """Let a selection hold its crop, and the one that has worked on its crop longest ago let go of it.

        Args:
            selection: The selection that works on its crop now. It is not kept alive.
        """
        with self._lock:
            self._holders = [x for x in self._holders if x() not in (None, selection)]
            self._holders.append(weakref.ref(selection))
            oldest = self._holders.pop(0)() if len(self._holders) > self._most else None
        if oldest is not None:
            oldest.let_go()

    def drop(self, selection: Holder) -> None:
        """Note that a selection holds no crop any more."""
        with self._lock:
            self._holders = [x for x in self._holders if x() not in (None, selection)]
