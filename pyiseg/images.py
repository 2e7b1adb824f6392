"""Convert NumPy arrays, PIL images and paths to one RGB array; reject anything else with a hint.

Pillow is imported only when an image has to be read or converted, so that ``import pyiseg`` stays light.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.files import atomic_write

if TYPE_CHECKING:
    from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
ImageLike: TypeAlias = "npt.NDArray[np.uint8] | Image.Image | str | os.PathLike[str]"

LOSSLESS = (".png", ".webp", ".tif", ".tiff")
"""Suffixes that `write` knows: formats that keep an alpha channel and every value."""

_ACCEPTED = "a uint8 array (H, W), (H, W, 3) or (H, W, 4), a PIL image, or the path of an image"
_DAMAGED = "cannot be decoded, the file may be damaged or incomplete"


def to_rgb(image: ImageLike) -> Pixels:
    """Turn an image of any accepted kind into an RGB array.

    Args:
        image: One of

            * a uint8 array, (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB, (H, W, 4) RGB and alpha;
            * a PIL image of any mode but ``F``; palettes are looked up, 16-bit gray is scaled to 8 bits;
            * the path of a file that Pillow can read.

            An alpha channel is ignored, color profiles too. The EXIF orientation of a file or PIL image is applied.

    Returns:
        RGB, uint8, shape (H, W, 3), C-contiguous. Always a fresh array that shares no memory with ``image``.

    Raises:
        ValueError: Not an image, or one of a kind that has no clear meaning as 8-bit RGB.
        FileNotFoundError: No file at the given path.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, (str, os.PathLike)):
        return _from_path(Path(image))
    # A PIL image can only exist once PIL.Image is loaded: no need to import it to rule that out.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        return _from_pil(image)
    kind = f"{type(image).__module__}.{type(image).__qualname__}".removeprefix("builtins.")
    raise ValueError(
        f"image is a {kind}; pass {_ACCEPTED}. "
        "numpy.asarray(image, dtype=numpy.uint8) converts lists and tensors that hold 0..255, "
        "PIL.Image.open(image) opens a file object"
    )


def write(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Write an image whole: under a temporary name in the same folder first, then renamed.

    Args:
        path: Where to; the suffix, one of `LOSSLESS`, names the format. An existing file is replaced.
        pixels: uint8, shape (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA.

    Raises:
        ValueError: The suffix is not a known one.
        OSError: The file cannot be written.
    """
    from PIL import Image

    target = check_writable(path)
    suffix = target.suffix.lower()
    options: dict[str, Any] = {".png": {}, ".webp": {"lossless": True, "exact": True}}.get(
        suffix, {"compression": "tiff_deflate"}
    )
    with atomic_write(target) as file:
        Image.fromarray(pixels).save(file, format=Image.registered_extensions()[suffix], **options)


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that `write` could not write to, before any work is done for it.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is not one of `LOSSLESS`, or the path is a folder.
        FileNotFoundError: The folder to write into does not exist.
    """
    target = Path(path)
    if target.suffix.lower() not in LOSSLESS:
        raise ValueError(f"cannot write '{target}': the name must end in {', '.join(LOSSLESS)}")
    if target.is_dir():
        raise ValueError(f"cannot write '{target}': it is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write '{target}': the folder '{target.parent}' does not exist")
    return target


def _from_array(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        raise ValueError(f"image has dtype {array.dtype}; {_way_out(array.dtype)}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels go last: numpy.moveaxis(image, 0, 2)"
        elif array.ndim == 4:
            hint = "; pass one image at a time, image[0] for the first of a batch"
        raise ValueError(f"image has shape {array.shape}, not (H, W), (H, W, 3) or (H, W, 4){hint}")
    if array.size == 0:
        raise ValueError(f"image has shape {array.shape}: it holds no pixels")
    # One and two channels are gray, and gray and alpha; of three and four the first three are the color.
    color = array[..., None] if array.ndim == 2 else array[..., :1] if array.shape[2] <= 2 else array[..., :3]
    rgb = np.empty((*array.shape[:2], 3), dtype=np.uint8)
    rgb[...] = color
    return rgb


def _way_out(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return (
            "pass uint8: (image * 255).round().astype(numpy.uint8) for values in 0..1 (clear NaN first, "
            "it has no color)"
        )
    if dtype.kind == "b":
        return "pass uint8: image.astype(numpy.uint8) * 255"
    if dtype == np.uint16:
        return "pass uint8: (image // 257).astype(numpy.uint8) for values in 0..65535"
    if dtype.kind in "iu":
        return "pass uint8: image.astype(numpy.uint8) for values in 0..255"
    return f"pass {_ACCEPTED}"


def _from_path(path: Path) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    if path.exists() and not path.is_file():
        raise ValueError(f"'{path}' is {'a folder' if path.is_dir() else 'no file'}; pass the path of one image")
    if not path.exists():
        raise FileNotFoundError(f"no image at '{path}'; check the path (the working folder is '{Path.cwd()}')")
    # Opened here, so that what the operating system has to say (no permission) is not taken for a damaged file.
    with open(path, "rb") as file:
        try:
            image = Image.open(file)
        except UnidentifiedImageError:
            raise ValueError(f"'{path}' is not an image that Pillow can read; convert it to PNG or JPEG") from None
        except Image.DecompressionBombError as error:
            raise ValueError(f"'{path}' is too large: {error}; shrink it, or pass it as an array") from None
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"'{path}' {_DAMAGED}: {error}") from error
        return _from_pil(image, f"'{path}'")


def _from_pil(image: Image.Image, name: str = "image") -> Pixels:
    from PIL import ImageOps

    if image.width == 0 or image.height == 0:
        raise ValueError(f"{name} has size {image.size}: it holds no pixels")
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's decoders have no common error: OSError, SyntaxError and RuntimeError have been seen.
        raise ValueError(f"{name} {_DAMAGED}: {error}") from error
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_array(_eight_bits(np.asarray(image), name))
    if image.mode == "F":
        raise ValueError(
            f"{name} has floating-point pixels (mode F), which have no fixed range; "
            "scale them to 0..255 and convert('L') first"
        )
    if image.mode in ("P", "PA"):
        # By way of RGBA: Pillow warns about palettes with transparency that go straight to RGB.
        image = image.convert("RGBA")
    try:
        return _from_array(np.asarray(image.convert("RGB")))
    except ValueError:
        raise ValueError(
            f"{name} has mode {image.mode}, which Pillow cannot convert to RGB; convert it first"
        ) from None


def _eight_bits(values: npt.NDArray[Any], name: str) -> Pixels:
    """Gray of 16 bits as 8 bits. Mode I holds 32 bits, but what Pillow reads into it are 16-bit files."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"{name} has gray values {low}..{high} (mode I), outside 0..65535; scale them to 0..255 first")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
