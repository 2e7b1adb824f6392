"""How many bits the pixels of a 16-bit image really use, and gray of any such depth as 8 bits.

Cameras and scanners with 10, 12 or 14 bits often store their values as they are in 16. Read as 16 bits such an image
would be almost black, so the depth is taken from the file; where the file does not say it, a dark image is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg import png_chunks

if TYPE_CHECKING:
    from PIL import Image

DOUBTFUL = 1 << 14
"""All values below this may well be 14 bits or fewer: as 16 bits they would fill a quarter of the range at most."""

_TOPS = ", where 1023 stands for 10 bits, 4095 for 12, 16383 for 14 and 65535 for 16"
_BITS, _PHOTOMETRIC, _LARGEST, _LARGEST_SIGNED = 258, 262, 281, 341  # tags of TIFF
_SCALED_BY_PILLOW = ("PPM", "JPEG2000")  # these formats always state their depth


class Depth(NamedTuple):
    """What a file says of the depth of its pixels.

    Attributes:
        bits: That pixels use, 8 to 16; None where it does not say.
        maybe_scaled: Whether the values may have been spread over 16 bits already, as the PNG specification asks for.
        white_is_zero: Whether 0 stands for white.
        stored: Bits of a channel in the file. Of 16 Pillow keeps the upper 8 in images with color; fewer than 8 it
            spreads over 8.
    """

    bits: int | None = None
    maybe_scaled: bool = False
    white_is_zero: bool = False
    stored: int = 8


def stated_depth(image: Image.Image) -> Depth:
    """Read what an image's file says. Before the pixels are loaded: that closes the file.

    Args:
        image: As opened, or one without a file, which says nothing.
    """
    if image.format in _SCALED_BY_PILLOW:
        return Depth(16)
    try:
        if image.format == "TIFF":
            return _of_tiff(getattr(image, "tag_v2", {}))
        if image.format == "PNG":
            return _of_png(getattr(image, "fp", None))
    except (OSError, ValueError, TypeError):
        pass  # a damaged note of the depth is none; a file that is damaged elsewhere is refused when it is loaded
    return Depth()


def gray_to_8_bits(values: npt.NDArray[Any], depth: Depth, name: str) -> npt.NDArray[np.uint8]:
    """Scale gray of more than 8 bits to 8, rounded to the nearest.

    Args:
        values: Whole numbers in any byte order, shape (H, W).
        depth: What is known of it.
        name: Of the image, for errors.

    Returns:
        uint8, shape (H, W). Fresh.

    Raises:
        ValueError: Values are outside 0..65535, or so low that they may be of fewer bits, which ``depth`` does not say.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"{name} has gray values {low}..{high} (mode I), outside 0..65535; scale them to 0..255 first")
    bits = depth.bits
    if bits is not None and bits < 16 and (high >> bits or (depth.maybe_scaled and _are_scaled(values, bits))):
        # More than the stated bits could hold: only those of a PNG file are known to have been spread over 16.
        bits = 16 if depth.maybe_scaled else None
    if bits is None:
        if 0 < high < DOUBTFUL:
            raise ValueError(_doubt(name, low, high, f"numpy.asarray({_opened(name)})"))
        bits = 16
    top = (1 << bits) - 1
    scaled = np.empty(values.shape, dtype=np.uint8)
    for rows in _blocks(values.shape):
        gray = values[rows].astype(np.uint32)
        if depth.white_is_zero:
            gray = top - gray
        scaled[rows] = (gray * 255 + top // 2) // top
    return scaled


def check_colors(colors: npt.NDArray[np.uint8], depth: Depth, name: str) -> None:
    """Refuse colors that were 16 bits a channel in the file and are as dark as if they had used fewer.

    Args:
        colors: The upper halves of the values, which are all that Pillow keeps.
        depth: What the file says.
        name: Of the image, for errors.

    Raises:
        ValueError: They are that dark, and the file does not say that they use 16 bits.
    """
    high = int(colors.max())
    if depth.stored == 16 and depth.bits != 16 and 0 < high < DOUBTFUL >> 8:
        read = f"cv2.imread({name}, cv2.IMREAD_UNCHANGED)[..., 2::-1] of OpenCV, which keeps all 16 bits"
        raise ValueError(_doubt(name, int(colors.min()) << 8, (high << 8) + 255, read))


def to_8_bits(low: float, high: float, array: str = "image") -> str:
    """Return the NumPy expression by which values in a range become 8 bits, of the fewest bits that hold them."""
    if low < 0 or high > 65535:
        return f"(({array} - {float(low)}) * (255 / {float(high - low) or 1.0})).round().astype(numpy.uint8)"
    if high <= 255:
        return f"{array}.astype(numpy.uint8)"
    top = next(top for top in (1023, 4095, 16383, 65535) if high <= top)
    return f"({array} / {top} * 255).round().astype(numpy.uint8){_TOPS if high < DOUBTFUL else ''}"


def _doubt(name: str, low: int, high: int, read: str) -> str:
    return (
        f"{name} has 16-bit values {low}..{high}, all below {DOUBTFUL}, and does not say how many bits they use: as 16 "
        f"bits it would be almost black. Scale them to 8 bits yourself, with values = {read}: pass "
        f"{to_8_bits(low, high, 'values')}"
    )


def _opened(name: str) -> str:
    return f"PIL.Image.open({name})" if name.startswith("'") else name


def _of_tiff(tags: Any) -> Depth:
    bits = tuple(tags.get(_BITS, ()))
    # MaxSampleValue may also be the largest value that happens to occur; only that of a whole number of bits is one.
    tops = {value for tag in (_LARGEST, _LARGEST_SIGNED) for value in _numbers(tags.get(tag))}
    depths = [n for n in range(8, 17) if (1 << n) - 1 in tops]
    # 16 bits are what the values are stored in.
    own = max((n for n in bits if 8 < n < 16), default=depths[-1] if depths else None)
    return Depth(own, white_is_zero=tags.get(_PHOTOMETRIC) == 0, stored=max(bits, default=8))


def _numbers(value: Any) -> tuple[Any, ...]:
    return () if value is None else tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _of_png(file: BinaryIO | None) -> Depth:
    if file is None:
        return Depth()
    ihdr, sbit = png_chunks.header(file)
    if len(ihdr) < 13:
        return Depth()
    # Of gray one byte, of color three; a further one is alpha's.
    significant = max(sbit[: 3 if ihdr[9] & 2 else 1], default=0)
    return Depth(significant if 8 <= significant <= 16 else None, maybe_scaled=True, stored=ihdr[8])


def _are_scaled(values: npt.NDArray[Any], bits: int) -> bool:
    """Whether all values are ones of so many bits multiplied to fill 16, rounded either way.

    Dark ones that were shifted instead are among these.
    """
    top = (1 << bits) - 1
    for rows in _blocks(values.shape):
        wide = values[rows].astype(np.int64)
        nearest = (wide * top + 32767) // 65535
        if not (np.abs(nearest * 65535 - wide * top) < top).all():
            return False
    return True


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows that are worked on at a time, so that a large image is not held once more with 4 or 8 bytes a pixel."""
    rows = max(1, (1 << 20) // max(1, shape[1]))
    return (slice(top, top + rows) for top in range(0, shape[0], rows))
