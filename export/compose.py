"""Composed training pictures: objects with alpha over photographs, after section 5 of Forte et al. 2020."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]

# Share of each kind of foreground; "real" is an object cut out of a photograph by its mask.
SHARES = {
    "real": 0.40,
    "sweethome3d": 0.22,
    "fluent3d": 0.12,
    "tuxpaint": 0.14,
    "wesnoth": 0.06,
    "torcs": 0.03,
    "matting": 0.03,
}
# Sources whose masks follow the object closely enough to be cut out.
CLOSE_MASKS = frozenset({"ecssd", "mval", "ccp", "horse"})


class MaskedImages(Protocol):
    """Where objects to cut out come from."""

    def draw(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> tuple[Array, Array, Array]:
        """Return an image, a mask (0/255) and the validity of its pixels, from some sources only if so wanted."""
        ...


class Composer:
    """Draws composed pictures: one wanted object, at times others behind or before it."""

    def __init__(self, root: Path, real: MaskedImages) -> None:
        self.real = real
        self.backgrounds = sorted((root / "train" / "backgrounds").iterdir())
        self.objects: dict[str, list[Path]] = {}
        for path in sorted((root / "train" / "objects").iterdir()):
            # alphamatting.com's training set measures matting here and is never trained on.
            if not path.name.startswith("matting_AM27"):
                self.objects.setdefault(path.name.split("_")[0], []).append(path)
        self.kinds = [kind for kind in SHARES if kind == "real" or kind in self.objects]
        share = np.array([SHARES[kind] for kind in self.kinds])
        self.share = share / share.sum()

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Array, Array, Array]:
        """Return an image (size, size, 3), the wanted object's visible alpha and its validity (all ones)."""
        canvas = self._background(rng, size).astype(np.float32)
        wanted = np.zeros((size, size), np.float32)
        count = 1 + int(rng.random() < 0.4) + int(rng.random() < 0.15)
        target = int(rng.integers(count))
        for i in range(count):
            colour, alpha = self._placed(rng, size, self._foreground(rng))
            canvas = colour + canvas * (1 - alpha[:, :, None])
            wanted = alpha if i == target else wanted * (1 - alpha)
        image = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        return image, (wanted * 255 + 0.5).astype(np.uint8), np.ones((size, size), np.uint8)

    def _background(self, rng: np.random.Generator, size: int) -> Array:
        if rng.random() < 0.6:
            with Image.open(self.backgrounds[rng.integers(len(self.backgrounds))]) as picture:
                image = np.asarray(picture.convert("RGB"))
        else:
            image = self.real.draw(rng)[0]
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1.0))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        window = image[top : top + side, left : left + side]
        return np.asarray(cv2.resize(window, (size, size), interpolation=cv2.INTER_LINEAR))

    def _foreground(self, rng: np.random.Generator) -> Array:
        """Return one object as RGBA, uint8, cropped to what is visible."""
        kind = self.kinds[rng.choice(len(self.kinds), p=self.share)]
        if kind == "real":
            image, mask, _ = self.real.draw(rng, CLOSE_MASKS)
            soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.0))
            # Pulled in a little: the outermost pixels of a photograph's object carry its old background.
            soft = np.clip((soft.astype(np.float32) - 64) * (255 / 191), 0, 255).astype(np.uint8)
            rgba = np.dstack([image, soft])
        else:
            paths = self.objects[kind]
            with Image.open(paths[rng.integers(len(paths))]) as picture:
                rgba = np.asarray(picture.convert("RGBA"))
        ys, xs = np.nonzero(rgba[:, :, 3] > 8)
        if len(ys) == 0:
            return np.zeros((1, 1, 4), np.uint8)
        return rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]

    def _placed(
        self, rng: np.random.Generator, size: int, rgba: Array
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return colour times alpha (size, size, 3) and alpha (size, size) of an object at a random place."""
        height, width = rgba.shape[:2]
        scale = size * np.exp(rng.uniform(np.log(0.2), np.log(1.1))) / max(height, width)
        angle, flip = np.deg2rad(rng.normal(0, 10)), 1 if rng.random() < 0.5 else -1
        if scale < 0.7:
            # Shrink by area first: the bilinear warp below would skip pixels.
            shrunk = (max(1, round(width * scale)), max(1, round(height * scale)))
            rgba = np.asarray(cv2.resize(rgba, shrunk, interpolation=cv2.INTER_AREA))
            height, width = rgba.shape[:2]
            scale = 1.0
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        centre = rng.uniform(0.15, 0.85, 2) * size
        turn = np.array([[cos * flip, -sin], [sin * flip, cos]])
        offset = centre - turn @ np.array([width / 2, height / 2])
        alpha = rgba[:, :, 3:].astype(np.float32) / 255
        premultiplied = np.dstack([rgba[:, :, :3] * alpha, alpha]).astype(np.float32)
        placed = cv2.warpAffine(premultiplied, np.column_stack([turn, offset]), (size, size), flags=cv2.INTER_LINEAR)
        light = np.exp(rng.uniform(-0.25, 0.25))
        return np.clip(placed[:, :, :3] * light, 0, 255 * placed[:, :, 3:]), placed[:, :, 3]
