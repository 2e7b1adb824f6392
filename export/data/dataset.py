"""Training images: photographs with masks, and objects composed over photographs.

Sample number i of a seed is a pure function of (seed, i): a resumed training run sees what an uninterrupted one would.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from export.data.augment import (
    change_light,
    close_window,
    flipped,
    native_window,
    paper_crop,
    paper_light,
    random_window,
)
from export.data.composite import Composer
from export.data.degrade import degraded
from export.data.folder import FolderImages
from export.data.generated.kinds import GRAPHIC, any_kind, checked_shares, generate
from export.data.generated.paint import Material
from export.data.io import Array, DamagedFileError, Masked, Source
from export.data.mixed import RealImages
from export.data.pixel_weights import pixel_weights
from export.data.sbd import SbdImages
from export.data.shapes import Size, check_shapes, height_width

Photographs = Literal["mixed", "sbd", "folder", "none"]
Masks = Literal["alpha", "index"]
Augment = Literal["light", "paper"]
Order = Literal["random", "epochs"]

# So many images or crops are looked at for one whose object is neither too small nor too large.
ATTEMPTS = 20
# So many damaged files may be met in the making of one sample.
FAILURES = 10


class Sample(NamedTuple):
    """One training image.

    Attributes:
        image: RGB, uint8, shape (H, W, 3).
        alpha: Wanted alpha, uint8, shape (H, W).
        valid: 1 where a pixel is judged, uint8, shape (H, W).
        others: 1 on other objects, uint8, shape (H, W); 0 also where nothing is known of any.
        weight: How much each pixel counts in the losses, uint8, shape (H, W), 255 the most; None where all count the
            same. Clicks do not heed it.
    """

    image: Array
    alpha: Array
    valid: Array
    others: Array
    weight: Array | None = None


@dataclass(frozen=True)
class DataConfig:
    """Kinds of training images and their shares. All values are plain, so that a TOML file can hold them.

    Attributes:
        photographs: ``mixed`` is ``train/real.jsonl`` and ``more.jsonl`` with their sources; ``sbd`` the Semantic
            Boundaries Dataset as it is published; ``folder`` any ``images/`` and ``masks/``; ``none`` leaves composed
            images only.
        masks: What the masks of ``folder`` hold: ``alpha`` (0 to 255, one object) or ``index`` (0 background,
            255 void, any other value one object).
        sources: Share of each source of ``mixed``; one that is not named is not used.
        composed: Share of images that are composed.
        matched: Share of the objects of composed images whose color is moved towards that of the ground.
        generated: Share of all samples by kind, see `export.data.generated.kinds.KINDS`; the rest are as they would be
            without, and ``composed`` and the like are shares of the rest. ``min_area`` and ``max_area`` do not hold for
            them.
        degraded: Share of all samples that get grain, compression, darkness, haze or blur (`export.data.degrade`).
        close: Share of photographs cut to the object with little around it, as zooming in on it would (``light``).
        merged: Of the photographs of ``mixed`` with several objects, the share in which two are wanted as one.
        min_area, max_area: Bounds on the object's share of a training image.
        augment: ``light`` cuts windows of many sizes and changes light and color; ``paper`` is section 3.2 of Forte
            et al. 2020: crops that are not resized, flips, gamma and brightness. Composed images always change
            light, color, sharpness and noise.
        order: ``random`` samples objects anew each time; ``epochs`` goes through all objects, once each,
            in a new order each time.
        epoch_size: Samples in one epoch; 0 stands for the number of objects.
        rough_edges, fair_edges: Weight in the losses of the pixels at the edges of masks of these grades, 0 to 1; 1
            is that of all others, see `export.data.pixel_weights`.
        thin: By how much the weight of thin structures and gaps is raised where masks are close; 1 doubles it.
        aligned: Whether masks are moved onto their images by what is known of their source, see
            `export.data.mask_grades`.
        shapes: (long side by short side, share) of the batches; empty for squares only.
        native: Share of photographs cut at the scale at which serving shows the whole image (``light``).
    """

    photographs: Photographs = "mixed"
    masks: Masks = "alpha"
    sources: tuple[tuple[str, float], ...] = (
        ("sbd", 0.24),
        ("ecssd", 0.24),
        ("mval", 0.16),
        ("ccp", 0.10),
        ("cocop", 0.08),
        ("coco", 0.07),
        ("voc", 0.05),
        ("horse", 0.06),
    )
    composed: float = 0.25
    matched: float = 0.0
    generated: tuple[tuple[str, float], ...] = ()
    degraded: float = 0.0
    close: float = 0.2
    merged: float = 0.0
    min_area: float = 0.005
    max_area: float = 0.8
    augment: Augment = "light"
    order: Order = "random"
    epoch_size: int = 0
    rough_edges: float = 1.0
    fair_edges: float = 1.0
    thin: float = 0.0
    aligned: bool = False
    shapes: tuple[tuple[float, float], ...] = ()
    native: float = 0.0

    def __post_init__(self) -> None:
        try:
            sources = tuple((str(name), float(share)) for name, share in self.sources)
        except (TypeError, ValueError):
            raise ValueError(
                f"sources is {self.sources!r}; give pairs: --set data.sources='[[\"sbd\", 0.5]]'"
            ) from None
        try:
            shapes = tuple((float(ratio), float(share)) for ratio, share in self.shapes)
        except (TypeError, ValueError):
            raise ValueError(
                f"data.shapes is {self.shapes!r}; give pairs: --set data.shapes='[[1.0, 0.6], [1.33, 0.4]]'"
            ) from None
        check_shapes(shapes)
        object.__setattr__(self, "shapes", shapes)
        # TOML has lists only; without this a configuration read back would not equal the one it was written from.
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "generated", checked_shares(self.generated))
        kinds = {"photographs": Photographs, "masks": Masks, "augment": Augment, "order": Order}
        for name, kind in kinds.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"data.{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(kind))}")
        shares = ("composed", "close", "merged", "matched", "degraded", "rough_edges", "fair_edges", "native")
        for name in (*shares, "min_area", "max_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"data.{name} is {getattr(self, name)}; it is a share, from 0 to 1")
        if not 0 <= self.thin <= 10:
            raise ValueError(f"data.thin is {self.thin}; give 0 to 10, where 1 doubles the weight of thin structures")
        if self.min_area >= self.max_area:
            raise ValueError(f"data.min_area {self.min_area} must be less than data.max_area {self.max_area}")
        if self.photographs == "none" and self.composed != 1:
            raise ValueError(f"photographs is 'none' and composed {self.composed}: --set data.composed=1")
        if self.order == "epochs" and self.composed not in (0, 1):
            raise ValueError(
                f"order is 'epochs' and composed {self.composed}: an epoch is one pass through the photographs' "
                "objects or through the objects to compose; --set data.composed=0 or 1, or data.order=random"
            )
        if self.order == "epochs" and self.generated:
            raise ValueError(
                f"order is 'epochs' and data.generated {self.generated}: an epoch shows each object once, and "
                "generated images show none of them; --set data.order=random, or --set data.generated=[]"
            )
        if self.photographs == "mixed" and not any(share > 0 for _, share in self.sources):
            raise ValueError(f"sources is {self.sources}; name at least one with a share above 0")
        if any(share < 0 for _, share in self.sources):
            raise ValueError(f"sources is {self.sources}; no share may be below 0")
        if self.epoch_size < 0:
            raise ValueError(
                f"data.epoch_size is {self.epoch_size}; give the samples in an epoch, 0 for all objects once"
            )

    def shares(self) -> dict[str, float]:
        """Return the share of every kind of training image, for the record."""
        sources = {"mixed": self.sources, "none": ()}.get(self.photographs, ((self.photographs, 1.0),))
        generated = dict(self.generated)
        rest = 1 - sum(generated.values())
        real = {name: round(share * (1 - self.composed) * rest, 4) for name, share in sources}
        return {**real, "composed": self.composed * rest, **generated}


def open_photographs(root: Path, config: DataConfig) -> Source | None:
    """Open the photographs a configuration names; none for ``none``."""
    if config.photographs == "mixed":
        return RealImages(root, config.sources, merged=config.merged, aligned=config.aligned)
    if config.photographs == "sbd":
        return SbdImages(root)
    if config.photographs == "folder":
        return FolderImages(root, config.masks)
    return None


class TrainingData(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Samples by number; there is no last one.

    Args:
        root: Folder of the data, laid out as ``config.photographs`` asks, see docs/data.md.
        size: Of the samples that ``data[index]`` gives: (height, width), or the side of a square.
        seed: Samples of different seeds are independent.
        config: What is sampled; the default is the compact model's.

    Attributes:
        epoch: Samples in one epoch.

    Raises:
        FileNotFoundError: A folder or list is missing or empty.
        ValueError: A list or mask is damaged, or would train on what is kept for measuring.
    """

    def __init__(self, root: Path, size: Size, seed: int, config: DataConfig | None = None) -> None:
        self.size, self.seed = size, seed
        self.config = config or DataConfig()
        self.photographs = open_photographs(root, self.config)
        needed = self.config.composed > 0 or self.config.generated
        self.composer = Composer(root, self.photographs, self.config.matched) if needed else None
        self.material = Material(self.composer) if self.composer else None
        whole = self.photographs if self.config.composed < 1 else self.composer
        assert whole is not None
        self.objects = len(whole)
        self.epoch = self.config.epoch_size or self.objects
        self.named: set[str] = set()

    def __getitem__(self, index: int) -> Sample:
        """Make sample ``index`` at the size of the data."""
        return self.sample(index, self.size)

    def sample(self, index: int, size: Size) -> Sample:
        """Make sample ``index`` at a size: (height, width), or the side of a square.

        A damaged file is named once, as a warning, and another object takes its place.

        Raises:
            ValueError: Nothing that could be read was found.
        """
        rng = np.random.default_rng([self.seed, index])
        number = self._number(index)
        # No chance is drawn where it decides nothing: samples of settings without these stay what they were.
        kind = any_kind(rng, self.config.generated) if self.config.generated else None
        for _ in range(FAILURES):
            try:
                shape = height_width(size)
                if kind is None:
                    masked, composed = self._sampled(rng, number, shape)
                else:
                    masked, composed = self._generated(rng, kind, shape), True
                break
            except DamagedFileError as error:
                last = error
                if str(error) not in self.named:
                    self.named.add(str(error))
                    warnings.warn(f"{error}. Another object takes its place.", stacklevel=2)
                number = None if number is None else int(rng.integers(self.objects))
        else:
            raise DamagedFileError(f"{FAILURES} objects in a row could not be read, the last because: {last}")
        if rng.random() < 0.5:
            masked = flipped(masked)
        relight = paper_light if self.config.augment == "paper" and not composed else change_light
        alpha, valid, others = (np.ascontiguousarray(plane) for plane in masked.planes[1:])
        edges = {"rough": self.config.rough_edges, "fair": self.config.fair_edges}.get(masked.grade, 1.0)
        weight = pixel_weights(masked.alpha, masked.grade, edges, self.config.thin)
        as_rendered = kind in GRAPHIC and rng.random() < 0.6
        image = np.ascontiguousarray(masked.image) if as_rendered else relight(rng, masked.image)
        if self.config.degraded and rng.random() < self.config.degraded:
            image = degraded(rng, image)
        return Sample(image, alpha, valid, others, weight)

    def _number(self, index: int) -> int | None:
        """Return the number of the object that sample ``index`` shows; none where it is sampled."""
        if self.config.order == "random":
            return None
        epoch, place = divmod(index, self.objects)
        return int(permutation(self.seed, epoch, self.objects)[place])

    def _sampled(self, rng: np.random.Generator, number: int | None, shape: tuple[int, int]) -> tuple[Masked, bool]:
        """Return an image of the right size, and whether it is composed."""
        config = self.config
        whole = None if number is None or self.photographs is None else self.photographs.take(number)
        for _ in range(ATTEMPTS):
            composed = rng.random() < config.composed
            if composed:
                assert self.composer is not None
                masked = self.composer.sample(rng, shape, number)
            else:
                if config.augment == "paper":
                    cut = paper_crop
                elif config.native and rng.random() < config.native:
                    cut = native_window
                else:
                    cut = close_window if rng.random() < config.close else random_window
                masked = cut(rng, whole or self._any(rng), shape)
            if config.min_area <= float((masked.alpha > 127).mean()) <= config.max_area:
                break
        return masked, composed

    def _generated(self, rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Masked:
        assert self.material is not None
        return generate(rng, self.material, kind, shape)

    def _any(self, rng: np.random.Generator) -> Masked:
        assert self.photographs is not None
        return self.photographs.sample(rng)


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, objects: int) -> NDArray[np.int64]:
    """Return the order of the objects in one epoch."""
    # The 1 keeps it apart from the chances of sample number `epoch`.
    return np.random.default_rng([seed, epoch, 1]).permutation(objects)
