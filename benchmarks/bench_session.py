"""Time Session() and .click() at several image sizes, on the photograph of the tests, as `pyiseg benchmark` does.

    python benchmarks/bench_session.py -o benchmarks/results/session.json

Not timed: importing, reading the image, and the first session of the process, which loads the model.
The image is the photograph in tests/images, resized. Each timed answer is checked against the first one, bit for bit.
For the clicks that zoom in it is shrunk to a third, on gray: there the fourth click zooms in.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from cat import CLICKS, PHOTO
from machine import describe, median_p95, write_json

from pyiseg import Click
from pyiseg.benchmark.scenes import Scene, scene
from pyiseg.benchmark.timing import SessionTurn

SIZES = ((640, 480), (4000, 3000))
# On the photograph: the tests', then one that zooms in, and one behind it.
SMALL_CLICKS = (*CLICKS, Click(200, 150, True), Click(235, 100, True))


def import_seconds() -> float:
    """Return what `import pyiseg` takes in a fresh interpreter, less the interpreter's own start."""
    code = "import time; t = time.perf_counter(); import pyiseg; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def small_image(size: tuple[int, int]) -> Scene:
    """The photograph at a third of an image's sides, on gray, and clicks on it, of which the fourth zooms in."""
    return scene(PHOTO, SMALL_CLICKS, size, share=3)


def bench(size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time one image size."""
    turn = SessionTurn(scene(PHOTO, CLICKS, size), small_image(size), must_zoom=True)
    for _ in range(rounds + 1):  # the first one warms up
        turn.run()
    found = turn.summary()
    return {
        "session": found["open"],
        "click": found["click"],
        "zooming_click": found["zoomed_click"],
        "click_in_crop": found["crop_click"],
        "matte": found["matte"],
    }


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe(), "import_ms": median_p95([import_seconds() for _ in range(7)])}
    for size in SIZES:
        result["{}x{}".format(*size)] = bench(size, args.rounds)
        print(size, result["{}x{}".format(*size)], flush=True)
    print("import", result["import_ms"])
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    main()
