"""Images that are larger than the caller wants, and files that are not what they are called."""

from __future__ import annotations

import ast
import io
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.toy_model import PHOTO

import pyiseg
from pyiseg import images, pil_images, tiff_tiles
from pyiseg.cli import main
from pyiseg.evaluation.masks import DamagedFileError, read_pixels
from pyiseg.jpeg_scans import count_scans

SIDE = 13266
"""176 megapixels, which Pillow opens, in a PNG file of 21 kB."""

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 80\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bomb") / "bomb.png"
    Image.new("1", (SIDE, SIDE)).save(path)
    assert path.stat().st_size < 30_000
    return path


@pytest.mark.parametrize("kind", ["path", "array", "pil"])
def test_the_limit_is_the_callers(kind: str, tmp_path: Path, toy: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    given: Any = {"path": tmp_path / "a.png", "array": PHOTO, "pil": Image.fromarray(PHOTO)}[kind]
    height, width = PHOTO.shape[:2]
    for make in (pyiseg.Image, pyiseg.Session):
        make(given, model=toy, max_pixels=height * width)
        with pytest.raises(ValueError, match=r"is too large: 80 x 60 are 4800 pixels, and the limit is 4799"):
            make(given, model=toy, max_pixels=height * width - 1)


def test_the_limit_of_an_encoded_image(toy: Path) -> None:
    image = pyiseg.Image(PHOTO, model=toy)
    pyiseg.Session(image, max_pixels=4800)
    with pytest.raises(ValueError, match="the limit is 4799"):
        pyiseg.Session(image, max_pixels=4799)


def test_the_limit_of_a_saved_session(tmp_path: Path, toy: Path) -> None:
    pyiseg.Session(PHOTO, model=toy).save(tmp_path / "a.session")
    pyiseg.Session.load(tmp_path / "a.session", PHOTO, model=toy, max_pixels=4800)
    with pytest.raises(ValueError, match="the limit is 100"):
        pyiseg.Session.load(tmp_path / "a.session", PHOTO, model=toy, max_pixels=100)


@pytest.mark.parametrize("value", [0, -1, True, 1e8, "many", float("nan")])
def test_limits_that_are_none(value: Any, toy: Path) -> None:
    for given in (PHOTO, pyiseg.Image(PHOTO, model=toy)):
        with pytest.raises(ValueError, match=rf"max_pixels is {re.escape(repr(value))}; pass a whole number"):
            pyiseg.Session(given, model=toy, max_pixels=value)


def test_a_bomb_is_refused_by_its_header(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("its pixels were decoded")

    monkeypatch.setattr(Image.Image, "load", refuse)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(ValueError, match=r"bomb\.png' is too large: 13266 x 13266 are 175986756 pixels.*max_pixels"):
        images.load(bomb, max_pixels=100_000_000)
    with pytest.raises(ValueError, match=r"bomb\.png' has shape \(13266, 13266\), and the image \(60, 80\); resize it"):
        images.load_mask(bomb, (60, 80))


def test_more_than_pillow_opens_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="the limit is 2000"):
        images.load(tmp_path / "a.png")
    np.testing.assert_array_equal(images.load(tmp_path / "a.png", max_pixels=4800).rgb, PHOTO)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    np.testing.assert_array_equal(images.load(tmp_path / "a.png").rgb, PHOTO)


@pytest.mark.skipif(os.name != "posix", reason="there is no module resource")
def test_a_large_image_is_not_held_several_times(bomb: Path) -> None:
    """176 megapixels took 1.9 GB: each was held in three forms at once."""
    code = (
        "import resource, sys, pyiseg.images; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "pyiseg.images.load(sys.argv[1]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    found = subprocess.run([sys.executable, "-c", code, str(bomb)], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(found.stdout) * unit < 6 * SIDE**2
    assert not found.stderr


def tiled_tiff(
    tile: int, *, order: str = "<", big: bool = False, types: tuple[int, ...] = (4,), more: int = 0
) -> bytes:
    """A TIFF file of 16 x 16 pixels in one tile, whose side is stated once for each of the types given.

    Of several the last ones say 16. Before them come as many more as are wanted.
    """
    pixels = zlib.compress(bytes(10_000_000), 9)
    numbers = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 325: len(pixels)}
    entries = [(tag, 4, value) for tag, value in numbers.items()] + [(tag, 4, 0) for tag in range(more)]
    entries += [(tag, kind, 16 if at else tile) for tag in (322, 323) for at, kind in enumerate(types)]
    size, base, words = (20, 16, "Q") if big else (12, 8, "I")
    count = len(entries) + 1
    start = base + (8 if big else 2) + count * size + (8 if big else 4)
    entries.append((324, 4, start + 8))
    begin = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    begin += struct.pack(f"{order}HHQ", 8, 0, base) if big else struct.pack(f"{order}I", base)
    begin += struct.pack(f"{order}{'Q' if big else 'H'}", count)
    for tag, kind, value in sorted(entries, key=lambda entry: entry[0]):
        packed = struct.pack(f"{order}{ {3: 'H', 4: 'I', 16: 'Q'}[kind] }", value).ljust(8 if big else 4, b"\0")
        if len(packed) > (8 if big else 4):
            packed = struct.pack(f"{order}I", start)
        begin += struct.pack(f"{order}HH{words}", tag, kind, 1) + packed
    return begin.ljust(start, b"\0") + struct.pack(f"{order}Q", tile) + pixels


TILED: list[dict[str, Any]] = [
    {},
    {"order": ">"},
    {"big": True},
    {"big": True, "types": (16,)},
    {"types": (3,)},
    {"types": (16,)},
    {"types": (4, 3)},
    {"more": 250},
]


@pytest.mark.parametrize("how", TILED, ids=str)
def test_tiles_far_larger_than_the_image(how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 kB took 2 GB: 16 x 16 pixels in a tile of 46336 x 46336, which libtiff decodes whole."""
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", lambda *_: pytest.fail("its pixels were decoded"))
    (tmp_path / "a.tif").write_bytes(tiled_tiff(46336, **how))
    with pytest.raises(
        ValueError, match=r"too large: it is stored in tiles of 46336 x 46336.* limit is 100000000; save"
    ):
        images.load(tmp_path / "a.tif", max_pixels=100_000_000)
    with pytest.raises(ValueError, match="tiles of 46336 x 46336"):
        images.load_mask(tmp_path / "a.tif", (16, 16))
    with pytest.raises(DamagedFileError, match="tiles of 46336 x 46336"):
        read_pixels(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image, pytest.raises(ValueError, match="tiles of 46336 x 46336"):
        images.load(image, max_pixels=100_000_000)


def test_tiles_somewhat_larger_than_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiled_tiff(512))
    assert images.load(tmp_path / "a.tif", max_pixels=256).rgb.shape == (16, 16, 3)
    assert images.load_mask(tmp_path / "a.tif", (16, 16)).shape == (16, 16)


@pytest.mark.parametrize("cut", range(9, 180, 7))
def test_tiles_of_a_file_that_is_cut_off(cut: int) -> None:
    for big in (False, True):
        file = io.BytesIO(tiled_tiff(46336, big=big)[:cut])
        assert max(tiff_tiles.largest_tile(file)) in (0, 46336)
        assert file.tell() == 0


def progressive(scans: int, **options: Any) -> bytes:
    """A progressive JPEG file, whose last scan comes again and again."""
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG", progressive=True, **options)
    content = buffer.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (scans - content.count(b"\xff\xda")) + content[-2:]


def test_scans_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """140 bytes more took 0.06 s more of an image with 100 megapixels."""
    (tmp_path / "a.jpg").write_bytes(progressive(100))
    assert images.load(tmp_path / "a.jpg").rgb.shape == PHOTO.shape
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", lambda *_: pytest.fail("its pixels were decoded"))
    (tmp_path / "a.jpg").write_bytes(progressive(101))
    with pytest.raises(ValueError, match=r"a.jpg' goes over its pixels in more than 100 scans.*; save it anew"):
        images.load(tmp_path / "a.jpg")
    with pytest.raises(DamagedFileError, match="more than 100 scans"):
        read_pixels(tmp_path / "a.jpg")


def test_scans_of_others_than_progressive_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan without pixels has 11 bytes, and took 0.002 s of an image with 16 megapixels."""
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG", subsampling=0)
    head = buffer.getvalue().split(b"\xff\xda")[0]
    tables = {1: 0, 2: 0x11, 3: 0x11}
    scan = b"".join(b"\xff\xda\0\x08\1" + bytes([which, tables[which], 0, 63, 0, 0]) for which in tables)
    (tmp_path / "a.jpg").write_bytes(head + 33 * scan + b"\xff\xd9")
    assert images.load(tmp_path / "a.jpg").rgb.shape == PHOTO.shape
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", lambda *_: pytest.fail("its pixels were decoded"))
    (tmp_path / "a.jpg").write_bytes(head + 34 * scan + b"\xff\xd9")
    with pytest.raises(ValueError, match=r"a.jpg' goes over its pixels in more than 100 scans"):
        images.load(tmp_path / "a.jpg")


def test_scans_are_those_of_the_image() -> None:
    """Not those of a preview in its notes, nor of what stands behind it, such as a film of the same moment."""
    notes = b"\xff\xda" * 5000
    content = progressive(0, exif=b"Exif\0\0" + notes, comment=notes) + progressive(30) + notes
    assert count_scans(io.BytesIO(content), 100) == 10
    assert count_scans(io.BytesIO(progressive(200)), 100) == 101
    for cut in range(len(content) - 30_000, 0, -997):
        assert count_scans(io.BytesIO(content[:cut]), 100) <= 10
    assert count_scans(io.BytesIO(b"\xff\xd8" + b"\xff" * 10_000_000), 100) == 0


@pytest.mark.parametrize("between", [b"", b"\xff\0", b"\xff\xd0", b"\xff\xd7", b"\xff\x01", b"\xff\xff", b"\xff\xd8"])
def test_scans_behind_what_has_no_length(between: bytes) -> None:
    """Pixels with marks to restart at, among others: none of them hides the scan that follows."""
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(3) + between
    content = b"\xff\xd8" + 7 * scan + b"\xff\xd9"
    assert count_scans(io.BytesIO(content), 100) == 7
    assert count_scans(io.BytesIO(content + b"\0\2" + 7 * scan), 100) == 7
    assert count_scans(io.BytesIO(b"\xff\xd8\xff\xfe\0\x20" + scan.ljust(30) + 7 * scan), 100) == 7  # a comment


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "I;16"])
def test_strips_are_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(PHOTO)
    image = Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    whole = images.to_rgb(image)
    monkeypatch.setattr(pil_images, "STRIP", 7 * 80)
    np.testing.assert_array_equal(images.to_rgb(image), whole)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    command = ["cut", str(tmp_path / "a.png"), "--click", "3,3", "--model", str(toy)]
    command += ["--alpha", str(tmp_path / "b.png"), "--max-megapixels"]
    assert main([*command, "0.0048"]) == 0
    assert main([*command, "0.004"]) == 2
    assert "the limit is 4000; shrink it, or raise the limit" in capsys.readouterr().err
    for wrong in ("0", "-3", "nan", "inf", "many"):
        with pytest.raises(SystemExit):
            main([*command[:-1], f"--max-megapixels={wrong}"])
        assert f"'{wrong}' is not a number of megapixels" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a script stands for Ghostscript")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".eps", ""])
def test_postscript_starts_no_program(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, started = tmp_path / "bin" / "gs", tmp_path / "started"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(POSTSCRIPT)
    for read in (images.load, images.to_rgb, images.load_mask):
        with pytest.raises(ValueError, match="not an image of a format that is read here"):
            read(path)
    with pytest.raises(DamagedFileError, match="not an image of a format that is read here"):
        read_pixels(path)
    assert not started.exists()


@pytest.mark.parametrize("kind", [*pil_images.FORMATS, "MPO"])
def test_the_formats_that_are_read(kind: str, tmp_path: Path) -> None:
    if kind == "AVIF":
        pytest.importorskip("PIL.AvifImagePlugin")
    Image.fromarray(PHOTO).save(tmp_path / "a.odd", format=kind)  # the name says nothing
    assert images.load(tmp_path / "a.odd").rgb.shape == PHOTO.shape
    assert read_pixels(tmp_path / "a.odd").shape[:2] == PHOTO.shape[:2]


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "PDF", "SGI", "XBM"])
def test_other_formats_are_for_the_caller_to_open(kind: str, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).convert("1" if kind == "XBM" else "RGB").save(tmp_path / "a.png", format=kind)
    with pytest.raises(ValueError, match=r"read here \(PNG, JPEG, .*pass it as an array or a PIL image"):
        images.load(tmp_path / "a.png")
    if kind != "PDF":
        with Image.open(tmp_path / "a.png") as image:
            assert images.load(image).rgb.ndim == 3


def test_images_are_opened_in_one_place() -> None:
    """Elsewhere the formats must be named: Pillow's own list holds some that start programs.

    That is so in examples and in the code of the documentation, too, which are there to be taken over.
    """
    programs = [
        (path, path.read_text(encoding="utf-8"))
        for folder in ("pyiseg", "export", "tools", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        code = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        programs += [(path, part) for part in code if "Image.open" in part]
    assert len({path.suffix for path, _ in programs}) == 2
    found = []
    for path, text in sorted(programs):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and "formats" not in [keyword.arg for keyword in node.keywords]:
                name = ast.unparse(node.func)
                opencv = (name == "cv2.imread" and path.suffix == ".md") or path.name == "opencv_loop.py"
                if name.endswith((".imread", "Image.open")) and not opencv:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert found == []
