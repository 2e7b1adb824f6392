"""Colors, textures, grounds and cut-out objects for generated training images."""

from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from export.data.composite import Composer
from export.data.generated.scene import Floats, Patch, chance, log_uniform, one_of
from export.data.io import Array, read_rgb

PAINTS = ("plain", "gradient", "photograph", "noise", "stripes")


class Material:
    """Photographs and objects cut out, for generators to take from.

    Args:
        composer: Where they come from.
    """

    def __init__(self, composer: Composer) -> None:
        self.composer = composer

    def photograph(self, rng: np.random.Generator, height: int, width: int) -> Array:
        """Return a window of a photograph, without regard to what it shows, uint8, shape (height, width, 3)."""
        composer = self.composer
        if composer.photographs is None or chance(rng, 0.6):
            image = read_rgb(one_of(rng, composer.backgrounds))
        else:
            image = composer.photographs.sample(rng).image
        rows, columns = image.shape[:2]
        scale = min(rows / height, columns / width) * rng.uniform(0.5, 1.0)
        high, wide = max(1, int(height * scale)), max(1, int(width * scale))
        top, left = int(rng.integers(rows - high + 1)), int(rng.integers(columns - wide + 1))
        how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        window = image[top : top + high, left : left + wide]
        return np.asarray(cv2.resize(window, (width, height), interpolation=how))

    def cutout(self, rng: np.random.Generator) -> Array:
        """Return an object as RGBA, uint8, cropped to what is visible of it."""
        for _ in range(4):
            rgba = self.composer.foreground(rng)
            if min(rgba.shape[:2]) >= 8:
                break
        return rgba


def placed_cutout(
    rgba: Array, x: float, y: float, degrees: float, *, longest: float, flip: bool = False
) -> tuple[Patch, Floats]:
    """Turn and scale an object cut out.

    Args:
        rgba: As `Material.cutout` gives it.
        x, y: Where its middle comes to lie.
        degrees: By how much it is turned.
        longest: Its longer side, in pixels, before it is turned.
        flip: Whether it is mirrored first.

    Returns:
        Where it is, and its color, shape (h, w, 3).
    """
    height, width = rgba.shape[:2]
    scale = longest / max(height, width)
    rgba = rgba[:, ::-1] if flip else rgba
    alpha = rgba[:, :, 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([rgba[:, :, :3] * alpha, alpha], axis=2)
    if scale < 0.7:
        # Shrink by area first: the bilinear warp below would skip pixels.
        shrunk = (max(1, round(width * scale)), max(1, round(height * scale)))
        premultiplied = cv2.resize(premultiplied, shrunk, interpolation=cv2.INTER_AREA)
        # Rounded sides must not change the scale that is asked for: what remains is left to the warp.
        scale *= (width * height / (shrunk[0] * shrunk[1])) ** 0.5
        height, width = premultiplied.shape[:2]
    angle = math.radians(degrees)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    high, wide = (
        math.ceil((height * cos + width * sin) * scale) + 2,
        math.ceil((width * cos + height * sin) * scale) + 2,
    )
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * scale
    offset = np.array([wide / 2, high / 2]) - turn @ np.array([width / 2, height / 2])
    # Middles of pixels are at half numbers here, and at whole ones in OpenCV.
    offset += turn @ np.array([0.5, 0.5]) - 0.5
    warped = cv2.warpAffine(premultiplied, np.column_stack([turn, offset]), (wide, high), flags=cv2.INTER_LINEAR)
    alpha = np.clip(warped[:, :, 3], 0, 1)
    color = np.clip(warped[:, :, :3] / np.maximum(alpha, 1e-3)[:, :, None], 0, 255)
    return Patch(alpha, round(y - high / 2), round(x - wide / 2)), color


def color(rng: np.random.Generator) -> Floats:
    """Return any color: RGB, 0 to 255, float32."""
    saturation = one_of(rng, (0.0, rng.uniform(0, 0.4), rng.uniform(0.3, 1)))
    rgb = colorsys.hsv_to_rgb(rng.uniform(), saturation, rng.uniform(0.05, 1))
    return np.array(rgb, np.float32) * 255


def near(rng: np.random.Generator, other: ArrayLike, low: float, high: float) -> Floats:
    """Return a color that differs from another by ``low`` to ``high`` levels in one channel at least."""
    base = np.asarray(other, np.float32)
    step = rng.uniform(low, high)
    for _ in range(8):
        direction = one_of(rng, (np.ones(3), rng.uniform(-1, 1, 3))) * one_of(rng, (-1, 1))
        result = np.clip(base + direction / np.abs(direction).max() * step, 0, 255)
        if np.abs(result - base).max() >= low * 0.9:
            break
    return result.astype(np.float32)


def unlike(rng: np.random.Generator, *others: ArrayLike, least: float = 40.0) -> Floats:
    """Return a color that differs from others by so many levels in one channel at least, where there is one."""
    for _ in range(30):
        result = color(rng)
        if all(np.abs(result - np.asarray(other, np.float32)).max() >= least for other in others):
            break
    return result


def gradient(rng: np.random.Generator, height: int, width: int, first: ArrayLike, last: ArrayLike) -> Floats:
    """Return a linear or round passage from one color to another, shape (height, width, 3)."""
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    if chance(rng, 0.75):
        angle = one_of(rng, (0.0, math.pi / 2, rng.uniform(0, 2 * math.pi)))
        along = math.cos(angle) * x + math.sin(angle) * y
        share = along / (abs(math.cos(angle)) + abs(math.sin(angle))) / 2 + 0.5
    else:
        share = np.sqrt((x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2) / 2.8
    a, b = np.asarray(first, np.float32), np.asarray(last, np.float32)
    return np.asarray(a + (b - a) * np.clip(share, 0, 1)[:, :, None].astype(np.float32))


def noise(rng: np.random.Generator, height: int, width: int, base: ArrayLike, strength: float) -> Floats:
    """Return a color with clouds or grain on it, shape (height, width, 3)."""
    coarse = max(1.0, log_uniform(rng, 1, 40))
    size = (max(2, math.ceil(height / coarse)), max(2, math.ceil(width / coarse)))
    values = rng.normal(0, strength, size).astype(np.float32)
    clouds = cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.asarray(base, np.float32) + clouds[:, :, None], 0, 255)


def stripes(rng: np.random.Generator, height: int, width: int, first: ArrayLike, last: ArrayLike) -> Floats:
    """Return stripes, checks or dots of two colors, shape (height, width, 3)."""
    period, angle = log_uniform(rng, 5, 40), rng.uniform(0, math.pi)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    first_wave = np.sin((x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / period))
    second = np.sin((y * math.cos(angle) - x * math.sin(angle)) * (2 * math.pi / period))
    wave = one_of(rng, (first_wave, first_wave * second * 2, first_wave + second - 0.7))
    # The slope makes the edge about one pixel wide.
    share = np.clip(wave * period / 6 + 0.5, 0, 1)[:, :, None]
    a, b = np.asarray(first, np.float32), np.asarray(last, np.float32)
    return np.asarray(np.broadcast_to(a + (b - a) * share, (height, width, 3)), np.float32)


def paint(
    rng: np.random.Generator, material: Material, height: int, width: int, *away: ArrayLike, kind: str = ""
) -> Floats:
    """Return what a thing looks like: RGB, 0 to 255, shape (3,) or (height, width, 3).

    Args:
        rng: Source of all that is random.
        material: For photographs.
        height, width: Of the patch it fills.
        away: Colors that it must differ from.
        kind: One of `PAINTS`; any when empty.
    """
    kind = kind or one_of(rng, ("plain", "plain", "gradient", "photograph", "noise", "stripes"))
    if kind == "photograph":
        return material.photograph(rng, max(1, height), max(1, width)).astype(np.float32)
    base = unlike(rng, *away)
    if kind == "plain" or height * width == 0:
        return base
    other = unlike(rng, *away) if chance(rng, 0.5) else near(rng, base, 20, 60)
    if kind == "gradient":
        return gradient(rng, height, width, base, other)
    if kind == "noise":
        return noise(rng, height, width, base, rng.uniform(4, 25))
    return stripes(rng, height, width, base, other)


def ground(
    rng: np.random.Generator, material: Material, shape: tuple[int, int], photographs: float = 0.5
) -> tuple[Floats, tuple[NDArray[np.float32], ...]]:
    """Return what a scene is laid on.

    Args:
        rng: Source of all that is random.
        material: For photographs.
        shape: Height and width.
        photographs: Share of photographs; the rest is plain, a gradient, noise or a pattern.

    Returns:
        RGB, 0 to 255, float32, shape (H, W, 3), and the colors that things on it must differ from, to be seen.
    """
    height, width = shape
    if chance(rng, photographs):
        return material.photograph(rng, height, width).astype(np.float32), ()
    base = color(rng)
    kind = one_of(rng, ("plain", "plain", "gradient", "noise", "stripes"))
    other = near(rng, base, 10, 70)
    if kind == "gradient":
        return gradient(rng, height, width, base, other), (base, other)
    if kind == "noise":
        return noise(rng, height, width, base, rng.uniform(2, 15)), (base,)
    if kind == "stripes":
        return stripes(rng, height, width, base, other), (base, other)
    return np.tile(base, (height, width, 1)), (base,)


def shadow(patch: Patch, blur: float, down: float, strength: float) -> Patch:
    """Return the soft shadow of a patch: blurred with a deviation in pixels, moved down, at most ``strength`` dark."""
    margin = math.ceil(3 * blur)
    wide = cv2.copyMakeBorder(patch.alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    soft = cv2.GaussianBlur(wide, (0, 0), max(0.3, blur)) * np.float32(strength)
    return Patch(soft, patch.top - margin + round(down), patch.left - margin)
