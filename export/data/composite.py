"""Composed training images: objects with alpha over photographs, after section 5 of Forte et al. 2020."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.data.augment import moved
from export.data.io import Array, Masked, Source, listed, read_rgb, read_rgba
from export.data.shapes import Size, height_width

# Share of each kind of foreground; "real" is an object cut out of a photograph by its mask, "other" one whose name
# begins with none of these.
SHARES = {
    "real": 0.40,
    "sweethome3d": 0.22,
    "fluent3d": 0.12,
    "tuxpaint": 0.14,
    "wesnoth": 0.06,
    "torcs": 0.03,
    "matting": 0.03,
    "other": 0.60,
}
# alphamatting.com's training set measures matting here and is never trained on: its objects' names begin so.
MEASURING = "matting_AM27"
# Sources of the mixed photographs whose masks follow the object closely enough to be cut out.
CLOSE_MASKS = frozenset({"ecssd", "mval", "ccp", "horse"})


class Composer:
    """Draws composed images: one wanted object, at times others behind or before it.

    Objects are images with an alpha channel in ``train/objects`` or ``objects``; what stands before the first ``_``
    in a name is its kind, see `SHARES`. Backgrounds are in ``train/backgrounds`` or ``backgrounds``.

    Args:
        root: Folder that holds them.
        photographs: Give further backgrounds, and objects too where their masks are close; may be none.
        matched: Share of the objects whose color is moved towards that of what they are laid on.

    Raises:
        FileNotFoundError: There are no objects, or no backgrounds.
    """

    def __init__(self, root: Path, photographs: Source | None, matched: float = 0.0) -> None:
        self.photographs, self.matched = photographs, matched
        self.backgrounds = _part(root, "backgrounds")
        self.objects: dict[str, list[Path]] = {}
        for path in _part(root, "objects"):
            if not path.name.startswith(MEASURING):
                kind = path.name.split("_")[0]
                self.objects.setdefault(kind if kind in SHARES else "other", []).append(path)
        self.paths = sorted(path for paths in self.objects.values() for path in paths)
        if not self.paths:
            raise FileNotFoundError(f"{root}: its objects are all kept for measuring ({MEASURING}*); add others")
        cut_out = photographs is not None and photographs.close_masks
        self.kinds = [kind for kind in SHARES if (kind == "real" and cut_out) or kind in self.objects]
        share = np.array([SHARES[kind] for kind in self.kinds])
        self.share = share / share.sum()

    def __len__(self) -> int:
        """Return the number of objects in the folder."""
        return len(self.paths)

    def sample(self, rng: np.random.Generator, size: Size, number: int | None = None) -> Masked:
        """Return an image, the wanted object's visible alpha, and where others are seen.

        Args:
            rng: Source of all that is random.
            size: (height, width) of the image, or the side of a square.
            number: The wanted object, one of the folder; any when none.
        """
        shape = height_width(size)
        canvas = self._background(rng, shape).astype(np.float32)
        wanted, beside = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        count = 1 + int(rng.random() < 0.4) + int(rng.random() < 0.15)
        target = int(rng.integers(count))
        for i in range(count):
            path = self.paths[number] if i == target and number is not None else None
            color, alpha = self._placed(rng, shape, self._foreground(rng, path))
            if self.matched and rng.random() < self.matched:
                color = matched_color(rng, color, alpha, canvas)
            canvas = color + canvas * (1 - alpha[:, :, None])
            wanted, beside = wanted * (1 - alpha), beside * (1 - alpha)
            if i == target:
                wanted = alpha
            else:
                beside += alpha
        image = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        others = (beside > 0.5) & (wanted <= 0.5)
        return Masked(image, (wanted * 255 + 0.5).astype(np.uint8), np.ones(shape, np.uint8), others.astype(np.uint8))

    def foreground(self, rng: np.random.Generator) -> Array:
        """Return any object as RGBA, uint8, shape (h, w, 4), cropped to what is visible of it."""
        return self._foreground(rng, None)

    def _background(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        if self.photographs is None or rng.random() < 0.6:
            image = read_rgb(self.backgrounds[rng.integers(len(self.backgrounds))])
        else:
            image = self.photographs.sample(rng).image
        height, width = image.shape[:2]
        # The largest window of the image's shape, or half of it, or anything between.
        longest, share = max(shape), rng.uniform(0.5, 1.0)
        fit = min(height * longest / shape[0], width * longest / shape[1])
        win_h, win_w = (max(1, int(fit * share * (side / longest))) for side in shape)
        top, left = int(rng.integers(height - win_h + 1)), int(rng.integers(width - win_w + 1))
        window = image[top : top + win_h, left : left + win_w]
        return np.asarray(cv2.resize(window, shape[::-1], interpolation=cv2.INTER_LINEAR))

    def _foreground(self, rng: np.random.Generator, path: Path | None) -> Array:
        """Return one object as RGBA, uint8, cropped to what is visible; any when no path is given."""
        kind = self.kinds[rng.choice(len(self.kinds), p=self.share)] if path is None else ""
        if kind == "real":
            assert self.photographs is not None
            image, mask, _, _ = moved(self.photographs.sample(rng, CLOSE_MASKS)).planes
            soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.0))
            # Pulled in a little: the outermost pixels of a photograph's object carry its old background.
            soft = np.clip((soft.astype(np.float32) - 64) * (255 / 191), 0, 255).astype(np.uint8)
            rgba = np.dstack([image, soft])
        else:
            paths = self.objects.get(kind, [])
            path = path or paths[rng.integers(len(paths))]
            rgba = read_rgba(path)
        ys, xs = np.nonzero(rgba[:, :, 3] > 8)
        if len(ys) == 0:
            return np.zeros((1, 1, 4), np.uint8)
        return rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]

    def _placed(
        self, rng: np.random.Generator, shape: tuple[int, int], rgba: Array
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return color times alpha (H, W, 3) and alpha (H, W) of an object at a random place of a shape (H, W)."""
        height, width = rgba.shape[:2]
        # By the shorter side: in a long image most objects are whole.
        scale = min(shape) * np.exp(rng.uniform(np.log(0.2), np.log(1.1))) / max(height, width)
        angle, flip = np.deg2rad(rng.normal(0, 10)), 1 if rng.random() < 0.5 else -1
        if scale < 0.7:
            # Shrink by area first: the bilinear warp below would skip pixels.
            shrunk = (max(1, round(width * scale)), max(1, round(height * scale)))
            rgba = np.asarray(cv2.resize(rgba, shrunk, interpolation=cv2.INTER_AREA))
            height, width = rgba.shape[:2]
            scale = 1.0
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        center = rng.uniform(0.15, 0.85, 2) * shape[::-1]
        turn = np.array([[cos * flip, -sin], [sin * flip, cos]])
        offset = center - turn @ np.array([width / 2, height / 2])
        alpha = rgba[:, :, 3:].astype(np.float32) / 255
        premultiplied = np.dstack([rgba[:, :, :3] * alpha, alpha]).astype(np.float32)
        placed = cv2.warpAffine(premultiplied, np.column_stack([turn, offset]), shape[::-1], flags=cv2.INTER_LINEAR)
        light = np.exp(rng.uniform(-0.25, 0.25))
        return np.clip(placed[:, :, :3] * light, 0, 255 * placed[:, :, 3:]), placed[:, :, 3]


def matched_color(
    rng: np.random.Generator, color: NDArray[np.float32], alpha: NDArray[np.float32], ground: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Move an object's color part of the way to that of a ground: mean and deviation in Lab (Reinhard et al. 2001).

    Args:
        rng: Where the part of the way comes from.
        color: Its color times its alpha, 0 to 255, shape (H, W, 3).
        alpha: 0 to 1, shape (H, W).
        ground: RGB, 0 to 255, shape (H, W, 3).

    Returns:
        Its color times its alpha, as given.
    """
    inside = alpha > 0.5
    lightness, tint = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9)
    if inside.sum() < 2:
        return color
    plain = np.clip(color / np.maximum(alpha, 1e-3)[:, :, None] / 255, 0, 1)
    own = cv2.cvtColor(plain.astype(np.float32), cv2.COLOR_RGB2LAB)
    below = cv2.cvtColor(np.clip(ground / 255, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    mean, deviation = own[inside].mean(axis=0), own[inside].std(axis=0)
    aim, spread = below.mean(axis=(0, 1)), below.std(axis=(0, 1))
    way = np.array([lightness, tint, tint], np.float32)
    # Little deviation is not blown up to much: that would show compression, not shades.
    scale = 1 + way * (np.clip(spread / np.maximum(deviation, 1e-3), 0.5, 1.5) - 1)
    moved = ((own - mean) * scale + mean + way * (aim - mean)).astype(np.float32)
    rgb = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)
    return np.asarray(np.clip(rgb, 0, 1) * 255 * alpha[:, :, None], np.float32)


def _part(root: Path, name: str) -> list[Path]:
    """Return the files of ``train/name``, or of ``name`` where there is no such folder."""
    inner, plain = root / "train" / name, root / name
    return listed(
        inner if inner.is_dir() else plain,
        f"composed and generated images need objects and backgrounds, in {root / 'train'} or in {root}; to do "
        "without --set data.composed=0 --set data.generated=[]",
    )
