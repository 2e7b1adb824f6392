"""Cutting training pictures out of larger ones, and changing their light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.pictures import Array, Masked


def random_window(rng: np.random.Generator, picture: Masked, size: int) -> Masked:
    """Cut a random window that shows the object and resize it to (size, size).

    Windows range from half the sides to all of them, so that objects come large and small, whole and cut.
    """
    height, width = picture.alpha.shape
    share = rng.uniform(0.45, 1.0) if rng.random() < 0.75 else 1.0
    side = share * (height * width) ** 0.5
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    win_h, win_w = int(np.clip(side / stretch, 16, height)), int(np.clip(side * stretch, 16, width))
    y, x = _pixel_of_object(rng, picture.alpha)
    return _resized(picture, _around(rng, y, x, win_h, win_w, height, width), size)


def close_window(rng: np.random.Generator, picture: Masked, size: int) -> Masked:
    """Cut the object's own box, 1.1 to 2 times enlarged and moved a little, and resize it to (size, size)."""
    height, width = picture.alpha.shape
    ys, xs = np.nonzero(picture.alpha > 127)
    if len(ys) == 0:
        return random_window(rng, picture, size)

    def span(values: NDArray[np.int64], length: int) -> slice:
        extent = int(values.max() - values.min()) + 1
        wanted = int(np.clip(extent * rng.uniform(1.1, 2.0), 16, length))
        centre = (values.max() + values.min()) / 2 + rng.uniform(-0.5, 0.5) * (wanted - extent)
        start = int(np.clip(centre - wanted / 2, 0, length - wanted))
        return slice(start, start + wanted)

    return _resized(picture, (span(ys, height), span(xs, width)), size)


def paper_crop(rng: np.random.Generator, picture: Masked, size: int) -> Masked:
    """Cut (size, size) pixels that show the object, as they are (Forte et al. 2020, section 3.2).

    Only a picture smaller than that is resized: enlarged, its proportions kept, until its shorter side fits.
    """
    height, width = picture.alpha.shape
    shorter = min(height, width)
    if shorter < size:
        scaled = (max(size, round(height * size / shorter)), max(size, round(width * size / shorter)))
        picture = _resized(picture, np.s_[:height, :width], *scaled)
        height, width = scaled
    y, x = _pixel_of_object(rng, picture.alpha)
    window = _around(rng, y, x, size, size, height, width)
    return Masked(*(plane[window] for plane in picture))


def flipped(picture: Masked) -> Masked:
    """Mirror left and right."""
    return Masked(*(np.ascontiguousarray(plane[:, ::-1]) for plane in picture))


def _pixel_of_object(rng: np.random.Generator, alpha: Array) -> tuple[int, int]:
    """Return one random pixel of the object, or the centre where there is none."""
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) == 0:
        ys, xs = np.array([alpha.shape[0] // 2]), np.array([alpha.shape[1] // 2])
    k = rng.integers(len(ys))
    return int(ys[k]), int(xs[k])


def _around(
    rng: np.random.Generator, y: int, x: int, win_h: int, win_w: int, height: int, width: int
) -> tuple[slice, slice]:
    """Return a window that holds one pixel and otherwise lies anywhere."""
    top = int(rng.integers(max(0, y - win_h + 1), min(height - win_h, y) + 1))
    left = int(rng.integers(max(0, x - win_w + 1), min(width - win_w, x) + 1))
    return np.s_[top : top + win_h, left : left + win_w]


def _resized(picture: Masked, window: tuple[slice, slice], height: int, width: int | None = None) -> Masked:
    """Resize a window of a picture to (height, width), to a square when only one side is given."""
    image, alpha, valid, others = (plane[window] for plane in picture)
    size = (width or height, height)
    win_h, win_w = alpha.shape
    how = cv2.INTER_LINEAR if win_h * win_w < size[0] * size[1] else cv2.INTER_AREA
    # Void pixels have no alpha: only the others enter a pixel's mean.
    judged = cv2.resize(valid.astype(np.float32), size, interpolation=how)
    wanted = cv2.resize((alpha * valid).astype(np.float32), size, interpolation=how)
    beside = cv2.resize(others.astype(np.float32), size, interpolation=how)
    alpha = np.clip(wanted / np.maximum(judged, 1e-3) + 0.5, 0, 255).astype(np.uint8)
    valid = (judged >= 0.5).astype(np.uint8)
    return Masked(
        np.asarray(cv2.resize(image, size, interpolation=how)),
        alpha,
        valid,
        ((beside >= 0.5) & (alpha <= 127) & (valid == 1)).astype(np.uint8),
    )


def change_light(rng: np.random.Generator, image: Array) -> Array:
    """Random gamma, brightness, contrast and colour cast by one table per channel; at times blur or noise."""
    levels = np.arange(256, dtype=np.float32) / 255
    tables = []
    gamma, contrast, shift = np.exp(rng.uniform(-0.35, 0.35)), np.exp(rng.uniform(-0.25, 0.25)), rng.uniform(-0.1, 0.1)
    for _ in range(3):
        cast = np.exp(rng.uniform(-0.1, 0.1))
        tables.append(np.clip(((levels**gamma - 0.5) * contrast + 0.5 + shift) * cast, 0, 1) * 255)
    result = cv2.LUT(np.ascontiguousarray(image), np.rint(np.stack(tables, axis=-1)).astype(np.uint8)[None])
    if rng.random() < 0.1:
        result = np.repeat(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if rng.random() < 0.1:
        result = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 8), result.shape[:2])
        result = np.clip(result + noise[:, :, None], 0, 255).astype(np.uint8)
    return np.asarray(result)


def paper_light(rng: np.random.Generator, image: Array) -> Array:
    """Random gamma and brightness, nothing else. The paper gives no ranges: these are those of `change_light`."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma, shift = np.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-0.1, 0.1)
    table = np.clip(levels**gamma + shift, 0, 1) * 255
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), np.rint(table).astype(np.uint8)))
