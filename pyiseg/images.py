"""Convert NumPy arrays, PIL images and paths to RGB and alpha arrays; reject anything else with a hint.

Pillow is imported only when an image has to be read or converted, so that ``import pyiseg`` stays light.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import color_profiles, pil_images
from pyiseg.files import atomic_write
from pyiseg.gray_depth import Depth, check_colors, gray_to_8_bits, to_8_bits
from pyiseg.paths import local_path, quoted
from pyiseg.places import check_place

if TYPE_CHECKING:
    from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
ImageLike: TypeAlias = "npt.NDArray[np.uint8] | Image.Image | str | os.PathLike[str]"

LOSSLESS = (".png", ".webp", ".tif", ".tiff")
"""Suffixes that `write` knows: formats that keep an alpha channel and every value."""

_ACCEPTED = "a uint8 array (H, W), (H, W, 3) or (H, W, 4), a PIL image, or the path of an image"


@dataclass(frozen=True)
class LoadedImage:
    """An image as it is seen, and with its transparency.

    Attributes:
        rgb: In sRGB and, where it is transparent, over white; uint8, shape (H, W, 3), C-contiguous. Fresh.
        rgba: Its own colors and alpha, not multiplied, uint8, shape (H, W, 4); None where all of it is opaque. Fresh.
    """

    rgb: Pixels
    rgba: Pixels | None = None


def load(image: ImageLike, max_pixels: int | None = None) -> LoadedImage:
    """Take an image of any accepted kind as sessions see it.

    Args:
        image: One of

            * a uint8 array, (H, W) or (H, W, 1) gray, (H, W, 3) RGB, (H, W, 4) RGB and alpha;
            * a PIL image of any mode but ``F``; palettes are looked up, gray of more than 8 bits is scaled to 8;
            * the path of a file of one of `pyiseg.pil_images.FORMATS`.

            The EXIF orientation of a file or PIL image is applied. A color profile is converted to sRGB; one that
            cannot be used is a `RuntimeWarning`.
        max_pixels: The most pixels that it may have, as for `pyiseg.Image`.

    Raises:
        ValueError: Not an image, one of a kind that has no clear meaning as 8-bit RGB, or one that is too large.
        FileNotFoundError: No file at the given path.
    """
    return _over_white(*_pixels_of(image, as_stored=False, max_pixels=max_pixels))


def to_rgb(image: ImageLike) -> Pixels:
    """Turn an image of any accepted kind into an RGB array of the colors as they are stored.

    Args:
        image: As for `load`, but alpha and color profiles are ignored.

    Returns:
        RGB, uint8, shape (H, W, 3), C-contiguous. Always a fresh array that shares no memory with ``image``.

    Raises:
        ValueError, FileNotFoundError: As for `load`.
    """
    return _pixels_of(image, as_stored=True)[0]


def load_mask(path: str | os.PathLike[str], shape: tuple[int, int] | None = None) -> Pixels:
    """Read a mask or matte from an image file.

    Args:
        path: Gray, 255 where selected; or an image with transparency, such as a cut-out, whose alpha is the matte.
        shape: Of the image that it is for. A file of more pixels is refused before they are decoded.

    Returns:
        uint8, shape (H, W).

    Raises:
        ValueError: Not an image, one in color without transparency, or too large.
        FileNotFoundError: No file at the given path.
    """
    try:
        rgb, alpha = _pixels_of(path, as_stored=True, max_pixels=None if shape is None else shape[0] * shape[1])
    except pil_images.TooLargeError as error:
        if shape is None or error.size is None:
            raise
        raise ValueError(
            f"mask {quoted(path)} has shape {error.size}, and the image {shape}; resize it to {shape[1]} x {shape[0]} "
            "pixels first"
        ) from None
    if alpha is not None and (alpha < 255).any():
        return np.ascontiguousarray(alpha)
    if (rgb != rgb[..., :1]).any():
        raise ValueError(f"{quoted(path)} is in color: a mask is gray, white where selected, or the alpha of a cut-out")
    mask = np.ascontiguousarray(rgb[..., 0])
    if mask.max() == 1:
        raise ValueError(
            f"{quoted(path)} is all black but for values of 1: multiply it by 255, white is what is selected"
        )
    return mask


def cut_out(rgb: Pixels, rgba: Pixels | None, alpha: Pixels) -> Pixels:
    """Give an image the alpha of a selection, times its own.

    Args:
        rgb, rgba: Of a `LoadedImage`.
        alpha: Of the selection, uint8, shape (H, W).

    Returns:
        RGBA, uint8, shape (H, W, 4), colors not multiplied by alpha. Fresh.
    """
    if rgba is None:
        return np.dstack((rgb, alpha))
    product = (rgba[..., 3].astype(np.uint16) * alpha + 127) // 255
    return np.dstack((rgba[..., :3], product.astype(np.uint8)))


def write(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Write an image whole: under a temporary name in the same folder first, then renamed.

    Args:
        path: Where to; the suffix, one of `LOSSLESS`, names the format. An existing file is replaced.
        pixels: uint8, shape (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA; colors are sRGB, which the file says by its
            profile.

    Raises:
        ValueError: The suffix is not a known one, or it is no path.
        OSError: The file cannot be written.
    """
    target = check_writable(path)
    # By way of memory: of a full disk Pillow says no more than "encoder error -2".
    buffer = io.BytesIO()
    encode(buffer, pixels, target.suffix.lower())
    with atomic_write(target) as file:
        file.write(buffer.getbuffer())


def encode(file: BinaryIO, pixels: Pixels, suffix: str, **options: Any) -> None:
    """Write an image into an open file; ``options``, of Pillow's encoder, take the place of those of `write`."""
    from PIL import Image

    lossless: dict[str, Any] = {".png": {}, ".webp": {"lossless": True, "exact": True}}.get(
        suffix, {"compression": "tiff_deflate"}
    )
    # A matte holds no colors, and a profile of colors does not belong to gray.
    profile = color_profiles.srgb() if pixels.ndim == 3 else None
    if profile is not None:
        lossless["icc_profile"] = profile
    Image.fromarray(pixels).save(file, format=Image.registered_extensions()[suffix], **{**lossless, **options})


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that `write` could not write to, before any work is done for it.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is not one of `LOSSLESS`, the path is a folder, a device or a pipe, or it is no path.
        FileNotFoundError, NotADirectoryError: The folder to write into does not exist, or is a file.
        OSError: That folder cannot be looked into.
    """
    target = local_path(path)
    if target.suffix.lower() not in LOSSLESS:
        raise ValueError(f"cannot write {quoted(target)}: the name must end in {', '.join(LOSSLESS)}")
    return check_place(target)


def _pixels_of(image: ImageLike, *, as_stored: bool, max_pixels: int | None = None) -> tuple[Pixels, Pixels | None]:
    """Return RGB (H, W, 3), fresh, and alpha (H, W) if there is one; ``as_stored`` leaves the color profile alone."""
    pil_images.check_max_pixels(max_pixels)
    if isinstance(image, np.ndarray):
        if image.ndim >= 2:
            pil_images.check_size((image.shape[0], image.shape[1]), max_pixels, "image")
        return _from_array(image)
    if isinstance(image, (str, os.PathLike)):
        return _from_path(image, as_stored, max_pixels)
    # A PIL image can only exist once PIL.Image is loaded: no need to import it to rule that out.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        pil_images.check_size((image.height, image.width), max_pixels, "image")  # before it is decoded
        pil_images.check_tiles(image, max_pixels, "image")
        return _from_pil(image, as_stored)
    kind = f"{type(image).__module__}.{type(image).__qualname__}".removeprefix("builtins.")
    raise ValueError(
        f"image is a {kind}; pass {_ACCEPTED}. "
        "numpy.asarray(image, dtype=numpy.uint8) converts lists and tensors that hold 0..255, "
        "PIL.Image.open(image) opens a file object"
    )


def _over_white(rgb: Pixels, alpha: Pixels | None) -> LoadedImage:
    """Lay colors over white: what is transparent must not show colors that nobody sees."""
    if alpha is None or (alpha == 255).all():
        return LoadedImage(rgb)
    seen, rows = np.empty_like(rgb), max(1, (1 << 20) // rgb.shape[1])
    for top in range(0, len(rgb), rows):
        part = slice(top, top + rows)
        opacity = alpha[part].astype(np.uint16)
        white = 255 * (255 - opacity) + 127
        for channel in range(3):  # one at a time, which takes a fifth of the time of all at once
            color = rgb[part, :, channel] * opacity
            color += white  # at most 255 * 255 + 127, which 16 bits hold
            color //= 255
            seen[part, :, channel] = color
    return LoadedImage(seen, np.dstack((rgb, alpha)))


def _from_array(array: npt.NDArray[Any]) -> tuple[Pixels, Pixels | None]:
    if array.dtype != np.uint8:
        raise ValueError(f"image has dtype {array.dtype}; {_way_out(array)}")
    if array.ndim == 3 and array.shape[2] == 2:
        raise ValueError(
            f"image has shape {array.shape}, and two channels have no clear meaning; of gray and alpha pass "
            "image[..., [0, 0, 0, 1]], which is RGB and alpha, of gray alone image[..., 0]"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels go last: numpy.moveaxis(image, 0, 2)"
        elif array.ndim == 4:
            hint = "; pass one image at a time, image[0] for the first of a batch"
        raise ValueError(f"image has shape {array.shape}, not (H, W), (H, W, 3) or (H, W, 4){hint}")
    if array.size == 0:
        raise ValueError(f"image has shape {array.shape}: it holds no pixels")
    rgb = np.empty((*array.shape[:2], 3), dtype=np.uint8)
    rgb[...] = array[..., None] if array.ndim == 2 else array[..., :3]
    return rgb, np.array(array[..., 3]) if array.ndim == 3 and array.shape[2] == 4 else None


def _way_out(array: npt.NDArray[Any]) -> str:
    """How an array of another type becomes uint8; by its values, since what is too large for uint8 would wrap."""
    kind = array.dtype.kind
    if kind == "b":
        return "pass uint8: image.astype(numpy.uint8) * 255"
    if kind not in "iuf":
        return f"pass {_ACCEPTED}"
    finite = array[np.isfinite(array)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    if kind == "f":
        if low >= 0 and high <= 1:
            return (
                "pass uint8: (image * 255).round().astype(numpy.uint8) for values in 0..1 (clear NaN first, "
                "it has no color)"
            )
        way_out = (
            "image.round().astype(numpy.uint8)" if low >= 0 and high <= 255 else to_8_bits(float(low), float(high))
        )
        return f"its values are {low:g}..{high:g}; pass uint8: {way_out}"
    others = " or, of values in 0..65535, (image // 257).astype(numpy.uint8)" if high <= 255 and kind == "u" else ""
    return f"its values are {low}..{high}; pass uint8: {to_8_bits(int(low), int(high))}{others}"


def _from_path(source: str | os.PathLike[str], as_stored: bool, max_pixels: int | None) -> tuple[Pixels, Pixels | None]:
    path = local_path(source, "or the image itself as an array or a PIL image")
    name = quoted(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{name} is {'a folder' if path.is_dir() else 'no file'}; pass the path of one image")
    if not path.exists():
        raise FileNotFoundError(f"no image at {name}; check the path (the working folder is {quoted(Path.cwd())})")
    # Opened here, so that what the operating system has to say (no permission) is not taken for a damaged file.
    with open(path, "rb") as file:
        return _converted(*pil_images.read(file, name, max_pixels), name, as_stored)


def _from_pil(image: Image.Image, as_stored: bool) -> tuple[Pixels, Pixels | None]:
    try:
        loaded = pil_images.load(image)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"image {pil_images.DAMAGED}: {error}") from error
    return _converted(*loaded, "image", as_stored)


def _converted(image: Image.Image, depth: Depth, name: str, as_stored: bool) -> tuple[Pixels, Pixels | None]:
    """Return the colors and alpha of an image that is loaded; see `_pixels_of`."""
    if image.width == 0 or image.height == 0:
        raise ValueError(f"{name} has size {image.size}: it holds no pixels")
    image = pil_images.upright(image)
    if image.mode == "F":
        raise ValueError(
            f"{name} has floating-point pixels (mode F), which have no fixed range; "
            "scale them to 0..255 and convert('L') first"
        )
    alpha = pil_images.alpha_of(image, depth.stored)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = pil_images.with_pixels(image, gray_to_8_bits(np.asarray(image), depth, name))
    elif depth.stored == 16:
        check_colors(np.asarray(image.convert("RGB")), depth, name)
    if not as_stored:
        image = color_profiles.to_srgb(image, name)
    try:
        rgb = pil_images.as_rgb(image)
    except ValueError:
        raise ValueError(
            f"{name} has mode {image.mode}, which Pillow cannot convert to RGB; convert it first"
        ) from None
    return rgb, alpha
