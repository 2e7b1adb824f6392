"""What stands between the networks, on the CPU: from clicks to the network's inputs, from its answer to lines.

Serving (`pyiseg.cpu`) and training (`export.clicking`) both go through here.
"""

from __future__ import annotations

from typing import TypeAlias

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

    Attributes:
        maps: Click maps as the network reads them, float32, shape (1, 2 * sigmas, h, w); filled by `before`.
        previous: The fed-back alpha, float32, shape (1, 1, h, w); filled by `before`.
        answer: For the network's answer, float32, shape (1, 1, h, w); read and overwritten by `after`.
    """

    def __init__(self, rules: Rules, grid: tuple[int, int]) -> None:
        self._rules = rules
        self.maps = np.zeros((1, 2 * len(rules.sigmas), *grid), dtype=np.float32)
        self.previous = np.zeros((1, 1, *grid), dtype=np.float32)
        self.answer = np.zeros((1, 1, *grid), dtype=np.float32)
        self._clean = np.zeros(grid, dtype=np.float32)
        self._labels = np.zeros(grid, dtype=np.int32)
        self._scratch = np.zeros((2, *grid), dtype=np.float32)

    def before(self, clicks: Clicks, lines: Float32 | None, answered: int, guide: Float32 | None) -> None:
        """Fill the network's inputs.

        Args:
            clicks: int32, shape (N, 3), rows x, y, label on the grid, in the order they were made.
            lines: What `after` returned last; None before the first answer.
            answered: How many of the clicks those lines answer.
            guide: The grid guide that the lines were fitted to, float32, shape (h, w); not looked at without lines.
        """
        if lines is None:
            self.previous.fill(0)
        else:
            assert guide is not None, "lines are worth nothing without the guide that they were fitted to"
            # What was selected is fed back as it looks after the filter, without what no click has asked for.
            _core.apply_lines(lines, guide, self._clean)
            _core.keep_clicked_regions(self._clean, clicks[:answered], 0, self._labels, self.previous[0, 0])
        _core.click_maps(clicks, self._rules.sigmas, self.maps[0])

    def after(self, clicks: Clicks, guide: Float32) -> Float32:
        """Turn `answer` into lines: force the clicks, fit, and pin the clicks; what no click asked for is dropped.

        Args:
            clicks: As `before` was given them.
            guide: The grid guide for these clicks, float32, shape (h, w).

        Returns:
            float32, shape (2, h, w): (a, b), so that alpha = a * guide + b. A fresh array.
        """
        rules, alpha = self._rules, self.answer[0, 0]
        _core.force_clicks(clicks, alpha)
        lines = np.empty_like(self._scratch)
        if rules.clean == "before":
            # A region that goes takes its own edge with it; after the filter a rim of it would be left.
            _core.keep_clicked_regions(alpha, clicks, rules.margin, self._labels, self._clean)
            _core.guided_filter_lines(guide, self._clean, rules.radius, rules.eps, self._scratch, lines)
        else:
            _core.guided_filter_lines(guide, alpha, rules.radius, rules.eps, self._scratch, lines)
            _core.apply_lines(lines, guide, alpha)
            _core.keep_clicked_regions(alpha, clicks, rules.margin, self._labels, self._clean)
            lines[:, (self._clean == 0) & (alpha > 0)] = 0
        _core.pin_clicks(guide, clicks, lines)
        return lines
