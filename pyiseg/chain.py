"""What stands between the networks: from clicks to the network's inputs, from its answer to lines.

Serving on every device (`pyiseg.cpu`, `pyiseg.cuda`) and training (`export.clicking`) go through here. What differs is
who does the work: the functions of `pyiseg._core` on numpy arrays, or the methods of the same names of a native stream
on its arrays, which only enqueue it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.model import Rules

Float32: TypeAlias = npt.NDArray[np.float32]
Clicks: TypeAlias = npt.NDArray[np.int32]


class Chain:
    """One image's grid. Its buffers are allocated here and written by every click; not for two threads at once.

    It keeps no guide: a model's guide may depend on the clicks, so whoever calls says which one holds.

    Args:
        rules: How clicks are drawn and answers are finished.
        grid: Height and width of the grid.
        ops: Who does the work; every array below is of the kind it takes.
        zeros: Makes an array of a shape and dtype, all zeros.
        dtypes: Of the network's inputs: float32 or, on a stream, float16.

    Attributes:
        maps: Click maps as the network reads them, shape (1, 2 * sigmas, h, w); filled by `before`.
        previous: The fed-back alpha, shape (1, 1, h, w); filled by `before`.
        answer: For the network's answer, float32, shape (1, 1, h, w); read and overwritten by `after`.
    """

    def __init__(
        self,
        rules: Rules,
        grid: tuple[int, int],
        ops: Any = _core,
        zeros: Callable[..., Any] = np.zeros,
        dtypes: tuple[Any, Any] = (np.float32, np.float32),
    ) -> None:
        self._rules, self._ops = rules, ops
        self.maps = zeros((1, 2 * len(rules.sigmas), *grid), dtypes[0])
        self.previous = zeros((1, 1, *grid), dtypes[1])
        self.answer = zeros((1, 1, *grid), np.float32)
        self._clean = zeros(grid, np.float32)
        self._labels = zeros(grid, np.int32)
        self._scratch = zeros((2, *grid), np.float32)

    def before(self, clicks: Any, answered: Any, lines: Any, guide: Any) -> None:
        """Fill the network's inputs.

        Args:
            clicks: int32, shape (N, 3), rows x, y, label on the grid, in the order they were made.
            answered: Those of them that the lines answer; with none of them, nothing is fed back.
            lines: What `after` wrote last, shape (2, h, w).
            guide: The grid guide that the lines were fitted to, float32, shape (h, w).
        """
        # What was selected is fed back as it looks after the filter, without what no click has asked for.
        self._ops.apply_coefficients(lines, guide, self._clean)
        self._ops.keep_clicked_regions(self._clean, answered, 0, self._labels, self.previous[0, 0])
        self._ops.click_maps(clicks, self._rules.sigmas, self.maps[0])

    def after(self, clicks: Any, guide: Any, lines: Any) -> None:
        """Turn `answer` into lines: force the clicks, fit, and pin the clicks; what no click asked for is dropped.

        Args:
            clicks: As `before` was given them.
            guide: The grid guide for these clicks, float32, shape (h, w).
            lines: Filled, float32, shape (2, h, w): (a, b), so that alpha = a * guide + b.
        """
        rules, ops, alpha = self._rules, self._ops, self.answer[0, 0]
        ops.force_clicks(clicks, alpha)
        if rules.clean == "before":
            # A region that goes takes its own edge with it; after the filter a rim of it would be left.
            ops.keep_clicked_regions(alpha, clicks, rules.margin, self._labels, self._clean)
            ops.guided_filter_coefficients(guide, self._clean, rules.radius, rules.eps, self._scratch, lines)
        else:
            ops.guided_filter_coefficients(guide, alpha, rules.radius, rules.eps, self._scratch, lines)
            ops.apply_coefficients(lines, guide, alpha)
            ops.keep_clicked_regions(alpha, clicks, rules.margin, self._labels, self._clean)
            ops.zero_coefficients(alpha, self._clean, lines)
        ops.pin_clicks(guide, clicks, lines)
