"""Guides of the guided filter: the image's own colors, or a learned guide, with or without a look at the clicks.

Written once for all devices: what differs is who does the work (`pyiseg.runtime.resample.Device`) and who runs
guide.onnx (`GuideNetwork`). Color and image guides are made once per image and shared by all selections on it; a click
guide is computed anew for each prediction and belongs to whoever renders it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pyiseg import _core
from pyiseg.geometry import View
from pyiseg.runtime.noise import eps_under_noise, reduce_noise, unseen_noise
from pyiseg.runtime.resample import Device, ImageMaps, grid_guide, image_on_grid, part


class Guide(Protocol):
    """A guide of one channel; it may depend on the clicks, which are given on the grid."""

    def on_grid(self, clicks: Any) -> Any:
        """Return the centered guide that coefficients are fitted to, float32, shape (h, w)."""
        ...

    def at_image(self) -> Any:
        """Return the guide that `on_grid` returned last at the image's resolution, float32, shape (H, W)."""
        ...


class GuideNetwork(Protocol):
    """guide.onnx on strips of pixels. It is pointwise: any pixels will do, in any arrangement.

    Attributes:
        image: Input, RGB in 0..1, float32, shape (1, 3, 1, strip).
        maps: Input, the finest background and foreground map, float32, shape (1, 2, 1, strip); None where the network
            does not see the clicks.
    """

    image: Any
    maps: Any

    def run(self, out: Any, first: int) -> None:
        """Write the guide of the inputs to the elements of out, float32, flat, from the `first` on."""
        ...


class ColorGuide:
    """The image's own colors as guide (He et al. 2013, section 3.5). Never changes.

    Args:
        device: Who does the work, and makes arrays that are needed in here only.
        view: How the image is seen.
        rgb: The image, uint8, shape (H, W, 3).
        radius, eps: The filter's, see `pyiseg.model.ClickParams`.
        zeros: Makes an array of a shape and dtype, all zeros, that stays.
        noise: Of the image, see `pyiseg.runtime.noise.noise_level`.

    Attributes:
        noise: What of it the filter has to do with, see `pyiseg.runtime.noise.unseen_noise`; 0: nothing is done.
        rgb: What the filter is applied to, uint8, shape (H, W, 3): the image or, where it has noise, one with less.
        image: The image on the grid, R, G, B in 0..1, float32, shape (3, h, w).
        statistics: Of that, float32, shape (6, h, w): the inverse of Sigma + eps U, which is symmetric, as rr, rg, rb,
            gg, gb, bb (He et al. 2013, eq. 19).
    """

    def __init__(
        self,
        device: Device,
        view: View,
        rgb: Any,
        radius: int,
        eps: float,
        zeros: Callable[..., Any],
        noise: float,
    ) -> None:
        ops: Any = device.ops
        self.noise = unseen_noise(noise, view)
        self.image = zeros((3, *view.grid), np.float32)
        image_on_grid(device, view, rgb, self.image)
        self.statistics = zeros((6, *view.grid), np.float32)
        ops.color_guide_statistics(self.image, radius, eps_under_noise(eps, self.noise), self.statistics)
        self.rgb = rgb
        if self.noise:
            self.rgb = zeros(rgb.shape, np.uint8)
            reduce_noise(device, rgb, self.noise, self.rgb)


class ImageGuide:
    """A learned guide that the image alone decides: computed once, and averaged to the grid. Never changes.

    Args:
        device: Who does the work, and makes arrays that are needed in here only.
        view: How the image is seen.
        network: guide.onnx; done with when this returns.
        rgb: The image, uint8, shape (H, W, 3).
        empty: Makes an array of a shape that stays.
    """

    def __init__(self, device: Device, view: View, network: GuideNetwork, rgb: Any, empty: Callable[..., Any]) -> None:
        ops: Any = device.ops
        padded = _padded(empty, view.image, network)
        for first in _strips(view.image, network):
            ops.hwc_to_chw(rgb, first, network.image)
            network.run(padded, first)
        self._full, self._grid = part(padded, view.image), empty(view.grid, np.float32)
        grid_guide(device, view, self._full, self._grid)
        # Only differences of the guide matter. Centered, it is small, and its windows' sums lose nothing in FP32.
        mean = device.empty((1,), np.float32)
        ops.mean(self._grid, device.empty((_core.mean_scratch,), np.float64), mean)
        ops.subtract(mean, self._full)
        ops.subtract(mean, self._grid)

    def on_grid(self, clicks: Any) -> Any:
        """See `Guide.on_grid`."""
        return self._grid

    def at_image(self) -> Any:
        """See `Guide.at_image`."""
        return self._full


class ClickGuide:
    """A learned guide that also sees the clicks: computed for the clicks that it is asked for, into its own buffers.

    It is fitted where the network works, on the working image and the click maps as they are, and applied at the image
    itself with those maps enlarged. A call of `on_grid` remembers nothing of earlier ones, so undo gives the same bits.

    Args:
        device: Who does the work, and makes arrays that stay.
        view: How the image is seen.
        network: guide.onnx.
        rgb: The image, uint8, shape (H, W, 3).
        working: The network input, float32, shape (1, 3, h, w); the grid is as large.
        sigma: Width of the finest click maps.
    """

    def __init__(self, device: Device, view: View, network: GuideNetwork, rgb: Any, working: Any, sigma: float) -> None:
        self._ops: Any = device.ops
        self._view, self._network, self._rgb, self._sigma = view, network, rgb, sigma
        self._working = working.reshape((3, *view.grid))
        self._padded, self._padded_grid = (_padded(device.empty, shape, network) for shape in (view.image, view.grid))
        self._full, self._grid = part(self._padded, view.image), part(self._padded_grid, view.grid)
        self._maps = device.empty((2, *view.grid), np.float32)
        self._image_maps = ImageMaps(device, view, 2)
        self._mean = device.empty((1,), np.float32)
        self._scratch = device.empty((_core.mean_scratch,), np.float64)

    def on_grid(self, clicks: Any) -> Any:
        """See `Guide.on_grid`; overwritten by the next call."""
        ops, network = self._ops, self._network
        ops.click_maps(clicks, (self._sigma,), self._maps)
        for first in _strips(self._view.grid, network):
            ops.copy_strip(self._working, first, network.image)
            ops.copy_strip(self._maps, first, network.maps)
            network.run(self._padded_grid, first)
        ops.mean(self._grid, self._scratch, self._mean)
        ops.subtract(self._mean, self._grid)
        return self._grid

    def at_image(self) -> Any:
        """See `Guide.at_image`; overwritten by the next call."""
        ops, network = self._ops, self._network
        self._image_maps.fill(self._maps)
        for first in _strips(self._view.image, network):
            ops.hwc_to_chw(self._rgb, first, network.image)
            self._image_maps.strip(first, network.maps)
            network.run(self._padded, first)
        ops.subtract(self._mean, self._full)
        return self._full


def _strips(shape: tuple[int, int], network: GuideNetwork) -> range:
    """Return the first pixel of each strip of a raster."""
    return range(0, shape[0] * shape[1], network.image.shape[3])


def _padded(empty: Callable[..., Any], shape: tuple[int, int], network: GuideNetwork) -> Any:
    """Make room for the guide of a raster in whole strips; what lies beyond the last pixel is not read."""
    strip = network.image.shape[3]
    return empty((math.ceil(shape[0] * shape[1] / strip) * strip,), np.float32)
