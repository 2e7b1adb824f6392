"""The parts of one image that its networks look at: all of it, and, where a model zooms in, a box around the selection.

A part is an image of its own, with its own view and pipeline. Every step of a session says which part its prediction
belongs to; what is not in the part is not selected.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Selection(NamedTuple):
    """What a click came to: a prediction, and the part whose pipeline made it."""

    prediction: backend.Prediction
    box: Box


class Part(NamedTuple):
    """A box of the image as a pipeline sees it."""

    box: Box
    view: View
    pipeline: backend.Pipeline

    def clicks_in(self, clicks: Clicks) -> npt.NDArray[np.int32]:
        """Those of some clicks on the image that lie in it, int32, shape (N, 3), rows x, y, label in its pixels."""
        top, left = self.box.top, self.box.left
        rows = [(x - left, y - top, fg) for x, y, fg in clicks if self.box.has(x, y)]
        return np.array(rows, dtype=np.int32).reshape(-1, 3)


class Parts:
    """The parts of one image. Besides the whole at most one is held; others are made again when they are needed.

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
        self._image: npt.NDArray[np.uint8] | None = image if isinstance(image, np.ndarray) else None
        self._closer: Part | None = None

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The image on the host, RGB, uint8, shape (H, W, 3), read-only. From a GPU it is fetched once, and kept."""
        if self._image is None:
            self._image = cast("backend.DevicePipeline", self.whole.pipeline).image()
            self._image.flags.writeable = False
        return self._image

    def predict(self, clicks: Clicks, previous: Selection | None) -> Selection:
        """Predict the selection after the last of some clicks; a pure function of its arguments and the image.

        Args:
            clicks: Rows x, y, fg on the image, at least one, in the order they were made.
            previous: What this returned for all clicks but the last; None for the first click.
        """
        if previous is None or not self._may_zoom(clicks):
            before = None if previous is None else previous.prediction
            return Selection(self.whole.pipeline.predict(self.whole.clicks_in(clicks), before), self.whole.box)
        x, y, fg = clicks[-1]
        if not fg and not previous.box.has(x, y):
            return previous  # Nothing is selected there: it is obeyed already.
        part = self._part(previous.box)
        alpha = part.pipeline.on_grid(part.clicks_in(clicks[:-1]), previous.prediction)
        box = self._choose(part, alpha, clicks[-1])
        found = self._look(box, clicks, previous, alpha)
        if box == self.whole.box:
            return found
        # What has grown to the part's edge would be cut off there.
        wider = self._wider(found, clicks)
        if wider != box:
            found = self._look(wider, clicks, previous, alpha)
            if wider != self.whole.box and self._wider(found, clicks) != wider:
                found = self._look(self.whole.box, clicks, previous, alpha)
        return found

    def matte(self, clicks: Clicks, selection: Selection) -> npt.NDArray[np.uint8]:
        """Render a selection at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that it is the answer to.
            selection: What `predict` returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        part = self._part(selection.box)
        alpha = part.pipeline.matte(part.clicks_in(clicks), selection.prediction)
        if part is self.whole:
            return alpha
        placed = np.zeros(self.whole.box.shape, dtype=np.uint8)
        placed[part.box.slices] = alpha
        return placed

    def matte_on_device(self, clicks: Clicks, selection: Selection | None) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("backend.DevicePipeline", self.whole.pipeline)
        if selection is not None and selection.box != self.whole.box:
            return pipeline.to_device(self.matte(clicks, selection))
        prediction = None if selection is None else selection.prediction
        return pipeline.matte_on_device(self.whole.clicks_in(clicks), prediction)

    def forget(self) -> None:
        """Let go of the part that is held; predictions that belong to it stay good."""
        if self._closer is not None:
            self._closer.pipeline.retire()
            self._closer = None

    def _may_zoom(self, clicks: Clicks) -> bool:
        """Whether there are clicks enough, counted from the first one that selects."""
        rules = self._model.zoom
        first = next((i for i, (_, _, fg) in enumerate(clicks) if fg), len(clicks))
        return rules is not None and len(clicks) - first >= rules.from_click

    def _look(self, box: Box, clicks: Clicks, previous: Selection, alpha: npt.NDArray[np.float32]) -> Selection:
        """Predict in a part, going on from the previous selection, whose alpha on its own grid is given."""
        if box == self.whole.box:
            self.forget()
        part, before = self._part(box), previous.prediction
        if box != previous.box:
            before = part.pipeline.carry(zoom.carried(alpha, previous.box, box, part.view.grid))
        return Selection(part.pipeline.predict(part.clicks_in(clicks), before), box)

    def _wider(self, found: Selection, clicks: Clicks) -> Box:
        """The box of a selection, or, where that is cut off at an edge that is not the image's, what shows more."""
        rules, part = self._model.zoom, self._part(found.box)
        alpha = part.pipeline.on_grid(part.clicks_in(clicks), found.prediction)
        selected = zoom.around_selection(alpha, found.box)
        whole = self.whole.box
        if rules is None or selected is None or not zoom.is_cut(selected, found.box, whole):
            return found.box
        x, y, _ = clicks[-1]
        return zoom.choose(rules, whole.shape, self._model.long_side, whole, selected.with_pixel(x, y))

    def _choose(self, before: Part, alpha: npt.NDArray[np.float32], click: tuple[int, int, bool]) -> Box:
        """The box to look at for a new click, of the part and the selection there were before it."""
        rules, (x, y, fg) = self._model.zoom, click
        selected = zoom.around_selection(alpha, before.box)
        if rules is None or selected is None:
            return self.whole.box
        if fg:
            selected = selected.with_pixel(x, y)
        box = zoom.choose(rules, self.whole.box.shape, self._model.long_side, before.box, selected)
        return box if box.has(x, y) else before.box

    def _part(self, box: Box) -> Part:
        if box == self.whole.box:
            return self.whole
        if self._closer is None or self._closer.box != box:
            rules = self._model.zoom
            assert rules is not None, "without rules there are no parts"
            view = _fit(self._model, box.shape, zoom.long_side(rules, box, self._model.long_side, self._model.multiple))
            self.forget()  # first, so that two are never held at once
            pixels = np.ascontiguousarray(self.image[box.slices])
            self._closer = Part(box, view, self.whole.pipeline.part(view, pixels))
        return self._closer


def _fit(model: Model, shape: tuple[int, int], long_side: int) -> View:
    return View.fit(shape, long_side=long_side, multiple=model.multiple, grid_stride=model.grid_stride)
