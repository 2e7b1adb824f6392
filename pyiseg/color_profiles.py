"""Color profiles (ICC): what is read is converted to sRGB, and what is written says that it is sRGB."""

from __future__ import annotations

import functools
import io
import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_MODES = {"RGB": ("RGB", "RGBA", "RGBX", "P", "PA", "L", "LA", "1"), "GRAY": ("L", "LA", "1"), "CMYK": ("CMYK",)}
"""Modes of images that can have a profile of a color space."""

_SAME = 2
"""Colors that differ by less than 3 of 255 at most are the same: profiles of sRGB itself are rounded in many ways."""


def to_srgb(image: Image.Image, name: str) -> Image.Image:
    """Convert an image with a color profile to sRGB.

    Args:
        image: Of any mode; its profile is in ``image.info``.
        name: Of the image, for warnings.

    Returns:
        An image of mode RGB, without its alpha; the image as it is where it has no profile, that of sRGB or, after a
        warning, one that cannot be used.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if image.mode not in _MODES.get(space, ()):
            raise ValueError(f"it is for {space}, the image is {image.mode}")
        mode = {"GRAY": "L"}.get(space, space)
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if _changes_nothing(transform, mode):
            return image
        # By way of RGBA: Pillow warns about palettes with transparency that go straight to RGB.
        plain = image.convert("RGBA") if image.mode in ("P", "PA") else image
        converted = ImageCms.applyTransform(plain if plain.mode == mode else plain.convert(mode), transform)
    except MemoryError:
        raise
    except Exception as error:
        # LittleCMS has no common error; ImportError is that of a Pillow that was built without it.
        warn_of(name, str(error))
        return image
    assert converted is not None  # as it is where it is not done in place
    return converted


def warn_of(name: str, reason: str) -> None:
    """Warn that the profile of an image cannot be used."""
    warnings.warn(
        f"{name} has a color profile that cannot be used ({reason}); its colors are taken as sRGB",
        RuntimeWarning,
        stacklevel=2,
    )


@functools.cache
def srgb() -> bytes | None:
    """Return the profile of sRGB, the same bytes each time; None with a Pillow that was built without LittleCMS."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    except ImportError:
        return None
    # LittleCMS writes down when it was made, which would make each file another one.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def _changes_nothing(transform: Any, mode: str) -> bool:
    """Whether a transform to sRGB leaves colors as they are, but for rounding."""
    from PIL import Image, ImageCms

    if mode == "CMYK":
        return False
    steps = np.arange(0, 256, 15 if mode == "RGB" else 1, dtype=np.uint8)
    if mode == "RGB":
        sample = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    else:
        sample = steps[None]
    found = ImageCms.applyTransform(Image.fromarray(sample), transform)
    wanted = sample if sample.ndim == 3 else sample[..., None]
    return bool(np.abs(np.asarray(found).astype(np.int16) - wanted).max() <= _SAME)
