"""The parts of one image that its networks look at: all of it, and, where a model zooms in, a box around the selection.

A part is an image of its own, with its own view and pipeline. Every step of a session says which part its lines belong
to; what is not in the part is not selected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from pyiseg import backend, zoom
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.zoom import Box

if TYPE_CHECKING:
    from pyiseg._core import Array

Clicks: TypeAlias = Sequence[tuple[int, int, bool]]
Fetch: TypeAlias = Callable[[], npt.NDArray[np.uint8]]


class Selection(NamedTuple):
    """What a click came to: lines, and the part whose pipeline they belong to."""

    lines: backend.Lines
    box: Box


class Part(NamedTuple):
    """A box of the image as a pipeline sees it."""

    box: Box
    view: View
    pipeline: backend.Pipeline

    def grid_clicks(self, clicks: Clicks) -> npt.NDArray[np.int32]:
        """Those of some clicks on the image that lie in it, on its grid; see `pyiseg.geometry.View.grid_clicks`."""
        top, left = self.box.top, self.box.left
        return self.view.grid_clicks([(x - left, y - top, fg) for x, y, fg in clicks if self.box.has(x, y)])


class Parts:
    """The parts of one image. Besides the whole, the one that was looked at last is kept; others are made again.

    Not safe to be used from two threads at once.

    Args:
        model: The networks.
        device: A name that `pyiseg.backend.resolve` returned.
        image: RGB, uint8, shape (H, W, 3), or what stands for one on a GPU; see `pyiseg.backend.build`.
        fall_back: Whether a GPU that fails gives way to the CPU.

    Attributes:
        whole: All of the image.
        device: What ``device`` has come to.

    Raises:
        ValueError, DeviceError: As `pyiseg.backend.build`.
    """

    def __init__(self, model: Model, device: str, image: Any, *, fall_back: bool) -> None:
        shape = (image.shape[0], image.shape[1])
        view = _fit(model, shape, model.long_side)
        self._model = model
        self.device, pipeline = backend.build(device, model, view, image, fall_back=fall_back)
        self.whole = Part(Box(0, 0, *shape), view, pipeline)
        self._close: Part | None = None

    def predict(self, clicks: Clicks, previous: Selection | None, image: Fetch) -> Selection:
        """Predict the selection after the last of some clicks; a pure function of its arguments.

        Args:
            clicks: Rows x, y, fg on the image, at least one, in the order they were made.
            previous: What this returned for all clicks but the last; None for the first click.
            image: Gives the image, RGB, uint8, shape (H, W, 3); it is asked for when a new part is looked at.
        """
        rules = self._model.zoom
        if previous is None or rules is None or len(clicks) < rules.from_click:
            pipeline, lines = self.whole.pipeline, None if previous is None else previous.lines
            return Selection(pipeline.predict(self.whole.grid_clicks(clicks), lines), self.whole.box)
        before, lines = self._part(previous.box, image), previous.lines
        alpha = before.pipeline.on_grid(before.grid_clicks(clicks[:-1]), lines)
        # The new click too, even one that removes: it is to be obeyed.
        points = [(x, y) for x, y, fg in (*clicks[:-1], (*clicks[-1][:2], True)) if fg]
        selected = zoom.around_selection(alpha, before.box, points)
        box = zoom.choose(rules, self.whole.box.shape, before.box, selected)
        part = self._part(box, image)
        if part is not before:
            lines = part.pipeline.lines_of(zoom.carried(alpha, before.box, box, part.view.grid))
        return Selection(part.pipeline.predict(part.grid_clicks(clicks), lines), box)

    def matte(self, clicks: Clicks, selection: Selection, image: Fetch) -> npt.NDArray[np.uint8]:
        """Draw a selection at the image's own resolution; a pure function of its arguments.

        Args:
            clicks: Those that it is the answer to.
            selection: What `predict` returned.
            image: As for `predict`.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        part = self._part(selection.box, image)
        alpha = part.pipeline.matte(part.grid_clicks(clicks), selection.lines)
        if part is self.whole:
            return alpha
        placed = np.zeros(self.whole.box.shape, dtype=np.uint8)
        placed[part.box.slices] = alpha
        return placed

    def matte_on_device(self, clicks: Clicks, selection: Selection | None, image: Fetch) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("backend.DevicePipeline", self.whole.pipeline)
        if selection is not None and selection.box != self.whole.box:
            return pipeline.to_device(self.matte(clicks, selection, image))
        lines = None if selection is None else selection.lines
        return pipeline.matte_on_device(self.whole.grid_clicks(clicks), lines)

    def forget(self) -> None:
        """Let go of all parts but the whole."""
        if self._close is not None:
            self._close.pipeline.retire()
            self._close = None

    def _part(self, box: Box, image: Fetch) -> Part:
        if box == self.whole.box:
            return self.whole
        if self._close is None or self._close.box != box:
            rules = self._model.zoom
            assert rules is not None, "without rules there are no parts"
            side = zoom.long_side(rules, box, self._model.long_side, self._model.multiple)
            view = _fit(self._model, box.shape, side)
            pixels = np.ascontiguousarray(image()[box.slices])
            _, pipeline = backend.build(self.device, self._model, view, pixels, fall_back=False, close=True)
            self.forget()
            self._close = Part(box, view, pipeline)
        return self._close


def _fit(model: Model, shape: tuple[int, int], long_side: int) -> View:
    return View.fit(shape, long_side=long_side, multiple=model.multiple, grid_stride=model.grid_stride)
