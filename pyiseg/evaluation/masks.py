"""How masks are found and read, for measuring and for training: a damaged file is named, whatever is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyiseg import pil_images
from pyiseg.evaluation.mat_file import MatFileError, read_matrix
from pyiseg.paths import in_one_line, plain_name, shown_path

if TYPE_CHECKING:
    from PIL import Image

VOID = 255
"""The value of index masks that marks pixels which are not judged."""


class DamagedFileError(ValueError):
    """A file of a data set cannot be used; the message names it."""


def listed(folder: Path, way_out: str) -> list[Path]:
    """Return the files of a folder in the order of their names, without what the system keeps there (.DS_Store).

    Raises:
        FileNotFoundError: There is no such folder, or nothing in it; ``way_out`` ends the message.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {shown_path(folder)}: {way_out}")
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"the folder {shown_path(folder)} is empty: {way_out}")
    return found


def pairs(
    images: Path, masks: Path, way_out: str, image_of: Callable[[str], str] = lambda stem: stem
) -> list[tuple[Path, Path]]:
    """Return (image, mask) for every mask, in the order of their names; images without a mask are left out.

    Args:
        images, masks: The folders.
        way_out: Ends the message, as in "an evaluation set is images/ and masks/ side by side".
        image_of: The image's name where no image has the mask's, both without suffix.

    Raises:
        FileNotFoundError: A folder is missing or empty, or a mask has no image.
    """
    by_name = {path.stem: path for path in listed(images, way_out)}
    found = []
    for mask in listed(masks, way_out):
        name = mask.stem if mask.stem in by_name else image_of(mask.stem)
        if name not in by_name:
            raise FileNotFoundError(
                f"mask {shown_path(mask)} has no image of its name in {shown_path(images)}: {way_out}"
            )
        found.append((by_name[name], mask))
    return found


def without_mask(images: Path, masked: Collection[Path]) -> list[str]:
    """Return the names of the images in a folder that no mask was found for, after a notice on stderr."""
    paths = listed(images, "")
    names = [path.name for path in paths if path not in masked]
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        verb, end = ("have", "are") if len(names) > 1 else ("has", "is")
        _say_once(
            images,
            f"{len(names)} of {len(paths)} images {verb} no mask and {end} left out: {in_one_line(shown)}",
        )
    return names


@lru_cache
def _say_once(folder: Path, notice: str) -> None:
    """Training opens its data once for each size of its images."""
    print(notice, file=sys.stderr)


def read_pixels(path: Path, convert: Callable[[Image.Image], Image.Image] = lambda image: image) -> NDArray[Any]:
    """Read an image's values as they are stored, or as ``convert`` makes them.

    Raises:
        DamagedFileError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            image, _ = pil_images.read(file, "the file")
        return np.asarray(convert(image))
    except (ValueError, OSError) as error:
        raise DamagedFileError(f"{shown_path(path)} cannot be read as an image: {error}") from error


def read_index(path: Path) -> NDArray[np.uint8]:
    """Read an index mask, uint8, shape (H, W): 0 is background, 255 void, anything else one object.

    Palettes are not looked up: their indices are the objects. Three equal channels are one: WebP has no gray mode.

    Raises:
        DamagedFileError: It cannot be read or is no index mask.
    """
    values = read_pixels(path)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 3:
        if not (values == values[..., :1]).all():
            raise DamagedFileError(
                f"{shown_path(path)} is no index mask: its color channels differ; save it as 8-bit gray or with "
                "a palette"
            )
        values = np.ascontiguousarray(values[..., 0])
    if values.ndim != 2 or values.dtype != np.uint8:
        raise DamagedFileError(
            f"{shown_path(path)} is no index mask: shape {values.shape}, {values.dtype}; save it as 8-bit gray "
            "or with a palette"
        )
    return values


def objects_of(index: NDArray[np.uint8]) -> list[int]:
    """Return the objects of an index mask, as :func:`read_index` reads it: its values but for background and void."""
    return [int(value) for value in np.unique(index) if value not in (0, VOID)]


def read_names(path: Path) -> list[str]:
    """Return the names of a list of images, without suffix.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no text, or one of them is no plain name, such as "../1".
    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError:
        raise DamagedFileError(f"{shown_path(path)} is no list of names: it is not text; fetch it again") from None
    return [plain_name(word, f"a name in {shown_path(path)}") for word in words]


def read_instances(path: Path) -> NDArray[np.uint8]:
    """Read the instance map of an SBD file (``inst/*.mat``): uint8, shape (H, W), values as of :func:`read_index`.

    Raises:
        DamagedFileError: It cannot be read or holds something else.
    """
    try:
        values = read_matrix(path, "GTinst", "Segmentation")
    except (MatFileError, OSError) as error:
        raise DamagedFileError(
            f"{shown_path(path)} cannot be read as the instances of an image (GTinst.Segmentation): {error}; fetch it "
            "again, or take its name out of the list"
        ) from error
    # uint8 must not wrap them: 300 would become instance 44.
    if values.min() < 0 or values.max() > VOID:
        raise DamagedFileError(
            f"{shown_path(path)}: GTinst.Segmentation goes from {values.min()} to {values.max()}; instances are 1 to "
            f"{VOID - 1}"
        )
    return values.astype(np.uint8)
