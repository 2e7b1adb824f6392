"""Readers of evaluation sets: each yields its cases, an image and one wanted mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyiseg.evaluation.masks import (
    VOID,
    DamagedFileError,
    objects_of,
    pairs,
    read_index,
    read_instances,
    read_names,
    read_pixels,
)
from pyiseg.paths import shown_path


@dataclass(frozen=True)
class Case:
    """One object to be selected.

    Attributes:
        name: Of the mask, unique in its data set.
        image: Path of the image.
        mask: Path of the mask.
        banded: Whether values between 64 and 192 in the mask are void (GrabCut's band) instead of thresholded.
        threshold: The least value that is wanted, 0..255, where the mask has no band. Of a mask in color the strongest
            channel counts.
    """

    name: str
    image: Path
    mask: Path
    banded: bool = False
    threshold: int = 128

    def truth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask.

        Returns:
            Which pixels are wanted and which are not judged, each bool, shape (H, W).

        Raises:
            ValueError: There is no mask, it cannot be read, or nothing is wanted.
        """
        values = self._values()
        wanted = values >= (192 if self.banded else self.threshold)
        if not wanted.any():
            raise ValueError(
                f"mask {self.mask} wants nothing: its largest value is {values.max()}; masks go from 0 to 255"
            )
        return wanted, (values > 63) & ~wanted if self.banded else np.zeros_like(wanted)

    def _values(self) -> NDArray[np.uint8]:
        try:
            values: NDArray[np.uint8] = read_pixels(self.mask, _in_color).max(axis=2)
        except DamagedFileError as error:
            raise DamagedFileError(f"mask {error}") from error.__cause__
        return values


@dataclass(frozen=True)
class Instance(Case):
    """One object of a mask that numbers them: an instance file of SBD (``.mat``), or an image.

    Attributes:
        number: Of the object, 1 to 254; 255 is void and the other objects are background.
    """

    number: int = 1

    def truth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask; see :meth:`Case.truth`."""
        numbers = read_instances(self.mask) if self.mask.suffix == ".mat" else read_index(self.mask)
        wanted = numbers == self.number
        if not wanted.any():
            raise ValueError(f"{self.mask} has no object {self.number}")
        return wanted, numbers == VOID


def grabcut(folder: Path) -> Iterator[Case]:
    """The 50 images of GrabCut: ``images/`` and ``masks/`` by the same name; the gray band is void."""
    for image, mask in _pairs(folder):
        yield Case(mask.stem, image, mask, banded=True)


def berkeley(folder: Path) -> Iterator[Case]:
    """The 100 masks on 96 images of Berkeley: a letter behind the number marks another object of the same image."""
    for image, mask in _pairs(folder, image_of=lambda stem: stem.rstrip("abcdefghijklmnopqrstuvwxyz")):
        yield Case(mask.stem, image, mask)


def folder(folder: Path) -> Iterator[Case]:
    """Any folder with ``images/`` and ``masks/`` by the same names; masks are thresholded at 128."""
    for image, mask in _pairs(folder):
        yield Case(mask.stem, image, mask)


def davis(folder: Path) -> Iterator[Case]:
    """The 345 sampled frames of DAVIS: ``img/`` and ``gt/`` by the same names; all objects of a frame are one."""
    layout = "the sampled frames of DAVIS are img/ and gt/ side by side"
    for image, mask in pairs(folder / "img", folder / "gt", layout):
        yield Case(mask.stem, image, mask, threshold=1)


def sbd(folder: Path) -> Iterator[Case]:
    """SBD's validation part: the names in ``val.txt``, of ``img/*.jpg`` and ``inst/*.mat``; a case for each instance.

    A file that cannot be read is one case, whose :meth:`Case.truth` says so.
    """
    names, images, instances = folder / "val.txt", folder / "img", folder / "inst"
    if not (names.is_file() and images.is_dir() and instances.is_dir()):
        raise FileNotFoundError(
            f"{shown_path(folder)} is not laid out as SBD: val.txt, img/*.jpg and inst/*.mat side by side "
            "(benchmark_RELEASE/dataset in the archive)"
        )
    for name in read_names(names):
        image, mask = images / f"{name}.jpg", instances / f"{name}.mat"
        try:
            numbers = objects_of(read_instances(mask))
        except DamagedFileError:
            yield Instance(name, image, mask)
        else:
            for number in numbers:
                yield Instance(f"{name}#{number}", image, mask, number=number)


DATASETS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "grabcut": grabcut,
    "berkeley": berkeley,
    "sbd": sbd,
    "davis": davis,
    "folder": folder,
}


def _pairs(folder: Path, image_of: Callable[[str], str] = lambda stem: stem) -> list[tuple[Path, Path]]:
    return pairs(folder / "images", folder / "masks", "an evaluation set is images/ and masks/ side by side", image_of)


def _in_color(image: Image.Image) -> Image.Image:
    # By way of RGBA: Pillow warns about palettes with transparency that go straight to RGB.
    return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
