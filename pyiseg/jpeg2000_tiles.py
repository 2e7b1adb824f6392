"""How many tiles and components a JPEG 2000 file states: OpenJPEG takes kilobytes for each component of each tile."""

from __future__ import annotations

import struct
from typing import BinaryIO

from pyiseg.files import left_where_it_is

_BEGIN = b"\xff\x4f\xff\x51"
"""Of a codestream: the sizes come first."""
_MOST_BOXES = 1000
"""Before the codestream; files have some five."""


def count_tiles(file: BinaryIO) -> tuple[int, int]:
    """Return how many tiles and how many components a JPEG 2000 file has, 0 and 0 where there is no codestream.

    Args:
        file: It stays where it is.

    Raises:
        ValueError: It does not state them as the standard has it, ISO 15444-1, A.5.1 and annex I.
    """
    with left_where_it_is(file):
        try:
            return _count(file)
        except struct.error:  # cut off
            return 0, 0


def _count(file: BinaryIO) -> tuple[int, int]:
    file.seek(0)
    begin = file.read(4)
    if begin != _BEGIN:
        if not _to_codestream(file):
            return 0, 0
        begin = file.read(4)
    head = file.read(38)
    length, _, right, bottom, _, _, width, height, left, top, components = struct.unpack(">HHIIIIIIIIH", head)
    if begin != _BEGIN or length != 38 + 3 * components or not (width and height and left < right and top < bottom):
        raise ValueError("its sizes are damaged")
    return -((left - right) // width) * -((top - bottom) // height), components


def _to_codestream(file: BinaryIO) -> bool:
    """Go to where the codestream begins among the boxes of a file; False where there is none."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8))[0]
        if kind == b"jp2c":
            return True
        if not 8 <= size < 1 << 32:  # the last one, or one that OpenJPEG refuses
            return False
        at += size
    raise ValueError(f"it has more than {_MOST_BOXES} boxes before its pixels")
