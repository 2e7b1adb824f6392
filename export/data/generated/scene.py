"""Scenes of layers: what every generated training image is composed of, so that its alpha is exact.

A generator lays patches over a ground, back to front, each with tags that say what it belongs to. Afterwards one tag is
wanted, and the scene becomes an image, the alpha of all that carries the tag, and a mask of what carries others only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export.data.io import Masked

Floats = NDArray[np.float32]
T = TypeVar("T")


class Patch(NamedTuple):
    """Coverage of a part of the frame; it may lie outside of it, wholly or in part.

    Attributes:
        alpha: Coverage, 0 to 1, float32, shape (h, w).
        top, left: Where its first pixel lies in the frame.
    """

    alpha: Floats
    top: int
    left: int


class Layer(NamedTuple):
    """One thing in a scene.

    Attributes:
        patch: Where it is.
        color: RGB, 0 to 255: three numbers, or an array that broadcasts to (h, w, 3).
        tags: All that it belongs to: a bar of a chart is "bar 3", "bars" and "chart". None: ground, never wanted.
        covers: Whether it hides what is behind it. A shadow does not: what it falls on is still seen.
        parts: Further tags, each for a share of the coverage only, 0 to 1, float32, shape (h, w).
    """

    patch: Patch
    color: Floats
    tags: frozenset[str]
    covers: bool
    parts: Mapping[str, Floats]


@dataclass
class Scene:
    """Layers over a ground.

    Attributes:
        ground: RGB, 0 to 255, shape (H, W, 3).
        layers: From back to front.
    """

    ground: Floats
    layers: list[Layer] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame in pixels."""
        return self.ground.shape[0], self.ground.shape[1]

    def lay(
        self, patch: Patch, color: ArrayLike, *tags: str, covers: bool = True, parts: Mapping[str, Floats] | None = None
    ) -> None:
        """Lay a patch over all that is there; for the arguments see `Layer`."""
        self.layers.append(Layer(patch, np.asarray(color, np.float32), frozenset(tags), covers, parts or {}))

    def render(self, wanted: str, moved: tuple[int, int] = (0, 0)) -> Masked:
        """Compose the scene.

        Args:
            wanted: A tag; the alpha is what is seen of the layers that carry it.
            moved: Rows and columns by which all layers are moved over the ground, down and to the right.

        Returns:
            An image of `shape`, all of it valid.
        """
        canvas = self.ground.astype(np.float32)
        alpha, beside = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        for patch, color, tags, covers, parts in self.layers:
            top, left = patch.top + moved[0], patch.left + moved[1]
            window, inner = _overlap(self.shape, patch.alpha.shape, top, left)
            cover = patch.alpha[inner]
            if cover.size == 0:
                continue
            seen = color if color.ndim == 1 else np.broadcast_to(color, (*patch.alpha.shape, 3))[inner]
            canvas[window] += (seen - canvas[window]) * cover[:, :, None]
            if covers:
                alpha[window] *= 1 - cover
                beside[window] *= 1 - cover
                if wanted in tags:
                    alpha[window] += cover
                elif wanted in parts:
                    alpha[window] += cover * parts[wanted][inner]
                    beside[window] += cover * (1 - parts[wanted][inner])
                elif tags or parts:
                    beside[window] += cover
        rounded = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
        others = (beside > 0.5) & (rounded <= 127)
        image = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
        return Masked(image, rounded, np.ones(self.shape, np.uint8), others.astype(np.uint8))


def _overlap(
    frame: tuple[int, int], patch: tuple[int, ...], top: int, left: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a patch and the frame overlap, as windows of the frame and of the patch; they may be empty."""
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = max(y0, min(frame[0], top + patch[0])), max(x0, min(frame[1], left + patch[1]))
    return np.s_[y0:y1, x0:x1], np.s_[y0 - top : y1 - top, x0 - left : x1 - left]


def chance(rng: np.random.Generator, share: float) -> bool:
    """Return true in a share of the cases."""
    return bool(rng.random() < share)


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Return one of several, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform between those of two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
