"""Label maps, mattes and cut-outs as the bytes of PNG and WebP files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg import images
from pyiseg.formats.colors import Color, checked_colors, palette

_MOST_IN_PALETTE = 255
_MOST = 65535
# Of a WebP file, whose header has 14 bits for it.
_WEBP_SIDE = 16383


def label_map_png(labels: npt.NDArray[Any], *, colors: Sequence[Color] | None = None) -> bytes:
    """Return a map of labels as a PNG file.

    Args:
        labels: 0 where nothing is selected, 1 where the first object is, and so on; whole numbers up to 65535, shape
            (H, W), as `pyiseg.label_map` returns them.
        colors: Of the labels from 1 on, red, green and blue from 0 to 255; None for those of PASCAL VOC. They do not
            change the labels, and a map with labels above 255 has none.

    Returns:
        Bytes of an 8-bit PNG with a palette, of which the values are the labels, as PASCAL VOC has it; of a 16-bit gray
        one where a label is above 255.

    Raises:
        ValueError: The labels are of another dtype, shape or range, or there are too few colors.
    """
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.ndim != 2 or not labels.size:
        raise ValueError(f"labels is {_described(labels)}; pass whole numbers of shape (H, W), as pyiseg.label_map has")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most > _MOST:
        raise ValueError(f"labels are {least}..{most}; pass numbers from 0 to {_MOST}")
    chosen = None if colors is None else checked_colors(colors, most)
    if most > _MOST_IN_PALETTE:
        return png(labels.astype(np.uint16))
    if chosen is None:
        return png(labels.astype(np.uint8), palette(_MOST_IN_PALETTE + 1))
    return png(labels.astype(np.uint8), [(0, 0, 0), *chosen[:_MOST_IN_PALETTE]])


def matte_png(alpha: npt.NDArray[Any], *, bits: int = 8) -> bytes:
    """Return a matte as a gray PNG file.

    Args:
        alpha: bool, uint8 from 0 to 255, uint16 from 0 to 65535 or floating point from 0 to 1, shape (H, W).
        bits: 8 or 16 a pixel; values are scaled and rounded to it, so that all selected is 255, or 65535.

    Returns:
        Bytes of the file.

    Raises:
        ValueError: Alpha is of another dtype, shape or range, or ``bits`` is neither.
    """
    if bits not in (8, 16) or isinstance(bits, bool):
        raise ValueError(f"bits is {bits!r}; pass 8 or 16")
    most = (1 << int(bits)) - 1
    known = isinstance(alpha, np.ndarray) and (
        alpha.dtype in (np.bool_, np.uint8, np.uint16) or alpha.dtype.kind == "f"
    )
    if not known or alpha.ndim != 2 or not alpha.size:
        raise ValueError(
            f"alpha is {_described(alpha)}; pass bool, uint8, uint16 or floating point from 0 to 1, of shape (H, W)"
        )
    if alpha.dtype.kind == "f":
        if not (alpha.min() >= 0 and alpha.max() <= 1):
            raise ValueError(f"alpha is {alpha.min():g}..{alpha.max():g}; pass floating point from 0 to 1, without NaN")
        scaled = np.rint(alpha.astype(np.float64) * most)
    else:
        top = 1 if alpha.dtype == np.bool_ else int(np.iinfo(alpha.dtype).max)
        scaled = (alpha.astype(np.int64) * most + top // 2) // top
    return png(scaled.astype(np.uint8 if bits == 8 else np.uint16))


def cutout_png(rgba: npt.NDArray[np.uint8]) -> bytes:
    """Return a cut-out as a PNG file.

    Args:
        rgba: As `pyiseg.Session.cutout` returns it: uint8, shape (H, W, 4), colors in sRGB, not multiplied by alpha.

    Returns:
        Bytes of the file, which holds every value, and the sRGB profile.

    Raises:
        ValueError: The array is of another dtype or shape.
    """
    return _encoded(_checked_rgba(rgba), ".png")


def cutout_webp(rgba: npt.NDArray[np.uint8], *, lossless: bool = True, quality: int = 90) -> bytes:
    """Return a cut-out as a WebP file.

    Args:
        rgba: As for `cutout_png`; at most 16383 pixels wide and high, which WebP can hold.
        lossless: Whether the file holds every value, the colors of transparent pixels too.
        quality: Of the colors, 0 to 100, where it does not; alpha is kept as it is.

    Returns:
        Bytes of the file.

    Raises:
        ValueError: The array is of another dtype or shape, or ``quality`` out of range.
    """
    _checked_rgba(rgba)
    if max(rgba.shape[:2]) > _WEBP_SIDE:
        raise ValueError(f"rgba has shape {rgba.shape}; WebP holds {_WEBP_SIDE} pixels a side at most, use cutout_png")
    if not isinstance(quality, (int, np.integer)) or not 0 <= quality <= 100:
        raise ValueError(f"quality is {quality!r}; pass a whole number from 0 to 100")
    if lossless:
        return _encoded(rgba, ".webp")
    return _encoded(rgba, ".webp", lossless=False, exact=False, quality=int(quality), alpha_quality=100)


def png(values: npt.NDArray[Any], colors: Sequence[Color] | None = None) -> bytes:
    """Return values as a PNG file, gray or with a palette.

    Args:
        values: uint8 or uint16, shape (H, W).
        colors: The palette, for uint8.
    """
    from PIL import Image

    image = Image.fromarray(values)
    if colors is not None:
        image = image.convert("L")
        image.putpalette([value for color in colors for value in color])
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _encoded(rgba: npt.NDArray[np.uint8], suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    images.encode(file, rgba, suffix, **options)
    return file.getvalue()


def _checked_rgba(rgba: Any) -> npt.NDArray[np.uint8]:
    right = isinstance(rgba, np.ndarray) and rgba.dtype == np.uint8 and rgba.ndim == 3 and rgba.shape[2] == 4
    if not right or not rgba.size:
        raise ValueError(f"rgba is {_described(rgba)}; pass uint8 of shape (H, W, 4), as session.cutout() returns it")
    checked: npt.NDArray[np.uint8] = rgba
    return checked


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype} and shape {value.shape}"
    return f"a {type(value).__name__}"
