"""Compare the page with the library: the same clicks in headless Chromium and in a `pyiseg.Session`, alpha and times.

Needs what build.py has put into dist/, `chromium` on PATH, and pyiseg. Each step runs in the library and then in the
browser, so that what else the machine does meets both.

    python examples/browser/compare.py --threads 1 2 --repeats 5 --json times.json
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import pyiseg
from pyiseg import _core

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import serve  # noqa: E402 - beside this file, which is in no package

ROOT = HERE.parents[1]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 180  # seconds for one step
Rgb = npt.NDArray[np.uint8]
Step = tuple[str, list[Any]]


class Case(NamedTuple):
    """An image and what is done on it."""

    name: str
    rgb: Rgb
    steps: list[Step]


class Answer(NamedTuple):
    """What the page says of one step."""

    milliseconds: float
    alpha: Rgb
    isolated: bool
    ops_bytes: int


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
            lambda: np.asarray(Image.open(ROOT / "tests" / "images" / "cat.jpg").convert("RGB")),
            [click(225, 120), click(130, 270), click(370, 240, False), undo, undo, ("redo", []), click(60, 60, False)],
        ),
        "otter": (
            lambda: np.asarray(Image.open(ROOT / "pyiseg" / "assets" / "otter.jpg").convert("RGB")),
            [click(850, 620), click(1240, 680, False), click(600, 500), undo, click(700, 300), click(701, 300, False)],
        ),
        "synthetic": (
            synthetic,
            [click(250, 240), click(510, 240, False), click(300, 200), undo, click(510, 200), click(100, 100, False)],
        ),
    }
    return [Case(name, known[name][0](), known[name][1]) for name in names]


class Browser:
    """Headless Chromium on compare.html; `do` has it do one thing. Used as a context, which ends it."""

    def __init__(self, threads: int, chromium: str) -> None:
        self._jobs, self._answers = queue.Queue[dict[str, Any]](), queue.Queue[Answer | str]()
        self._image = b""
        browser = self

        class Handler(serve.Handler):
            headers_sent = serve.ISOLATION if threads > 1 else {}

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                if self.path == "/next":
                    self._send(json.dumps(browser._jobs.get()).encode())
                elif self.path == "/image":
                    self._send(browser._image)
                elif self.path.startswith("/compare.html"):
                    self._send((HERE / "compare.html").read_bytes(), "text/html")
                else:
                    super().do_GET()

            def do_POST(self) -> None:  # noqa: N802 - likewise
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "X-Error" in self.headers:
                    browser._answers.put(urllib.parse.unquote(self.headers["X-Error"]))
                else:
                    given = self.headers
                    alpha = np.frombuffer(body, np.uint8)
                    isolated = given["X-Isolated"] == "true"
                    browser._answers.put(Answer(float(given["X-Ms"]), alpha, isolated, int(given["X-Ops"])))
                self._send(b"")

            def _send(self, body: bytes, kind: str = "application/octet-stream") -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the browser was ended while it waited
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=serve.DIST))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._profile = tempfile.mkdtemp(prefix="pyiseg-browser-")
        url = f"http://127.0.0.1:{self._server.server_address[1]}/compare.html?threads={threads}"
        command = [chromium, *FLAGS, f"--user-data-dir={self._profile}", url]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def do(self, call: str, args: list[Any] | None = None, rgb: Rgb | None = None) -> Answer:
        """Have the page do something, and return what it says.

        Raises:
            RuntimeError: It failed, or said nothing for long.
        """
        job: dict[str, Any] = {"call": call, "args": args or []}
        if rgb is not None:
            opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
            self._image, job["shape"] = np.concatenate((rgb, opaque), axis=2).tobytes(), rgb.shape[:2]
        self._jobs.put(job)
        try:
            answer = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise RuntimeError(f"the browser has not answered {call!r} in {PATIENCE} s") from None
        if isinstance(answer, str):
            raise RuntimeError(f"the browser failed at {call!r}: {answer}")
        return answer

    def renderer_bytes(self) -> int:
        """Return the memory of the page's own process: what it has for itself and its part of what is shared."""
        found = 0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if b"--type=renderer" in command and self._profile.encode() in _ancestor(process):
                    lines = (process / "smaps_rollup").read_text().splitlines()
                    found = max(found, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")))
        return found

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.put({"call": "stop"})
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._profile, ignore_errors=True)


def _ancestor(process: Path) -> bytes:
    """Return the command lines of a process and of those that started it."""
    lines = b""
    while process.name not in ("0", "1"):
        lines += (process / "cmdline").read_bytes()
        process = Path("/proc") / (process / "stat").read_text().rpartition(")")[2].split()[1]
    return lines


def run_case(case: Case, browser: Browser, model: pyiseg.Model) -> Iterator[dict[str, Any]]:
    """Do all steps of a case on both sides; yield a row for opening the image and for each step."""
    began = time.perf_counter()
    session = pyiseg.Session(case.rgb, model=model, device="cpu")
    native = (time.perf_counter() - began) * 1000
    answer = browser.do("open", rgb=case.rgb)
    yield {"case": case.name, "step": "open", "native": native, "browser": answer.milliseconds}
    for call, args in case.steps:
        began = time.perf_counter()
        expected = getattr(session, call)(*args)
        native = (time.perf_counter() - began) * 1000
        answer = browser.do(call, args)
        apart = np.abs(answer.alpha.reshape(expected.shape).astype(int) - expected)
        yield {
            "case": case.name,
            "step": call,
            "native": native,
            "browser": answer.milliseconds,
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
            "renderer_mb": browser.renderer_bytes() / 1e6,
            "ops_mb": answer.ops_bytes / 1e6,
            "rows": rows,
        }


def summary(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a report."""
    yield (
        f"{result['threads']} threads (isolated: {result['isolated']}): load {result['load_ms']:.0f} ms, "
        f"page {result['renderer_mb']:.0f} MB, of which the ops' memory {result['ops_mb']:.0f} MB"
    )
    timed = [row for row in result["rows"] if not row.get("warmup")] or result["rows"]
    for case in dict.fromkeys(row["case"] for row in timed):
        for step in ("open", "click", "undo"):
            rows = [row for row in timed if (row["case"], row["step"]) == (case, step)]
            native, browser = ([row[side] for row in rows] for side in ("native", "browser"))
            ratio = statistics.median(row["browser"] / row["native"] for row in rows)
            yield (
                f"{case:10} {step:6} native {statistics.median(native):7.1f} ms (least {min(native):7.1f}), browser "
                f"{statistics.median(browser):7.1f} ms (least {min(browser):7.1f}), ratio {ratio:5.2f}"
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
