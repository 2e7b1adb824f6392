"""Any folder of images and masks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.data.io import (
    VOID,
    DamagedFileError,
    Masked,
    of_one_size,
    one_object,
    read_gray,
    read_index,
    read_rgb,
)
from pyiseg.evaluation.masks import pairs, without_mask

# More values than this in an index mask, and it is rather a gray one.
_MANY = 100
_LAYOUT = "a training folder is images/ and masks/ side by side, files of the same name but for the suffix"


class FolderImages:
    """Images in ``images/`` with masks of the same names in ``masks/``; others are left out, with a notice.

    Args:
        root: Folder that holds both.
        masks: ``alpha``: a mask is gray, 0 to 255, kept as the alpha of one object. ``index``: a mask is 8-bit gray
            or has a palette, 0 is background, 255 void, and every other value is one object.

    Raises:
        FileNotFoundError: A folder is missing or empty, or a mask has no image.
        ValueError: A mask is not of the kind named.
    """

    def __init__(self, root: Path, masks: str = "alpha") -> None:
        found = tuple(pairs(root / "images", root / "masks", _LAYOUT))
        without_mask(root / "images", {image for image, _ in found})
        self.index = masks == "index"
        self.close_masks = not self.index
        self.objects = _objects(found) if self.index else [(*pair, 0) for pair in found]
        if not self.objects:
            raise ValueError(
                f"{root / 'masks'}: no mask has an object, their values are all 0 and 255; for masks of one object "
                "each --set data.masks=alpha"
            )

    def __len__(self) -> int:
        return len(self.objects)

    def take(self, number: int) -> Masked:
        """Return object ``number``."""
        path, mask, identifier = self.objects[number]
        image = read_rgb(path)
        if self.index:
            return one_object(path, image, read_index(mask), [identifier], "close")
        alpha = read_gray(mask)
        of_one_size(path, image, alpha)
        if alpha.max() < 128:
            raise DamagedFileError(
                f"mask {mask} wants nothing: its largest value is {alpha.max()}, an alpha goes to 255; for masks that "
                "number objects --set data.masks=index"
            )
        return Masked(image, alpha, np.ones_like(alpha), np.zeros_like(alpha))

    def sample(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> Masked:
        """Return any object, each as likely as another; there are no sources to choose from."""
        return self.take(int(rng.integers(len(self))))


@lru_cache(maxsize=2)
def _objects(found: tuple[tuple[Path, Path], ...]) -> list[tuple[Path, Path, int]]:
    """Return (image, mask, value) of all objects. Cached: all masks are read for it."""
    result = []
    for image, mask in tqdm(found, desc="objects", unit="mask", leave=False, disable=len(found) < 100):
        values = np.unique(read_index(mask))
        if len(values) > _MANY:
            raise DamagedFileError(
                f"{mask} has {len(values)} different values: that is no index mask; for an alpha --set data.masks=alpha"
            )
        result += [(image, mask, int(value)) for value in values if value not in (0, VOID)]
    return result
