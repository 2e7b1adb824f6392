"""Write files that a crash does not harm: whole, or line by line."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write to that takes its name only when the block ends well; otherwise no trace of it stays.

    Args:
        path: Its folder must exist; an existing file is replaced.

    Raises:
        OSError: It cannot be written; the message names ``path``.
    """
    # Through a link, and with the permissions of what is replaced: only the content is to change.
    target = Path(os.path.realpath(path))
    # Opened here rather than by tempfile, whose files only their owner can read. The token keeps two writers apart.
    # Cut, since a name may have 255 bytes in most file systems, and the target's may have that many.
    name = os.fsencode(target.name)[:230].decode("utf-8", "ignore")
    temporary = target.with_name(f".{name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            yield file
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, f"cannot write: {os.strerror(error.errno)}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; skip what is none.

    That is above all the half of a line that a kill left at its end.

    Raises:
        OSError: It cannot be read.
    """
    found = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            values = json.loads(line)
            # Objects only: the half of a number may well be a number.
            if isinstance(values, dict):
                found.append(values)
    return found


def append_json_line(path: Path, values: dict[str, Any]) -> None:
    """Append a JSON object to a file as a line.

    When this returns the line is with the operating system: a crash or kill of the program does not undo it.

    Args:
        path: Made where there is none. The half of a line that a kill left at its end is not continued.
        values: As JSON can hold it.

    Raises:
        OSError: It cannot be written.
        TypeError, ValueError: JSON cannot hold it.
    """
    line = f"{json.dumps(values)}\n".encode()
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)
