"""Memory that is freed goes back to the system: glibc alone keeps what lies below memory that is still in use."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.served import running
from support.toy_model import PHOTO

from pyiseg.server import create_app, heap

FREED = """
import os, sys, time
import numpy as np
from pyiseg.server import heap

def resident():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

arrays = [np.ones(100_000, np.uint8) for _ in range(1000)]
held = resident()
del arrays[:-1]  # the last one lies above all others
kept = resident()
getattr(heap, sys.argv[1])()
end = time.monotonic() + 30
while resident() > held - 80e6 and time.monotonic() < end:
    time.sleep(0.01)
print(held - kept, held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others keep nothing, or cannot be told to give it back")
@pytest.mark.parametrize("way", ["give_back", "give_back_soon"])
def test_what_is_freed_is_given_back(way: str) -> None:
    done = subprocess.run([sys.executable, "-c", FREED, way], capture_output=True, text=True, check=True)
    without, with_it = map(int, done.stdout.split())
    assert without < 20e6  # or what follows shows nothing
    assert with_it > 80e6


def test_it_is_when_an_object_or_an_image_leaves(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    monkeypatch.setattr(heap, "give_back", given.set)
    monkeypatch.setattr(heap, "SECONDS", 0.01)
    with running(create_app(model=toy)) as client:
        image = client.open(PHOTO)
        at = client.object(image)
        assert not given.is_set()
        for left in (at, image):
            client.expect(204, "DELETE", left)
            assert given.wait(30)
            given.clear()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="nothing is given back")
def test_where_there_are_no_more_threads_it_is_left_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing an image failed, and memory was never given back again."""
    given = []
    monkeypatch.setattr(heap, "give_back", lambda: given.append(1))
    monkeypatch.setattr(heap, "SECONDS", 0.2)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        heap.give_back_soon()
    for _ in range(3):
        heap.give_back_soon()  # all three are one
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert given == [1]


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
