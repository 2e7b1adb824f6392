"""Headless Chromium on a page that is told what to do step by step: for compare.py and for tests."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import serve

Rgb = npt.NDArray[np.uint8]
PAGE = Path(__file__).resolve().parent / "compare.html"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 180  # seconds for one step


class Answer(NamedTuple):
    """What the page says of one step."""

    milliseconds: float
    alpha: Rgb
    isolated: bool
    ops_bytes: int


class Browser:
    """Headless Chromium on a page that asks for its next job; `do` gives it one. Used as a context, which ends it.

    Args:
        threads: Handed to the page; with 1 it is not isolated, so that it can have no more.
        chromium: The command.
        page: What is served beside dist/, as /page.html.
    """

    def __init__(self, threads: int, chromium: str = "chromium", page: Path = PAGE) -> None:
        self._jobs, self._answers = queue.Queue[dict[str, Any]](), queue.Queue[Answer | str]()
        self._image = b""
        self._page: Path | None = None
        browser = self

        class Handler(serve.Handler):
            headers_sent = serve.ISOLATION if threads > 1 else {}

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                if self.path == "/next":
                    self._send(json.dumps(browser._jobs.get()).encode())
                elif self.path == "/image":
                    self._send(browser._image)
                elif self.path.startswith("/page.html"):
                    self._send(page.read_bytes(), "text/html")
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
        url = f"http://127.0.0.1:{self._server.server_address[1]}/page.html?threads={threads}"
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

    def page(self) -> Path:
        """Return the page's own process in /proc: of this browser's renderers the one with the most memory."""
        found = list[tuple[int, Path]]()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if b"--type=renderer" in command and self._profile.encode() in _ancestors(process):
                    found.append((_memory(process), process))
        return max(found)[1]

    def page_bytes(self) -> int:
        """Return the memory of the page's process: what it has for itself and its part of what is shared."""
        return _memory(self.page())

    def page_cpu(self) -> float:
        """Return the processor time that the page's process took since it began, in ms; it ticks every 10 ms."""
        if self._page is None:
            self._page = self.page()
        fields = (self._page / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

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


def _ancestors(process: Path) -> bytes:
    """Return the command lines of a process and of those that started it."""
    lines = b""
    while process.name not in ("0", "1"):
        lines += (process / "cmdline").read_bytes()
        process = Path("/proc") / (process / "stat").read_text().rpartition(")")[2].split()[1]
    return lines


def _memory(process: Path) -> int:
    """Return the proportional set size of a process."""
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
