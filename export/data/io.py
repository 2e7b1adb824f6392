"""What every source of training images gives, and how files are read: a damaged one is named, whatever is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyiseg import images
from pyiseg.evaluation.masks import VOID, DamagedFileError, listed, read_index, read_pixels

__all__ = [
    "VOID",
    "Array",
    "DamagedFileError",
    "Grade",
    "Masked",
    "Source",
    "listed",
    "of_one_size",
    "one_object",
    "read_gray",
    "read_index",
    "read_rgb",
    "read_rgba",
]

Array = NDArray[np.uint8]
Grade = Literal["exact", "close", "fair", "rough"]
"""How closely a mask follows its object: exact is an alpha that the image was composed with."""


class Masked(NamedTuple):
    """An image and one object in it.

    Attributes:
        image: RGB, uint8, shape (H, W, 3).
        alpha: The wanted alpha, 0 to 255, uint8, shape (H, W).
        valid: 1 where a pixel is judged, else 0, uint8, shape (H, W).
        others: 1 on other objects, as far as they are known, else 0, uint8, shape (H, W).
        grade: How closely the mask follows the object.
        shift: (x, y), pixels of this image by which the masks must still be moved right and down to lie on the
            image; they are moved when a window is resized to a training image.
    """

    image: Array
    alpha: Array
    valid: Array
    others: Array
    grade: Grade = "exact"
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def planes(self) -> tuple[Array, Array, Array, Array]:
        """The arrays alone: image, alpha, valid, others."""
        return self.image, self.alpha, self.valid, self.others

    def with_planes(self, image: Array, alpha: Array, valid: Array, others: Array) -> Masked:
        """Return the same with other arrays."""
        return self._replace(image=image, alpha=alpha, valid=valid, others=others)


class Source(Protocol):
    """Photographs with masks.

    Attributes:
        close_masks: Whether masks follow their objects closely enough for these to be cut out.
    """

    close_masks: bool

    def __len__(self) -> int:
        """Return the number of objects to train on."""
        ...

    def take(self, number: int) -> Masked:
        """Return object ``number``."""
        ...

    def sample(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> Masked:
        """Return any object, of certain of its sources only, where it has such."""
        ...


def read_rgb(path: Path) -> Array:
    """Read an image as RGB, uint8, shape (H, W, 3), turned as its EXIF orientation says."""
    try:
        return images.to_rgb(path)
    except (ValueError, OSError) as error:
        raise DamagedFileError(str(error)) from error


def read_gray(path: Path) -> Array:
    """Read a mask or an alpha as gray, uint8, shape (H, W); an alpha channel of its own is ignored."""
    rgb = read_rgb(path)
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        return np.ascontiguousarray(rgb[..., 0])
    raise DamagedFileError(
        f"{path} is no gray mask: it has colors; for masks that number objects --set data.masks=index"
    )


def read_rgba(path: Path) -> Array:
    """Read a cut-out object, uint8, shape (H, W, 4)."""
    values = read_pixels(path, lambda image: image.convert("RGBA"))
    assert values.ndim == 3
    return values


def of_one_size(path: Path, image: Array, mask: Array) -> None:
    """Refuse a mask whose size is not that of its image."""
    if image.shape[:2] != mask.shape:
        (height, width), (rows, columns) = image.shape[:2], mask.shape
        raise DamagedFileError(f"{path} is {width} x {height}, its mask {columns} x {rows}: they must be of one size")


def one_object(path: Path, image: Array, index: Array, chosen: list[int], grade: Grade = "close") -> Masked:
    """Select objects of an index mask; the rest of them are others.

    Args:
        path: Named when image and mask differ in size.
        image: RGB.
        index: As :func:`read_index` returns it.
        chosen: Values in ``index`` that are wanted, as one object.
        grade: How closely the mask follows its objects.
    """
    of_one_size(path, image, index)
    wanted = np.isin(index, chosen)
    valid = index != VOID
    others = valid & (index != 0) & ~wanted
    return Masked(image, wanted.astype(np.uint8) * 255, valid.astype(np.uint8), others.astype(np.uint8), grade)
