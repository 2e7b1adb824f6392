"""Readers of evaluation sets: each yields its cases, a picture and one wanted mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Case:
    """One object to be selected.

    Attributes:
        name: Of the mask, unique in its data set.
        image: Path of the picture.
        mask: Path of the mask.
        banded: Whether values between 64 and 192 in the mask are void (GrabCut's band) instead of thresholded.
    """

    name: str
    image: Path
    mask: Path
    banded: bool = False

    def truth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask.

        Returns:
            Which pixels are wanted and which are not judged, each bool, shape (H, W).

        Raises:
            ValueError: Nothing is wanted.
        """
        with Image.open(self.mask) as picture:
            values = np.asarray(picture.convert("L"))
        wanted = values >= (192 if self.banded else 128)
        if not wanted.any():
            raise ValueError(
                f"mask {self.mask} wants nothing: its largest value is {values.max()}; masks go from 0 to 255"
            )
        return wanted, (values > 63) & ~wanted if self.banded else np.zeros_like(wanted)


def grabcut(folder: Path) -> Iterator[Case]:
    """The 50 images of GrabCut: ``images/`` and ``masks/`` by the same name; the grey band is void."""
    for image, mask in _pairs(folder, lambda stem: stem):
        yield Case(mask.stem, image, mask, banded=True)


def berkeley(folder: Path) -> Iterator[Case]:
    """The 100 masks on 96 images of Berkeley: a letter behind the number marks another object of the same image."""
    for image, mask in _pairs(folder, lambda stem: stem.rstrip("abcdefghijklmnopqrstuvwxyz")):
        yield Case(mask.stem, image, mask)


def folder(folder: Path) -> Iterator[Case]:
    """Any folder with ``images/`` and ``masks/`` by the same names; masks are thresholded at 128."""
    for image, mask in _pairs(folder, lambda stem: stem):
        yield Case(mask.stem, image, mask)


DATASETS: dict[str, Callable[[Path], Iterator[Case]]] = {"grabcut": grabcut, "berkeley": berkeley, "folder": folder}


def _pairs(root: Path, image_of: Callable[[str], str]) -> Iterator[tuple[Path, Path]]:
    """Yield (image, mask) for every mask, in the order of their names."""
    for part in ("images", "masks"):
        if not (root / part).is_dir():
            raise FileNotFoundError(
                f"{root} has no folder {part}/: an evaluation set is images/ and masks/ side by side"
            )
    images = {path.stem: path for path in _visible(root / "images")}
    for mask in _visible(root / "masks"):
        if mask.stem in images:
            yield images[mask.stem], mask
        elif image_of(mask.stem) in images:
            yield images[image_of(mask.stem)], mask
        else:
            raise FileNotFoundError(f"mask {mask} has no image of its name in {root / 'images'}")


def _visible(folder: Path) -> list[Path]:
    """The files of a folder in the order of their names, without what the system keeps there (.DS_Store)."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
