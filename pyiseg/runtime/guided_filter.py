"""The guided filter of one image: from a prediction on the grid to alpha, there and at the image's resolution.

Written once for all devices: what differs is who does the work, the functions of `pyiseg._core` on numpy arrays, or the
methods of the same names of a native stream on its arrays, which only enqueue it. The formulas are in
`csrc/math/guided.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pyiseg.geometry import View
from pyiseg.model import Rules
from pyiseg.runtime.resample import Device, image_on_grid


class Guide(Protocol):
    """A guide of one channel; it may depend on the clicks, which are given on the grid."""

    def on_grid(self, clicks: Any) -> Any:
        """The centered guide that coefficients are fitted to, float32, shape (h, w); overwritten by the next call."""
        ...

    def at_image(self) -> Any:
        """The guide that `on_grid` returned last, at the image's resolution, float32, shape (H, W)."""
        ...


class GuidedFilter(Protocol):
    """The guided filter of one image. Its buffers are written by every call; not for two threads at once.

    Clicks are int32, shape (N, 3), rows x, y, label, on the image and on the grid, in the order they were made. A
    prediction is what `pyiseg.runtime.click.ClickStage.after` filled, float32, shape (h, w).
    """

    def on_grid(self, clicks: Any, prediction: Any, *, applied: bool = False) -> Any:
        """Render a prediction on the grid.

        Args:
            clicks: On the grid.
            prediction: See the class.
            applied: Whether `apply` was called last, with these clicks and this prediction: nothing is fitted again.

        Returns:
            Alpha, float32, shape (h, w): the prediction itself, or a buffer of this filter's.
        """
        ...

    def apply(self, image_clicks: Any, clicks: Any, prediction: Any, out: Any) -> None:
        """Write alpha at the image's resolution to out, uint8, shape (H, W)."""
        ...


class ColorFilter:
    """The residual form guided by the image's own colors: on the grid alpha is the prediction itself.

    Args:
        rules: Of the model.
        view: How the image is seen.
        rgb: The image, uint8, shape (H, W, 3). It is read whenever alpha is rendered, so it must not change.
        device: Who does the work, and makes arrays that are needed in here only.
        zeros: Makes an array of a shape and dtype, all zeros, that stays.

    Attributes:
        image: The image on the grid, R, G, B in 0..1, float32, shape (3, h, w). Not to be written to.
        statistics: Of that, float32, shape (6, h, w): the inverse of Sigma + eps U, which is symmetric, as rr, rg, rb,
            gg, gb, bb (He et al. 2013, eq. 19). Not to be written to.
    """

    def __init__(self, rules: Rules, view: View, rgb: Any, device: Device, zeros: Callable[..., Any]) -> None:
        ops: Any = device.ops
        self._ops, self._rgb, self._radius = ops, rgb, rules.radius
        self.image = zeros((3, *view.grid), np.float32)
        image_on_grid(device, view, rgb, self.image)
        self.statistics = zeros((6, *view.grid), np.float32)
        ops.color_guide_statistics(self.image, rules.radius, rules.eps, self.statistics)
        self._scratch = zeros((3, *view.grid), np.float32)
        self._coefficients = zeros((4, *view.grid), np.float32)

    def on_grid(self, clicks: Any, prediction: Any, *, applied: bool = False) -> Any:
        """See `GuidedFilter.on_grid`."""
        return prediction

    def apply(self, image_clicks: Any, clicks: Any, prediction: Any, out: Any) -> None:
        """See `GuidedFilter.apply`."""
        ops, coefficients = self._ops, self._coefficients
        ops.color_guided_filter_coefficients(
            self.image, self.statistics, prediction, self._radius, self._scratch, coefficients
        )
        ops.pin_image_clicks(self._rgb, image_clicks, clicks, self._scratch[0], coefficients)
        ops.apply_coefficients(coefficients, self._rgb, out)


class LearnedFilter:
    """Either form guided by a learned guide of one channel.

    Args:
        rules: Of the model.
        guide: The guide.
        grid: Height and width of the grid.
        ops: Who does the work.
        zeros: Makes an array of a shape and dtype, all zeros.
    """

    def __init__(self, rules: Rules, guide: Guide, grid: tuple[int, int], ops: Any, zeros: Callable[..., Any]) -> None:
        self._rules, self._guide, self._ops = rules, guide, ops
        self._scratch = zeros((2, *grid), np.float32)
        self._coefficients = zeros((2, *grid), np.float32)
        self._fitted_to: Any = None  # the guide on the grid
        if rules.form == "averaged":
            self._alpha = zeros(grid, np.float32)
        if rules.cleaned_by_filter:
            self._kept = zeros(grid, np.float32)
            self._labels = zeros(grid, np.int32)

    def on_grid(self, clicks: Any, prediction: Any, *, applied: bool = False) -> Any:
        """See `GuidedFilter.on_grid`."""
        if self._rules.form == "residual":
            return prediction
        if not applied:
            self._fit(clicks, prediction)
        self._ops.apply_coefficients(self._coefficients, self._fitted_to, self._alpha)
        return self._alpha

    def apply(self, image_clicks: Any, clicks: Any, prediction: Any, out: Any) -> None:
        """See `GuidedFilter.apply`."""
        self._fit(clicks, prediction)
        guide = self._guide.at_image()
        if self._rules.form == "residual":
            self._ops.pin_image_clicks(guide, image_clicks, clicks, self._scratch[0], self._coefficients)
        self._ops.apply_coefficients(self._coefficients, guide, out)

    def _fit(self, clicks: Any, prediction: Any) -> None:
        """Fit the coefficients to the guide of these clicks."""
        rules, ops, coefficients = self._rules, self._ops, self._coefficients
        guide, residual = self._guide.on_grid(clicks), rules.form == "residual"
        self._fitted_to = guide
        ops.guided_filter_coefficients(
            guide, prediction, rules.radius, rules.eps, residual, self._scratch, coefficients
        )
        if residual:
            return
        if rules.cleaned_by_filter:
            ops.apply_coefficients(coefficients, guide, self._alpha)
            ops.keep_clicked_components(self._alpha, clicks, rules.margin, self._labels, self._kept)
            ops.zero_coefficients(self._alpha, self._kept, coefficients)
        ops.pin_clicks(guide, clicks, coefficients)
