"""images.py: what comes through the door, and what is turned away with which words."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pyiseg import images

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
ALPHA = RGB[..., 1]
GRAY_RGB = np.repeat(GRAY[..., None], 3, axis=2)


def door(image: Any) -> npt.NDArray[np.uint8]:
    """`to_rgb`, with what it promises of every answer."""
    rgb = images.to_rgb(image)
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.flags.c_contiguous
    assert rgb.flags.writeable
    return rgb


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GRAY, GRAY_RGB),
        (GRAY[..., None], GRAY_RGB),
        (RGB, RGB),
        (np.dstack([RGB, ALPHA]), RGB),
        (RGB[::-1, ::-2], RGB[::-1, ::-2]),
        (np.asfortranarray(RGB), RGB),
        (RGB[:1, :1], RGB[:1, :1]),
        (np.ma.masked_array(RGB), RGB),
    ],
    ids=["gray", "gray1", "rgb", "rgba", "strided", "fortran", "1x1", "masked"],
)
def test_arrays(array: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> None:
    rgb = door(array)
    np.testing.assert_array_equal(rgb, expected)
    assert type(rgb) is np.ndarray
    assert not np.shares_memory(rgb, array)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (RGB / 255, ["float64", "* 255"]),
        (np.full((4, 4), np.nan), ["float64", "NaN"]),
        (RGB.astype(np.float16), ["float16"]),
        (RGB.astype(complex), ["complex128", "uint8"]),
        (RGB > 3, ["bool", "* 255"]),
        (RGB.astype(np.uint16), ["uint16", "its values are 0..", "image.astype(numpy.uint8)", "257"]),
        (RGB.astype(np.int64), ["int64", "astype"]),
        (RGB.astype(object), ["object"]),
        (np.array("cat.jpg"), ["<U7", "path"]),
        (np.zeros((0, 4, 3), np.uint8), ["(0, 4, 3)", "no pixels"]),
        (np.zeros((4, 0), np.uint8), ["(4, 0)", "no pixels"]),
        (np.zeros((4, 4, 0), np.uint8), ["(4, 4, 0)"]),
        (np.zeros((4, 4, 5), np.uint8), ["(4, 4, 5)"]),
        (np.dstack([GRAY, ALPHA]), ["(6, 9, 2)", "image[..., [0, 0, 0, 1]]", "image[..., 0]"]),
        (np.zeros((2, 4, 5), np.uint8), ["(2, 4, 5)"]),
        (np.zeros((3, 40, 50), np.uint8), ["(3, 40, 50)", "moveaxis"]),
        (np.zeros((1, 4, 4, 3), np.uint8), ["(1, 4, 4, 3)", "image[0]"]),
        (np.zeros(12, np.uint8), ["(12,)"]),
        (np.uint8(3), ["uint8", "numpy.asarray"]),
        (RGB.tolist(), ["list", "numpy.asarray"]),
        (None, ["NoneType", "path"]),
        (b"cat.jpg", ["bytes", "path"]),
        (io.BytesIO(), ["BytesIO", "PIL image"]),
    ],
    ids=lambda value: None if isinstance(value, list) else f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_bad_values_are_named_with_the_way_out(bad: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^image ") as caught:
        images.to_rgb(bad)
    for word in words:
        assert word in str(caught.value)


WIDE = np.linspace(0, 65535, 54).reshape(6, 9)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", ">i8", "<u8", "<f4", ">f8"])
@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
def test_the_way_out_for_other_types_is_right(kind: str, top: int) -> None:
    array = np.rint(WIDE * top / 65535).astype(kind)
    with pytest.raises(ValueError, match=f"dtype {np.dtype(kind)}; its values are 0") as caught:
        images.to_rgb(array)
    expression = re.findall(r"pass uint8: (image\.[^ ,]*|\(image / \d+ \* 255\)\.round\(\)\.[^ ,]*)", str(caught.value))
    found = eval(expression[0], {"image": array, "numpy": np})
    assert np.abs(door(found)[..., 0] - array * (255 / top)).max() <= 0.5


@pytest.mark.parametrize("values", [[-5, 250], [0, 70000], [-300000, -70000], [70000, 70000], [-1.5, 3.0]])
def test_the_way_out_of_values_that_no_depth_has(values: list[float]) -> None:
    array = np.array([values])
    with pytest.raises(ValueError, match="pass uint8") as caught:
        images.to_rgb(array)
    found = eval(str(caught.value).partition("pass uint8: ")[2], {"image": array, "numpy": np})
    assert door(found)[0, :, 0].tolist() == ([0, 255] if values[0] < values[1] else [0, 0])


def palette() -> Image.Image:
    image = Image.fromarray(RGB).quantize(16)
    image.info["transparency"] = bytes(range(16))  # the kind that Pillow warns about
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(np.dstack([RGB, ALPHA])), RGB),
        (Image.fromarray(GRAY), GRAY_RGB),
        (Image.fromarray(np.dstack([GRAY, ALPHA])), GRAY_RGB),
        (Image.fromarray(GRAY > 99), np.where(GRAY_RGB > 99, 255, 0)),
        (palette(), np.asarray(Image.fromarray(RGB).quantize(16).convert("RGB"))),
        (Image.fromarray(255 - RGB).convert("CMYK"), 255 - RGB),
        (Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY_RGB),
        (Image.fromarray(GRAY.astype(np.int32) * 257), GRAY_RGB),
        (
            Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)),
            np.array([[[0] * 3, [0] * 3, [1] * 3, [255] * 3]]),
        ),
    ],
    ids=["RGB", "RGBA", "L", "LA", "1", "P", "CMYK", "I;16", "I", "I;16-rounding"],
)
def test_pil_images(image: Image.Image, expected: npt.NDArray[np.uint8]) -> None:
    before = image.mode, image.size, image.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(door(image), expected)
    assert (image.mode, image.size, image.tobytes()) == before


def test_ycbcr_and_hsv_come_close_to_their_rgb() -> None:
    smooth = np.full((8, 8, 3), (200, 60, 90), dtype=np.uint8)
    for mode in ("YCbCr", "HSV"):
        found = door(Image.fromarray(smooth).convert(mode)).astype(int)
        assert np.abs(found - smooth).max() <= 3, mode


def test_pil_images_without_a_meaning_in_8_bits() -> None:
    with pytest.raises(ValueError, match="mode F"):
        images.to_rgb(Image.fromarray(np.full((3, 3), np.nan, dtype=np.float32)))
    with pytest.raises(ValueError, match=r"-1\.\.70000 .*outside 0\.\.65535"):
        images.to_rgb(Image.fromarray(np.array([[-1, 70000]], dtype=np.int32)))
    with pytest.raises(ValueError, match="no pixels"):
        images.to_rgb(Image.new("RGB", (0, 5)))
    with pytest.raises(ValueError, match="mode La"):
        images.to_rgb(Image.new("La", (5, 5)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = Image.fromarray(RGB)
    # The transposition that undoes each orientation, as the EXIF standard (CIPA DC-008) draws them.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    redo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    assert set(undo) == set(redo)
    stored = upright.transpose(Image.Transpose(redo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    stored.save(path, exif=exif)
    np.testing.assert_array_equal(door(path), RGB)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(door(opened), RGB)
        np.testing.assert_array_equal(door(opened), RGB)  # loaded by now


def exif_with(*, orientation: int, tag: int, kind: int, value: bytes) -> bytes:
    """EXIF of an orientation and one more tag, whose value stands behind the tags."""
    tags = [struct.pack("<HHIHxx", 0x0112, 3, 1, orientation), struct.pack("<HHII", tag, kind, 1, 8 + 2 + 24 + 4)]
    start = struct.pack("<IH", 8, 2)
    return b"Exif\0\0II*\0" + start + b"".join(sorted(tags)) + bytes(4) + value


NOTES = {
    "resolution of -1/2": (282, 10, struct.pack("<ii", -1, 2)),
    "resolution of 1/0": (282, 5, struct.pack("<II", 1, 0)),
    "exposure bias of -1/2": (0x9204, 10, struct.pack("<ii", -1, 2)),
    "unknown kind": (282, 99, bytes(8)),
    "tags that are beyond the file": (0x8769, 4, b""),
}


@pytest.mark.parametrize("note", NOTES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_values_beside_the_orientation_stop_no_image(tmp_path: Path, suffix: str, note: str) -> None:
    tag, kind, value = NOTES[note]
    path = tmp_path / f"turned{suffix}"
    colors = np.zeros((40, 60, 3), np.uint8)
    colors[:, :30] = 255, 0, 0  # the left half, which is the upper one when it is turned
    exif = exif_with(orientation=6, tag=tag, kind=kind, value=value)
    Image.fromarray(colors).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of what is damaged
        found = door(path).astype(int)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(door(opened), found)
    assert found.shape == (60, 40, 3)
    assert np.abs(found[[10, 50], [20, 20]] - [[255, 0, 0], [0, 0, 0]]).max() < 4


def test_exif_that_is_none_stops_no_image(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(RGB).save(path, exif=b"Exif\0\0garbage")
        assert door(path).shape == RGB.shape


def png_with(*notes: tuple[bytes, bytes, int], behind: bool = False) -> bytes:
    """A PNG file of `RGB` with further chunks: name, content, and what is added to the right checksum."""
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    plain = file.getvalue()
    at = plain.index(b"IEND" if behind else b"IDAT") - 4
    made = b"".join(
        struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content) ^ wrong)
        for name, content, wrong in notes
    )
    return plain[:at] + made + plain[at:]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "note",
    [
        (b"tEXt", b"a\0text", 1),
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 21)), 0),
        (b"pHYs", b"1", 0),
        (b"eXIf", b"garbage", 0),
        (b"sBIT", b"", 0),
    ],
    ids=["checksum", "long text", "resolution", "exif", "significant bits"],
)
def test_damaged_notes_stop_no_png(tmp_path: Path, note: tuple[bytes, bytes, int], behind: bool) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(note, behind=behind))
    np.testing.assert_array_equal(door(path), RGB)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"IDAT") + 60])
    with pytest.raises(ValueError, match=r"a\.png' (cannot be decoded|is not an image)"):
        images.to_rgb(path)


def test_a_damaged_note_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    turned = exif_with(orientation=6, tag=282, kind=10, value=struct.pack("<ii", -1, 2))[6:]
    path.write_bytes(png_with((b"eXIf", turned, 0), (b"pHYs", b"1", 0)))
    np.testing.assert_array_equal(door(path), np.rot90(RGB, -1))


@pytest.mark.parametrize("kind", [str, Path, lambda path: os.fspath(path)], ids=["str", "Path", "fspath"])
def test_paths(tmp_path: Path, kind: Any) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    np.testing.assert_array_equal(door(kind(tmp_path / "a.png")), RGB)


def test_16_bit_files(tmp_path: Path) -> None:
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(tmp_path / "a.png")
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(door(tmp_path / "a.png"), GRAY_RGB)
    np.testing.assert_array_equal(door(tmp_path / "a.tif"), GRAY_RGB)


def test_cmyk_files(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (250, 40, 90), dtype=np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(door(tmp_path / "a.jpg").astype(int) - flat).max() <= 4


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert door(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_paths_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png.*check the path"):
        images.to_rgb(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="is a folder"):
        images.to_rgb(tmp_path)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.png' is not an image"):
        images.to_rgb(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png' is not an image"):
        images.to_rgb(str(tmp_path / "empty.png"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".gif", ".bmp"])
def test_damaged_files(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"cut{suffix}"):
        images.to_rgb(path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"a\.png' is too large"):
        images.to_rgb(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png_with((b"pHYs", b"1", 0)))
    with pytest.raises(ValueError, match=r"b\.png' is too large"):
        images.to_rgb(tmp_path / "b.png")


@pytest.mark.parametrize("suffix", [*images.LOSSLESS, ".PNG"])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_writing_keeps_every_value(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = np.dstack([RGB, ALPHA])[..., :channels] if channels else GRAY
    pixels = np.ascontiguousarray(pixels)
    if channels == 4:
        pixels[0, :, 3] = 0  # colors are kept even where nothing of them is seen
    path = tmp_path / f"a{suffix}"
    images.write(path, pixels)
    with Image.open(path) as image:
        found = np.asarray(image if channels else image.convert("L"))
    np.testing.assert_array_equal(found, pixels)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")

    def fail(self: Image.Image, file: io.BufferedWriter, **options: Any) -> None:
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        images.write(path, RGB)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg.*must end in \.png"):
        images.write(tmp_path / "a.jpg", RGB)
    with pytest.raises(ValueError, match="must end in"):
        images.write(tmp_path / "a", RGB)
    with pytest.raises(FileNotFoundError, match=r"'.*none' does not exist"):
        images.write(tmp_path / "none" / "a.png", RGB)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        images.write(tmp_path / "b.png", RGB)
