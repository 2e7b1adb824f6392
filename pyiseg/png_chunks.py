"""What Pillow does not tell of PNG files, and files whose notes beside the pixels are damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pyiseg.files import left_where_it_is

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_WANTED = (b"iCCP", b"sBIT", b"eXIf")  # they decide how the pixels are to be seen
_LARGEST_PROFILE = 1 << 20  # Pillow reads none that is larger


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and length of the chunks of a PNG file, up to its end or to where it is cut off.

    Args:
        file: At each chunk it stands where the content begins, and it may be read and moved from there.
    """
    file.seek(0)
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        return
    start = len(_SIGNATURE)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        yield name, length
        start += 12 + length  # a checksum stands behind the content
        file.seek(start)


def header(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return the contents of IHDR and of sBIT, each empty where there is none. The file stays where it is."""
    found = {b"IHDR": b"", b"sBIT": b""}
    with left_where_it_is(file):
        for name, length in chunks(file):
            if name == b"IDAT":
                break
            if name in found:
                found[name] = file.read(min(length, 13))
    return found[b"IHDR"], found[b"sBIT"]


def without_notes(file: BinaryIO) -> tuple[BinaryIO, bool] | None:
    """Return a PNG file with fewer of the notes beside its pixels, for when Pillow cannot read it with all of them.

    Args:
        file: Whole, as far as it goes.

    Returns:
        A file in memory with the pixels and the sound ones of the notes that decide how they are to be seen, and
        whether it had a color profile that is not sound. None where the file is no PNG.
    """
    kept, lost_profile = [_SIGNATURE], False
    for name, length in chunks(file):
        if name not in _PIXELS and name not in _WANTED:
            continue
        content, checksum = file.read(length), file.read(4)
        if name in _PIXELS or _sound(name, content, checksum):
            kept.append(struct.pack(">I", length) + name + content + checksum)
        else:
            lost_profile |= name == b"iCCP"
    return (io.BytesIO(b"".join(kept)), lost_profile) if len(kept) > 1 else None


def _sound(name: bytes, content: bytes, checksum: bytes) -> bool:
    sound = zlib.crc32(name + content).to_bytes(4, "big") == checksum
    return sound and (name != b"iCCP" or _can_be_unpacked(content))


def _can_be_unpacked(content: bytes) -> bool:
    _, _, packed = content.partition(b"\0")
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(packed[1:], _LARGEST_PROFILE)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and not unpacker.unconsumed_tail
