"""Training pictures: real photographs with masks, and objects composed over photographs.

Sample number i of a seed is a pure function of (seed, i): a resumed training run sees what an uninterrupted one would.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from export.compose import Composer

Array = NDArray[np.uint8]


class Sample(NamedTuple):
    """One training picture.

    Attributes:
        image: RGB, uint8, shape (S, S, 3).
        alpha: Wanted alpha, uint8, shape (S, S).
        valid: 1 where a pixel is judged, uint8, shape (S, S).
    """

    image: Array
    alpha: Array
    valid: Array


@dataclass(frozen=True)
class DataConfig:
    """What is drawn how often.

    Attributes:
        sources: Share of each source of real photographs; one that is not named is not used.
        composed: Share of pictures that are composed.
        close: Share of photographs cut to the object with little around it, as zooming in on it would.
        min_area, max_area: Bounds on the object's share of a training picture.
    """

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
    close: float = 0.2
    min_area: float = 0.005
    max_area: float = 0.8

    def shares(self) -> dict[str, float]:
        """Return the share of every kind of training picture, for the record."""
        real = {name: round(share * (1 - self.composed), 4) for name, share in self.sources}
        return {**real, "composed": self.composed}


def is_validation(image: str) -> bool:
    """Whether a training image is kept for choosing (one of 32, by its name) and never trained on."""
    return zlib.crc32(Path(image).name.encode()) % 32 == 0


def photograph(record: dict[str, Any]) -> str:
    """Return what names the photograph of a record: several sources hold crops of the same COCO photographs."""
    stem = Path(record["image"]).stem
    return "coco" + stem.rsplit("_", 1)[1] if record["source"] in ("coco", "cocop", "mval") else stem


def read_rgb(path: Path) -> Array:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def read_index(path: Path) -> Array:
    with Image.open(path) as picture:
        return np.asarray(picture)


class RealImages:
    """The photographs of ``real.jsonl`` and their masks."""

    def __init__(self, root: Path, config: DataConfig, validation: bool = False) -> None:
        self.root = root
        self.records: dict[str, list[dict[str, Any]]] = {name: [] for name, _ in config.sources}
        with open(root / "train" / "real.jsonl") as lines:
            records = [record for record in map(json.loads, lines) if record["source"] in self.records]
        trained_on = {photograph(record) for record in records if not is_validation(record["image"])}
        for record in records:
            # A photograph of which any crop is trained on does not validate.
            if validation != (photograph(record) in trained_on) and is_validation(record["image"]) == validation:
                self.records[record["source"]].append(record)
        self.names = [name for name, records in self.records.items() if records]
        share = np.array([dict(config.sources)[name] for name in self.names])
        self.share = share / share.sum()

    def draw(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> tuple[Array, Array, Array]:
        """Return an image, one object's mask (0/255) and the validity of its pixels (0/1).

        Args:
            rng: Where the choice comes from.
            only: Sources to draw from, in equal shares; all in their shares when empty or when none of them is here.
        """
        names = sorted(only.intersection(self.names))
        source = names[rng.integers(len(names))] if names else self.names[rng.choice(len(self.names), p=self.share)]
        records = self.records[source]
        record = records[rng.integers(len(records))]
        image = read_rgb(self.root / record["image"])
        index = read_index(self.root / record["mask"])
        objects = record["objects"]
        whole_person = record["source"] == "ccp" and rng.random() < 0.35
        chosen = objects if whole_person else [objects[rng.integers(len(objects))]]
        mask = np.isin(index, [o["id"] for o in chosen]).astype(np.uint8) * 255
        return image, mask, (index != 255).astype(np.uint8)


class TrainingData(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Samples of side ``size``, by number.

    Args:
        root: Folder that holds ``train/``.
        size: Side of the square training picture.
        seed: Samples of different seeds are independent.
    """

    def __init__(self, root: Path, size: int, seed: int, config: DataConfig | None = None) -> None:
        self.size, self.seed = size, seed
        self.config = config or DataConfig()
        self.real = RealImages(root, self.config)
        self.composer = Composer(root, self.real)

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        for attempt in range(20):
            if rng.random() < self.config.composed:
                image, alpha, valid = self.composer.draw(rng, self.size)
            else:
                cut = close_window if rng.random() < self.config.close else random_window
                image, alpha, valid = cut(rng, *self.real.draw(rng), self.size)
            area = float((alpha > 127).mean())
            if self.config.min_area <= area <= self.config.max_area or attempt == 19:
                break
        if rng.random() < 0.5:
            image, alpha, valid = image[:, ::-1], alpha[:, ::-1], valid[:, ::-1]
        return Sample(change_light(rng, image), np.ascontiguousarray(alpha), np.ascontiguousarray(valid))


def random_window(
    rng: np.random.Generator, image: Array, alpha: Array, valid: Array, size: int
) -> tuple[Array, Array, Array]:
    """Cut a random window that shows the object and resize it to (size, size).

    Windows range from half the sides to all of them, so that objects come large and small, whole and cut.
    """
    height, width = alpha.shape
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) == 0:
        ys, xs = np.array([height // 2]), np.array([width // 2])
    share = rng.uniform(0.45, 1.0) if rng.random() < 0.75 else 1.0
    side = share * (height * width) ** 0.5
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    win_h, win_w = int(np.clip(side / stretch, 16, height)), int(np.clip(side * stretch, 16, width))
    # The window holds one random pixel of the object, and otherwise lies anywhere.
    k = rng.integers(len(ys))
    top = int(rng.integers(max(0, ys[k] - win_h + 1), min(height - win_h, ys[k]) + 1))
    left = int(rng.integers(max(0, xs[k] - win_w + 1), min(width - win_w, xs[k]) + 1))
    return _resized(image, alpha, valid, np.s_[top : top + win_h, left : left + win_w], size)


def close_window(
    rng: np.random.Generator, image: Array, alpha: Array, valid: Array, size: int
) -> tuple[Array, Array, Array]:
    """Cut the object's own box, 1.1 to 2 times enlarged and moved a little, and resize it to (size, size)."""
    height, width = alpha.shape
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) == 0:
        return random_window(rng, image, alpha, valid, size)

    def span(values: NDArray[np.int64], length: int) -> slice:
        extent = int(values.max() - values.min()) + 1
        wanted = int(np.clip(extent * rng.uniform(1.1, 2.0), 16, length))
        centre = (values.max() + values.min()) / 2 + rng.uniform(-0.5, 0.5) * (wanted - extent)
        start = int(np.clip(centre - wanted / 2, 0, length - wanted))
        return slice(start, start + wanted)

    return _resized(image, alpha, valid, (span(ys, height), span(xs, width)), size)


def _resized(
    image: Array, alpha: Array, valid: Array, window: tuple[slice, slice], size: int
) -> tuple[Array, Array, Array]:
    """Resize a window of a picture to (size, size)."""
    win_h, win_w = image[window].shape[:2]
    how = cv2.INTER_LINEAR if win_h * win_w < size * size else cv2.INTER_AREA
    # Void pixels have no alpha: only the others enter a pixel's mean.
    judged = cv2.resize(valid[window].astype(np.float32), (size, size), interpolation=how)
    wanted = cv2.resize((alpha * valid)[window].astype(np.float32), (size, size), interpolation=how)
    return (
        np.asarray(cv2.resize(image[window], (size, size), interpolation=how)),
        np.clip(wanted / np.maximum(judged, 1e-3) + 0.5, 0, 255).astype(np.uint8),
        (judged >= 0.5).astype(np.uint8),
    )


def change_light(rng: np.random.Generator, image: Array) -> Array:
    """Random gamma, brightness, contrast and colour cast by one table per channel; at times blur or noise."""
    levels = np.arange(256, dtype=np.float32) / 255
    tables = []
    gamma, contrast, shift = np.exp(rng.uniform(-0.35, 0.35)), np.exp(rng.uniform(-0.25, 0.25)), rng.uniform(-0.1, 0.1)
    for _ in range(3):
        cast = np.exp(rng.uniform(-0.1, 0.1))
        tables.append(np.clip(((levels**gamma - 0.5) * contrast + 0.5 + shift) * cast, 0, 1) * 255)
    result = cv2.LUT(np.ascontiguousarray(image), np.rint(np.stack(tables, axis=-1)).astype(np.uint8)[None])
    if rng.random() < 0.1:
        result = np.repeat(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.1:
        result = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 8), result.shape[:2])
        result = np.clip(result + noise[:, :, None], 0, 255).astype(np.uint8)
    return np.asarray(result)
