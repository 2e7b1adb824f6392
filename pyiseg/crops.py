"""Predict one selection on the crops of an image: the whole image and, zoomed in, at most one crop of it.

Every step of a session says which crop its prediction belongs to; outside of that crop alpha is 0. Of a long and narrow
image not the whole is predicted on but a window of it, or a crop of that; outside of the window alpha stays as it was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyiseg import windows, zoom
from pyiseg.crop import Click, Clicks, Crop, CropPrediction, connected_change, grid_window
from pyiseg.crop_renderer import CropRenderer
from pyiseg.details import Detail, crop_between
from pyiseg.geometry import Rect, View
from pyiseg.kept import NOTHING, Alpha, Kept, nonzero_bounds
from pyiseg.model import Zoom
from pyiseg.runtime.pipeline import Prediction


class Crops(CropRenderer):
    """The crops that one selection is predicted on, and rendered from; see `pyiseg.crop_holder.CropHolder`."""

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

    def start(self, mask: Alpha) -> tuple[CropPrediction, View, npt.NDArray[np.float32]]:
        """Return what `predict` goes on from where a selection begins with a matte, uint8, shape (H, W), not all 0.

        Returns:
            It: at the image's own resolution the matte is what it is, and not what would be rendered of it. How the
            model sees what it was made on, its ``rect``. And the matte on the grid of that, float32, shape (h, w).
        """
        whole, kept = self.whole.rect, NOTHING.with_window(self.whole.rect, mask)
        window = whole
        if windows.is_long(whole.shape):
            bounds = nonzero_bounds(mask, whole, least=128) or nonzero_bounds(mask, whole) or whole
            middle = (bounds.left + bounds.right) // 2, (bounds.top + bounds.bottom) // 2
            window = windows.choose_window(whole.shape, None, bounds, middle)
        with self._working():
            crop = self._crop(window)
            alpha = kept.on_grid(window, crop.view.grid)
            carried = crop.pipeline.carry(alpha)
        return CropPrediction(carried, window, window, kept, given=True), crop.view, alpha

    def predict_local(self, clicks: Clicks, previous: CropPrediction | None) -> CropPrediction:
        """Predict as `predict` does, but take from it only the change that is connected to the last click.

        Args:
            clicks, previous: As for `predict`. The crop stays, unless the click lies outside of it.
        """
        x, y, fg = clicks[-1]
        if previous is None or not previous.window.has(x, y):
            return self.predict(clicks, previous)
        with self._working():
            crop = self._crop(previous.rect)
            old = crop.pipeline.on_grid(crop.clicks_in(clicks[:-1]), previous.prediction)
            rect = previous.rect if previous.rect.has(x, y) else previous.window
            found = self._predict_on(rect, clicks, previous, old)
            crop = self._crop(rect)
            if rect != previous.rect:
                old = zoom.resample_to_crop(old, previous.rect, rect, crop.view.grid)
            new = crop.pipeline.fetch(found.prediction)
            at = crop.view.grid_clicks([(x - rect.left, y - rect.top, 1)])
            merged = np.where(connected_change(old, new, at, self._model.click_params.margin), new, old)
            # The click itself is obeyed also where nothing had to change for it.
            merged[at[0, 1], at[0, 0]] = float(fg)
            found = found._replace(prediction=crop.pipeline.adopt(merged), details=previous.details)
            return self._with_detail(clicks, found)

    def window_around(self, wanted: Rect) -> tuple[Rect, View]:
        """Return the window to look for something in whose rectangle is known, and how the model sees it."""
        window = self.whole.rect
        if windows.is_long(window.shape):
            window = windows.window_around(window.shape, wanted)
        return window, self._view(window)

    def predict_in(self, wanted: Rect, fg: Click, bg: Clicks) -> CropPrediction:
        """Predict what a rectangle holds, from nothing.

        The network is told that all of the rectangle is selected so far, and answers twice: the second time it sees its
        own first answer. Whatever it selects outside of the rectangle is dropped.

        Args:
            wanted: The rectangle; its selection is looked for in the crop around it where the model zooms in.
            fg: A click that selects, in it.
            bg: Clicks that remove, around it.
        """
        window = self.window_around(wanted)[0]
        with self._working():
            rect = window if self._model.zoom is None else self._around(self._model.zoom, window, window, wanted)
            crop = self._crop(rect)
            inside = grid_window(wanted, rect, crop.view.grid)
            clicks = [fg, *(click for click in bg if rect.has(click[0], click[1]))]
            before = crop.pipeline.carry(inside)
            for answered in (1, len(clicks)):
                placed, known = crop.split(clicks, answered)
                only = crop.pipeline.fetch(crop.pipeline.predict(placed, before, known)) * inside
                before = crop.pipeline.adopt(only)
            return CropPrediction(before, rect, window, NOTHING)

    def union(
        self, clicks: Clicks, one: CropPrediction, more: Clicks, other: CropPrediction, wanted: Rect
    ) -> CropPrediction:
        """Return the selection of what either of two selects, in the window of the second.

        Args:
            clicks, one: A selection, and the clicks that it was predicted for.
            more, other: The other one, likewise, with nothing kept of earlier windows.
            wanted: Where the second decides: details of the first are dropped there.
        """
        with self._working():
            window, kept = other.window, one.kept
            details = tuple(detail for detail in one.details if detail.rect.common(wanted) is None)
            found, selected = list[tuple[npt.NDArray[np.float32], Rect]](), list[Rect]()
            if one.window != window:
                kept, details = kept.with_window(one.window, self._in_window(clicks, one)), ()
            for asked, selection in ((clicks, one), (more, other)):
                if selection.window == window:
                    crop = self._crop(selection.rect)
                    found.append((crop.pipeline.on_grid(crop.clicks_in(asked), selection.prediction), selection.rect))
                else:
                    found.append((kept.on_grid(window, self._crop(window).view.grid), window))
                if (bounds := zoom.selection_bounds(*found[-1])) is not None:
                    selected.append(bounds)
            rect = window
            if selected and self._model.zoom is not None:
                rect = self._around(self._model.zoom, window, window, selected[0].union(selected[-1]))
            crop = self._crop(rect)
            moved = [
                alpha if lies == rect else zoom.resample_to_crop(alpha, lies, rect, crop.view.grid)
                for alpha, lies in found
            ]
            return CropPrediction(crop.pipeline.adopt(np.maximum(*moved)), rect, window, kept, details)

    def _predict_selection(self, clicks: Clicks, previous: CropPrediction | None) -> CropPrediction:
        """Predict on the whole image, on a crop or in a window; without details."""
        whole, at = self.whole.rect, clicks[-1][:2]
        if not windows.is_long(whole.shape):
            return self._predict(clicks, previous, whole, NOTHING if previous is None else previous.kept)
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
            return self._predict(clicks, None, window or windows.choose_window(shape, None, None, at), NOTHING)
        left = self._in_window(clicks[:-1], previous)
        if window is None:
            window = windows.choose_window(shape, previous.window, nonzero_bounds(left, previous.window, least=128), at)
        kept = previous.kept.with_window(previous.window, left)
        crop = self._crop(window)
        before = crop.pipeline.carry(kept.on_grid(window, crop.view.grid))
        return CropPrediction(self._answer(crop, clicks, before), window, window, kept)

    def _predict(self, clicks: Clicks, previous: CropPrediction | None, window: Rect, kept: Kept) -> CropPrediction:
        """Predict in a window, that of the prediction before, or on a crop of it."""
        if previous is None or (previous.rect == window and not self._may_zoom(clicks, window)):
            crop, before = self._crop(window), None if previous is None else previous.prediction
            return CropPrediction(self._answer(crop, clicks, before), window, window, kept)
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
        crop, selected = self._crop(rect), NOTHING.with_window(rect, before)
        inside = crop.clicks_in(clicks)
        prediction = self._answer(crop, clicks, crop.pipeline.carry(selected.on_grid(rect, crop.view.grid)))
        alpha = crop.pipeline.matte(inside, prediction)
        selected.restore(alpha, rect, crop.view.grid, crop.view.grid_clicks(inside))
        return found._replace(details=(*found.details, Detail.of(rect, before, alpha)))

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
        return CropPrediction(self._answer(crop, clicks, before), rect, previous.window, previous.kept)

    @staticmethod
    def _answer(crop: Crop, clicks: Clicks, before: Prediction | None) -> Prediction:
        """Predict on a crop for a new click, the last one, from what was predicted for the others."""
        placed, answered = crop.split(clicks, len(clicks) - 1)
        return crop.pipeline.predict(placed, before, answered)

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
