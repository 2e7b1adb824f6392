"""The crops of one image that predictions are made on: the whole image and, zoomed in, at most one crop of it.

A crop is an image of its own, with its own view and pipeline. Every step of a session says which crop its prediction
belongs to; outside of that crop alpha is 0. Of a long and narrow image not the whole is predicted on but a window of
it, or a crop of that; outside of the window alpha stays as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from pyiseg import windows, zoom
from pyiseg.details import Detail, crop_between
from pyiseg.errors import PyisegError
from pyiseg.geometry import Rect, View
from pyiseg.image import Image
from pyiseg.kept import Alpha, Kept, nonzero_bounds
from pyiseg.model import Zoom
from pyiseg.runtime.pipeline import DevicePipeline, Pipeline, Prediction

if TYPE_CHECKING:
    from pyiseg._core import Array

Clicks: TypeAlias = Sequence[tuple[int, int, bool]]
_NOTHING = Kept()


class CropPrediction(NamedTuple):
    """A prediction, which crop it was made on, in which window, what stays selected outside of that, and details."""

    prediction: Prediction
    rect: Rect
    window: Rect
    kept: Kept
    details: tuple[Detail, ...] = ()


class Crop(NamedTuple):
    """A rectangle of the image, and the pipeline that predicts on it."""

    rect: Rect
    view: View
    pipeline: Pipeline

    def clicks_in(self, clicks: Clicks) -> npt.NDArray[np.int32]:
        """Return the clicks that lie in the crop, int32, shape (N, 3), rows x, y, label in the crop's pixels."""
        top, left = self.rect.top, self.rect.left
        rows = [(x - left, y - top, fg) for x, y, fg in clicks if self.rect.has(x, y)]
        return np.array(rows, dtype=np.int32).reshape(-1, 3)


class Crops:
    """The crops that one selection is predicted on: the whole image, which others share, and at most one crop.

    A crop that is not held is encoded again when it is needed, with the same bits. Of all selections on an image those
    that zoomed in last hold their crops (`pyiseg.image.HELD_CROPS`), so that memory does not grow with their number;
    none loses its crop in the midst of a call.
    Not safe to be used from two threads at once; two such objects are, also on the same image.

    Args:
        image: The image.

    Attributes:
        image: See above.
        whole: All of it.
    """

    def __init__(self, image: Image) -> None:
        self.image, self._model = image, image.model
        view = image.encoded.view
        self.whole = Crop(Rect(0, 0, *view.image), view, image.encoded.pipeline())
        self._zoomed: Crop | None = None
        self._at_work = threading.RLock()
        self._to_let_go = False  # another selection has the place of this one's crop

    @property
    def zoomed(self) -> Crop | None:
        """The crop that is held, if any."""
        return self._zoomed

    def predict(self, clicks: Clicks, previous: CropPrediction | None) -> CropPrediction:
        """Predict the selection after the last of some clicks; a pure function of its arguments and the image.

        Args:
            clicks: Rows x, y, fg on the image, at least one, in the order they were made.
            previous: What this returned for all clicks but the last; None for the first click.
        """
        with self._working():
            found = self._predict_selection(clicks, previous)
            if previous is not None and found.window == previous.window:
                found = found._replace(details=previous.details)
            return self._with_detail(clicks, found)

    def _predict_selection(self, clicks: Clicks, previous: CropPrediction | None) -> CropPrediction:
        """Predict on the whole image, on a crop or in a window; without details."""
        whole, at = self.whole.rect, clicks[-1][:2]
        if not windows.is_long(whole.shape):
            return self._predict(clicks, previous, whole, _NOTHING)
        current = None if previous is None else previous.window
        window = windows.choose_window(whole.shape, current, None, at)
        if previous is not None and window == current:
            found = self._predict(clicks, previous, window, previous.kept)
        else:
            found = self._in_new_window(clicks, previous, None)
        if found.rect != found.window or found is previous:
            return found
        crop = self._crop(found.window)
        selected = zoom.selection_bounds(crop.pipeline.on_grid(crop.clicks_in(clicks), found.prediction), crop.rect)
        if selected is None or not zoom.touches_crop_edge(selected, crop.rect, whole):
            return found
        # A selection that is longer than its window would be cut off there.
        wider = windows.widen(whole.shape, crop.rect, selected, at)
        return found if wider == crop.rect else self._in_new_window(clicks, previous, wider)

    def _in_new_window(self, clicks: Clicks, previous: CropPrediction | None, window: Rect | None) -> CropPrediction:
        """Predict on a long image in another window than before; None for the one that is to be chosen."""
        shape, at = self.whole.rect.shape, clicks[-1][:2]
        if previous is None:
            return self._predict(clicks, None, window or windows.choose_window(shape, None, None, at), _NOTHING)
        left = self._in_window(clicks[:-1], previous)
        if window is None:
            window = windows.choose_window(shape, previous.window, nonzero_bounds(left, previous.window, least=128), at)
        kept = previous.kept.with_window(previous.window, left)
        crop = self._crop(window)
        before = crop.pipeline.carry(kept.on_grid(window, crop.view.grid))
        return CropPrediction(crop.pipeline.predict(crop.clicks_in(clicks), before), window, window, kept)

    def _predict(self, clicks: Clicks, previous: CropPrediction | None, window: Rect, kept: Kept) -> CropPrediction:
        """Predict in a window, that of the prediction before, or on a crop of it."""
        if previous is None or not self._may_zoom(clicks, window):
            crop, before = self._crop(window), None if previous is None else previous.prediction
            return CropPrediction(crop.pipeline.predict(crop.clicks_in(clicks), before), window, window, kept)
        x, y, fg = clicks[-1]
        if not fg and not previous.rect.has(x, y):
            return previous  # Alpha is 0 outside the crop, so a background click there changes nothing.
        crop = self._crop(previous.rect)
        alpha = crop.pipeline.on_grid(crop.clicks_in(clicks[:-1]), previous.prediction)
        rect = self._choose(crop.rect, window, alpha, clicks[-1])
        found = self._predict_on(rect, clicks, previous, alpha)
        if rect == window:
            return found
        # A selection that has grown to the crop's edge would be cut off there.
        wider = self._wider(found, clicks)
        if wider != rect:
            found = self._predict_on(wider, clicks, previous, alpha)
            if wider != window and self._wider(found, clicks) != wider:
                found = self._predict_on(window, clicks, previous, alpha)
        return found

    def _with_detail(self, clicks: Clicks, found: CropPrediction) -> CropPrediction:
        """Where the last click shares its grid pixel with an opposite one, predict on the crop that separates them.

        Where it lies on a detail, predict on the crop of that, for what it says of the pixel stands over the rest.
        """
        model, window = self._model, found.window
        if model.zoom is None:
            return found
        x, y, _ = clicks[-1]
        rect = crop_between(clicks, found.rect, self._view(found.rect), window, model.long_side // model.grid_stride)
        rect = rect or next((detail.crop for detail in reversed(found.details) if detail.rect.has(x, y)), None)
        if rect is None:
            return found
        before = self._in_window(clicks, found)[rect.within(window).slices]
        crop, selected = self._crop(rect), _NOTHING.with_window(rect, before)
        inside = crop.clicks_in(clicks)
        prediction = crop.pipeline.predict(inside, crop.pipeline.carry(selected.on_grid(rect, crop.view.grid)))
        alpha = crop.pipeline.matte(inside, prediction)
        selected.restore(alpha, rect, crop.view.grid, crop.view.grid_clicks(inside))
        return found._replace(details=(*found.details, Detail.of(rect, before, alpha)))

    def matte(self, clicks: Clicks, selection: CropPrediction) -> npt.NDArray[np.uint8]:
        """Render a selection at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that it was predicted for.
            selection: What `predict` returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        with self._working():
            alpha = self._in_window(clicks, selection)
        if selection.window == self.whole.rect:
            return alpha
        placed = selection.kept.alpha(self.whole.rect)
        placed[selection.window.slices] = alpha
        return placed

    def _in_window(self, clicks: Clicks, selection: CropPrediction) -> Alpha:
        """Render a selection within its window."""
        window, crop = selection.window, self._crop(selection.rect)
        alpha = crop.pipeline.matte(crop.clicks_in(clicks), selection.prediction)
        if crop.rect != window:
            placed = np.zeros(window.shape, dtype=np.uint8)
            placed[crop.rect.within(window).slices] = alpha
            alpha = placed
        if selection.kept is not _NOTHING:
            view = self._view(window)
            inside = Crop(window, view, crop.pipeline).clicks_in(clicks)
            selection.kept.restore(alpha, window, view.grid, view.grid_clicks(inside))
        for detail in selection.details:
            detail.put_on(alpha, window)
        return alpha

    def matte_on_device(self, clicks: Clicks, selection: CropPrediction | None) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("DevicePipeline", self.whole.pipeline)
        if selection is not None and (selection.rect != self.whole.rect or selection.details):
            return pipeline.to_device(self.matte(clicks, selection))
        prediction = None if selection is None else selection.prediction
        return pipeline.matte_on_device(self.whole.clicks_in(clicks), prediction)

    def release(self) -> None:
        """Release the crop that is held; predictions made on it stay valid."""
        with self._at_work:  # another selection may be asking to let go of it
            held = self._zoomed
            if held is not None:
                held.pipeline.offload()
                self._zoomed = None
                self.image._held_crops.drop(self)

    def let_go(self) -> None:
        """Release the crop now or, where a call is at work on it, when that ends; from any thread."""
        self._to_let_go = True
        if self._at_work.acquire(blocking=False):
            try:
                if self._to_let_go:
                    with suppress(PyisegError):  # it is held on to till the next call, which is told what is wrong
                        self.release()
                        self._to_let_go = False
            finally:
                self._at_work.release()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep the crop until the call ends, whatever other selections on the image do."""
        try:
            with self._at_work:
                yield
        finally:
            if self._to_let_go:
                self.let_go()

    def _may_zoom(self, clicks: Clicks, window: Rect) -> bool:
        """Whether there are clicks enough in a window, counted from the first one that selects."""
        rules = self._model.zoom
        clicks = [click for click in clicks if window.has(*click[:2])]
        first = next((i for i, (_, _, fg) in enumerate(clicks) if fg), len(clicks))
        return rules is not None and len(clicks) - first >= rules.from_click

    def _predict_on(
        self, rect: Rect, clicks: Clicks, previous: CropPrediction, alpha: npt.NDArray[np.float32]
    ) -> CropPrediction:
        """Predict on a crop, from the previous prediction, whose alpha on its own grid is given."""
        if rect == self.whole.rect:
            self.release()
        crop, before = self._crop(rect), previous.prediction
        if rect != previous.rect:
            before = crop.pipeline.carry(zoom.resample_to_crop(alpha, previous.rect, rect, crop.view.grid))
        prediction = crop.pipeline.predict(crop.clicks_in(clicks), before)
        return CropPrediction(prediction, rect, previous.window, previous.kept)

    def _wider(self, found: CropPrediction, clicks: Clicks) -> Rect:
        """Return a prediction's crop or, where its selection is cut off at an edge inside the image, a larger one."""
        rules, crop = self._model.zoom, self._crop(found.rect)
        alpha = crop.pipeline.on_grid(crop.clicks_in(clicks), found.prediction)
        selected = zoom.selection_bounds(alpha, found.rect)
        window = found.window
        if rules is None or selected is None or not zoom.touches_crop_edge(selected, found.rect, window):
            return found.rect
        x, y, _ = clicks[-1]
        return self._around(rules, window, window, selected.with_pixel(x, y))

    def _choose(self, before: Rect, window: Rect, alpha: npt.NDArray[np.float32], click: tuple[int, int, bool]) -> Rect:
        """Return the crop to predict on for a new click, from the last crop and its selection."""
        rules, (x, y, fg) = self._model.zoom, click
        selected = zoom.selection_bounds(alpha, before)
        if rules is None or selected is None:
            return window
        if fg:
            selected = selected.with_pixel(x, y)
        rect = self._around(rules, window, before, selected)
        return rect if rect.has(x, y) else before

    def _around(self, rules: Zoom, window: Rect, current: Rect, selection: Rect) -> Rect:
        """Return the crop of a window around a selection."""
        current, selection = current.within(window), selection.within(window)
        rect = zoom.choose_crop(rules, window.shape, self._model.long_side, current, selection)
        return rect.shifted(window.top, window.left)

    def _view(self, rect: Rect) -> View:
        """How the model sees a crop, or the whole image."""
        if rect == self.whole.rect:
            return self.whole.view
        long_side = zoom.long_side(self._model.zoom or Zoom(), rect, self._model.long_side, self._model.multiple)
        return self._model.view(rect.shape, long_side)

    def _crop(self, rect: Rect) -> Crop:
        if rect == self.whole.rect:
            return self.whole
        held = self._zoomed
        if held is None or held.rect != rect:
            view = self._view(rect)
            self.release()  # first, so that two are never held at once
            pixels = np.ascontiguousarray(self.image.rgb[rect.slices])
            self._zoomed = held = Crop(rect, view, self.image.encoded.for_crop(view, pixels).pipeline())
        self._to_let_go = False
        self.image._held_crops.hold(self)
        return held
