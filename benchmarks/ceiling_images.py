"""The images that benchmarks measure on, with their truth: photographs, objects over backgrounds, and a disc."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.data.io import read_rgb, read_rgba
from export.data.mixed import RealImages

Array = NDArray[np.float32]
Rgb = NDArray[np.uint8]

SOURCES = ("ecssd", "ccp", "mval", "horse")
"""Sources of the mixed photographs whose masks follow their objects closely."""
DISC_SIZE, DISC_RADIUS = (1500, 2000), 450.3
SELECTED, GROUND = (186, 122, 74), (74, 112, 150)
SEED = 0


def real(data: Path, count: int) -> Iterator[tuple[str, Rgb, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield photographs, each with its source, the mask of an object of at least 1 %, and what is not judged.

    The sources take turns while they last.
    """
    sources = {name: RealImages(data, ((name, 1.0),), validation=True) for name in SOURCES}
    rng = np.random.default_rng(SEED)
    orders = {name: iter(rng.permutation(len(images)).tolist()) for name, images in sources.items()}
    while orders and count > 0:
        for name in list(orders)[:count]:
            for number in orders[name]:
                image, alpha, valid, _ = sources[name].take(number).planes
                if (alpha > 0).mean() >= 0.01:
                    yield name, image, alpha > 127, valid == 0
                    count -= 1
                    break
            else:
                del orders[name]


def as_jpeg(rgb: Rgb, quality: int) -> Rgb:
    """Encode and decode an image."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file, formats=("JPEG",)).convert("RGB"))


def matting_objects(data: Path, name: str = "matting_*") -> list[Path]:
    """Return the files of objects with true alpha, sorted; `name` is a pattern."""
    return sorted((data / "train" / "objects").glob(name))


def measured_objects(data: Path, name: str = "matting_*") -> list[Path]:
    """Return what `matting_objects` does; that there are none is a `ValueError`."""
    found = matting_objects(data, name)
    if not found:
        raise ValueError(f"--data {data} has no train/objects/{name}; these are the objects that are measured")
    return found


def soft(data: Path, objects: Sequence[Path]) -> Iterator[tuple[Rgb, Array]]:
    """Yield objects laid over backgrounds, and their true alpha.

    An object's background depends on its place in `objects`.
    """
    backgrounds = sorted((data / "train" / "backgrounds").iterdir())
    if not backgrounds:
        raise ValueError(f"{data}/train/backgrounds is empty; it must hold the photographs that objects are laid over")
    rng = np.random.default_rng(SEED)
    for path in objects:
        rgba = read_rgba(path)
        height, width = rgba.shape[:2]
        below = read_rgb(backgrounds[rng.integers(len(backgrounds))])
        scale = max(height / below.shape[0], width / below.shape[1])
        size = max(width, round(below.shape[1] * scale)), max(height, round(below.shape[0] * scale))
        below = cv2.resize(below, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        alpha = rgba[:, :, 3].astype(np.float32) / 255
        mixed = rgba[:, :, :3] * alpha[:, :, None] + below * (1 - alpha[:, :, None])
        yield (mixed + 0.5).astype(np.uint8), alpha


def disc_coverage() -> tuple[Array, Array]:
    """Return the share of each pixel that the disc covers, and the distance of its center from the edge, inside > 0."""
    height, width = DISC_SIZE
    y, x = np.mgrid[:height, :width] + 0.5
    center_x, center_y = width / 2 + 0.3, height / 2 - 0.2
    distance = DISC_RADIUS - np.hypot(x - center_x, y - center_y)
    coverage = (distance > 0).astype(np.float64)
    rows, columns = np.nonzero(np.abs(distance) < 1)
    # Slices of a pixel, each as high as the disc is there: the area but for 1e-5.
    slices = columns[:, None] + (np.arange(128) + 0.5) / 128
    half = np.sqrt(np.maximum(DISC_RADIUS**2 - (slices - center_x) ** 2, 0))
    top, bottom = np.maximum(center_y - half, rows[:, None]), np.minimum(center_y + half, rows[:, None] + 1)
    coverage[rows, columns] = np.maximum(bottom - top, 0).mean(axis=1)
    return coverage.astype(np.float32), distance.astype(np.float32)


def painted(coverage: Array, sigma: float = 0.0) -> Rgb:
    """Return the disc in its colors on its ground, with Gaussian noise of a standard deviation."""
    mixed = np.multiply.outer(coverage, SELECTED) + np.multiply.outer(1 - coverage, GROUND)
    if sigma:
        mixed += sigma * np.random.default_rng(SEED).standard_normal(mixed.shape)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def pieces(mask: NDArray[np.bool_]) -> int:
    """Count the connected regions of a mask, and the holes in them."""
    regions, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    grounds, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)
    return (regions - 1) + (grounds - 1) - 1


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Return a smooth random prediction that reaches from 0.2 to 0.8."""
    coarse = rng.standard_normal((6, 6)).astype(np.float32)
    smooth = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 0.2 + 0.6 * (smooth - smooth.min()) / np.float32(np.ptp(smooth))
