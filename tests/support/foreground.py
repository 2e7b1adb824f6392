"""What `pyiseg._core.estimate_foreground` must give, in float64 over whole images, and images of which F is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Array = NDArray[np.float64]

EPS, OMEGA, HALF, SELF = 1e-3, 0.1, 0.2, 1e-6
FINEST, COARSER = 2, 4


def estimate(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Return the colors of the foreground; rgb (H, W, 3) where alpha (H, W) is 0 or 255."""
    levels = [np.dstack([rgb, alpha])]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halved(levels[-1]))
    colors: tuple[Array, Array] | None = None
    for i, level in reversed(list(enumerate(levels))):
        h, w = level.shape[:2]
        if colors is None:
            image = level[..., :3] / 255
            start = (image, image)
        else:
            start = tuple(c.repeat(2, 0).repeat(2, 1)[:h, :w] for c in colors)  # type: ignore[assignment]
        colors = _refined(level, *start, COARSER if i else FINEST)
    assert colors is not None
    soft = (alpha > 0) & (alpha < 255)
    return np.where(soft[..., None], colors[0] * 255, rgb).round().astype(np.uint8)


def _halved(level: Bytes) -> Bytes:
    h, w = level.shape[:2]
    even = np.pad(level, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge").astype(int)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    mean = (total + 2) // 4
    a = total[..., 3]
    mean[..., 3] = np.where((a > 0) & (a < 4 * 255), mean[..., 3].clip(1, 254), mean[..., 3])
    return mean.astype(np.uint8)


def _neighbors(values: Array) -> list[Array]:
    """Values of the pixels above, left, right and below; 0 where there is none."""
    h, w = values.shape[:2]
    around = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    return [around[y : y + h, x : x + w] for y, x in ((0, 1), (1, 0), (1, 2), (2, 1))]


def _trust(share: Array) -> Array:
    return (1 + HALF) * share / (share + HALF)


def _refined(level: Bytes, front: Array, back: Array, iterations: int) -> tuple[Array, Array]:
    image, alpha = level[..., :3] / 255, level[..., 3:] / 255
    beta, opaque, clear = 1 - alpha, level[..., 3:] == 255, level[..., 3:] == 0
    soft = ~opaque & ~clear
    front = np.where(soft, front, np.where(opaque, image, 0))
    back = np.where(soft, back, np.where(clear, image, 0))
    weights = [EPS + OMEGA * np.abs(alpha - a) for a in _neighbors(alpha)]
    f = [w * a for w, a in zip(weights, _neighbors(_trust(alpha)), strict=True)]
    b = [w * a for w, a in zip(weights, _neighbors(_trust(beta)), strict=True)]
    sum_f, sum_b = np.sum(f, axis=0) + SELF, np.sum(b, axis=0) + SELF
    for _ in range(iterations):
        mean_f = (sum(w * c for w, c in zip(f, _neighbors(front), strict=True)) + SELF * front) / sum_f
        mean_b = (sum(w * c for w, c in zip(b, _neighbors(back), strict=True)) + SELF * back) / sum_b
        residual = image - alpha * mean_f - beta * mean_b
        # The minimum of (alpha F + beta B - I)^2 + sum_f (F - mean_f)^2 + sum_b (B - mean_b)^2.
        explained = 1 + alpha**2 / sum_f + beta**2 / sum_b
        front = np.where(soft, (mean_f + alpha / sum_f * residual / explained).clip(0, 1), front)
        back = np.where(soft, (mean_b + beta / sum_b * residual / explained).clip(0, 1), back)
    return tuple(np.floor(c * 255 + 0.5) / 255 for c in (front, back))  # type: ignore[return-value]


def composed(front: NDArray[Any], back: NDArray[Any], alpha: NDArray[Any]) -> tuple[Bytes, Bytes]:
    """Return the image of colors from 0 to 255 mixed by alpha from 0 to 1, and alpha; both rounded to bytes."""
    rounded = np.floor(alpha * 255 + 0.5)
    share = rounded[..., None] / 255
    return np.floor(front * share + back * (1 - share) + 0.5).astype(np.uint8), rounded.astype(np.uint8)


def error(front: NDArray[Any], alpha: Bytes, colors: Bytes) -> float:
    """Return the mean absolute error of colors where alpha is neither 0 nor 255, in units of 255."""
    soft = (alpha > 0) & (alpha < 255)
    assert soft.any()
    return float(np.abs(colors.astype(float) - front)[soft].mean())
