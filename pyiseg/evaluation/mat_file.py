"""Read one matrix out of a MATLAB 5 file, and nothing else of it.

SciPy's reader takes a damaged file's word for sizes and types: a changed byte has made it end the whole program. This
one reads whole numbers at ``variable.field`` only, and every length is compared with what is there.

The format is that of "MAT-File Format" (MathWorks): after 128 bytes of header come elements, each a type, a length and
its content, padded to 8 bytes. A compressed element holds one other. A matrix is an element that holds its flags,
dimensions and name, and then its values; a struct holds the names of its fields and a matrix for each of them instead.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 64 << 20
"""Of a file, and of all that is unpacked from it; one of SBD has some 10 kB, and 300 kB unpacked."""
MOST_ELEMENTS = 10_000
"""That lie one after another; in a file of SBD these are a few."""

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_INT8, _INT32, _UINT32 = 1, 5, 6
_STRUCT = 2
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Of the values in a file."""
_CLASSES = {8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Of a matrix of whole numbers; its values may be stored in a smaller type."""
_OTHERS = {1: "a cell array", 2: "a struct", 4: "text", 5: "sparse", 6: "float64", 7: "float32"}
_COMPLEX = 0x08


class MatFileError(ValueError):
    """A file is no MATLAB 5 file, is damaged, or does not hold what is looked for."""


def read_matrix(path: Path, variable: str, field: str) -> NDArray[Any]:
    """Return a field of a variable that is a struct; of several structs, that of the first.

    Returns:
        Whole numbers of the type that MATLAB had them in, shape (rows, columns).

    Raises:
        OSError: The file cannot be read.
        MatFileError: See there.
    """
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise MatFileError(f"it has more than {MOST_BYTES} bytes")
    return matrix_in(content, variable, field)


def matrix_in(content: bytes, variable: str, field: str) -> NDArray[Any]:
    """Return a field of a variable in the content of a file; see `read_matrix`."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    version = struct.unpack(f"{order or '<'}H", content[124:126])[0] if len(content) >= _HEADER else 0
    if order is None or version != 0x0100:
        raise MatFileError("it is no MATLAB 5 file")
    names, left = [], MOST_BYTES
    for kind, part in _elements(memoryview(content)[_HEADER:], order):
        inside: Iterable[tuple[int, memoryview]] = ((kind, part),)
        if kind == _COMPRESSED:
            unpacked = _unpacked(part, left)
            left -= len(unpacked)
            inside = _elements(memoryview(unpacked), order)
        for inner, matrix in inside:
            if inner != _MATRIX:
                continue
            flags, _, name, rest = _head(matrix, order)
            if name == variable:
                return _numbers(_field(flags, rest, field, order), order)
            names.append(name)
    raise MatFileError(f"it has no variable {variable}, but {', '.join(map(repr, names[:5])) or 'none'}")


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements that lie one after another."""
    at = count = 0
    while at < len(content):
        count += 1
        if count > MOST_ELEMENTS:
            raise MatFileError(f"it has more than {MOST_ELEMENTS} elements one after another")
        if len(content) - at < 8:
            raise MatFileError("it is cut off")
        first, length = struct.unpack(f"{order}II", content[at : at + 8])
        if small := first >> 16:  # its content lies in the place of the length
            if small > 4:
                raise MatFileError(f"an element of {small} bytes lies in 4")
            yield first & 0xFFFF, content[at + 4 : at + 4 + small]
            at += 8
            continue
        end = at + 8 + length
        if end > len(content):
            raise MatFileError("it is cut off, or the length of an element is damaged")
        yield first, content[at + 8 : end]
        # What is compressed is not padded.
        at = end if first == _COMPRESSED else min(len(content), end + -end % 8)


def _unpacked(content: memoryview, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(content, max(most, 1))  # 0 would be no limit
    except zlib.error as error:
        raise MatFileError(f"its compressed part is damaged: {error}") from None
    if not unpacker.eof:
        raise MatFileError(f"its compressed part is cut off, or unpacks to more than {MOST_BYTES} bytes")
    return found


def _head(matrix: memoryview, order: str) -> tuple[bytes, list[int], str, Iterator[tuple[int, memoryview]]]:
    """Return the flags, dimensions and name of a matrix, and the elements after them."""
    parts = _elements(matrix, order)
    flags = _next(parts, _UINT32, "flags")
    dimensions = _next(parts, _INT32, "dimensions")
    if len(flags) != 8 or len(dimensions) % 4:
        raise MatFileError("the flags or dimensions of a matrix are damaged")
    # The word's lowest byte is the class, the one above it the flags.
    word = struct.unpack(f"{order}I", flags[:4])[0]
    sizes = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    name = bytes(_next(parts, _INT8, "name"))
    return bytes((word & 0xFF, word >> 8 & 0xFF)), list(sizes), name.decode("ascii", "replace"), parts


def _next(parts: Iterator[tuple[int, memoryview]], wanted: int, what: str) -> memoryview:
    kind, content = next(parts, (0, memoryview(b"")))
    if kind != wanted:
        raise MatFileError(f"a matrix has no {what}")
    return content


def _field(flags: bytes, rest: Iterator[tuple[int, memoryview]], field: str, order: str) -> memoryview:
    """Return the matrix under a name in a struct."""
    if flags[0] != _STRUCT:
        raise MatFileError("the variable is no struct")
    stated = _next(rest, _INT32, "length of the names of its fields")
    length = struct.unpack(f"{order}i", stated)[0] if len(stated) == 4 else 0
    names = bytes(_next(rest, _INT8, "names of its fields"))
    if not 0 < length <= len(names) or len(names) % length:
        raise MatFileError("the names of the fields are damaged")
    listed = [names[at : at + length].partition(b"\0")[0] for at in range(0, len(names), length)]
    for name in listed:
        content = _next(rest, _MATRIX, "matrix for each of its fields")
        if name == field.encode():
            return content
    raise MatFileError(f"the struct has no field {field}")


def _numbers(matrix: memoryview, order: str) -> NDArray[Any]:
    """Return a matrix of whole numbers."""
    flags, sizes, _, parts = _head(matrix, order)
    if flags[0] not in _CLASSES or flags[1] & _COMPLEX:
        kind_of = "complex numbers" if flags[1] & _COMPLEX else _OTHERS.get(flags[0], f"class {flags[0]}")
        raise MatFileError(f"the field is {kind_of}, not whole numbers")
    kind, content = next(parts, (0, memoryview(b"")))
    if kind not in _TYPES:
        raise MatFileError("the field has no values")
    stored = np.dtype(order + _TYPES[kind])
    if len(sizes) != 2 or min(sizes) < 1 or sizes[0] * sizes[1] * stored.itemsize != len(content):
        raise MatFileError(f"the field has dimensions {sizes} and {len(content)} bytes of values")
    values = np.frombuffer(content, dtype=stored)
    wanted = np.dtype(_CLASSES[flags[0]])
    with np.errstate(invalid="ignore"):
        found = values.astype(wanted)
    if not np.array_equal(found, values):
        raise MatFileError(f"the field's values are none of its type, {wanted}")
    return found.reshape(sizes, order="F")
