"""Open an uploaded image; its size is checked before it is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyiseg
from pyiseg.model import Model
from pyiseg.paths import quoted, shown_path
from pyiseg.server.errors import ApiError


def size_of(path: Path, name: str, max_pixels: int) -> tuple[int, int]:
    """Return width and height that an image file states, before anything of it is decoded.

    Args:
        path: The file.
        name: What the client calls it, for errors.
        max_pixels: That it may have.

    Raises:
        ApiError: It has more.
        ValueError: It is no image of a known format, or is damaged.
    """
    from pyiseg import pil_images

    try:
        with open(path, "rb") as file:
            height, width = pil_images.size_of(file, f"'{name}'", max_pixels)
            return width, height
    except pil_images.TooLargeError as error:
        if error.size is not None:
            height, width = error.size
            check_pixels(width, height, name, max_pixels)
        raise ApiError(413, "TooLarge", error.message) from None
    except pil_images.NotAnImageError as error:
        raise pil_images.NotAnImageError(error.message) from None
    except ValueError as error:
        raise ValueError(without_path(error, path, f"'{name}'")) from error


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


def open_image(path: Path, name: str, model: Model, device: str, max_pixels: int) -> pyiseg.Image:
    """Decode and encode an image whose size was checked.

    Raises:
        ValueError: It is damaged; the message has the client's name of it.
    """
    try:
        return pyiseg.Image(path, model=model, device=device, max_pixels=max_pixels)
    except ValueError as error:
        raise ValueError(without_path(error, path, f"'{name}'")) from error


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
    text = str(error).replace(quoted(path), name)  # as errors of the library name it
    return text.replace(shown_path(path), name).replace(str(path), name)
