"""What a piece of work leaves behind when it is done again and again: memory of the process, and Python's objects."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STATM = Path("/proc/self/statm")
"""Where Linux tells how much memory a process has; nowhere else."""


class Growth(NamedTuple):
    """What grew in some rounds.

    Attributes:
        nbytes: Resident memory.
        objects: That Python's garbage collector knows.
    """

    nbytes: int
    objects: int


def growth(work: Callable[[], object], rounds: int, enough: int, times: int = 3) -> Growth:
    """Return what is left of some rounds, after as many that fill caches and pools.

    A leak grows with every round, where a heap that is cut up grows once: so the least of several measurements counts.

    Args:
        work: Called again and again; what it returns is dropped.
        rounds: Of each measurement.
        enough: Bytes below which it is not measured again.
        times: At most.
    """
    least: Growth | None = None
    for _ in range(rounds):
        work()
    for _ in range(times):
        bytes_before, objects_before = _resident(), len(gc.get_objects())
        for _ in range(rounds):
            work()
        found = Growth(_resident() - bytes_before, len(gc.get_objects()) - objects_before)
        least = min(least or found, found)
        if least.nbytes < enough:
            break
    assert least is not None
    return least


def _resident() -> int:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # of glibc: what is free is given back, so that it is not counted
        trim(0)
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
