"""Measure the memory that a session holds, at several image sizes, each in a process of its own.

    python benchmarks/bench_memory.py -o benchmarks/results/memory.json

A figure is how much the process's resident memory (Linux) grows by a session, in the mean of several: each
with an image of its own; on one `pyiseg.Image`, which they share; and on one, zoomed in. Not in it: the interpreter,
the libraries and the loaded model, which the first session brings, and the image that is shared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_session import small_image
from machine import describe, write_json

from pyiseg import Click, Image, Session
from pyiseg.benchmark.memory import resident

SIZES = ((640, 480), (4000, 3000))
# How many sessions a mean is of: the smaller a session, the more, as the operating system counts in pages and an
# allocator reuses what others have freed.
SESSIONS = {"session": 10, "shared": 200, "zoomed": 20}


def opened(image: Any, clicks: Sequence[Click]) -> Session:
    """Return a session after some clicks, of which the first is obeyed."""
    session = Session(image)
    for click in clicks:
        session.click(*click)
    x, y, _ = clicks[0]
    assert session.alpha[y, x] >= 128
    return session


def measure(kind: str, width: int, height: int) -> int:
    """Return the bytes that a session holds, in the mean.

    Args:
        kind: "session": each with an image of its own and one click; "shared": on one `pyiseg.Image`, with one click;
            "zoomed": on one image, with as many clicks as zoom in.
        width, height: Of the image.
    """
    scene = small_image((width, height))
    rgb, clicks = scene.rgb, scene.clicks
    if kind != "zoomed":
        clicks = clicks[:1]
    image: Any = rgb if kind == "session" else Image(rgb)
    kept = [opened(image, clicks), opened(image, clicks)]  # the second, because the first one's scratch memory stays
    assert (kept[-1].crop.shape != kept[-1].shape) == (kind == "zoomed")
    before = resident()
    kept += [opened(image, clicks) for _ in range(SESSIONS[kind])]
    return (resident() - before) // SESSIONS[kind]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("KIND", "W", "H"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, width, height = options.one
        print(measure(kind, int(width), int(height)))
        return
    result: dict[str, object] = {"machine": describe(), "sessions": SESSIONS}
    for width, height in SIZES:
        found = {}
        for kind in SESSIONS:
            command = [sys.executable, __file__, "--one", kind, str(width), str(height)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[f"{kind}_bytes"] = int(done.stdout)
        result[f"{width}x{height}"] = found
    print(json.dumps(result, indent=1))
    if options.output is not None:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
