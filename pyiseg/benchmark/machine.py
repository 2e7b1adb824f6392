"""What a benchmark ran on, and how its times are summed up. Shared by all benchmarks."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import pyiseg
from pyiseg.files import atomic_write

PACKAGES = ("numpy", "onnxruntime", "Pillow", "opencv-python-headless", "torch")


def describe() -> dict[str, Any]:
    """Return processor, cores, system and the versions of what may matter."""
    # The code that runs, not what was once installed: an editable installation keeps the version it was made with.
    versions = {"pyiseg": pyiseg.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "vectors": _vectors(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def median_p95(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds, and how many times they were taken from."""
    ms = 1e3 * np.asarray(seconds)
    return {"median_ms": round(float(np.median(ms)), 2), "p95_ms": round(float(np.percentile(ms, 95)), 2), "n": len(ms)}


def check_output(path: Path | None) -> None:
    """Refuse what a result cannot be written to, before anything is measured; None writes none."""
    if path is not None and path.is_dir():
        raise ValueError(f"-o {path} is a folder; pass the path of a JSON file")


def write_json(path: Path, content: dict[str, Any], indent: int | None = 1) -> None:
    """Write a result whole: temporary file, then rename. An indent of None puts a large one on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(f"{json.dumps(content, indent=indent)}\n".encode())


def _vectors() -> str:
    """The widest vector instructions, which processors of one name differ in; nothing where that is not known."""
    flags = _cpuinfo("flags").split()
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2"}
    return next((name for flag, name in known.items() if flag in flags), "")


def _cpuinfo(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty where there is none."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""
