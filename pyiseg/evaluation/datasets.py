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
        threshold: The least value that is wanted, 0..255, where the mask has no band. Of a mask in colour the strongest
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
            FileNotFoundError: There is no mask.
            ValueError: It cannot be read, or nothing is wanted.
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
            with Image.open(self.mask) as picture:
                # By way of RGBA: Pillow warns about palettes with transparency that go straight to RGB.
                rgb = picture.convert("RGBA").convert("RGB") if picture.mode == "P" else picture.convert("RGB")
            values: NDArray[np.uint8] = np.asarray(rgb).max(axis=2)
        except (FileNotFoundError, PermissionError, MemoryError):
            raise
        except Exception as error:
            # Pillow's decoders have no common error: OSError, SyntaxError and RuntimeError have been seen.
            raise ValueError(f"mask {self.mask} cannot be read, the file may be damaged: {error}") from error
        return values


@dataclass(frozen=True)
class Instance(Case):
    """One instance of an SBD file.

    Attributes:
        number: Of the instance, 1 to 254; 255 is void and the other instances are background.
    """

    number: int = 1

    def truth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the instance map; see :meth:`Case.truth`."""
        instances = _sbd_instances(self.mask)
        wanted = instances == self.number
        if not wanted.any():
            raise ValueError(f"{self.mask} has no instance {self.number}")
        return wanted, instances == 255


def grabcut(folder: Path) -> Iterator[Case]:
    """The 50 images of GrabCut: ``images/`` and ``masks/`` by the same name; the grey band is void."""
    for image, mask in _pairs(folder, "images", "masks", lambda stem: stem):
        yield Case(mask.stem, image, mask, banded=True)


def berkeley(folder: Path) -> Iterator[Case]:
    """The 100 masks on 96 images of Berkeley: a letter behind the number marks another object of the same image."""
    for image, mask in _pairs(folder, "images", "masks", lambda stem: stem.rstrip("abcdefghijklmnopqrstuvwxyz")):
        yield Case(mask.stem, image, mask)


def folder(folder: Path) -> Iterator[Case]:
    """Any folder with ``images/`` and ``masks/`` by the same names; masks are thresholded at 128."""
    for image, mask in _pairs(folder, "images", "masks", lambda stem: stem):
        yield Case(mask.stem, image, mask)


def davis(folder: Path) -> Iterator[Case]:
    """The 345 sampled frames of DAVIS: ``img/`` and ``gt/`` by the same names; all objects of a frame are one."""
    for image, mask in _pairs(folder, "img", "gt", lambda stem: stem, "the sampled frames of DAVIS are"):
        yield Case(mask.stem, image, mask, threshold=1)


def sbd(folder: Path) -> Iterator[Case]:
    """SBD's validation part: the names in ``val.txt``, of ``img/*.jpg`` and ``inst/*.mat``; a case for each instance.

    A file that cannot be read is one case, whose :meth:`Case.truth` says so.
    """
    names, images, instances = folder / "val.txt", folder / "img", folder / "inst"
    if not (names.is_file() and images.is_dir() and instances.is_dir()):
        raise FileNotFoundError(
            f"{folder} is not laid out as SBD: val.txt, img/*.jpg and inst/*.mat side by side "
            "(benchmark_RELEASE/dataset in the archive)"
        )
    for name in names.read_text().split():
        image, mask = images / f"{name}.jpg", instances / f"{name}.mat"
        try:
            numbers = [int(number) for number in np.unique(_sbd_instances(mask)) if number not in (0, 255)]
        except (OSError, ValueError):
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


def _pairs(
    root: Path, images_in: str, masks_in: str, image_of: Callable[[str], str], described: str = "an evaluation set is"
) -> Iterator[tuple[Path, Path]]:
    """Yield (image, mask) for every mask, in the order of their names."""
    for part in (images_in, masks_in):
        if not (root / part).is_dir():
            raise FileNotFoundError(
                f"{root} has no folder {part}/: {described} {images_in}/ and {masks_in}/ side by side"
            )
    images = {path.stem: path for path in _visible(root / images_in)}
    for mask in _visible(root / masks_in):
        if mask.stem in images:
            yield images[mask.stem], mask
        elif image_of(mask.stem) in images:
            yield images[image_of(mask.stem)], mask
        else:
            raise FileNotFoundError(f"mask {mask} has no image of its name in {root / images_in}")


def _visible(folder: Path) -> list[Path]:
    """The files of a folder in the order of their names, without what the system keeps there (.DS_Store)."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _sbd_instances(path: Path) -> NDArray[np.uint8]:
    """The instance map of an SBD file: uint8, shape (H, W), 0 background."""
    from scipy.io import loadmat

    try:
        instances = np.asarray(loadmat(path)["GTinst"]["Segmentation"][0, 0])
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        # scipy raises whatever its parser stumbles over: ValueError, TypeError, KeyError and zlib.error have been seen.
        raise ValueError(f"{path} cannot be read as an instance file of SBD: {error}") from error
    if instances.ndim != 2 or instances.dtype.kind not in "iu":
        raise ValueError(f"{path}: GTinst.Segmentation has shape {instances.shape} and dtype {instances.dtype}")
    return instances.astype(np.uint8)
