"""What every command does around its work: Ctrl-C, and errors in one line."""

from __future__ import annotations

import _thread
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pyiseg import interrupts
from pyiseg.cli.wording import for_command_line
from pyiseg.paths import in_one_line


@contextmanager
def needs_extra(what: str, extra: str = "evaluate") -> Iterator[None]:
    """Say which optional dependency to install where a package is missing.

    Args:
        what: The command, or its option, that needs it.
        extra: The name of the dependency among those of pyiseg.

    Raises:
        ValueError: An import failed.
    """
    try:
        yield
    except ImportError as error:
        raise ValueError(f"pyiseg {what} needs {error.name}: pip install 'pyiseg[{extra}]'") from error


def say_error(text: str) -> None:
    """Print one line on standard error, in words of the command line, without codes that a terminal would obey."""
    print(f"pyiseg: {in_one_line(for_command_line(' '.join(text.split())))}", file=sys.stderr)


class Interruption:
    """Ctrl-C as a `KeyboardInterrupt`, even where what it meets makes another error of it.

    Attributes:
        asked: Whether it was pressed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        # Elsewhere than in the main thread no signal arrives, and other programs keep their own handlers.
        with suppress(ValueError):
            if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, interrupts.leave):
                self._before = signal.signal(signal.SIGINT, self._note)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._hook
        self.end()

    def end(self) -> None:
        """Handle Ctrl-C as before; where the process is the command, nothing is left to interrupt: ignore it."""
        if self._before is interrupts.leave:
            interrupts.ignore()
        elif self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt

    def _unraisable(self, found: Any) -> None:
        """Raise once more what came while an object was being freed, where Python ignores it."""
        if self.asked and issubclass(found.exc_type, KeyboardInterrupt):
            # Not here: Python ignores what this raises, too. A `threading.Thread` would wait here until it runs.
            _thread.start_new_thread(_interrupt_soon, ())
        else:
            self._hook(found)


def _interrupt_soon() -> None:
    time.sleep(0.01)
    _thread.interrupt_main()
