"""gray_depth.py: images of 10, 12 and 14 bits, by what the file says; dark ones of unknown depth are refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pyiseg import images

BITS = [10, 12, 14]
Values = npt.NDArray[np.uint16]


def ramp(bits: int) -> Values:
    """All of a depth's range, in steps that are of no larger unit."""
    return np.linspace(0, (1 << bits) - 1, 300).round().astype(np.uint16).reshape(15, 20)


def wanted(values: Values, bits: int) -> npt.NDArray[np.uint8]:
    gray = np.floor(values / ((1 << bits) - 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def spread(values: Values, bits: int, how: str) -> Values:
    """Values of so many bits over 16, in the ways that encoders do it."""
    wide = values.astype(np.uint32)
    if how == "shifted":
        wide = wide << (16 - bits)
    elif how == "repeated":
        wide = wide << (16 - bits) | wide >> (2 * bits - 16)
    else:
        wide = np.rint(wide * (65535 / ((1 << bits) - 1))).astype(np.uint32)
    return wide.astype(np.uint16)


def png(path: Path, values: Values, significant: bytes | None) -> Path:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    plain = file.getvalue()
    at = plain.index(b"IDAT") - 4
    chunk = b""
    if significant is not None:
        named = b"sBIT" + significant
        chunk = struct.pack(">I", len(significant)) + named + struct.pack(">I", zlib.crc32(named))
    path.write_bytes(plain[:at] + chunk + plain[at:])
    return path


def packed_tiff(path: Path, values: Values) -> Path:
    """A TIFF file with 12 bits a pixel, two pixels in three bytes."""
    height, width = values.shape
    first, second = values[:, ::2].astype(np.uint32), values[:, 1::2].astype(np.uint32)
    data = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + table + bytes(4)
    )
    return path


@pytest.mark.parametrize("bits", BITS)
def test_depths_that_a_png_file_states(tmp_path: Path, bits: int) -> None:
    values = ramp(bits)
    path = png(tmp_path / "a.png", values, bytes([bits]))
    np.testing.assert_array_equal(images.load(path).rgb, wanted(values, bits))
    with Image.open(path) as opened:
        np.testing.assert_array_equal(images.load(opened).rgb, wanted(values, bits))


@pytest.mark.parametrize("how", ["shifted", "repeated", "multiplied"])
@pytest.mark.parametrize("share", [1.0, 0.2, 0.05])
@pytest.mark.parametrize("bits", BITS)
def test_values_that_a_png_encoder_spread_over_16_bits(tmp_path: Path, bits: int, share: float, how: str) -> None:
    # The PNG specification, 11.3.2.2: "the sample depth is scaled"; the chunk says what it was before. Also where all
    # of the image is dark.
    values = np.floor(ramp(bits) * share).astype(np.uint16)
    path = png(tmp_path / "a.png", spread(values, bits, how), bytes([bits]))
    found = images.load(path).rgb.astype(int)
    assert np.abs(found - wanted(values, bits)).max() <= 1  # a shift leaves the lowest bits empty


@pytest.mark.parametrize("tag", [281, 341])
@pytest.mark.parametrize("bits", BITS)
def test_depths_that_a_tiff_file_states(tmp_path: Path, bits: int, tag: int) -> None:
    values = ramp(bits)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={tag: (1 << bits) - 1})
    np.testing.assert_array_equal(images.load(tmp_path / "a.tif").rgb, wanted(values, bits))


def test_a_tiff_file_of_12_bits_a_pixel(tmp_path: Path) -> None:
    values = ramp(12)
    np.testing.assert_array_equal(images.load(packed_tiff(tmp_path / "a.tif", values)).rgb, wanted(values, 12))


def test_a_dark_image_of_a_stated_depth_stays_dark(tmp_path: Path) -> None:
    values = (ramp(12) // 20).astype(np.uint16)
    np.testing.assert_array_equal(images.load(packed_tiff(tmp_path / "a.tif", values)).rgb, wanted(values, 12))
    odd = values | 1  # so that they cannot have been shifted
    np.testing.assert_array_equal(images.load(png(tmp_path / "a.png", odd, b"\x0c")).rgb, wanted(odd, 12))
    np.testing.assert_array_equal(images.load(png(tmp_path / "a.png", odd, b"\x10")).rgb, wanted(odd, 16))
    Image.fromarray(values).save(tmp_path / "b.tif", tiffinfo={281: 65535})
    np.testing.assert_array_equal(images.load(tmp_path / "b.tif").rgb, wanted(values, 16))


@pytest.mark.parametrize("top", [255, 1023, 65535])
def test_pgm_files_state_their_depth(tmp_path: Path, top: int) -> None:
    values = np.linspace(0, top // 8, 300).round().astype(">u2" if top > 255 else np.uint8).reshape(15, 20)
    (tmp_path / "a.pgm").write_bytes(b"P5 20 15 %d\n" % top + values.tobytes())
    found = images.load(tmp_path / "a.pgm").rgb[..., 0]
    assert np.abs(found - values * (255 / top)).max() <= 0.51


def test_jpeg_2000_files_state_their_depth(tmp_path: Path) -> None:
    from PIL import features

    if not features.check("jpg_2000"):
        pytest.skip("this Pillow was built without JPEG 2000")
    values = ramp(13)
    Image.fromarray(values).save(tmp_path / "a.jp2", irreversible=False)
    np.testing.assert_array_equal(images.load(tmp_path / "a.jp2").rgb, wanted(values, 16))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    "make",
    [
        lambda values, folder: Image.fromarray(values),
        lambda values, folder: Image.fromarray(values.astype(np.int32)),
        lambda values, folder: png(folder / "a.png", values, None),
        lambda values, folder: png(folder / "a.png", values, b""),
        lambda values, folder: tiff(folder, values, {}),
        lambda values, folder: tiff(folder, values, {281: 1000}),  # the largest value, not that of a depth
        lambda values, folder: tiff(folder, values, {281: 511}),  # less than there is
    ],
    ids=["I;16", "I", "png", "png-empty", "tif", "tif-statistics", "tif-wrong"],
)
def test_dark_images_of_unknown_depth_are_refused_with_the_way_out(tmp_path: Path, make: Any, bits: int) -> None:
    values = ramp(bits)
    image = make(values, tmp_path)
    high = (1 << bits) - 1
    with pytest.raises(ValueError, match=rf"16-bit values 0\.\.{high}, all below 16384") as caught:
        images.load(image)
    words = str(caught.value)
    read = words.partition("with values = ")[2].partition(": pass ")[0]
    expression = words.partition(": pass ")[2].partition(", where ")[0]
    import PIL.Image

    stored = eval(read, {"numpy": np, "PIL": PIL, "image": image})
    found = eval(expression, {"numpy": np, "values": stored})
    assert np.abs(images.load(found).rgb.astype(int) - wanted(values, bits)).max() <= 1  # halves are rounded to even


def tiff(folder: Path, values: Values, tags: dict[int, int]) -> Path:
    Image.fromarray(values).save(folder / "a.tif", tiffinfo=tags)
    return folder / "a.tif"


def test_what_is_bright_enough_has_16_bits() -> None:
    values = np.array([[0, 16384]], np.uint16)
    assert images.load(Image.fromarray(values)).rgb[..., 0].tolist() == [[0, 64]]
    with pytest.raises(ValueError, match=r"0\.\.16383"):
        images.load(Image.fromarray(values - (values > 0)))


def test_black_is_black_in_any_depth() -> None:
    assert not images.load(Image.fromarray(np.zeros((4, 5), np.uint16))).rgb.any()


@pytest.mark.parametrize("order", ["I;16", "I;16B", "I;16L"])
def test_byte_orders(order: str) -> None:
    values = ramp(16)
    raw = values.astype(">u2" if order == "I;16B" else "<u2").tobytes()
    image = Image.frombytes(order, (20, 15), raw)
    np.testing.assert_array_equal(images.load(image).rgb, wanted(values, 16))


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_gray_where_0_is_white(tmp_path: Path, compression: str | None) -> None:
    values = ramp(16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0}, compression=compression)
    data = (tmp_path / "a.tif").read_bytes()
    with Image.open(tmp_path / "a.tif") as image:
        if image.tag_v2[262] != 0:  # Pillow writes its own: put 0 in the file
            entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
            assert data.count(entry) == 1
            (tmp_path / "a.tif").write_bytes(data.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    np.testing.assert_array_equal(images.load(tmp_path / "a.tif").rgb, wanted(65535 - values, 16))


def color_png(path: Path, values: npt.NDArray[np.uint16], significant: bytes | None = None) -> Path:
    """A PNG file of 16 bits a channel, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = np.pad(values.astype(">u2").reshape(height, -1).view(np.uint8), ((0, 0), (1, 0)))
    chunks = {b"IHDR": struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)}
    if significant is not None:
        chunks[b"sBIT"] = significant
    chunks |= {b"IDAT": zlib.compress(rows.tobytes()), b"IEND": b""}
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks.items()
        )
    )
    return path


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_dark_colors_of_16_bits_are_refused_too(tmp_path: Path, channels: int) -> None:
    values = np.dstack([ramp(12)] * channels)
    if channels != 3:
        values[..., -1] = 65535  # opaque
    path = color_png(tmp_path / "a.png", values)
    with pytest.raises(ValueError, match=r"a\.png' has 16-bit values 0\.\.4095, all below 16384.*cv2\.imread.*/ 4095"):
        images.load(path)
    wide = values * np.uint16(16)
    if channels != 3:
        wide[..., -1] = 65535
    assert images.load(color_png(path, wide)).rgb.max() == 255
    bits = bytes([16] * channels)
    assert images.load(color_png(path, values, bits)).rgb.max() == 15  # dark on purpose


def test_gray_of_a_stated_depth_is_not_taken_for_dark_color(tmp_path: Path) -> None:
    values = ramp(12) // 30 | 1
    assert images.load(png(tmp_path / "a.png", values, b"\x0c")).rgb.max() == 9
