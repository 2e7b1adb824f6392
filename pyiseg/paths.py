"""Refuse what cannot be a path, by its name and with the way out, before it is looked for."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

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
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "'" + "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut) + "'"
