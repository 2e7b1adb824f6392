"""What cameras and files do to an image: grain, compression, little light, little contrast, blur."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from export.data.generated.scene import chance, log_uniform, one_of
from export.data.io import Array


def degraded(rng: np.random.Generator, image: Array) -> Array:
    """Spoil an image in one to three ways, in the order in which a camera does.

    Args:
        rng: Source of all that is random.
        image: RGB, uint8, shape (H, W, 3); it stays as it is.

    Returns:
        RGB, uint8, shape (H, W, 3).
    """
    count = one_of(rng, (1, 1, 1, 2, 2, 3))
    chosen = set(rng.permutation(len(WAYS))[:count].tolist())
    for k, way in enumerate(WAYS):
        if k in chosen:
            image = way(rng, image)
    return image


def blurred(rng: np.random.Generator, image: Array) -> Array:
    """Blur as a lens out of focus does (a disc) or a moving camera (a line)."""
    if chance(rng, 0.5):
        radius = log_uniform(rng, 0.7, 4)
        side = 2 * int(np.ceil(radius)) + 1
        y, x = np.mgrid[:side, :side] - side // 2
        kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    else:
        length, angle = log_uniform(rng, 2, 14), rng.uniform(0, np.pi)
        side = 2 * int(np.ceil(length / 2)) + 3
        y, x = np.mgrid[:side, :side] - side // 2
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
        kernel = kernel.astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def dark(rng: np.random.Generator, image: Array) -> Array:
    """Take most of the light away; what is left has grain, and at times is brightened again."""
    light = image.astype(np.float32) / 255
    light = light ** rng.uniform(1, 1.8) * log_uniform(rng, 0.15, 0.6)
    light += rng.normal(0, 1, image.shape).astype(np.float32) * np.sqrt(light + 1e-3) * rng.uniform(0.005, 0.06)
    if chance(rng, 0.3):
        light *= rng.uniform(1, 3)
    return _bytes(light * 255)


def faint(rng: np.random.Generator, image: Array) -> Array:
    """Take most of the contrast away, towards one tone, as haze and bad scans do."""
    keep, tone = rng.uniform(0.15, 0.6), rng.uniform(0, 255, 3) * 0.3 + rng.uniform(40, 215) * 0.7
    return _bytes(image * keep + tone * (1 - keep))


def grainy(rng: np.random.Generator, image: Array) -> Array:
    """Add grain: even, growing with the light, or in colored grains of more than one pixel."""
    height, width = image.shape[:2]
    kind, strength = one_of(rng, ("even", "light", "color")), log_uniform(rng, 5, 40)
    if kind == "even":
        grain = np.repeat(rng.normal(0, strength, (height, width, 1)), 3, axis=2)
    elif kind == "light":
        grain = rng.normal(0, 1, image.shape) * np.sqrt(image / 255 + 0.02) * strength
    else:
        size = log_uniform(rng, 1, 3)
        small = (max(1, int(height / size)), max(1, int(width / size)), 3)
        grain = cv2.resize(rng.normal(0, strength, small), (width, height), interpolation=cv2.INTER_CUBIC)
    return _bytes(image + grain)


def compressed(rng: np.random.Generator, image: Array) -> Array:
    """Write as JPEG of quality 10 to 60 and read it again."""
    quality = int(rng.integers(10, 61))
    _, written = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1])


# In the order in which they happen to an image.
WAYS: tuple[Callable[[np.random.Generator, Array], Array], ...] = (blurred, dark, faint, grainy, compressed)


def _bytes(values: object) -> Array:
    return np.clip(np.asarray(values) + 0.5, 0, 255).astype(np.uint8)
