"""Open an uploaded image: only formats that are for pixels, and its size is checked before it is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyiseg
from pyiseg.model import Model
from pyiseg.server.errors import ApiError

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF", "ICO")
"""Of Pillow's formats those that hold pixels alone; others run programs (EPS) or open further files."""


def size_of(path: Path, name: str, max_pixels: int) -> tuple[int, int]:
    """Return width and height that an image file states, before anything of it is decoded.

    Args:
        path: The file.
        name: What the client calls it, for errors.
        max_pixels: That it may have.

    Raises:
        ApiError: It has more.
        ValueError: It is no image of a known format.
    """
    with _opened(path, name) as image:
        width, height = image.size
    check_pixels(width, height, name, max_pixels)
    return width, height


def check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse an image that is too large.

    Raises:
        ApiError: It has more than so many pixels.
    """
    if width * height > max_pixels:
        raise ApiError(
            413,
            "TooLarge",
            f"'{name}' has {width} x {height} pixels, more than the {max_pixels} that this server takes; shrink it "
            "first",
        )


def open_image(path: Path, name: str, model: Model, device: str) -> pyiseg.Image:
    """Decode and encode an image whose size was checked.

    Raises:
        ValueError: It is damaged; the message has the client's name of it.
    """
    with _opened(path, name) as image:
        return pyiseg.Image(image, model=model, device=device)


def open_mask(path: Path, max_pixels: int) -> Any:
    """Read an uploaded mask, uint8, shape (H, W); see `pyiseg.images.load_mask`.

    Raises:
        ApiError, ValueError: It is too large, or no mask.
    """
    from pyiseg import images

    size_of(path, "mask", max_pixels)
    try:
        return images.load_mask(path)
    except ValueError as error:
        raise ValueError(without_path(error, path, "the mask")) from None


def without_path(error: Exception, path: Path, name: str) -> str:
    """Return an error's text with a name in the place of a file on the server."""
    return str(error).replace(f"'{path}'", name).replace(str(path), name)


def _opened(path: Path, name: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    Image.init()
    try:
        return Image.open(path, formats=[known for known in FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        raise ValueError(f"'{name}' is not an image that Pillow can read; convert it to PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise ApiError(413, "TooLarge", f"'{name}' is too large: {error}; shrink it first") from None
    except Exception as error:  # Pillow's readers have no common error
        told = without_path(error, path, name)
        raise ValueError(f"'{name}' cannot be decoded, the file may be damaged or incomplete: {told}") from error
