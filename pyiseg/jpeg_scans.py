"""How often a JPEG file goes over its image: each scan takes time for all pixels, and may have a hundred bytes."""

from __future__ import annotations

import re
from typing import BinaryIO

from pyiseg.files import left_where_it_is

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # the others are pixels, or lie among them
_NOTHING_BEHIND = b"\x01\xd8"
_SCAN, _END = 0xDA, 0xD9


def count_scans(file: BinaryIO, most: int) -> int:
    """Return how many scans a JPEG file has, up to its end.

    Args:
        file: It stays where it is.
        most: More than one more are not counted.
    """
    with left_where_it_is(file):
        file.seek(0)
        content = file.read()
    at, count = 2, 0
    while count <= most and (found := _MARKER.search(content, at)):
        marker, at = found[0][1], found.end()
        if marker == _END:
            break
        count += marker == _SCAN
        if marker not in _NOTHING_BEHIND:
            at += max(2, int.from_bytes(content[at : at + 2], "big"))
    return count
