"""Write what the formats return to files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pyiseg.files import atomic_write
from pyiseg.paths import local_path


def save(path: str | os.PathLike[str], content: bytes | str | Mapping[str, Any]) -> None:
    """Write what a function of `pyiseg.formats` returns to a file, whole: an error or crash leaves no half of it.

    Args:
        path: Where to; its folder must exist, an existing file is replaced.
        content: Bytes as they are, text as UTF-8, a dict as JSON.

    Raises:
        ValueError: It is no path, or the content is something else, or no content that JSON can hold.
        OSError: The file cannot be written.
    """
    data = encoded(content)
    with atomic_write(local_path(path)) as file:
        file.write(data)


def encoded(content: bytes | str | Mapping[str, Any]) -> bytes:
    """Return the bytes of a file with what a function of `pyiseg.formats` returns.

    Raises:
        ValueError: It is something else, or no content that JSON can hold.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, Mapping):
        raise ValueError(f"content is a {type(content).__name__}; pass bytes, text or a dict")
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except TypeError as error:
        raise ValueError(f"content is not what JSON can hold: {error}") from error
