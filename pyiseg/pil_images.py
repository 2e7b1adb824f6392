"""Open image files, here and nowhere else; find out how an image is turned and where it is transparent.

Only the formats of `FORMATS` are tried, whatever a file is called: Pillow knows more, some of which start other
programs (PostScript). How large an image is is checked before its pixels are decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from pyiseg.gray_depth import Depth, stated_depth
from pyiseg.jpeg2000_tiles import count_tiles
from pyiseg.jpeg_scans import count_scans
from pyiseg.png_chunks import without_notes
from pyiseg.tiff_tiles import largest_tile

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

DAMAGED = "cannot be decoded, the file may be damaged or incomplete"

FORMATS = {
    "PNG": "PngImagePlugin",
    "JPEG": "JpegImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
}
"""Formats that files are read in, and the modules of Pillow that read them; AVIF from Pillow 11.3 on. All of them are
told by how the file begins."""

LARGE_TILE = 1 << 24
"""Pixels that a tile of a TIFF file may have, though the image may have fewer: a tile is decoded whole."""

MOST_SCANS = 100
"""Of a JPEG file; programs write some ten. It is what libtiff allows of JPEG within TIFF."""

MOST_TILES = 10_000
"""Of a JPEG 2000 file, each of which takes 11 kB; 100 megapixels in tiles of 128 x 128 are 6,104."""

STRIP = 1 << 20
"""Pixels that are converted at a time: an image is not held in three forms at once."""

_ORIENTATION = 0x0112


class NotAnImageError(ValueError):
    """A file is of no format that is read.

    Args:
        message: What is wrong, and what anybody can do.
        in_python: What a program could do besides; put after the message.

    Attributes:
        message: See above, for users who do not program.
    """

    def __init__(self, message: str, in_python: str = "") -> None:
        super().__init__(message + in_python)
        self.message = message


class TooLargeError(ValueError):
    """An image has more pixels than it may.

    Args:
        message, in_python: As for `NotAnImageError`.
        size: See below.

    Attributes:
        message: See above, for users who do not program.
        size: Its height and width; None where only Pillow knows.
    """

    def __init__(self, message: str, size: tuple[int, int] | None = None, in_python: str = "") -> None:
        super().__init__(message + in_python)
        self.message, self.size = message, size


def check_max_pixels(max_pixels: Any) -> None:
    """Refuse what is no limit of pixels.

    Raises:
        ValueError: It is neither None nor a whole number of at least 1.
    """
    whole = isinstance(max_pixels, (int, np.integer)) and not isinstance(max_pixels, bool)
    if max_pixels is not None and not (whole and max_pixels >= 1):
        raise ValueError(
            f"max_pixels is {max_pixels!r}; pass a whole number of at least 1, such as 100_000_000, or None for the "
            "default"
        )


def check_size(size: tuple[int, int], max_pixels: int | None, name: str) -> None:
    """Refuse an image that is larger than the caller wants to work on.

    Args:
        size: Height and width.
        max_pixels: The limit; None for none.
        name: Of the image, for errors.

    Raises:
        TooLargeError: It is larger.
    """
    height, width = size
    if max_pixels is not None and width * height > max_pixels:
        raise TooLargeError(
            f"{name} is too large: {width} x {height} are {width * height} pixels, and the limit is {max_pixels}; "
            "shrink it, or raise the limit, max_pixels (--max-megapixels on the command line)",
            size,
        )


def open_image(file: BinaryIO, name: str, max_pixels: int | None = None) -> Image.Image:
    """Open an image file of one of `FORMATS`: its header is read, its pixels are not decoded yet.

    Args:
        file: Open; it must stay so until the pixels are loaded.
        name: Of the image, for errors.
        max_pixels: The most pixels it may have; None for those that Pillow opens, which are 179 million (twice
            ``PIL.Image.MAX_IMAGE_PIXELS``) unless a program has changed that.

    Raises:
        NotAnImageError: It is of another format.
        TooLargeError: It has too many pixels, or tiles or scans that ask for as much work.
        Exception: Whatever Pillow runs into in a damaged file, see `read`.
    """
    from PIL import Image

    if max_pixels is None and Image.MAX_IMAGE_PIXELS is not None:
        max_pixels = 2 * Image.MAX_IMAGE_PIXELS
    file.seek(0)
    begin = file.read(16)
    # What Image.open(file, formats=…) does, but for its limit, which belongs to the whole program.
    for kind, module in FORMATS.items():
        try:
            import_module(f"PIL.{module}")
        except ImportError:
            continue
        factory, accepts = Image.OPEN[kind]
        # Where Pillow was built without a decoder, this is a text that says so.
        if accepts is not None and accepts(begin) is not True:
            continue
        file.seek(0)
        try:
            image: Image.Image = factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
        check_size((image.height, image.width), max_pixels, name)
        check_tiles(image, max_pixels, name)
        if kind == "JPEG" and count_scans(file, MOST_SCANS) > MOST_SCANS:
            raise TooLargeError(
                f"{name} goes over its pixels in more than {MOST_SCANS} scans, which takes very long; save it anew"
            )
        return image
    raise NotAnImageError(
        f"{name} is not an image of a format that is read here ({', '.join(FORMATS)}); convert it to PNG or JPEG",
        in_python=", or open it yourself and pass it as an array or a PIL image",
    )


def check_tiles(image: Image.Image, max_pixels: int | None, name: str) -> None:
    """Refuse a file whose tiles ask for far more memory than its pixels.

    Those of TIFF may be far larger than the image, and are decoded whole; those of JPEG 2000 may be very many.

    Args:
        image: Just opened, or loaded, and then it is taken as it is.
        max_pixels: The limit of the image; None for none.
        name: Of the image, for errors.

    Raises:
        TooLargeError: Tiles have more pixels than the limit, and than `LARGE_TILE`, or are more than `MOST_TILES`.
        NotAnImageError: A JPEG 2000 file states its sizes wrongly.
    """
    # Pillow lets the file go when it has loaded the only image in it.
    file = getattr(image, "fp", None)
    if file is None:
        return
    if image.format == "TIFF" and max_pixels is not None:
        height, width = largest_tile(file)
        most = max(max_pixels, LARGE_TILE)
        if width * height > most:
            raise TooLargeError(
                f"{name} is too large: it is stored in tiles of {width} x {height}, {width * height} pixels each, and "
                f"the limit is {most}; save it in smaller tiles, or without"
            )
    elif image.format == "JPEG2000":
        try:
            tiles, components = count_tiles(file)
        except ValueError as error:
            raise NotAnImageError(f"{name} {DAMAGED}: {error}") from None
        if components > 4:
            raise NotAnImageError(f"{name} {DAMAGED}: it has {components} components a pixel, where there may be 4")
        if tiles > MOST_TILES:
            raise TooLargeError(
                f"{name} is stored in {tiles} tiles, and the limit is {MOST_TILES}; save it in larger tiles, or without"
            )


def size_of(file: BinaryIO, name: str, max_pixels: int | None = None) -> tuple[int, int]:
    """Return height and width of what `read` gives, before its pixels are decoded and it is turned upright.

    Args:
        file: Open.
        name: Of the image, for errors.
        max_pixels: As for `open_image`.

    Raises:
        ValueError: It is no image, is damaged, or is too large.
    """
    return _read(file, name, max_pixels, lambda image: (image.height, image.width))


def read(file: BinaryIO, name: str, max_pixels: int | None = None) -> tuple[Image.Image, Depth]:
    """Return the image of a file, loaded, and what the file says of its depth.

    Args:
        file: Open.
        name: Of the image, for errors.
        max_pixels: As for `open_image`.

    Raises:
        ValueError: It cannot be read or is too large. Damaged notes beside the pixels of a PNG file are no reason.
    """
    return _read(file, name, max_pixels, load)


def _read(file: BinaryIO, name: str, max_pixels: int | None, take: Callable[[Image.Image], T]) -> T:
    """Return what ``take`` makes of an image that is opened."""
    from PIL import Image

    try:
        try:
            return take(open_image(file, name, max_pixels))
        except (MemoryError, TooLargeError, Image.DecompressionBombError):
            raise
        except Exception:
            fewer = without_notes(file)
            if fewer is None:
                raise
            image = open_image(fewer[0], name, max_pixels)
            taken = take(image)
            if fewer[1]:
                image.info["icc_profile"] = b"damaged"  # whoever converts colors says so
            return taken
    except (MemoryError, NotAnImageError, TooLargeError):
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{name} is too large: {error}; shrink it", in_python=", or pass it as an array") from None
    except Exception as error:
        # Pillow's decoders have no common error: OSError, SyntaxError and RuntimeError have been seen.
        raise ValueError(f"{name} {DAMAGED}: {error}") from error


def load(image: Image.Image) -> tuple[Image.Image, Depth]:
    """Load the pixels of an image, if it has any, and return what its file says of their depth beside it."""
    depth = stated_depth(image)  # first: loading closes the file
    if image.width and image.height:
        image.load()
    return image, depth


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as the orientation says that its EXIF or XMP states.

    Nothing else is read or written: other values may be such as Pillow cannot write again, or damaged.

    Args:
        image: Loaded. It is left as it is.
    """
    from PIL import Image

    if image.format == "TIFF":
        return image  # Pillow turns these when it loads them; older versions leave the orientation in its place
    # As the standard, CIPA DC-008, draws them.
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # struct.error, SyntaxError, TypeError and more, as the damage has it
        return image
    return image if turn is None else image.transpose(turn)


def alpha_of(image: Image.Image, stored: int = 8) -> npt.NDArray[np.uint8] | None:
    """Return alpha, uint8, shape (H, W), of a channel, a palette or a color that stands for transparent.

    Args:
        image: Loaded, before anything of it is converted.
        stored: Bits of a channel in its file; the color that stands for transparent has as many.

    Returns:
        A fresh array; None where nothing can be transparent.
    """
    key = image.info.get("transparency")
    if image.mode in ("RGBA", "LA"):
        return np.array(image.getchannel("A"))
    if image.mode in ("PA", "RGBa") or (image.mode == "P" and (key is not None or _palette_has_alpha(image))):
        return np.array(image.convert("RGBA").getchannel("A"))
    gray = image.mode in ("1", "L", "I") or image.mode.startswith("I;16")
    # What a program has left of another mode, such as the alphas of a palette that is none any more, is no color.
    if not isinstance(key, int if gray else tuple) or not (gray or image.mode == "RGB"):
        return None
    values, key = np.asarray(image), np.asarray(key)
    if image.mode == "1":
        key = key != 0  # of white, older versions of Pillow have 1 and newer ones 255
    elif image.mode == "L" and stored < 8:
        key = key * (255 // ((1 << stored) - 1))
    elif image.mode == "RGB" and stored == 16:
        key = key >> 8
    opaque = values != key
    return np.where(opaque if opaque.ndim == 2 else opaque.any(axis=2), 255, 0).astype(np.uint8)


def as_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Convert an image to RGB, uint8, shape (H, W, 3), a fresh array.

    Args:
        image: Loaded, of a mode that Pillow converts to RGB.

    Raises:
        ValueError: Pillow does not convert it.
    """
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image
        if rows < image.height:
            strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if strip.mode in ("P", "PA"):
            # By way of RGBA: Pillow warns about palettes with transparency that go straight to RGB.
            strip = strip.convert("RGBA")
        rgb[top : top + rows] = np.asarray(strip.convert("RGB"))
    return rgb


def with_pixels(image: Image.Image, pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image of other pixels, with the notes of this one, such as its color profile."""
    from PIL import Image

    changed = Image.fromarray(pixels)
    changed.info = dict(image.info)
    return changed


def _palette_has_alpha(image: Any) -> bool:
    return image.palette is not None and image.palette.mode.endswith("A")
