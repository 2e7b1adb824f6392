"""Freed memory goes back to the system, also where the C library would keep it.

glibc keeps most of what is freed, in a heap for each of several threads, so that a server grows to the sum of the most
that each of its threads ever needed.
"""

from __future__ import annotations

import ctypes
import sys
import threading

SECONDS = 0.25
"""From the first thing that is let go until memory is given back, with all that is let go until then."""

# musl has no such function, nor do other systems.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
_lock = threading.Lock()
_awaited = False


def give_back() -> None:
    """Give the system the memory of the C library's heap that is free.

    It takes about a millisecond, more where much is free. Without glibc this does nothing.
    """
    if _trim is not None:
        _trim(0)


def give_back_soon() -> None:
    """Do it in `SECONDS`, in a thread of its own: whoever calls still holds what is about to be freed."""
    global _awaited
    with _lock:
        if _awaited or _trim is None:
            return
        _awaited = True
    timer = threading.Timer(SECONDS, _now)
    timer.daemon = True  # a server that ends does not wait for it
    try:
        timer.start()
    except RuntimeError:  # the system gives no more threads: next time
        with _lock:
            _awaited = False


def _now() -> None:
    global _awaited
    with _lock:
        _awaited = False  # first: what is freed from here on may come too late for this time
    give_back()
