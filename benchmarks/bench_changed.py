"""Time a click that returns the whole matte against one that renders what changed, turn by turn in one run.

    python benchmarks/bench_changed.py -o benchmarks/results/changed.json

The image is the photograph in tests/images at a quarter of the sides, on gray, so that a selection touches a small
part. What is rendered in the rectangle is compared, bit for bit, with the whole matte. Memory is the process's peak
above what it held before the session (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cat import CLICKS, PHOTO
from machine import describe, median_p95, write_json

import pyiseg
from pyiseg.benchmark import memory
from pyiseg.benchmark.scenes import Scene, scene

SIZES = ((640, 480), (4000, 3000), (8192, 6144))


def quarter(size: tuple[int, int]) -> Scene:
    """The photograph at a quarter of an image's sides, on gray, and clicks on it."""
    return scene(PHOTO, CLICKS, size, share=4)


def bench(size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time one image size."""
    shown = quarter(size)
    image = pyiseg.Image(shown.rgb)
    whole, part, share = list[float](), list[float](), list[float]()
    for number in range(rounds + 1):
        one, other = pyiseg.Session(image), pyiseg.Session(image)
        for click in shown.clicks:
            start = time.perf_counter()
            alpha = one.click(*click)
            middle = time.perf_counter()
            rect = other.add(click)
            inside = other.alpha_in(rect)
            end = time.perf_counter()
            if not np.array_equal(inside, alpha[rect.slices]):
                raise AssertionError("the rectangle is not that of the whole matte")
            if number:
                whole.append(middle - start)
                part.append(end - middle)
                share.append(rect.area / alpha.size)
    return {
        "click": median_p95(whole),
        "add and alpha_in": median_p95(part),
        "share of the image that changed": round(float(np.median(share)), 4),
    }


def peak(size: tuple[int, int]) -> dict[str, float]:
    """Return the peak memory of a session in a process of its own, bytes a pixel, the image's 3 among them."""
    code = "import sys, bench_changed as b\nprint(b.held((int(sys.argv[1]), int(sys.argv[2]))))\n"
    run = [sys.executable, "-c", code, str(size[0]), str(size[1])]
    found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    return {"peak bytes a pixel": round(int(found.stdout) / (size[0] * size[1]), 1)}


def held(size: tuple[int, int]) -> int:
    """Return by how many bytes the peak of this process grows by a session with some clicks."""
    pyiseg.Session(np.zeros((480, 640, 3), np.uint8)).click(5, 5)  # libraries and the model
    shown = quarter(size)
    before = memory.resident()
    session = pyiseg.Session(shown.rgb)
    for click in shown.clicks:
        session.click(*click)
        assert session.changed.area
        session.alpha_in(session.changed)
    session.undo()
    return memory.peak() - before


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": describe()}
    for size in SIZES:
        results[f"{size[0]}x{size[1]}"] = found = bench(size, options.rounds) | peak(size)
        print(size, found, flush=True)
    if options.output is not None:
        write_json(options.output, results)


if __name__ == "__main__":
    main()
