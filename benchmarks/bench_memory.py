"""Measure the memory that a session holds, at several image sizes, each in a process of its own.

    python benchmarks/bench_memory.py -o benchmarks/results/memory.json

The figure is the growth of the process's resident memory (Linux) by a number of sessions with one click each, divided
by their number. Not in it: the interpreter, the libraries and the loaded model, which the first session brings.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from machine import describe, write_json
from PIL import Image

from pyiseg import Session
from pyiseg.demo import CLICKS, PHOTO

SIZES = ((640, 480), (4000, 3000))
SESSIONS = 6


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def measure(width: int, height: int) -> int:
    """Return the bytes a session holds, in the mean."""
    with Image.open(PHOTO) as picture:
        rgb = np.asarray(picture.convert("RGB").resize((width, height)))
        x, y = round(CLICKS[0].x * width / picture.width), round(CLICKS[0].y * height / picture.height)

    def opened() -> Session:
        session = Session(rgb)
        assert session.click(x, y)[y, x] == 255
        return session

    kept = [opened(), opened()]  # the second, because the first one's scratch memory is reused
    before = resident()
    kept += [opened() for _ in range(SESSIONS)]
    return (resident() - before) // SESSIONS


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--one", type=int, nargs=2, metavar=("W", "H"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(*options.one))
        return
    result: dict[str, object] = {"machine": describe(), "sessions": SESSIONS}
    for width, height in SIZES:
        command = [sys.executable, __file__, "--one", str(width), str(height)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result[f"{width}x{height}"] = {"session_bytes": int(done.stdout)}
    print(json.dumps(result, indent=1))
    if options.output is not None:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
