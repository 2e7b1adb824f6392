"""Refuse what cannot be a path, or leads elsewhere than it should, by its name and with the way out."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path, PureWindowsPath
from typing import Any

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]+:/|data:[\w/+.-]*[;,])", re.IGNORECASE)  # not C:/, which is a drive
_SHOWN = 120


def local_path(path: str | os.PathLike[str], instead: str = "") -> Path:
    """Return a path that the file system can be asked about; whether something is there is not said by that.

    Args:
        path: Text, or an object that stands for a path.
        instead: What else could be passed, as in "or the image as an array"; ends the message for long texts.

    Raises:
        ValueError: It is empty, a URL, longer than the system allows, or holds a character that no path can have.
    """
    text = os.fsdecode(path)
    if not text:
        raise ValueError("the path is empty; pass the path of a file or folder")
    if "\0" in text:
        raise ValueError(
            f"{shown(text)} has a null character at position {text.index(chr(0))}, which no path can have; remove it"
        )
    try:
        os.lstat(text)
    except OSError as error:
        # A folder may be called as a URL begins, so one that exists is no URL.
        if _URL.match(text):
            raise ValueError(_not_a_url(text)) from None
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"{shown(text)} has {len(text)} characters, more than a path can have here; pass the path of a file "
                f"or folder{instead and f', {instead}'}"
            ) from None
    except ValueError as error:
        raise ValueError(f"{shown(text)} has a character that no path can have here: {error}") from None
    return Path(text)


# With the superscript digits, which Windows takes for digits there.
_WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
_WINDOWS_DEVICES |= {f"{kind}{digit}" for kind in ("COM", "LPT") for digit in "0123456789¹²³"}


def is_device(name: str) -> bool:
    """Whether Windows takes the name of a file, in whatever folder, for a device: ``CON``, ``con .txt``."""
    return name.partition(".")[0].rstrip(" ").upper() in _WINDOWS_DEVICES


def is_plain_name(name: Any) -> bool:
    """Whether a text names a file in a folder: never another folder, nor a device, on any system."""
    if not isinstance(name, str) or not name or not name.isprintable() or len(os.fsencode(name)) > 255:
        return False
    # Of a path of Windows both kinds of slash are taken away, and drives.
    return not (is_device(name) or ":" in name or name.endswith((".", " ")) or name != PureWindowsPath(name).name)


def plain_name(name: Any, what: str) -> str:
    """Return a name that was read from a file, and that a file will be looked for or written under.

    Args:
        name: Of one file or folder, without the folder that it lies in.
        what: Where the name stood, as in "'dataset'"; begins the message.

    Raises:
        ValueError: It is something else: no text, empty, a path such as "../a" or "/a", or the name of a device.
    """
    if not is_plain_name(name):
        value = shown(name) if isinstance(name, str) else f"a {type(name).__name__}"
        raise ValueError(f"{what} is {value}; it must be the plain name of a file, without drive or folders")
    return str(name)


def inner_path(name: Any, what: str) -> str:
    """Return a path that was read from a file and must stay within a folder, as in "real/49.png".

    Args:
        name: With "/" between its parts.
        what: Where it stood; begins the message.

    Raises:
        ValueError: It is absolute, or one of its parts is no plain name, such as "..".
    """
    if not isinstance(name, str) or not all(map(is_plain_name, name.split("/"))):
        value = shown(name) if isinstance(name, str) else f"a {type(name).__name__}"
        raise ValueError(f"{what} is {value}; it must be a path within the folder, such as 'images/1.png'")
    return name


def _not_a_url(text: str) -> str:
    scheme = text.partition(":")[0].lower()
    # pathlib makes one of two slashes.
    url = text if scheme == "data" or "://" in text else text.replace(":/", "://", 1)
    way_out = {
        "file": "leave out file://",
        "data": "decode what it holds: PIL.Image.open(io.BytesIO(base64.b64decode(text.partition(',')[2])))",
    }.get(scheme, "pass the path of a local file, as of a download")
    return f"{shown(url)} is a URL, and pyiseg reads and writes local files only; {way_out}"


def shown(text: str) -> str:
    """A text in quotation marks, as an error shows it: cut where it is long, with odd characters escaped."""
    return f"'{printable(text)}'"


def quoted(path: str | os.PathLike[str]) -> str:
    """A path in quotation marks, as `shown_path` shows it."""
    return f"'{shown_path(path)}'"


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path in one line, as it is but for odd characters, which are escaped; whole, since users copy it."""
    return in_one_line(os.fsdecode(path))


def in_one_line(text: str) -> str:
    """A text that may come from anywhere, whole, with characters escaped that a terminal would obey."""
    return printable(text, len(text))


def printable(text: str, most: int = _SHOWN) -> str:
    """A text in one line: cut where it is long, with characters escaped that a terminal would obey."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)
