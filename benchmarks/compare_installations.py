"""Time Session(), .click() and memory of two installations of pyiseg, turn by turn in one run, and give the ratios.

    python benchmarks/compare_installations.py OLD_PYTHON NEW_PYTHON -o comparison.json

Each argument is the Python of a virtual environment in which a version of pyiseg is installed. Each version runs in a
process of its own; for every measurement the two take turns, so that whatever else the machine does slows both alike.
Not timed: importing, reading the image, and the first session of each process. The image is the photograph
in tests/images, resized; clicks are at fixed places of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cat import PHOTO
from machine import describe, median_p95, write_json
from tqdm import tqdm

SIZES = ((640, 480), (4000, 3000), (8660, 5774))
CLICKS = ((0.5, 0.5, True), (0.05, 0.05, False), (0.45, 0.4, True))

# What runs in either installation; public names only, so that it runs in old ones too.
WORKER = """
import gc, json, sys, time
import numpy as np
from PIL import Image
import pyiseg

def resident():
    gc.collect()
    line = next(x for x in open("/proc/self/status") if x.startswith("VmRSS"))
    return int(line.split()[1]) * 1024

for line in sys.stdin:
    task = json.loads(line)
    width, height = task["size"]
    if task["do"] == "open":
        with Image.open(task["photo"], formats=("JPEG", "PNG")) as photo:
            rgb = np.asarray(photo.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
        clicks = [(int(x * width), int(y * height), fg) for x, y, fg in task["clicks"]]
        answer = {}
    elif task["do"] == "time":
        start = time.perf_counter()
        session = pyiseg.Session(rgb)
        times = [time.perf_counter() - start]
        for click in clicks:
            start = time.perf_counter()
            alpha = session.click(*click)
            times.append(time.perf_counter() - start)
        answer = {"session": times[0], "clicks": times[1:], "selected": float((alpha >= 128).mean())}
        del session
    else:
        def opened():
            session = pyiseg.Session(rgb)
            session.click(*clicks[0])
            return session

        kept = [opened(), opened()]
        before = resident()
        kept += [opened() for _ in range(4)]
        answer = {"bytes": (resident() - before) // 4, "version": pyiseg.__version__}
        del kept
    print(json.dumps(answer), flush=True)
"""


class Installation:
    """A process in which one version answers tasks."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )

    def do(self, **task: Any) -> dict[str, Any]:
        """Send a task and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args} ended; what it said stands above")
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compare(pythons: tuple[str, str], size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Measure one image size."""
    both = [Installation(python) for python in pythons]
    for one in both:
        one.do(do="open", size=size, photo=str(PHOTO), clicks=CLICKS)
    taken: list[list[dict[str, Any]]] = [[], []]
    for i in tqdm(range(rounds + 1), desc="{}x{}".format(*size)):
        for one, answers in zip(both, taken, strict=True):
            answer = one.do(do="time", size=size)
            if i:  # the first round warms up
                answers.append(answer)
    memory = [one.do(do="memory", size=size) for one in both]
    for one in both:
        one.close()
    result: dict[str, Any] = {"rounds": rounds}
    for name, times in {
        "session": [[a["session"] for a in answers] for answers in taken],
        "click": [[t for a in answers for t in a["clicks"]] for answers in taken],
    }.items():
        ratios = np.asarray(times[1]) / np.asarray(times[0])
        result[name] = {
            "old": median_p95(times[0]),
            "new": median_p95(times[1]),
            "median_ratio": round(float(np.median(ratios)), 3),
        }
    result["memory_mb"] = {
        "old": round(memory[0]["bytes"] / 1e6, 1),
        "new": round(memory[1]["bytes"] / 1e6, 1),
        "versions": [x["version"] for x in memory],
    }
    result["selected"] = [answers[-1]["selected"] for answers in taken]
    return result


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="the Python of one installation")
    parser.add_argument("new", nargs="?", default=sys.executable, help="of the other (default: this one)")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe()}
    for size in SIZES:
        result["{}x{}".format(*size)] = compare((args.old, args.new), size, args.rounds)
        print(json.dumps(result["{}x{}".format(*size)]), flush=True)
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    main()
