"""color_profiles.py: what is read is sRGB, whatever profile it has, and what is written says so."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from support import icc

from pyiseg import color_profiles, images

if not features.check("littlecms2"):
    pytest.skip("this Pillow was built without LittleCMS", allow_module_level=True)

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
ADOBE = icc.rgb_profile(icc.ADOBE_RGB, icc.ADOBE_GAMMA)
WANTED = icc.as_srgb(RGB, icc.ADOBE_RGB, icc.ADOBE_GAMMA)
SETTINGS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".tif": {},
    ".webp": {"lossless": True, "exact": True},
    ".jpg": {"quality": 100, "subsampling": 0},
}


def profiled(image: Image.Image, profile: bytes) -> Image.Image:
    image.info["icc_profile"] = profile
    return image


@pytest.mark.parametrize("suffix", SETTINGS)
def test_files_are_converted_to_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RGB).save(path, icc_profile=ADOBE, **SETTINGS[suffix])
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
        from_pil = images.load(image).rgb
    found = images.load(path).rgb
    np.testing.assert_array_equal(found, from_pil)
    assert np.abs(found - icc.as_srgb(stored, icc.ADOBE_RGB, icc.ADOBE_GAMMA)).max() < 1
    assert np.abs(found.astype(int) - stored).max() > 30, "it makes a difference"


@pytest.mark.parametrize("profile", [icc.rgb_profile(icc.SRGB, 0), color_profiles.srgb()], ids=["own", "lcms"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_srgb_is_left_as_it_is(profile: bytes, mode: str) -> None:
    plain = Image.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(images.load(profiled(plain.copy(), profile)).rgb, images.load(plain).rgb)


def test_srgb_primaries_with_another_curve_are_not_srgb() -> None:
    found = images.load(profiled(Image.fromarray(RGB), icc.rgb_profile(icc.SRGB, 2.2))).rgb
    assert (found != RGB).any()
    assert np.abs(found - icc.as_srgb(RGB, icc.SRGB, 2.2)).max() < 1.5


def test_gray() -> None:
    gray = RGB[..., 0]
    wanted = 255 * icc.from_linear((gray / 255) ** 1.8)
    for image in (Image.fromarray(gray), Image.fromarray(gray.astype(np.uint16) * 257)):
        found = images.load(profiled(image, icc.gray_profile(1.8))).rgb
        assert np.abs(found - wanted[..., None]).max() < 2
    # Many gray files have the profile of a color space.
    found = images.load(profiled(Image.fromarray(gray), icc.rgb_profile(icc.SRGB, 1.8))).rgb
    assert np.abs(found - wanted[..., None]).max() < 2


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_inks(tmp_path: Path, suffix: str) -> None:
    black = np.arange(256, dtype=np.uint8).repeat(8).reshape(32, 64)
    inks = np.dstack([np.zeros((32, 64, 3), np.uint8), black])
    image = Image.frombytes("CMYK", (64, 32), inks.tobytes())
    path = tmp_path / f"a{suffix}"
    image.save(path, icc_profile=icc.cmyk_profile(), **SETTINGS[suffix])
    lightness = 100 * (1 - black / 255)
    # CIE 1976: the luminance of a lightness.
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * (3 / 29) ** 3)
    found = images.load(path).rgb
    assert np.abs(found - 255 * icc.from_linear(light)[..., None]).max() < 4
    assert np.abs(found.astype(int) - images.to_rgb(path)).max() > 5, "it makes a difference"


def test_palettes() -> None:
    image = Image.fromarray(RGB).quantize(16)
    colors = np.asarray(image.convert("RGB"))
    image.info["transparency"] = bytes([255] * 15 + [254])  # the kind that Pillow warns about
    found = images.load(profiled(image, ADOBE))
    assert found.rgba is not None
    assert np.abs(found.rgba[..., :3] - icc.as_srgb(colors, icc.ADOBE_RGB, icc.ADOBE_GAMMA)).max() < 1


def test_transparency_and_orientation_go_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = np.dstack([RGB, RGB[..., 0]])
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=ADOBE, exif=exif)
    found = images.load(tmp_path / "a.png").rgba
    assert found is not None
    np.testing.assert_array_equal(found[..., 3], np.rot90(rgba[..., 3], -1))
    assert np.abs(found[..., :3] - np.rot90(WANTED, -1)).max() < 1


def test_colors_as_stored_are_not_converted(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=ADOBE)
    np.testing.assert_array_equal(images.to_rgb(tmp_path / "a.png"), RGB)


DAMAGED = {
    "garbage": b"garbage",
    "cut off": ADOBE[:200],
    "header only": ADOBE[:128],
    "of gray": icc.gray_profile(1.8),
    "no matrix": ADOBE.replace(b"rXYZ", b"xXYZ"),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_profiles_that_cannot_be_used_are_a_warning(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RGB).save(path, icc_profile=DAMAGED[damage], **SETTINGS[suffix])
    with pytest.warns(RuntimeWarning, match=r"a\.\w+' has a color profile that cannot be used .* taken as sRGB"):
        found = images.load(path).rgb
    np.testing.assert_array_equal(found, RGB)
    np.testing.assert_array_equal(images.to_rgb(path), RGB)  # which needs none, and does not warn


@pytest.mark.parametrize(
    "content",
    [b"name\0\5method", b"no end of a name", b"name\0\0not packed", b"", b"a\0\0" + zlib.compress(bytes(1 << 22))],
)
def test_png_files_whose_profile_cannot_be_unpacked(tmp_path: Path, content: bytes) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    plain = file.getvalue()
    at, named = plain.index(b"IDAT") - 4, b"iCCP" + content
    chunk = struct.pack(">I", len(content)) + named + struct.pack(">I", zlib.crc32(named))
    (tmp_path / "a.png").write_bytes(plain[:at] + chunk + plain[at:])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'.*a.png' has a color profile that cannot be used", RuntimeWarning)
        np.testing.assert_array_equal(images.load(tmp_path / "a.png").rgb, RGB)


def test_a_profile_outlasts_other_damaged_notes(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG", icc_profile=ADOBE)
    plain = file.getvalue()
    at, named = plain.index(b"IDAT") - 4, b"pHYs1"
    (tmp_path / "a.png").write_bytes(
        plain[:at] + struct.pack(">I", 1) + named + struct.pack(">I", zlib.crc32(named)) + plain[at:]
    )
    assert np.abs(images.load(tmp_path / "a.png").rgb - WANTED).max() < 1


@pytest.mark.parametrize("suffix", images.LOSSLESS)
def test_what_is_written_says_that_it_is_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for pixels in (RGB, np.dstack([RGB, RGB[..., 0]])):
        images.write(path, pixels)
        first = path.read_bytes()
        with Image.open(path) as image:
            assert image.info["icc_profile"] == color_profiles.srgb()
        read = images.load(path)
        np.testing.assert_array_equal(read.rgb if read.rgba is None else read.rgba, pixels)
        images.write(path, pixels)
        assert path.read_bytes() == first, "the same image is the same file"
    images.write(path, RGB[..., 0])
    with Image.open(path) as image:
        assert "icc_profile" not in image.info, "a matte has no colors"


def test_without_littlecms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageCms

    def missing(*arguments: object) -> None:
        raise ImportError("No module named 'PIL._imagingcms'")

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", missing)
    monkeypatch.setattr(ImageCms, "createProfile", missing)
    color_profiles.srgb.cache_clear()
    try:
        images.write(tmp_path / "a.png", RGB)
        Image.fromarray(RGB).save(tmp_path / "b.png", icc_profile=ADOBE)
        np.testing.assert_array_equal(images.load(tmp_path / "a.png").rgb, RGB)
        with pytest.warns(RuntimeWarning, match="_imagingcms"):
            np.testing.assert_array_equal(images.load(tmp_path / "b.png").rgb, RGB)
    finally:
        color_profiles.srgb.cache_clear()
