"""mat_file.py: what SciPy writes is read, and nothing that a damaged file says ends the program."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyiseg.evaluation.masks import DamagedFileError, read_instances
from pyiseg.evaluation.mat_file import MatFileError, matrix_in, read_matrix

scipy_io = pytest.importorskip("scipy.io")
scipy_sparse = pytest.importorskip("scipy.sparse")

INDEX = np.zeros((9, 12), np.uint8)
INDEX[2:6, 3:8], INDEX[5:9, 7:12], INDEX[:, 0] = 1, 2, 255
CRASHES = 144, 5
"""A byte that makes SciPy's reader end the program (1.17, Linux): the class of the variable becomes a sparse matrix."""


def write(path: Path, segmentation: NDArray[Any] = INDEX, packed: bool = False) -> Path:
    """An instance file of SBD, as far as anything reads it."""
    borders = np.empty((2, 1), object)
    borders[:, 0] = [scipy_sparse.csc_matrix(value == INDEX) for value in (1, 2)]
    content = {"Boundaries": borders, "Segmentation": segmentation, "Categories": np.array([[3], [5]], np.uint8)}
    before = {"other": np.arange(3.0)}
    scipy_io.savemat(path, {**before, "GTinst": content}, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_whole_numbers_of_any_type(tmp_path: Path, kind: str, packed: bool) -> None:
    wide = INDEX.astype(kind)
    wide[0, :2] = np.iinfo(kind).min, np.iinfo(kind).max
    found = read_matrix(write(tmp_path / "a.mat", wide, packed), "GTinst", "Segmentation")
    assert found.dtype == np.dtype(kind)
    np.testing.assert_array_equal(found, wide)


def test_the_other_byte_order(tmp_path: Path) -> None:
    """Made by hand: SciPy writes that of the machine only."""

    def element(kind: int, content: bytes) -> bytes:
        return kind.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content + bytes(-len(content) % 8)

    def matrix(name: bytes, number: int, size: tuple[int, int], rest: bytes) -> bytes:
        sizes = b"".join(side.to_bytes(4, "big") for side in size)
        flags = number.to_bytes(4, "big") + bytes(4)
        return element(14, element(6, flags) + element(5, sizes) + element(1, name) + rest)

    values = b"".join(int(value).to_bytes(2, "big") for value in INDEX.ravel(order="F"))
    inner = matrix(b"", 11, (9, 12), element(4, values))
    names = element(5, (16).to_bytes(4, "big")) + element(1, b"Segmentation".ljust(16, b"\0"))
    path = tmp_path / "a.mat"
    path.write_bytes(bytes(124) + b"\x01\x00MI" + matrix(b"GTinst", 2, (1, 1), names + inner))
    np.testing.assert_array_equal(read_matrix(path, "GTinst", "Segmentation"), INDEX.astype(np.uint16))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (INDEX.astype(float), "float64, not whole numbers"),
        (INDEX.astype(np.float32), "float32"),
        (INDEX * 1j, "complex numbers"),
        (scipy_sparse.csc_matrix(INDEX.astype(float)), "sparse"),
        (np.array([["a"]]), "text"),
        (np.zeros((0, 3), np.uint8), "dimensions"),
        (np.zeros((2, 2, 2), np.uint8), "dimensions"),
    ],
)
def test_other_values(tmp_path: Path, values: Any, words: str) -> None:
    with pytest.raises(MatFileError, match=words):
        read_matrix(write(tmp_path / "a.mat", values), "GTinst", "Segmentation")


def test_what_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat")
    with pytest.raises(MatFileError, match=r"no variable GTcls, but 'other', 'GTinst'"):
        read_matrix(path, "GTcls", "Segmentation")
    with pytest.raises(MatFileError, match="no field Categorie"):
        read_matrix(path, "GTinst", "Categorie")
    with pytest.raises(MatFileError, match="no struct"):
        read_matrix(path, "other", "Segmentation")
    for content in (b"", b"not matlab" * 40, path.read_bytes()[:100]):
        path.write_bytes(content)
        with pytest.raises(MatFileError, match="no MATLAB 5 file"):
            read_matrix(path, "GTinst", "Segmentation")


def test_more_than_it_may_unpack_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mat", np.zeros((1000, 1000), np.uint8), packed=True)
    assert path.stat().st_size < 3000
    assert read_matrix(path, "GTinst", "Segmentation").shape == (1000, 1000)
    monkeypatch.setattr("pyiseg.evaluation.mat_file.MOST_BYTES", 900_000)
    with pytest.raises(MatFileError, match="unpacks to more than 900000 bytes"):
        read_matrix(path, "GTinst", "Segmentation")


def test_small_files_that_take_long(tmp_path: Path) -> None:
    """92 kB took 9 s, and thrice as many three times as long: 7.8 million elements without content in each part."""
    path = write(tmp_path / "a.mat")
    part = zlib.compress(struct.pack("<II", 1, 0) * (1 << 20), 9)
    many = path.read_bytes()[:128] + struct.pack("<II", 15, len(part)) + part
    with pytest.raises(MatFileError, match="more than 10000 elements one after another"):
        matrix_in(many, "GTinst", "Segmentation")


def test_parts_that_unpack_to_too_much_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mat")
    part = zlib.compress(struct.pack("<II", 1, 400_000) + bytes(400_000))
    content = path.read_bytes()[:128] + (struct.pack("<II", 15, len(part)) + part) * 3
    monkeypatch.setattr("pyiseg.evaluation.mat_file.MOST_BYTES", 900_000)
    with pytest.raises(MatFileError, match="unpacks to more than 900000 bytes"):
        matrix_in(content, "GTinst", "Segmentation")
    monkeypatch.setattr("pyiseg.evaluation.mat_file.MOST_BYTES", 400_008)  # of which nothing is left for the second
    with pytest.raises(MatFileError, match="unpacks to more than 400008 bytes"):
        matrix_in(content, "GTinst", "Segmentation")


def test_numbers_that_are_not_those_of_their_type(tmp_path: Path) -> None:
    """Complex whole numbers, and values that the type of the matrix does not have."""

    def flags(kind: int, more: int = 0) -> bytes:
        return struct.pack("<IIBBH", 6, 8, kind, more, 0)

    content = write(tmp_path / "a.mat").read_bytes()
    assert flags(9) in content
    with pytest.raises(MatFileError, match="complex numbers, not whole numbers"):
        matrix_in(content.replace(flags(9), flags(9, 8), 1), "GTinst", "Segmentation")
    content = write(tmp_path / "a.mat", INDEX.astype(np.uint16) + 100).read_bytes()
    with pytest.raises(MatFileError, match="values are none of its type, uint8"):
        matrix_in(content.replace(flags(11), flags(9), 1), "GTinst", "Segmentation")


def test_a_small_element_that_is_too_large(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mat").read_bytes()[:128] + struct.pack("<HHQ", 14, 5, 0)
    with pytest.raises(MatFileError, match="an element of 5 bytes lies in 4"):
        matrix_in(content, "GTinst", "Segmentation")


@pytest.mark.parametrize("packed", [False, True])
def test_changed_bytes_and_cut_files(tmp_path: Path, packed: bool) -> None:
    """Each byte, changed: it is refused by name, or a matrix comes out; nothing else happens."""
    path = write(tmp_path / "a.mat", packed=packed)
    whole, refused = path.read_bytes(), 0
    for at in range(124, len(whole)):
        for value in {0, 5, 0x13, 0x80, 255, whole[at] ^ 1, whole[at] ^ 8}:
            with suppress(MatFileError):
                matrix_in(whole[:at] + bytes([value]) + whole[at + 1 :], "GTinst", "Segmentation")
                continue
            refused += 1
        with pytest.raises(MatFileError):
            matrix_in(whole[:at], "GTinst", "Segmentation")
    path.write_bytes(whole[:300])
    with pytest.raises(DamagedFileError, match=rf"{path}.*cut off"):
        read_instances(path)
    assert refused > 500


def test_a_byte_that_ended_the_program(tmp_path: Path) -> None:
    at, value = CRASHES
    path = tmp_path / "a.mat"
    scipy_io.savemat(path, {"GTinst": {"Segmentation": INDEX, "Boundaries": np.array([[1.0]])}})
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
    code = (
        "import sys, pathlib; from pyiseg.evaluation.masks import read_instances; "
        "read_instances(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1  # an error that names the file; SciPy's reader was ended by signal 11
    assert "DamagedFileError" in done.stderr
    assert str(path) in done.stderr
