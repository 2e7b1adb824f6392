"""How large the tiles of a TIFF file are: libtiff asks for the memory of a whole one, however small the image is."""

from __future__ import annotations

import struct
from typing import BinaryIO

from pyiseg.files import left_where_it_is

_TILE_WIDTH, _TILE_LENGTH = 322, 323
_BYTES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8, 17: 8}
"""Of a whole number, by its type in the file."""
_MOST_ENTRIES = 0xFFFF


def largest_tile(file: BinaryIO) -> tuple[int, int]:
    """Return height and width of the tiles that the first image of a TIFF file may have, each 0 where none is stated.

    Of a value that is stated several times the largest counts: Pillow takes the last one, libtiff the first.

    Args:
        file: It stays where it is.
    """
    with left_where_it_is(file):
        try:
            return _largest_tile(file)
        except struct.error:  # cut off
            return 0, 0


def _largest_tile(file: BinaryIO) -> tuple[int, int]:
    file.seek(0)
    begin = file.read(16)
    order = "<" if begin[:2] == b"II" else ">"
    big = 43 in struct.unpack("<H", begin[2:4]) + struct.unpack(">H", begin[2:4])
    file.seek(struct.unpack(f"{order}Q", begin[8:16])[0] if big else struct.unpack(f"{order}I", begin[4:8])[0])
    count = struct.unpack(f"{order}Q", file.read(8))[0] if big else struct.unpack(f"{order}H", file.read(2))[0]
    size, field = (20, 8) if big else (12, 4)
    entries = file.read(min(count, _MOST_ENTRIES) * size)
    found = {_TILE_WIDTH: 0, _TILE_LENGTH: 0}
    for at in range(0, len(entries) - size + 1, size):
        tag, kind = struct.unpack(f"{order}HH", entries[at : at + 4])
        if tag in found and kind in _BYTES:
            value = entries[at + size - field : at + size]
            if _BYTES[kind] > field:  # it lies elsewhere
                file.seek(struct.unpack(f"{order}I", value)[0])
                value = file.read(8)
            number = int.from_bytes(value[: _BYTES[kind]], "little" if order == "<" else "big")
            found[tag] = max(found[tag], number)
    return found[_TILE_LENGTH], found[_TILE_WIDTH]
