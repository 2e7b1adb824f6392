"""The Semantic Boundaries Dataset (Hariharan et al. 2011) as it is published: ``img/``, ``inst/``, lists of names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.data.io import Masked, one_object, read_rgb
from pyiseg.evaluation import masks
from pyiseg.evaluation.masks import objects_of, read_instances

_LAYOUT = (
    "the data set is img/, inst/, train.txt and val.txt side by side, in the published archive under "
    "benchmark_RELEASE/dataset"
)


class SbdImages:
    """The instances of the images in ``train.txt``.

    Args:
        root: Folder with ``img/*.jpg``, ``inst/*.mat``, ``train.txt`` and ``val.txt``.
        split: Which list; only ``train`` is trained on.

    Raises:
        FileNotFoundError: A list or folder is missing.
        ValueError: A list is empty, a ``.mat`` file cannot be read, or images of ``val.txt`` would be trained on.
    """

    # Its polygons follow the borders only roughly.
    close_masks = False

    def __init__(self, root: Path, split: str = "train") -> None:
        if split != "train":
            raise ValueError(f"split is {split!r}: only 'train' is trained on, {split}.txt is for measuring")
        for part in ("img", "inst"):
            if not (root / part).is_dir():
                raise FileNotFoundError(f"no folder {root / part}: {_LAYOUT}")
        names = read_names(root / "train.txt")
        both = sorted(set(names) & set(read_names(root / "val.txt")))
        if both:
            raise ValueError(
                f"{root / 'train.txt'} lists {len(both)} images of val.txt, such as {both[0]}: they are for "
                "measuring; take them out of train.txt"
            )
        self.root = root
        self.objects = _objects(root, tuple(names))
        if not self.objects:
            raise ValueError(f"{root / 'train.txt'}: none of its {len(names)} images has an instance in inst/")

    def __len__(self) -> int:
        return len(self.objects)

    def take(self, number: int) -> Masked:
        """Return instance ``number``."""
        name, identifier = self.objects[number]
        path = self.root / "img" / f"{name}.jpg"
        return one_object(
            path, read_rgb(path), read_instances(self.root / "inst" / f"{name}.mat"), [identifier], "rough"
        )

    def sample(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> Masked:
        """Return any instance, each as likely as another; there are no parts to choose from."""
        return self.take(int(rng.integers(len(self))))


def read_names(path: Path) -> list[str]:
    """Read a list of names, one a line.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is empty, or no list of names.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no list {path}: {_LAYOUT}")
    names = masks.read_names(path)
    if not names:
        raise ValueError(f"the list {path} is empty; fetch it again")
    return names


@lru_cache(maxsize=2)
def _objects(root: Path, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (image, instance) of all images. Cached: it takes a while, and training opens the data more often."""
    result = []
    for name in tqdm(names, desc="instances", unit="image", leave=False, disable=len(names) < 100):
        result += [(name, value) for value in objects_of(read_instances(root / "inst" / f"{name}.mat"))]
    return result
