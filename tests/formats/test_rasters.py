"""PNG and WebP files, read by Pillow and by OpenCV."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from support import masks

from pyiseg import formats
from pyiseg.formats import cutout_png, cutout_webp, label_map_png, matte_png

RNG = np.random.default_rng(2)
ALPHA = RNG.integers(0, 256, (37, 53), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (37, 53, 4), dtype=np.uint8)


def by_opencv(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def by_pillow(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("alpha", "as_8", "as_16"),
    [
        (ALPHA, ALPHA, ALPHA.astype(np.uint16) * 257),
        (ALPHA > 99, (ALPHA > 99) * np.uint8(255), (ALPHA > 99) * np.uint16(65535)),
        (ALPHA.astype(np.uint16) * 257, ALPHA, ALPHA.astype(np.uint16) * 257),
        (ALPHA / np.float32(255), ALPHA, ALPHA.astype(np.uint16) * 257),
        (ALPHA / 255, ALPHA, ALPHA.astype(np.uint16) * 257),
        (np.array([[0, 128, 129, 65535]], np.uint16), np.array([[0, 0, 1, 255]]), np.array([[0, 128, 129, 65535]])),
        (np.array([[0.25]]), np.array([[64]]), np.array([[16384]])),
    ],
    ids=["uint8", "bool", "uint16", "float32", "float64", "rounded", "a quarter"],
)
def test_mattes(alpha: np.ndarray, as_8: np.ndarray, as_16: np.ndarray) -> None:  # type: ignore[type-arg]
    for bits, wanted, mode in ((8, as_8, "L"), (16, as_16, "I;16")):
        content = matte_png(alpha, bits=bits)
        assert by_pillow(content).mode == mode
        assert np.array_equal(np.array(by_pillow(content)), wanted)
        read = by_opencv(content)
        assert read.dtype == (np.uint8 if bits == 8 else np.uint16)
        assert np.array_equal(read, wanted)


def test_a_matte_that_is_none() -> None:
    with pytest.raises(ValueError, match="bits is 12; pass 8 or 16"):
        matte_png(ALPHA, bits=12)
    with pytest.raises(ValueError, match=r"alpha is 0\.\.255; pass floating point from 0 to 1"):
        matte_png(np.array([[0.0, 255.0]]))
    with pytest.raises(ValueError, match="without NaN"):
        matte_png(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"an array of dtype int64 and shape \(1, 1\)"):
        matte_png(np.array([[1]], np.int64))
    with pytest.raises(ValueError, match=r"dtype uint8 and shape \(1, 1, 3\)"):
        matte_png(np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize(("most", "mode"), [(0, "P"), (1, "P"), (255, "P"), (256, "I;16"), (65535, "I;16")])
def test_label_maps(most: int, mode: str) -> None:
    labels = RNG.integers(0, most + 1, (21, 34)).astype(np.uint16)
    labels[3, 4] = most
    content = label_map_png(labels)
    assert by_pillow(content).mode == mode
    assert np.array_equal(np.array(by_pillow(content)), labels)
    if mode != "P":
        assert np.array_equal(by_opencv(content), labels)


def test_colors_of_label_maps() -> None:
    labels = np.array([[0, 1, 2, 3, 255]], np.int32)
    # As the colors of PASCAL VOC are published.
    shown = by_pillow(label_map_png(labels)).convert("RGB")
    assert np.array(shown)[0].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [224, 224, 192]]
    content = label_map_png(labels[:, :3], colors=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    assert np.array(by_pillow(content).convert("RGB"))[0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert np.array(by_pillow(content)).tolist() == [[0, 1, 2]]


def test_labels_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"labels are -1\.\.0; pass numbers from 0 to 65535"):
        label_map_png(np.array([[-1, 0]]))
    with pytest.raises(ValueError, match="labels is an array of dtype float64"):
        label_map_png(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="there are 1 colors for 2 labels; pass more"):
        label_map_png(np.array([[2]]), colors=[(1, 2, 3)])


@pytest.mark.parametrize("content", [cutout_png(RGBA), cutout_webp(RGBA)], ids=["png", "webp"])
def test_cutouts_hold_every_value(content: bytes) -> None:
    read = by_pillow(content)
    assert np.array_equal(np.array(read), RGBA)
    assert read.info["icc_profile"]
    assert np.array_equal(cv2.cvtColor(by_opencv(content), cv2.COLOR_BGRA2RGBA), RGBA)


def test_a_smaller_webp_keeps_alpha() -> None:
    mask = masks.blob(120, 160)
    rgba = np.dstack((*(np.indices(mask.shape) % 256).astype(np.uint8), mask * 99, mask * 255)).astype(np.uint8)
    small, large = cutout_webp(rgba, lossless=False, quality=50), cutout_webp(rgba)
    read = np.array(by_pillow(small).convert("RGBA"))
    assert np.array_equal(read[..., 3], rgba[..., 3])
    assert np.abs(read[mask].astype(int) - rgba[mask]).mean() < 12
    assert len(small) != len(large)


def test_a_cutout_that_is_none() -> None:
    for function in (cutout_png, cutout_webp):
        with pytest.raises(ValueError, match=r"shape \(2, 2, 3\); pass uint8 of shape \(H, W, 4\)"):
            function(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="WebP holds 16383 pixels a side at most, use cutout_png"):
        cutout_webp(np.zeros((16384, 1, 4), np.uint8))
    with pytest.raises(ValueError, match="quality is 101; pass a whole number from 0 to 100"):
        cutout_webp(RGBA, lossless=False, quality=101)
    with pytest.raises(ValueError, match="rgba is a NoneType"):
        formats.cutout_png(None)  # type: ignore[arg-type]
