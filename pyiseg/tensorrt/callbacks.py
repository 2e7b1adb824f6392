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
_DRIVER = re.compile(r"driver version is insufficient|error:? 35\b", re.I)
_CUDA = re.compile(rf"cuda runtime|cuda driver|cudaerror|cuda initialization|{_DRIVER.pattern}", re.I)


class NoMemoryError(DeviceError):
    """There is too little free memory now; it may work later."""


class LogCapture:
    """TensorRT's log messages while a capture was open.

    Attributes:
        thread: The thread whose messages are kept; None for all of them.
        lines: Severity and text.
    """

    def __init__(self, severity: int, thread: int | None) -> None:
        self.severity, self.thread = severity, thread
        self.lines: list[tuple[int, str]] = []

    @property
    def failed(self) -> bool:
        """Whether it reported an error."""
        return any(severity <= ERROR for severity, _ in self.lines)

    @property
    def cuda_failed(self) -> bool:
        """Whether an error is CUDA's, or want of memory: neither says anything against an engine."""
        return self._errs(_CUDA) or self._errs(_NO_MEMORY)

    def messages(self, reason: object = "") -> str:
        """The errors or, where there are none, the warnings; and what was raised, if anything was."""
        errors = [text for severity, text in self.lines if severity <= ERROR]
        texts = errors or [text for severity, text in self.lines if severity <= WARNING]
        return "; ".join([*texts, *([str(reason)] if reason else [])]) or "it gave no reason"

    def error(self, doing: str, reason: object = "", way_out: str = "") -> DeviceError:
        """The error for what failed.

        Args:
            doing: What did, as in "cannot build the engine".
            reason: What was raised; "" where nothing was.
            way_out: What to do unless it was want of memory, or the driver.
        """
        failed = f"{doing}: {self.messages(reason)}"
        if self._errs(_NO_MEMORY) or isinstance(reason, MemoryError):
            return NoMemoryError(f"{failed}; there is too little free memory: end what else uses the GPU")
        if self._errs(_DRIVER) or _DRIVER.search(str(reason)):
            way_out = (
                "update the NVIDIA driver, or install the TensorRT for its CUDA: pip install tensorrt-cu12 (or "
                "tensorrt-rtx-cu12)"
            )
        return DeviceError(f"{failed}; {way_out}" if way_out else failed)

    def _errs(self, pattern: re.Pattern[str]) -> bool:
        # Errors only: a warning may be of memory that it found elsewhere.
        return any(pattern.search(text) for severity, text in self.lines if severity <= ERROR)


def make_log(trt: Any) -> Any:
    """A logger for TensorRT that prints nothing, but can be captured. It must live as long as the process."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._captures: list[LogCapture] = []
            self._lock = threading.Lock()

        def log(self, severity: Any, text: str) -> None:
            level = int(severity)
            if level <= WARNING:
                log.debug("TensorRT: %s", text)
            with self._lock:
                for logs in self._captures:
                    if level <= logs.severity and logs.thread in (None, threading.get_ident()):
                        logs.lines.append((level, text))

        @contextmanager
        def capture(self, severity: int = WARNING, *, all_threads: bool = False) -> Iterator[LogCapture]:
            """Keep the messages of this time: in this thread, whose session is not to fail of what others do.

            TensorRT has threads of its own where it builds and loads; there, capture all of them.
            """
            logs = LogCapture(severity, None if all_threads else threading.get_ident())
            with self._lock:
                self._captures.append(logs)
            try:
                yield logs
            finally:
                with self._lock:
                    self._captures.remove(logs)

    return Log()


def make_progress(trt: Any, title: str) -> Any:
    """A monitor that shows a bar where stderr is a terminal, elsewhere says so once, and can stop the building.

    Attributes:
        stopped: Set it, and TensorRT ends soon, without an engine.
    """

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False
            self._bar = _bar(f"building {title}")
            if self._bar is None or self._bar.disable:
                log.warning("building the engine %s, which can take minutes", title)
            self._phases: dict[str, tuple[str | None, int]] = {}  # parent, steps
            self._done: dict[str, int] = {}
            self.shown = 0.0
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
            if self._bar is not None and part > self.shown:
                self._bar.update(100 * (part - self.shown))
                self.shown = part

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
        signal.signal(signal.SIGINT, before)
        log.warning("stopping after the current step; again to stop at once")

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if progress.stopped:
            signal.raise_signal(signal.SIGINT)  # in place of the error that being stopped led to
