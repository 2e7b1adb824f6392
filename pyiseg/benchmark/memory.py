"""Memory of processes: what this one holds and held, what is free, and the peak of a method in a child process."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyiseg.files import parse_json

MEGABYTE = 1e6


def resident() -> int:
    """Return the resident memory of this process in bytes.

    Raises:
        OSError: This system does not tell.
    """
    gc.collect()
    return _of_this_process("VmRSS")


def peak() -> int:
    """Return the most resident memory that this process has had, in bytes.

    Raises:
        OSError: This system does not tell.
    """
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: on Linux a child process begins with that of its parent.
    return _of_this_process("VmHWM")


def available() -> int | None:
    """Return the bytes that can be had without swapping, a container's limit included; None where unknown."""
    bounds = []
    if (free := _read_kilobytes(Path("/proc/meminfo"), "MemAvailable")) is not None:
        bounds.append(free)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no such group, or its limit is "max"
        bounds.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return min(bounds, default=None)


def peak_of(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task of :mod:`pyiseg.benchmark.child` in a process of its own.

    Returns:
        ``peak_mb`` of the process; or ``error``, why there is no figure.
    """
    command = [sys.executable, "-m", "pyiseg.benchmark.child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {"error": f"the process ended with {how}: {last[:200]}"}
    found: dict[str, Any] = parse_json(done.stdout)
    return found


def _of_this_process(name: str) -> int:
    found = _read_kilobytes(Path("/proc/self/status"), name)
    if found is None:
        raise OSError("this system does not tell the memory of a process: there is no /proc")
    return found


def _read_kilobytes(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    line = next((line for line in lines if line.startswith(f"{name}:")), None)
    return None if line is None else int(line.split()[1]) * 1024
