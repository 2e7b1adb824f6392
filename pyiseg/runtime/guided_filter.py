"""The guided filter of one image: from a prediction on the grid to alpha, there and at the image's resolution.

Written once for all devices: what differs is who does the work, the functions of `pyiseg._core` on numpy arrays, or the
methods of the same names of a native stream on its arrays, which only enqueue it. The formulas are in
`csrc/math/guided.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pyiseg.geometry import Rect, View
from pyiseg.model import ClickParams
from pyiseg.runtime.guide import ClickGuide, ColorGuide, Guide


class GuidedFilter(Protocol):
    """The guided filter of one image. Its buffers are written by every call; not for two threads at once.

    Clicks are int32, shape (N, 3), rows x, y, label, on the image and on the grid, in the order they were made. A
    prediction is what `pyiseg.runtime.click.ClickStage.postprocess` filled, float32, shape (h, w).
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

    def apply_in(self, image_clicks: Any, clicks: Any, prediction: Any, top: int, left: int, out: Any) -> None:
        """Write what `apply` does in the window of the image that begins at a row and column; on the CPU only."""
        ...

    def coefficients(self, image_clicks: Any, clicks: Any, prediction: Any) -> Any:
        """Return what alpha is rendered from, float32, shape (planes, h, w): a buffer of this filter's.

        None where alpha depends on more than that, because the guide sees the clicks.
        """
        ...


class ColorFilter:
    """The residual form guided by the image's own colors: on the grid alpha is the prediction itself.

    Args:
        guide: The guide, which is only read, and so is the image that it is made of: it must not change.
        radius: The filter's.
        ops: Who does the work.
        empty: Makes an array of a shape and dtype.

    Attributes:
        guide: See above.
    """

    def __init__(self, guide: ColorGuide, radius: int, ops: Any, empty: Callable[..., Any]) -> None:
        self.guide, self._ops, self._radius = guide, ops, radius
        grid = guide.image.shape[1:]
        self._scratch = empty((3, *grid), np.float32)
        self._coefficients = empty((4, *grid), np.float32)

    def on_grid(self, clicks: Any, prediction: Any, *, applied: bool = False) -> Any:
        """See `GuidedFilter.on_grid`."""
        return prediction

    def apply(self, image_clicks: Any, clicks: Any, prediction: Any, out: Any) -> None:
        """See `GuidedFilter.apply`."""
        self._ops.apply_coefficients(self.coefficients(image_clicks, clicks, prediction), self.guide.rgb, out)

    def apply_in(self, image_clicks: Any, clicks: Any, prediction: Any, top: int, left: int, out: Any) -> None:
        """See `GuidedFilter.apply_in`."""
        coefficients = self.coefficients(image_clicks, clicks, prediction)
        self._ops.apply_coefficients_in(coefficients, self.guide.rgb, top, left, out)

    def coefficients(self, image_clicks: Any, clicks: Any, prediction: Any) -> Any:
        """See `GuidedFilter.coefficients`."""
        ops, coefficients = self._ops, self._coefficients
        ops.color_guided_filter_coefficients(
            self.guide.image, self.guide.statistics, prediction, self._radius, self._scratch, coefficients
        )
        ops.pin_image_clicks(self.guide.rgb, image_clicks, clicks, self._scratch[0], coefficients)
        return coefficients


class LearnedFilter:
    """Either form guided by a learned guide of one channel.

    Args:
        params: Of the model.
        guide: The guide.
        grid: Height and width of the grid.
        ops: Who does the work.
        empty: Makes an array of a shape and dtype.
    """

    def __init__(
        self, params: ClickParams, guide: Guide, grid: tuple[int, int], ops: Any, empty: Callable[..., Any]
    ) -> None:
        self._params, self._guide, self._ops = params, guide, ops
        self._scratch = empty((2, *grid), np.float32)
        self._coefficients = empty((2, *grid), np.float32)
        self._fitted_to: Any = None  # the guide on the grid
        if params.form == "averaged":
            self._alpha = empty(grid, np.float32)
        if params.cleaned_by_filter:
            self._kept = empty(grid, np.float32)
            self._labels = empty(grid, np.int32)

    def on_grid(self, clicks: Any, prediction: Any, *, applied: bool = False) -> Any:
        """See `GuidedFilter.on_grid`."""
        if self._params.form == "residual":
            return prediction
        if not applied:
            self._fit(clicks, prediction)
        self._ops.apply_coefficients(self._coefficients, self._fitted_to, self._alpha)
        return self._alpha

    def apply(self, image_clicks: Any, clicks: Any, prediction: Any, out: Any) -> None:
        """See `GuidedFilter.apply`."""
        guide = self._fit_to_image(image_clicks, clicks, prediction)
        self._ops.apply_coefficients(self._coefficients, guide, out)

    def apply_in(self, image_clicks: Any, clicks: Any, prediction: Any, top: int, left: int, out: Any) -> None:
        """See `GuidedFilter.apply_in`."""
        guide = self._fit_to_image(image_clicks, clicks, prediction)
        self._ops.apply_coefficients_in(self._coefficients, guide, top, left, out)

    def coefficients(self, image_clicks: Any, clicks: Any, prediction: Any) -> Any:
        """See `GuidedFilter.coefficients`."""
        if isinstance(self._guide, ClickGuide):
            return None
        self._fit_to_image(image_clicks, clicks, prediction)
        return self._coefficients

    def _fit_to_image(self, image_clicks: Any, clicks: Any, prediction: Any) -> Any:
        """Fit the coefficients, so that the clicked pixels obey; return the guide at the image's resolution."""
        self._fit(clicks, prediction)
        guide = self._guide.at_image()
        if self._params.form == "residual":
            self._ops.pin_image_clicks(guide, image_clicks, clicks, self._scratch[0], self._coefficients)
        return guide

    def _fit(self, clicks: Any, prediction: Any) -> None:
        """Fit the coefficients to the guide of these clicks."""
        params, ops, coefficients = self._params, self._ops, self._coefficients
        guide, residual = self._guide.on_grid(clicks), params.form == "residual"
        self._fitted_to = guide
        ops.guided_filter_coefficients(
            guide, prediction, params.radius, params.eps, residual, self._scratch, coefficients
        )
        if residual:
            return
        if params.cleaned_by_filter:
            ops.apply_coefficients(coefficients, guide, self._alpha)
            ops.keep_clicked_components(self._alpha, clicks, params.margin, self._labels, self._kept)
            ops.zero_coefficients(self._alpha, self._kept, coefficients)
        ops.pin_clicks(guide, clicks, coefficients)


def difference(view: View, one: Any, other: Any) -> Rect | None:
    """Return the rectangle of the image outside of which two mattes are the same; None where they are so everywhere.

    Args:
        view: How the model sees the image.
        one, other: What `GuidedFilter.coefficients` returned for them, on the host; 0 for nothing selected.
    """
    if one is None or other is None:
        return Rect(0, 0, *view.image)
    if np.ndim(one) == np.ndim(other) == 0:
        return None
    return view.touched((one != other).any(axis=0))
