"""The noise of an image: measured once, and reduced in what the color guided filter is applied to.

The filter is fitted on the grid, where averages over many pixels leave hardly any noise, and applied to single pixels,
which have all of it. Where it is large beside the contrast of what was selected from its ground, masks fall to pieces.
`docs/decisions/0011-noise.md` has the figures that the numbers below were chosen by.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyiseg.geometry import View
from pyiseg.runtime.resample import Device

LEAST = 1.5
"""Standard deviation, of 255, from which noise counts: less is found in photographs that have texture only."""

_LATTICE = 256  # places along a side at which noise is looked for
_LOWER_QUARTILE = 0.31864  # of |x| where x is Gaussian of deviation 1
_GAIN = 6.0  # of the Laplacian, see csrc/math/noise.h
_ALIKE = 48.0  # squared deviations at which pixels are no longer alike; those of two pixels differ by 6 on average
_PASSES = (1.0, 1.0 / 3.0)  # the deviation before each pass, in parts of the first: a mean of 9 pixels leaves a third


def noise_level(device: Device, rgb: Any) -> float:
    """Measure the noise of an image: the lower quartile of Laplacians (Immerkaer 1996), which texture hardly moves.

    Args:
        device: Where the image lies. Waits for it.
        rgb: uint8, shape (H, W, 3).

    Returns:
        The standard deviation, of 255; 0 where it is less than `LEAST` or the image has a side of less than 3 pixels.
        The same on every device.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < 3:
        return 0.0
    ops: Any = device.ops
    samples = device.empty((min(height - 2, _LATTICE), min(width - 2, _LATTICE), 3), np.int32)
    ops.noise_samples(rgb, samples)
    found = device.fetch(samples)
    found = found[found >= 0]
    if not found.size:
        return 0.0
    quarter = found.size // 4
    level = float(np.partition(found, quarter)[quarter]) / (_GAIN * _LOWER_QUARTILE)
    return level if level >= LEAST else 0.0


def reduce_noise(device: Device, rgb: Any, level: float, out: Any) -> None:
    """Write an image with less noise: twice, means of neighbors that differ by no more than noise does.

    Args:
        device: Where the arrays lie.
        rgb: uint8, shape (H, W, 3).
        level: What `unseen_noise` returned, above 0.
        out: Filled, like rgb.
    """
    ops: Any = device.ops
    between = device.empty(rgb.shape, np.uint8)
    for (source, target), part in zip(((rgb, between), (between, out)), _PASSES, strict=True):
        ops.reduce_noise(source, _ALIKE * (part * level) ** 2, target)


def unseen_noise(level: float, view: View) -> float:
    """Return how much noise the filter meets in pixels and has not met on the grid that it was fitted to.

    Of a grid pixel's average, noise has the variance of a pixel's divided by the number of pixels in it.

    Args:
        level: See `noise_level`.
        view: How the image is seen.

    Returns:
        The standard deviation, of 255; 0 where it is less than `LEAST`, as in images no larger than their grid, where
        the filter leaves the prediction as it is.
    """
    (height, width), (rows, columns) = view.image, view.grid
    unseen = level * math.sqrt(max(0.0, 1.0 - rows * columns / (height * width)))
    return unseen if unseen >= LEAST else 0.0


def eps_under_noise(eps: float, level: float) -> float:
    """Return the color guided filter's eps for an image with noise; without, what it is given.

    The filter is fitted to averages and applied to pixels: their noise is variance of the colors that the fit has not
    seen, and which says nothing of the prediction.

    Args:
        eps: The model's, in squared units of colors in 0..1.
        level: See `unseen_noise`.
    """
    return eps + (level / 255) ** 2
