"""Read image files with Pillow; find out how an image is turned and where it is transparent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pyiseg.gray_depth import Depth, stated_depth
from pyiseg.png_chunks import without_notes

if TYPE_CHECKING:
    from PIL import Image

DAMAGED = "cannot be decoded, the file may be damaged or incomplete"

_ORIENTATION = 0x0112


def read(file: BinaryIO, name: str) -> tuple[Image.Image, Depth]:
    """Return the image of a file, loaded, and what the file says of its depth.

    Args:
        file: Open.
        name: Of the image, for errors.

    Raises:
        ValueError: Pillow cannot read it. Damaged notes beside the pixels of a PNG file are no reason.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return _read(file)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not an image that Pillow can read; convert it to PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is too large: {error}; shrink it, or pass it as an array") from None
    except Exception as error:
        # Pillow's decoders have no common error: OSError, SyntaxError and RuntimeError have been seen.
        raise ValueError(f"{name} {DAMAGED}: {error}") from error


def _read(file: BinaryIO) -> tuple[Image.Image, Depth]:
    from PIL import Image

    try:
        return load(Image.open(file))
    except (MemoryError, Image.DecompressionBombError):
        raise
    except Exception:
        fewer = without_notes(file)
        if fewer is None:
            raise
        image, depth = load(Image.open(fewer[0]))
        if fewer[1]:
            image.info["icc_profile"] = b"damaged"  # whoever converts colors says so
        return image, depth


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


def with_pixels(image: Image.Image, pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Return an image of other pixels, with the notes of this one, such as its color profile."""
    from PIL import Image

    changed = Image.fromarray(pixels)
    changed.info = dict(image.info)
    return changed


def _palette_has_alpha(image: Any) -> bool:
    return image.palette is not None and image.palette.mode.endswith("A")
