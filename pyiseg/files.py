"""Write files that a crash does not harm, whole or line by line; read JSON that may come from anywhere."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pyiseg.places import cannot_write, temporary_of


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
    # Opened here rather than by tempfile, whose files only their owner can read.
    temporary = temporary_of(target)
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # where there can be none, "no such file" is not all that systems say
            temporary.unlink()


@contextmanager
def left_where_it_is(file: BinaryIO) -> Iterator[None]:
    """Put a file that the block reads back to where it was."""
    position = file.tell()
    try:
        yield
    finally:
        file.seek(position)


MOST_BYTES, MOST_DEPTH, LARGEST = 256 << 20, 64, 1 << 63
"""Of JSON that is read: bytes, lists and tables within one another, and what whole numbers stay below."""
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(content: bytes | str) -> Any:
    """Return the values of a JSON text that may be damaged, or made to do harm.

    Raises:
        ValueError: It is no JSON; or it holds what a program trips over: lists within lists without end, NaN or
            infinity (which JSON does not have), whole numbers of more than 63 bits, text that no file can hold.
    """
    try:
        values = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep") from None
    except ValueError as error:
        raise ValueError(json_fault(error)) from None
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    check_text = bool(_LONE_SURROGATE.search(text))
    level = [values]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is dict:
                below += value.values()
                if check_text:
                    below += value.keys()
            elif kind is list:
                below += value
            elif (kind is float and not math.isfinite(value)) or (kind is int and not -LARGEST < value < LARGEST):
                raise ValueError("it holds a number of more than 63 bits, or infinity")
            elif check_text and kind is str:
                _check_text(value)
        if not below:
            return values
        level = below
    raise ValueError(f"it is nested more than {MOST_DEPTH} deep")


def json_fault(error: ValueError) -> str:
    """Return what ``json.loads`` found wrong, in words for who has the file rather than for who wrote the program."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if not isinstance(error, json.JSONDecodeError) and "integer string conversion" in str(error):
        return "it holds a number of thousands of digits"
    return str(error)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character, a lone surrogate") from None


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """Read a file of JSON; see `parse_json`.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, or larger than that.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is no file")  # a pipe would be waited for
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return parse_json(content)


def as_json(value: Any) -> Any:
    """Return a value as it comes back from a file: tuples become lists, keys text, NaN and infinity None.

    Raises:
        TypeError, ValueError: JSON cannot hold it.
    """
    try:
        return json.loads(json.dumps(value), parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which JSON does not have")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; skip what is none.

    That is above all the half of a line that a kill left at its end.

    Raises:
        OSError: It cannot be read.
    """
    found = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            values = parse_json(line)
            # Objects only: the half of a number may well be a number.
            if isinstance(values, dict):
                found.append(values)
    return found


def append_json_line(path: Path, values: dict[str, Any]) -> None:
    """Append a JSON object to a file as a line.

    When this returns the line is with the operating system: a crash or kill of the program does not undo it.

    Args:
        path: Made where there is none. The half of a line that a kill left at its end is not continued.
        values: As JSON can hold it; NaN and infinity become null.

    Raises:
        OSError: It cannot be written; the message names ``path``.
        TypeError, ValueError: JSON cannot hold it, or `read_json_lines` would not read it.
    """
    line = f"{json.dumps(as_json(values))}\n".encode()
    parse_json(line)
    try:
        with open(path, "ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
    except OSError as error:
        raise cannot_write(path, error) from error
