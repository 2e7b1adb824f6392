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
    """A guide centered on 0: soft shapes, an edge and a little noise."""
    guide = blobs(h, w, seed + 1, 3.0) + 0.01 * rng(seed, 9).standard_normal((h, w))
    guide[:, w // 2 :] += 0.5
    return (guide - guide.mean()).astype(np.float32)


SIGMAS = [1.2, 3.52, 28.16]


def spiral(n: int) -> NDArray[np.float32]:
    """One long line that winds inwards: the worst case for label equivalence."""
    alpha = np.zeros((n, n), np.float32)
    for ring in range(0, n // 2, 2):
        alpha[ring, ring : n - ring] = alpha[n - 1 - ring, ring : n - ring] = 1
        alpha[ring : n - ring, ring] = alpha[ring : n - ring, n - 1 - ring] = 1
        if ring + 2 < n // 2:
            alpha[ring + 1, ring] = 0
            alpha[ring + 1 : ring + 3, ring + 2] = 1
            alpha[ring + 2, ring + 1] = 1
    return alpha


PATTERNS = {
    "noise": (rng(1).random((120, 150)) > 0.55).astype(np.float32),
    "dense noise": (rng(2).random((64, 200)) > 0.3).astype(np.float32),
    "checkers": (np.indices((50, 70)).sum(0) % 2).astype(np.float32),  # one region through its corners
    "combs": np.tile(np.array([[1, 0]], np.float32), (40, 60)),
    "spiral": spiral(101),
    "diagonals": (np.subtract(*np.indices((90, 90))) % 3 == 0).astype(np.float32),
    "antidiagonals": (np.add(*np.indices((90, 90))) % 3 == 0).astype(np.float32),
    "full": np.ones((33, 65), np.float32),
    "empty": np.zeros((33, 65), np.float32),
}
