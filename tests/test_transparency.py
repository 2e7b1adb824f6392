"""Transparent images: the network sees them over white, and cut-outs keep what they have of alpha."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from support.toy_model import PHOTO

import pyiseg
from pyiseg import images

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
ALPHA[0, :3] = 0, 255, 128
GRAY_RGB = np.repeat(RGB[..., :1], 3, axis=2)


def over_white(rgb: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    opacity = alpha[..., None] / 255
    return np.rint(rgb * opacity + 255 * (1 - opacity)).astype(np.uint8)


def keyed(image: Image.Image, key: Any) -> Image.Image:
    image.info["transparency"] = key
    return image


def palette(alphas: bytes | int) -> Image.Image:
    return keyed(Image.fromarray(RGB).quantize(16), alphas)


def of_palette(alphas: list[int]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    image = Image.fromarray(RGB).quantize(16)
    table = np.array(alphas + [255] * (256 - len(alphas)), np.uint8)
    return np.asarray(image.convert("RGB")), table[np.asarray(image)]


def where_not(values: Any, key: Any) -> npt.NDArray[np.uint8]:
    return np.where((np.atleast_3d(values) == key).all(axis=2), 0, 255).astype(np.uint8)


BITS = RGB[..., 0] > 127
GRAY = RGB[..., 0]
WIDE = GRAY.astype(np.uint16) * 257
CASES: dict[str, tuple[Any, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = {
    "array": (np.dstack([RGB, ALPHA]), RGB, ALPHA),
    "RGBA": (Image.fromarray(np.dstack([RGB, ALPHA])), RGB, ALPHA),
    "LA": (Image.fromarray(np.dstack([RGB[..., 0], ALPHA])), GRAY_RGB, ALPHA),
    "P": (palette(bytes(range(16))), *of_palette(list(range(16)))),
    "P, one color": (palette(3), *of_palette([255, 255, 255, 0])),
    "PA": (palette(bytes(range(16))).convert("PA"), *of_palette(list(range(16)))),
    "RGB, one color": (keyed(Image.fromarray(RGB), tuple(map(int, RGB[2, 3]))), RGB, where_not(RGB, RGB[2, 3])),
    "L, one value": (
        keyed(Image.fromarray(RGB[..., 0]), int(RGB[2, 3, 0])),
        GRAY_RGB,
        where_not(GRAY_RGB, RGB[2, 3, 0]),
    ),
    "1, black": (keyed(Image.fromarray(BITS), 0), np.dstack([BITS * np.uint8(255)] * 3), BITS * np.uint8(255)),
    "I;16, one value": (keyed(Image.fromarray(WIDE), int(WIDE[2, 3])), GRAY_RGB, where_not(WIDE, WIDE[2, 3])),
}


@pytest.mark.parametrize("case", CASES)
def test_all_kinds_of_transparency(case: str) -> None:
    image, rgb, alpha = CASES[case]
    found = images.load(image)
    assert found.rgba is not None
    np.testing.assert_array_equal(found.rgba, np.dstack([rgb, alpha]))
    np.testing.assert_array_equal(found.rgb, over_white(rgb, alpha))
    assert (found.rgb[alpha == 0] == 255).all()
    assert found.rgb.flags.c_contiguous
    np.testing.assert_array_equal(images.to_rgb(image), rgb)  # the colors as they are stored


@pytest.mark.parametrize(
    "case", ["RGBA", "LA", "P", "P, one color", "RGB, one color", "L, one value", "I;16, one value"]
)
def test_png_files(tmp_path: Path, case: str) -> None:
    image, rgb, alpha = CASES[case]
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        if case == "I;16, one value" and "transparency" not in opened.info:
            pytest.skip("this Pillow does not write it")
        for given in (tmp_path / "a.png", opened):
            np.testing.assert_array_equal(images.load(given).rgba, np.dstack([rgb, alpha]))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("color", [0, 2], ids=["gray", "RGB"])
def test_the_transparent_color_of_png_files(tmp_path: Path, depth: int, color: int) -> None:
    if color and depth < 8:
        pytest.skip("PNG has no color of so few bits")
    top = (1 << depth) - 1
    values = [0, top // 3, top, top] if depth > 1 else [0, 1, 1, 1]
    channels = 3 if color else 1
    bits = "".join(format(value, f"0{depth}b") * channels for value in values)
    row = bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))
    for key in set(values):
        chunks = {
            b"IHDR": struct.pack(">IIBBBBB", 4, 1, depth, color, 0, 0, 0),
            b"tRNS": struct.pack(">H", key) * channels,
            b"IDAT": zlib.compress(b"\0" + row),
            b"IEND": b"",
        }
        made = (
            struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks.items()
        )
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(made))
        found = images.load(tmp_path / "a.png")
        assert found.rgba is not None
        assert found.rgba[0, :, 3].tolist() == [0 if value == key else 255 for value in values]


def test_premultiplied_colors() -> None:
    image = Image.fromarray(np.dstack([RGB, ALPHA])).convert("RGBa")
    found = images.load(image)
    assert found.rgba is not None
    np.testing.assert_array_equal(found.rgba[..., 3], ALPHA)
    assert np.abs(found.rgb.astype(int) - over_white(RGB, ALPHA)).max() <= 1


@pytest.mark.parametrize(
    "opaque",
    [
        RGB,
        np.dstack([RGB, np.full((6, 9), 255, np.uint8)]),
        Image.fromarray(np.dstack([RGB, np.full((6, 9), 255, np.uint8)])),
        keyed(Image.fromarray(RGB), (1, 2, 3)),
        keyed(Image.fromarray(RGB), bytes(16)),
        keyed(Image.fromarray(RGB), None),
    ],
    ids=["rgb", "array", "PIL", "a color that does not occur", "of a palette", "none"],
)
def test_opaque_images_have_no_rgba(opaque: Any) -> None:
    found = images.load(opaque)
    assert found.rgba is None
    np.testing.assert_array_equal(found.rgb, RGB)


def test_all_alphas_are_rounded_to_the_nearest() -> None:
    color, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    found = images.load(np.dstack([color, color, color, alpha])).rgb[..., 0]
    exact = (color.astype(int) * alpha + 255 * (255 - alpha.astype(int))) / 255
    np.testing.assert_array_equal(found, np.rint(exact))
    of_cutout = images.cut_out(found, np.dstack([color, color, color, alpha]), color)
    np.testing.assert_array_equal(of_cutout[..., 3], np.rint(alpha.astype(int) * color / 255))


# Sessions


@pytest.fixture
def transparent() -> npt.NDArray[np.uint8]:
    """The photo with a transparent right half, a half-transparent column, and hidden colors that are no white."""
    alpha = np.full(PHOTO.shape[:2], 255, np.uint8)
    alpha[:, 40:] = 0
    alpha[:, 39] = 100
    return np.dstack([PHOTO, alpha])


@pytest.mark.parametrize("make", [lambda rgba: rgba, Image.fromarray], ids=["array", "PIL"])
def test_hidden_colors_change_nothing(toy: Path, transparent: Any, make: Callable[[Any], Any]) -> None:
    other = transparent.copy()
    other[:, 40:, :3] = 77
    white = over_white(transparent[..., :3], transparent[..., 3])
    sessions = [pyiseg.Session(given, model=toy) for given in (make(transparent), make(other), white)]
    for session in sessions:
        np.testing.assert_array_equal(session.image, white)
    alphas = [session.click(20, 30) for session in sessions]
    np.testing.assert_array_equal(alphas[0], alphas[1])
    np.testing.assert_array_equal(alphas[0], alphas[2])


def test_cutouts_keep_transparency_and_colors(toy: Path, transparent: Any) -> None:
    image = pyiseg.Image(transparent, model=toy)
    np.testing.assert_array_equal(image.rgba, transparent)
    assert image.rgba is not None
    assert not image.rgba.flags.writeable
    assert not np.shares_memory(image.rgba, transparent)
    for session in (pyiseg.Session(image), pyiseg.Session(transparent, model=toy)):
        alpha = session.click(60, 30)
        assert alpha[:, 40:].any(), "something transparent is selected"
        cutout = session.cutout()
        np.testing.assert_array_equal(cutout[..., :3], transparent[..., :3])
        np.testing.assert_array_equal(cutout[..., 3], np.rint(alpha / 255 * transparent[..., 3]))
        assert not cutout[:, 40:, 3].any()


def test_cutouts_of_cutouts(toy: Path, tmp_path: Path) -> None:
    """What the command line writes can be opened again, and what was cut away stays away."""
    session = pyiseg.Session(PHOTO, model=toy)
    session.click(60, 30)
    first = session.cutout()
    images.write(tmp_path / "cut.png", first)
    again = pyiseg.Session(tmp_path / "cut.png", model=toy)
    again.click(60, 30)
    second = again.cutout()
    np.testing.assert_array_equal(second[..., :3], first[..., :3])
    assert (second[..., 3] <= first[..., 3]).all()


def test_opaque_images_have_one_set_of_pixels(toy: Path) -> None:
    image = pyiseg.Image(PHOTO, model=toy)
    assert image.rgba is None
    np.testing.assert_array_equal(pyiseg.Session(image).cutout()[..., :3], PHOTO)
