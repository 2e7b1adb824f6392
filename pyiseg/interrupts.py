"""Ctrl-C while the command ``pyiseg`` is still being imported, or has done its work: no traceback, exit code 130.

Imported first of all by ``pyiseg``, so it imports nothing itself that Python has not loaded when it starts. A program
that imports pyiseg keeps its own handling of signals.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal, without the enumerations that take long to make
import os
import sys

CODE = 130
"""Exit code after Ctrl-C, as shells have it."""


def is_command() -> bool:
    """Whether this process is ``pyiseg`` or ``python -m pyiseg``, and handles the signal as Python does."""
    if not sys.argv or _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        return False
    name = os.path.basename(sys.argv[0])
    if name == "-m":  # while packages are imported for it
        given = sys.orig_argv
        return "-m" in given and given[given.index("-m") + 1 :][:1] == ["pyiseg"]
    return name in ("pyiseg", "pyiseg.exe", "pyiseg-script.py")


def leave(number: int, frame: object) -> None:
    """End the process at once: nothing is open that a file could be half written to."""
    try:
        os.write(2, b"pyiseg: interrupted\n")
    finally:
        os._exit(CODE)


def ignore() -> None:
    """Ignore Ctrl-C from now on, as a command does whose work is done: what is left is Python's own end.

    While Python ends, it gives signals back to the system, which would end the process by this one.
    """
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)


def end_as_told() -> None:
    """Let the process end with the exit code that it is given, though Ctrl-C was pressed.

    CPython notes when Ctrl-C meets text that runs by ``exec`` or ``eval``, as while a dataclass or a named tuple is
    made, and a process begun by ``python -m`` then ends by the signal, whatever became of the exception. The next text
    that runs takes the note away.
    """
    eval("None")


def leave_at_once() -> None:
    """Handle Ctrl-C by `leave` from now on; not in other threads than the main one, where no handler can be set."""
    try:  # noqa: SIM105  # contextlib is not loaded yet
        _signal.signal(_signal.SIGINT, leave)
    except ValueError:
        pass
