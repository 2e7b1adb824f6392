"""JPEG 2000 files of few bytes and pixels, which make OpenJPEG take gigabytes for their tiles."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from pyiseg import images, jpeg2000_tiles, pil_images


def jpeg_2000(side: int, *, boxes: tuple[bytes, ...] | None = None, components: int = 3) -> bytes:
    """A JPEG 2000 file of 255 x 257 pixels in tiles of a side, with boxes before its codestream or without any."""
    buffer = io.BytesIO()
    Image.new("RGB", (255, 257)).save(buffer, "JPEG2000", no_jp2=boxes is None)
    content = buffer.getvalue()
    at = content.index(b"\xff\x4f\xff\x51") + 4
    sizes = struct.pack(">HHIIIIIIIIH", 38 + 3 * components, 0, 255, 257, 0, 0, side, side, 0, 0, components)
    rest = content[at + 47 :]  # behind the sizes of three components
    stream = b"\xff\x4f\xff\x51" + sizes + b"\x07\1\1" * components + rest
    return stream if boxes is None else content[: at - 12] + b"".join(boxes) + struct.pack(">I4s", 0, b"jp2c") + stream


NAMES = ["without boxes", "boxes", "another box", "a long box", "a decoy"]
BOXES: list[tuple[bytes, ...] | None] = [
    None,
    (),
    (struct.pack(">I4s", 12, b"free") + bytes(4),),
    (struct.pack(">I4sQ", 1, b"free", 20) + bytes(4),),
    (struct.pack(">I4s", 60, b"uuid") + b"\xff\x4f\xff\x51" + bytes(48),),
]


@pytest.mark.parametrize("boxes", BOXES, ids=NAMES)
def test_tiles_without_number(boxes: tuple[bytes, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """180 bytes took 760 MB: 255 x 257 pixels in as many tiles, which OpenJPEG has 11 kB for."""
    path = tmp_path / "a.jp2"
    path.write_bytes(jpeg_2000(3, boxes=boxes))
    assert images.load(path).rgb.shape == (257, 255, 3)
    monkeypatch.setattr("PIL.Jpeg2KImagePlugin.Jpeg2KImageFile.load", lambda *_: pytest.fail("it was decoded"))
    path.write_bytes(jpeg_2000(2, boxes=boxes))
    with pytest.raises(ValueError, match=r"a.jp2' is stored in 16512 tiles, and the limit is 10000; save it in larger"):
        images.load(path)
    with pytest.raises(ValueError, match="16512 tiles"):
        images.load_mask(path, (257, 255))
    with Image.open(path) as image, pytest.raises(ValueError, match="image is stored in 16512 tiles"):
        images.load(image)


@pytest.mark.parametrize("components", [5, 16384])
@pytest.mark.parametrize("boxes", BOXES[2:], ids=NAMES[2:])
def test_components_without_number(
    boxes: tuple[bytes, ...], components: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """49 kB took 2.9 GB: as many tiles are few, but not with 16,384 components each."""
    monkeypatch.setattr("PIL.Jpeg2KImagePlugin.Jpeg2KImageFile.load", lambda *_: pytest.fail("it was decoded"))
    (tmp_path / "a.jp2").write_bytes(jpeg_2000(20, boxes=boxes, components=components))
    with pytest.raises(
        ValueError, match=rf"a.jp2' cannot be decoded.*: it has {components} components a pixel, where there"
    ):
        images.load(tmp_path / "a.jp2")


@pytest.mark.parametrize("damaged", ["sizes", "length", "begin", "boxes"])
def test_tiles_that_are_not_stated(damaged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenJPEG would look for the sizes behind what it does not know."""
    content = jpeg_2000(2, boxes=BOXES[2] if damaged != "boxes" else (struct.pack(">I4s", 8, b"free"),) * 1001)
    at = content.index(b"\xff\x4f\xff\x51")
    if damaged == "begin":
        content = content[: at + 2] + b"\xff\x30" + content[at + 2 :]
    elif damaged == "length":
        content = content[: at + 5] + b"\x30" + content[at + 6 :]
    elif damaged == "sizes":
        content = content[: at + 24] + bytes(4) + content[at + 28 :]
    monkeypatch.setattr("PIL.Jpeg2KImagePlugin.Jpeg2KImageFile.load", lambda *_: pytest.fail("it was decoded"))
    (tmp_path / "a.jp2").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.jp2' cannot be decoded.*: (its sizes|it has more than 1000 boxes)"):
        images.load(tmp_path / "a.jp2")


def test_tiles_of_a_jpeg_2000_file_that_is_cut_off() -> None:
    for boxes in BOXES:
        content = jpeg_2000(2, boxes=boxes)
        for cut in range(0, len(content), 5):
            file = io.BytesIO(content[:cut])
            file.seek(cut // 2)
            with contextlib.suppress(ValueError):
                assert jpeg2000_tiles.count_tiles(file) in ((0, 0), (16512, 3))
            assert file.tell() == cut // 2


@pytest.mark.parametrize("size", [1 << 32, 1 << 63, (1 << 64) - 1])
def test_boxes_that_open_jpeg_refuses(size: int) -> None:
    content = jpeg_2000(2, boxes=(struct.pack(">I4sQ", 1, b"free", size),))
    assert jpeg2000_tiles.count_tiles(io.BytesIO(content)) == (0, 0)
    with pytest.raises(ValueError, match="cannot be decoded"):
        pil_images.read(io.BytesIO(content), "a")
