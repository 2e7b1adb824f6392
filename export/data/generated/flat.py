"""Generated training images of large even areas side by side: sky, walls, hills, weak edges between them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from export.data.generated.objects import thing
from export.data.generated.paint import Material, color, gradient, near, noise, stripes, unlike
from export.data.generated.scene import Floats, Patch, Scene, chance, log_uniform, one_of
from export.data.generated.shapes import any_font, filled, letters, spline
from export.data.io import Masked


def flat(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make large even areas with weak edges between them, at times with things before them; one area is wanted."""
    height, width = shape
    soft = one_of(rng, (0.0, 0.0, 0.0, log_uniform(rng, 0.5, 4)))
    shares = one_of(rng, (_halves, _hills, _mosaic, _room))(rng, shape)
    if soft:
        shares = [cv2.GaussianBlur(share, (0, 0), soft, borderType=cv2.BORDER_REPLICATE) for share in shares]
    contrast = log_uniform(rng, 8, 80)
    base = color(rng)
    tones: list[Floats] = []
    for _ in shares:
        # Neighbors must differ from each other, and not from a common tone only.
        for _ in range(9):
            tone = near(rng, base, contrast, 2 * contrast)
            if all(np.abs(tone - other).max() >= 0.7 * contrast for other in tones):
                break
        tones.append(tone)
    looks = [_even(rng, height, width, tone, contrast) for tone in tones]
    if chance(rng, 0.2):
        # One area is a photograph, or has a wall of text on it.
        k = int(rng.integers(len(looks)))
        if chance(rng, 0.4):
            looks[k] = material.photograph(rng, height, width).astype(np.float32)
        else:
            looks[k] = _text(rng, looks[k])
    image = np.zeros((height, width, 3), np.float32)
    for share, look in zip(shares, looks, strict=True):
        image += share[:, :, None] * look
    if chance(rng, 0.5):
        image += rng.normal(0, rng.uniform(0.5, 5), (height, width, 1)).astype(np.float32)
    scene = Scene(image)
    names = {f"area {k}": share for k, share in enumerate(shares)}
    scene.lay(Patch(np.ones(shape, np.float32), 0, 0), np.clip(image, 0, 255), parts=names)
    if chance(rng, 0.35):
        for _ in range(rng.integers(1, 4)):
            at = rng.uniform(0, 1, 2) * (width, height)
            scene.lay(*thing(rng, material, shape)(*at, log_uniform(rng, 0.05, 0.3) * min(shape)), "beside")
    if chance(rng, 0.1) and len(scene.layers) > 1:
        # Everything but the things before it.
        scene.layers[0] = scene.layers[0]._replace(tags=frozenset(["ground"]), parts={})
        return scene.render("ground")
    return scene.render(one_of(rng, tuple(names)))


def _halves(rng: np.random.Generator, shape: tuple[int, int]) -> list[Floats]:
    """Divide a frame by one line: straight, wavy or bent."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = one_of(rng, (math.pi / 2, 0.0, rng.uniform(0, 2 * math.pi)))
    through = (width * rng.uniform(0.15, 0.85), height * rng.uniform(0.15, 0.85))
    along = (x - through[0]) * math.cos(angle) + (y - through[1]) * math.sin(angle)
    across = (x - width / 2) * math.sin(angle) - (y - height / 2) * math.cos(angle)
    kind = one_of(rng, ("straight", "wavy", "bent"))
    if kind == "wavy":
        for period in rng.uniform(0.1, 1, 3).tolist():
            along += rng.uniform(0, 0.1) * period * height * np.sin(across / period / height * 6.3)
    elif kind == "bent":
        along += np.abs(across) * rng.uniform(-1, 1)
    first = np.clip(along + 0.5, 0, 1)
    return [first, 1 - first]


def _hills(rng: np.random.Generator, shape: tuple[int, int]) -> list[Floats]:
    """Divide a frame into sky and two to four ranges of hills, or of clouds, one before the other."""
    height, width = shape
    count = int(rng.integers(2, 5))
    seen = np.ones(shape, np.float32)
    layers = []
    for level in np.linspace(0.9, 0.15, count):  # from front to back
        x = np.linspace(-0.05, 1.05, int(rng.integers(3, 14)))
        rough = rng.normal(0, 0.3 / len(x) + 0.03, len(x))
        line = np.column_stack([x * width, (level + rough) * height])
        edge = spline(line, 128) if chance(rng, 0.6) else line
        patch = filled(shape, np.concatenate([edge, [(1.1 * width, height + 1), (-0.1 * width, height + 1)]]))
        cover = np.zeros(shape, np.float32)
        window = np.s_[patch.top : patch.top + patch.alpha.shape[0], patch.left : patch.left + patch.alpha.shape[1]]
        cover[window] = patch.alpha
        layers.append(seen * cover)
        seen = seen * (1 - cover)
    return [layer for layer in [*layers, seen] if layer.mean() > 0.01]


def _mosaic(rng: np.random.Generator, shape: tuple[int, int]) -> list[Floats]:
    """Divide a frame into the cells that are nearest to each of some points."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centers = rng.uniform(0, 1, (int(rng.integers(3, 8)), 2)) * (width, height)
    distances = np.stack([np.hypot(x - cx, y - cy) for cx, cy in centers.astype(np.float32)])
    # The difference of two distances grows by up to 2 a pixel across the edge between them.
    closest = distances.min(axis=0)
    weights = np.clip(1 - (distances - closest), 0, 1)
    return list(weights / weights.sum(axis=0))


def _room(rng: np.random.Generator, shape: tuple[int, int]) -> list[Floats]:
    """Divide a frame as a room is: back wall, floor, ceiling and two side walls."""
    height, width = shape
    left, right = np.sort(rng.uniform(-0.2, 1.2, 2)) * width
    top, bottom = np.sort(rng.uniform(-0.2, 1.1, 2)) * height
    if right - left < 0.2 * width or bottom - top < 0.2 * height:
        left, right, top, bottom = 0.2 * width, 0.8 * width, 0.2 * height, 0.7 * height
    far = 2.0
    middle = ((left + right) / 2, (top + bottom) / 2)
    back = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    out = (back - middle) * (1 + far * max(shape) / min(right - left, bottom - top)) + middle
    shares = []
    for quad in [back] + [np.array([back[k], back[(k + 1) % 4], out[(k + 1) % 4], out[k]]) for k in range(4)]:
        patch = filled(shape, quad)
        share = np.zeros(shape, np.float32)
        window = np.s_[patch.top : patch.top + patch.alpha.shape[0], patch.left : patch.left + patch.alpha.shape[1]]
        share[window] = patch.alpha
        shares.append(share)
    total = np.maximum(np.sum(shares, axis=0), 1e-3)
    return [share / total for share in shares if share.mean() > 0.01]


def _even(rng: np.random.Generator, height: int, width: int, tone: Floats, contrast: float) -> Floats:
    """Return an area of one tone, with a weak passage, clouds or pattern on it, shape (height, width, 3)."""
    kind = one_of(rng, ("plain", "gradient", "gradient", "clouds", "pattern"))
    weak = 0.35 * contrast
    if kind == "gradient":
        return gradient(rng, height, width, tone, near(rng, tone, 0.5 * weak, 2 * weak))
    if kind == "clouds":
        return noise(rng, height, width, tone, rng.uniform(0.1, 0.6) * weak)
    if kind == "pattern":
        return stripes(rng, height, width, tone, near(rng, tone, 0.3 * weak, weak))
    return np.broadcast_to(tone, (height, width, 3))


def _text(rng: np.random.Generator, look: Floats) -> Floats:
    """Write all over an area."""
    height, width = look.shape[:2]
    scene = Scene(look)
    ink, font, size = unlike(rng, look.mean(axis=(0, 1)), least=60), any_font(rng), rng.uniform(9, 22)
    line = "".join(one_of(rng, "abcdefghijklmnoprstuvw      ") for _ in range(90))
    y = 0.0
    while y < height:
        start = int(rng.integers(30))
        written = letters(line[start:] + "x", size, font)
        scene.lay(Patch(written[:, : width + 1], round(y), 2), ink, "ink")
        y += 1.5 * size
    return scene.render("ink").image.astype(np.float32)
