"""Pre- and post-processing of a click: encode clicks, turn the network's output into a prediction.

Serving on every device (`pyiseg.runtime.cpu`, `pyiseg.runtime.cuda_pipeline`) and training
(`export.training.interaction`) go through here. What differs is who does the work: the functions of `pyiseg._core` on
NumPy arrays, or the methods of the same names of a native stream on its arrays, which only enqueue it.
`pyiseg.runtime.guided_filter` makes alpha of predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.model import ClickParams

Float32: TypeAlias = npt.NDArray[np.float32]
Clicks: TypeAlias = npt.NDArray[np.int32]


def _copy(array: Float32, to: Float32) -> None:
    np.copyto(to, array)


class ClickStage:
    """Pre- and post-processing of clicks on one grid. Every click writes its buffers; not for two threads at once.

    Args:
        params: How clicks are encoded and predictions are finished.
        grid: Height and width of the grid.
        ops: Who does the work; every array below is of the kind it takes.
        empty: Makes an array of a shape and dtype.
        copy: Copies from one array to another.
        dtypes: Of the network's inputs: float32 or, on a stream, float16.

    Attributes:
        maps: Click maps as the network reads them, shape (1, 2 * sigmas, h, w); filled by `encode`.
        previous: The fed-back alpha, shape (1, 1, h, w); filled by `encode`.
        output: For the network's output, float32, shape (1, 1, h, w); read and overwritten by `postprocess`.
    """

    def __init__(
        self,
        params: ClickParams,
        grid: tuple[int, int],
        ops: Any = _core,
        empty: Callable[..., Any] = np.empty,
        copy: Callable[[Any, Any], None] = _copy,
        dtypes: tuple[Any, Any] = (np.float32, np.float32),
    ) -> None:
        self._params, self._ops, self._copy = params, ops, copy
        self.maps = empty((1, 2 * len(params.sigmas), *grid), dtypes[0])
        self.previous = empty((1, 1, *grid), dtypes[1])
        self.output = empty((1, 1, *grid), np.float32)
        self._labels = empty(grid, np.int32)

    def encode(self, clicks: Any, previous_clicks: Any, alpha: Any) -> None:
        """Fill the network's inputs.

        Args:
            clicks: int32, shape (N, 3), rows x, y, label on the grid, in the order they were made.
            previous_clicks: Those of them that alpha was predicted for; with none of them, nothing is fed back.
            alpha: What is selected on the grid, float32, shape (h, w); see `pyiseg.runtime.guided_filter`.
        """
        self._ops.keep_clicked_components(alpha, previous_clicks, 0, self._labels, self.previous[0, 0])
        self._ops.click_maps(clicks, self._params.sigmas, self.maps[0])

    def postprocess(self, clicks: Any, prediction: Any) -> None:
        """Turn `output` into a prediction: force the clicks and drop components without one, unless the filter does.

        Args:
            clicks: As for `encode`.
            prediction: Filled, float32, shape (h, w).
        """
        alpha = self.output[0, 0]
        self._ops.force_clicks(clicks, alpha)
        if self._params.cleaned_by_filter:
            self._copy(alpha, prediction)
        else:
            # A region that goes takes its own edge with it; after the filter a rim of it would be left.
            self._ops.keep_clicked_components(alpha, clicks, self._params.margin, self._labels, prediction)
