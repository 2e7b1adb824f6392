"""Compare the page with the library: the same clicks in headless Chromium and in a `pyiseg.Session`, alpha and times.

Needs what build.py has put into dist/, `chromium` on PATH, and pyiseg. Each step runs in the library and then in the
browser, so that what else the machine does meets both.

    python examples/browser/compare.py --threads 1 2 --repeats 5 --json times.json
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from chromium import Browser, Rgb

import pyiseg
from pyiseg import _core

ROOT = Path(__file__).resolve().parents[2]
Step = tuple[str, list[Any]]


class Case(NamedTuple):
    """An image and what is done on it."""

    name: str
    rgb: Rgb
    steps: list[Step]


def synthetic(height: int = 480, width: int = 640, noise: float = 12.0) -> Rgb:
    """Return a disc and a bar before a slope of colors, with noise that the guided filter has to do with."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack((60 + 80 * x / width, 90 + 60 * y / height, 140 - 50 * x / width), axis=2)
    rgb[(x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (height * 0.25) ** 2] = (200, 80, 60)
    rgb[(abs(x - width * 0.8) < width * 0.06) & (abs(y - height * 0.5) < height * 0.35)] = (70, 170, 80)
    rgb += np.random.default_rng(0).normal(0, noise, rgb.shape)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def cases(names: list[str]) -> list[Case]:
    """Return the cases of these names."""
    from PIL import Image

    def click(x: int, y: int, fg: bool = True) -> Step:
        return "click", [x, y, fg]

    undo: Step = ("undo", [])
    known = {
        "cat": (
            lambda: np.asarray(Image.open(ROOT / "tests" / "images" / "cat.jpg", formats=("JPEG",)).convert("RGB")),
            [click(225, 120), click(130, 270), click(370, 240, False), undo, undo, ("redo", []), click(60, 60, False)],
        ),
        "otter": (
            lambda: np.asarray(Image.open(ROOT / "pyiseg" / "assets" / "otter.jpg", formats=("JPEG",)).convert("RGB")),
            [click(850, 620), click(1240, 680, False), click(600, 500), undo, click(700, 300), click(701, 300, False)],
        ),
        "synthetic": (
            synthetic,
            [click(250, 240), click(510, 240, False), click(300, 200), undo, click(510, 200), click(100, 100, False)],
        ),
    }
    return [Case(name, known[name][0](), known[name][1]) for name in names]


class Timed:
    """What both sides took for one step: wall-clock and processor time in ms.

    The second says what the first would be on a machine that does nothing else, where each side has one thread.
    """

    def __init__(
        self, browser: Browser, native: Callable[[], Any], call: str, args: list[Any], rgb: Rgb | None
    ) -> None:
        began, busy = time.perf_counter(), time.process_time()
        self.result = native()
        wall, cpu = time.perf_counter() - began, time.process_time() - busy
        before = browser.page_cpu()
        self.answer = browser.do(call, args, rgb)
        self.row: dict[str, Any] = {
            "step": call,
            "native": wall * 1000,
            "native_cpu": cpu * 1000,
            "browser": self.answer.milliseconds,
            "browser_cpu": browser.page_cpu() - before,
        }


def run_case(case: Case, browser: Browser, model: pyiseg.Model) -> Iterator[dict[str, Any]]:
    """Do all steps of a case on both sides; yield a row for opening the image and for each step."""
    opened = Timed(browser, lambda: pyiseg.Session(case.rgb, model=model, device="cpu"), "open", [], case.rgb)
    yield {"case": case.name, **opened.row}
    for call, args in case.steps:
        done = Timed(browser, functools.partial(getattr(opened.result, call), *args), call, args, None)
        expected = done.result
        apart = np.abs(done.answer.alpha.reshape(expected.shape).astype(int) - expected)
        yield {
            "case": case.name,
            **done.row,
            "selected": float((expected > 127).mean()),
            "most": int(apart.max()),
            "over_1": int((apart > 1).sum()),
            "equal": float((apart == 0).mean()),
        }


def compare(names: list[str], threads: int, repeats: int, chromium: str) -> dict[str, Any]:
    """Return the rows of all cases, and load time and memory of the page."""
    model = dataclasses.replace(pyiseg.load_model(), zoom=None)
    rows: list[dict[str, Any]] = []
    with Browser(threads, chromium) as browser:
        load = browser.do("load")
        chosen = cases(names)
        for case in chosen:  # once for nothing: both sides compile and allocate
            for row in run_case(case, browser, model):
                rows.append({**row, "warmup": True})
        for _ in range(repeats):
            for case in chosen:
                rows.extend(run_case(case, browser, model))
        answer = browser.do("undo")
        return {
            "threads": threads,
            "isolated": answer.isolated,
            "load_ms": load.milliseconds,
            "page_mb": browser.page_bytes() / 1e6,
            "ops_mb": answer.ops_bytes / 1e6,
            "rows": rows,
        }


def summary(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a report."""
    yield (
        f"{result['threads']} threads (isolated: {result['isolated']}): load {result['load_ms']:.0f} ms, "
        f"page {result['page_mb']:.0f} MB, of which the ops' memory {result['ops_mb']:.0f} MB"
    )
    timed = [row for row in result["rows"] if not row.get("warmup")] or result["rows"]
    for case in dict.fromkeys(row["case"] for row in timed):
        for step in ("open", "click", "undo"):
            rows = [row for row in timed if (row["case"], row["step"]) == (case, step)]
            wall, cpu = (
                [sum(row[side + kind] for row in rows) for side in ("browser", "native")] for kind in ("", "_cpu")
            )
            medians = (statistics.median(row[side] for row in rows) for side in ("native", "browser"))
            yield (
                "{:10} {:6} native {:7.1f} ms, browser {:7.1f} ms, ratio {:.2f}, of processor time {:.2f}".format(
                    case, step, *medians, wall[0] / wall[1], cpu[0] / cpu[1]
                )
            )
    compared = [row for row in result["rows"] if "most" in row]
    yield (
        f"alpha of {len(compared)} steps: at most {max(row['most'] for row in compared)}/255 apart; equal in "
        f"{min(row['equal'] for row in compared):.4%} or more of the pixels"
    )


def main() -> None:
    """Compare, print a report; exit 1 where alpha is further apart than 1/255."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["cat", "otter", "synthetic"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1], help="of the networks in the browser")
    parser.add_argument("--native-threads", type=int, help="of the library (default: its own choice)")
    parser.add_argument("--repeats", type=int, default=0, help="timed rounds after the first (default: 0)")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the browser is ended too
    if args.native_threads:
        os.environ["PYISEG_NUM_THREADS"] = str(args.native_threads)
        _core.set_num_threads(args.native_threads)
    results = [compare(args.cases, threads, args.repeats, args.chromium) for threads in args.threads]
    for result in results:
        print(*summary(result), sep="\n")
    if args.json:
        args.json.write_text(json.dumps(results))
    sys.exit(any(row.get("most", 0) > 1 for result in results for row in result["rows"]))


if __name__ == "__main__":
    main()
