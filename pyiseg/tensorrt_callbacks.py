"""What TensorRT calls while it works: its log, and how far building has got. The classes derive from the package's."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyiseg.errors import DeviceError

log = logging.getLogger("pyiseg")

ERROR, WARNING, VERBOSE = 1, 2, 4
"""TensorRT's severities, of which 0 is an internal error."""

_NO_MEMORY = re.compile(
    r"out of memory|outofmemory|insufficient (gpu )?memory|allocation fail|failed to allocate", re.I
)


class Heard:
    """What TensorRT said while something was listening.

    Attributes:
        lines: Severity and text.
    """

    def __init__(self, severity: int) -> None:
        self.severity = severity
        self.lines: list[tuple[int, str]] = []

    @property
    def failed(self) -> bool:
        """Whether it reported an error."""
        return any(severity <= ERROR for severity, _ in self.lines)

    @property
    def no_memory(self) -> bool:
        """Whether it said that memory ran out."""
        return any(_NO_MEMORY.search(text) for severity, text in self.lines if severity <= WARNING)

    def said(self, reason: object = "") -> str:
        """The errors or, where there are none, the warnings; and what was raised, if anything was."""
        errors = [text for severity, text in self.lines if severity <= ERROR]
        said = errors or [text for severity, text in self.lines if severity <= WARNING]
        return "; ".join([*said, *([str(reason)] if reason else [])]) or "it gave no reason"

    def error(self, doing: str, reason: object = "") -> DeviceError:
        """The error for what failed.

        Args:
            doing: What did, as in "cannot build the engine".
            reason: What was raised; "" where nothing was.
        """
        way_out = "pass device='cpu'"
        if self.no_memory or isinstance(reason, MemoryError):
            way_out = f"there is too little free memory: end what else uses the GPU, or {way_out}"
        return DeviceError(f"{doing}: {self.said(reason)}; {way_out}")


def make_log(trt: Any) -> Any:
    """A logger for TensorRT that prints nothing, but can be listened to. It must live as long as the process."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._listeners: list[Heard] = []
            self._lock = threading.Lock()

        def log(self, severity: Any, text: str) -> None:
            level = int(severity)
            if level <= WARNING:
                log.debug("TensorRT: %s", text)
            with self._lock:
                for heard in self._listeners:
                    if level <= heard.severity:
                        heard.lines.append((level, text))

        @contextmanager
        def listening(self, severity: int = WARNING) -> Iterator[Heard]:
            """Keep what is said meanwhile, by whichever thread: TensorRT has threads of its own."""
            heard = Heard(severity)
            with self._lock:
                self._listeners.append(heard)
            try:
                yield heard
            finally:
                with self._lock:
                    self._listeners.remove(heard)

    return Log()


def make_progress(trt: Any, title: str) -> Any:
    """A monitor that shows a bar where stderr is a terminal, and that can stop the building.

    Attributes:
        stopped: Set it, and TensorRT ends soon, without an engine.
    """

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False
            self._bar = _bar(title)
            self._phases: dict[str, tuple[str | None, int]] = {}  # parent, steps
            self._done: dict[str, int] = {}
            self._shown = 0.0
            self._lock = threading.Lock()  # it is called from several threads

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with self._lock:
                self._phases[name] = (parent, max(1, steps))
                self._done[name] = 0

        def step_complete(self, name: str, step: int) -> bool:
            with self._lock:
                self._done[name] = step + 1
                self._show(name)
            return not self.stopped

        def phase_finish(self, name: str) -> None:
            with self._lock:
                self._phases.pop(name, None)

        def close(self) -> None:
            if self._bar is not None:
                self._bar.close()

        def _show(self, name: str | None) -> None:
            """Each phase is a step of its parent, so the part that is done is told from the inside outward."""
            part = 0.0
            while name in self._phases:
                parent, steps = self._phases[name]
                part = min(1.0, (self._done[name] + part) / steps)
                name = parent
            if self._bar is not None and part > self._shown:
                self._bar.update(100 * (part - self._shown))
                self._shown = part

    return Progress()


def _bar(title: str) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    shape = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
    return tqdm(total=100, desc=title, bar_format=shape, leave=False, disable=None)


@contextmanager
def interruptible(progress: Any) -> Iterator[None]:
    """Let Ctrl-C stop the building: what Python raises inside of TensorRT's calls is lost there."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        progress.stopped = True

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if progress.stopped:
            signal.raise_signal(signal.SIGINT)  # in place of the error that being stopped led to
