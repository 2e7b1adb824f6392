"""What the tests of the ops feed them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SHAPES = [(1, 1), (1, 2), (1, 77), (53, 1), (3, 5), (31, 33), (32, 64), (37, 101), (96, 128)]
# Of a grid and of the image that it is of.
SIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (40, 70)),
    ((5, 7), (1, 1)),
    ((3, 4), (48, 64)),
    ((24, 32), (57, 131)),
    ((24, 32), (401, 533)),
    ((40, 50), (13, 17)),  # the image is the smaller one
    ((4, 300), (9, 100)),
    ((37, 101), (37, 202)),
]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_clicks(n: int, h: int, w: int, seed: int = 0) -> NDArray[np.int32]:
    r = rng(seed, n, h, w)
    return np.stack([r.integers(0, w, n), r.integers(0, h, n), r.integers(0, 2, n)], 1).astype(np.int32)


def blobs(h: int, w: int, seed: int = 0, blur: float = 2.0) -> NDArray[np.float32]:
    """Soft random regions in 0..1, about half of them above 0.5."""
    noise = cv2.GaussianBlur(rng(seed, h, w).standard_normal((h, w)), (0, 0), blur).reshape(h, w)
    return (1 / (1 + np.exp(-8 * noise))).astype(np.float32)


def image(h: int, w: int, seed: int = 0) -> NDArray[np.float32]:
    """A guide centred on 0: soft shapes, an edge and a little noise."""
    guide = blobs(h, w, seed + 1, 3.0) + 0.01 * rng(seed, 9).standard_normal((h, w))
    guide[:, w // 2 :] += 0.5
    return (guide - guide.mean()).astype(np.float32)
