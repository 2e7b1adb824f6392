"""The specification of every op: numpy, float64, written to be read and not to be fast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def click_maps(clicks: NDArray[np.int32], sigmas: Sequence[float], h: int, w: int) -> Array:
    """exp(-d^2 / (2 sigma^2)), d to the nearest click of a label: background sigmas, then foreground; (2 S, h, w)."""
    y, x = np.mgrid[:h, :w]
    maps = np.zeros((2, len(sigmas), h, w))
    for label in (0, 1):
        squares = [(x - cx) ** 2 + (y - cy) ** 2 for cx, cy, click_label in clicks.tolist() if click_label == label]
        if squares:
            nearest = np.min(squares, axis=0)
            for s, sigma in enumerate(sigmas):
                maps[label, s] = np.exp(-nearest / (2.0 * sigma**2))
    return maps.reshape(-1, h, w)


def force_clicks(clicks: NDArray[np.int32], alpha: NDArray[np.floating]) -> Array:
    """Alpha with 1 at foreground and 0 at background clicks, one click after the other."""
    out = alpha.astype(np.float64)
    for x, y, label in clicks.tolist():
        out[y, x] = label
    return out


def pin_clicks(guide: NDArray[np.floating], clicks: NDArray[np.int32], coefficients: NDArray[np.floating]) -> Array:
    """Lines in which every click's own pixel is on its side: where it was not, it and its neighbors say the label."""
    out = coefficients.astype(np.float64)
    h, w = guide.shape
    alpha = np.clip(coefficients[0] * guide + coefficients[1], 0, 1)
    for y in range(h):
        for x in range(w):
            if len(clicks) == 0:
                continue
            d2 = (clicks[:, 0] - x) ** 2 + (clicks[:, 1] - y) ** 2
            cx, cy, label = clicks[len(clicks) - 1 - int(np.argmin(d2[::-1]))].tolist()  # of the nearest the last
            obeyed = alpha[cy, cx] >= 0.6 if label else alpha[cy, cx] <= 0.4
            if max(abs(cx - x), abs(cy - y)) <= 1 and not obeyed:
                out[:, y, x] = 0, label
    return out


def pin_image_clicks(
    alpha: NDArray[np.floating],
    image_clicks: NDArray[np.int32],
    clicks: NDArray[np.int32],
    coefficients: NDArray[np.floating],
) -> Array:
    """Coefficients in which the last click on a grid pixel, and those of its label there, are obeyed on the image.

    Args:
        alpha: What the coefficients come to at the image's resolution.
        image_clicks, clicks: The clicks on the image and on the grid.
        coefficients: Slopes, then the offset, on the grid.
    """
    out = coefficients.astype(np.float64)
    h, w = out.shape[1:]

    def nearest(x: int, y: int) -> int:
        d2 = (clicks[:, 0] - x) ** 2 + (clicks[:, 1] - y) ** 2
        return len(clicks) - 1 - int(np.argmin(d2[::-1]))  # of the nearest the last

    for i, (x, y, label) in enumerate(clicks.tolist()):
        if nearest(x, y) != i:
            continue
        here = image_clicks[(clicks == clicks[i]).all(axis=1)]  # those of its label on its grid pixel
        values = alpha[here[:, 1], here[:, 0]]
        if (values >= 0.6).all() if label else (values <= 0.4).all():
            continue
        for row in range(max(y - 1, 0), min(y + 2, h)):
            for column in range(max(x - 1, 0), min(x + 2, w)):
                if nearest(column, row) == i:
                    out[:-1, row, column], out[-1, row, column] = 0, label
    return out


def _grow(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within Chebyshev distance `reach` of the mask."""
    h, w = mask.shape
    padded = np.pad(mask, reach)
    steps = range(2 * reach + 1)
    return np.any([padded[dy : dy + h, dx : dx + w] for dy in steps for dx in steps], axis=0)


def keep_clicked_components(alpha: NDArray[np.floating], clicks: NDArray[np.int32], margin: int) -> Array:
    """Alpha in the 8-connected regions > 0.5 that hold a foreground click, and where <= 0.5 within margin of one."""
    inside = alpha > 0.5
    kept = np.zeros(alpha.shape, bool)
    for x, y, label in clicks.tolist():
        kept[y, x] |= label == 1 and inside[y, x]
    while True:  # flood from the clicks
        grown = _grow(kept, 1) & inside
        if (grown == kept).all():
            break
        kept = grown
    keep = kept | (_grow(kept, margin) & (alpha <= 0.5))
    return np.where(keep, alpha, 0.0).astype(np.float64)


def _windows(values: NDArray[np.floating], radius: int) -> Array:
    """The window of each pixel, (h, w, (2 radius + 1)^2); what lies outside the image is NaN."""
    padded = np.pad(values.astype(np.float64), radius, constant_values=np.nan)
    side = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return windows.reshape(*values.shape, side * side)


def guided_filter_coefficients(
    guide: NDArray[np.floating], p: NDArray[np.floating], radius: int, eps: float, residual: bool = False
) -> Array:
    """He et al. 2013, eq. 5-7: a and b of each window, then their means over the windows that cover a pixel.

    In the residual form that of a alone; b is what is left of p.
    """
    i_window, p_window = _windows(guide, radius), _windows(p, radius)
    i_mean, p_mean = np.nanmean(i_window, axis=-1), np.nanmean(p_window, axis=-1)
    i_centered, p_centered = i_window - i_mean[..., None], p_window - p_mean[..., None]
    a = np.nanmean(i_centered * p_centered, axis=-1) / (np.nanmean(i_centered**2, axis=-1) + eps)
    if residual:
        a_mean = np.nanmean(_windows(a, radius), axis=-1)
        return np.stack([a_mean, p - a_mean * guide])
    b = p_mean - a * i_mean
    return np.stack([np.nanmean(_windows(a, radius), axis=-1), np.nanmean(_windows(b, radius), axis=-1)])


def color_guide_statistics(image: NDArray[np.floating], radius: int, eps: float) -> Array:
    """He et al. 2013, eq. 19: (Sigma + eps U)^-1 of each window as rr, rg, rb, gg, gb, bb; (6, h, w).

    Args:
        image: R, G, B in 0..1 on the grid, (3, h, w).
        radius: Windows are 2 radius + 1 pixels wide, cut off at the border.
        eps: Regularization, on the diagonal of the covariance matrix.
    """
    windows = np.stack([_windows(plane, radius) for plane in image])  # (3, h, w, pixels of a window)
    centered = windows - np.nanmean(windows, axis=-1)[..., None]
    sigma = np.nanmean(centered[:, None] * centered[None, :], axis=-1)  # (3, 3, h, w)
    inverse = np.linalg.inv(sigma.transpose(2, 3, 0, 1) + eps * np.eye(3))
    rows, columns = np.triu_indices(3)
    return inverse[:, :, rows, columns].transpose(2, 0, 1)


def color_guided_filter_coefficients(
    image: NDArray[np.floating], statistics: NDArray[np.floating], p: NDArray[np.floating], radius: int
) -> Array:
    """He et al. 2013, eq. 19 and 21 in the residual form: a_r, a_g, a_b and b, (4, h, w).

    The slopes of each window are averaged over the windows that cover a pixel; b is what is left of p.

    Args:
        image: As for `color_guide_statistics`, whose result is ``statistics``.
        statistics: (6, h, w).
        p: The prediction, (h, w).
        radius: The same one.
    """
    p_window = _windows(p, radius)
    p_centered = p_window - np.nanmean(p_window, axis=-1)[..., None]
    inverse = np.empty((3, 3, *p.shape))
    rows, columns = np.triu_indices(3)
    inverse[rows, columns] = inverse[columns, rows] = statistics
    i_window = np.stack([_windows(plane, radius) for plane in image])
    i_centered = i_window - np.nanmean(i_window, axis=-1)[..., None]
    cov = np.nanmean(i_centered * p_centered, axis=-1)
    a = np.einsum("ijyx,jyx->iyx", inverse, cov)
    a_mean = np.stack([np.nanmean(_windows(plane, radius), axis=-1) for plane in a])
    return np.concatenate([a_mean, [p - (a_mean * image).sum(axis=0)]])


def _bilinear(values: NDArray[np.floating], size: int, axis: int) -> Array:
    """Values looked up at (X + 0.5) * small / size - 0.5 along one axis, clamped to the first and last center."""
    small = values.shape[axis]
    at = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, small - 1)
    t = (at - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return np.take(values, low, axis) * (1 - t) + np.take(values, high, axis) * t


def apply_coefficients(coefficients: NDArray[np.floating], guide: NDArray[np.floating]) -> Array:
    """clip(a * guide + b, 0, 1) with a and b looked up bilinearly at the guide's size."""
    h, w = guide.shape
    a, b = _bilinear(_bilinear(coefficients.astype(np.float64), h, 1), w, 2)
    return np.clip(a * guide.astype(np.float64) + b, 0.0, 1.0)


def apply_color_coefficients(coefficients: NDArray[np.floating], rgb: NDArray[np.uint8]) -> Array:
    """clip(a . rgb + b, 0, 1) with a, (3, h, w), and b looked up bilinearly at the size of the image, (H, W, 3)."""
    height, width = rgb.shape[:2]
    *a, b = _bilinear(_bilinear(coefficients.astype(np.float64), height, 1), width, 2)
    return np.clip((np.stack(a, axis=-1) * (rgb / 255.0)).sum(axis=-1) + b, 0.0, 1.0)


def noise_samples(rgb: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Immerkaer 1996: |Laplacian| of pixels on a lattice, (m, n, 3); -1 where a pixel is 0 or 255.

    Place (i, j) lies at i of m rows and, 3 i pixels further on around the end, j of n columns, without the border.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    windows = np.lib.stride_tricks.sliding_window_view(rgb.astype(np.int64), (3, 3), axis=(0, 1))
    found = np.abs((windows * kernel).sum(axis=(-1, -2)))
    inner = rgb[1:-1, 1:-1]
    found[(inner == 0) | (inner == 255)] = -1
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    h, w = inner.shape[:2]
    return found[i * h // shape[0], (j * w // shape[1] + 3 * i) % w]


def reduce_noise(rgb: NDArray[np.uint8], limit: float) -> Array:
    """Means over 3 x 3 pixels, cut off at the border, with Tukey's biweight of the distance of colors; (h, w, 3)."""
    windows = np.stack([_windows(plane, 1) for plane in rgb.transpose(2, 0, 1)])
    squared = ((windows - rgb.transpose(2, 0, 1)[..., None]) ** 2).sum(axis=0)
    weights = np.maximum(1 - squared / limit, 0) ** 2
    return (np.nansum(windows * weights, axis=-1) / np.nansum(weights, axis=-1)).transpose(1, 2, 0)


def to_bytes(alpha: Array) -> NDArray[np.uint8]:
    """Alpha in 0..1 as 0..255, halves rounded up."""
    return np.floor(255.0 * alpha + 0.5).astype(np.uint8)


def filter_matrix(kind: str, size: int, result: int) -> Array:
    """The weights with which `result` pixels cover `size` pixels edge to edge, (result, size); each row sums to 1."""
    scale = size / result
    x = (np.arange(size) + 0.5 - (np.arange(result)[:, None] + 0.5) * scale) / max(scale, 1.0)
    weights = {
        # The part of a pixel that lies within a pixel of the result.
        "area": lambda: np.clip((1 + 1 / max(scale, 1.0)) / 2 - np.abs(x), 0, 1 / max(scale, 1.0)),
        "box": lambda: ((x > -0.5) & (x <= 0.5)).astype(np.float64),
        "bilinear": lambda: np.maximum(1 - np.abs(x), 0),
        "lanczos": lambda: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0),
    }[kind]()
    return weights / weights.sum(axis=1, keepdims=True)


def resize(planes: NDArray[np.floating], kind: str, h: int, w: int) -> Array:
    """Planes (C, H, W) brought to (C, h, w), without any rounding between."""
    down, across = filter_matrix(kind, planes.shape[1], h), filter_matrix(kind, planes.shape[2], w)
    return down @ planes.astype(np.float64) @ across.T


def box_means(rgb: NDArray[np.uint8], fx: int, fy: int) -> Array:
    """Means of boxes of fy x fx pixels of (H, W, 3), of what there is of a box at the edges."""
    rows = range(0, rgb.shape[0], fy)
    columns = range(0, rgb.shape[1], fx)
    return np.array([[rgb[y : y + fy, x : x + fx].mean(axis=(0, 1), dtype=np.float64) for x in columns] for y in rows])
