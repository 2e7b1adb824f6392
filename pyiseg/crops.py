"""The crops of one image that predictions are made on: the whole image and, zoomed in, at most one crop of it.

A crop is an image of its own, with its own view and pipeline. Every step of a session says which crop its prediction
belongs to; outside of that crop alpha is 0. Of a long and narrow image not the whole is predicted on but a window of
it, or a crop of that; outside of the window alpha stays as it was.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from pyiseg import obeyed, windows, zoom
from pyiseg.crop import Click, Clicks, Crop, CropPrediction, connected_change, grid_window
from pyiseg.details import Detail, crop_between
from pyiseg.errors import PyisegError
from pyiseg.geometry import Rect, View
from pyiseg.image import Image
from pyiseg.kept import Alpha, Kept, nonzero_bounds
from pyiseg.model import Zoom
from pyiseg.runtime.pipeline import DevicePipeline, Prediction

if TYPE_CHECKING:
    from pyiseg._core import Array

_NOTHING = Kept()


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

    def start(self, mask: Alpha) -> tuple[CropPrediction, View, npt.NDArray[np.float32]]:
        """Return what `predict` goes on from where a selection begins with a matte, uint8, shape (H, W), not all 0.

        Returns:
            It: at the image's own resolution the matte is what it is, and not what would be rendered of it. How the
            model sees what it was made on, its ``rect``. And the matte on the grid of that, float32, shape (h, w).
        """
        whole, kept = self.whole.rect, _NOTHING.with_window(self.whole.rect, mask)
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

    def along(
        self, path: Sequence[tuple[int, int]], clicks: Clicks, selection: CropPrediction | None
    ) -> npt.NDArray[np.float32]:
        """Return a selection's alpha along a path, float32, shape (N,), from the grid.

        Args:
            path: Pixels (x, y) of the image.
            clicks, selection: As for `matte`; None stands for nothing selected.
        """
        found = np.zeros(len(path), np.float32)
        if selection is None:
            return found
        if selection.kept is not _NOTHING or selection.details:
            xs, ys = np.array(path).T
            found[:] = self.matte(clicks, selection)[ys, xs]
            found /= np.float32(255)
            return found
        with self._working():
            crop = self._crop(selection.rect)
            alpha = crop.pipeline.on_grid(crop.clicks_in(clicks), selection.prediction)
            inside = [i for i, (x, y) in enumerate(path) if crop.rect.has(x, y)]
            rows = [(path[i][0] - crop.rect.left, path[i][1] - crop.rect.top, 1) for i in inside]
            x, y, _ = crop.view.grid_clicks(np.array(rows, np.int32).reshape(-1, 3)).T
            found[inside] = alpha[y, x]
        return found

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
            return CropPrediction(before, rect, window, _NOTHING)

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
            return self._predict(clicks, previous, whole, _NOTHING if previous is None else previous.kept)
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
        crop, selected = self._crop(rect), _NOTHING.with_window(rect, before)
        inside = crop.clicks_in(clicks)
        prediction = self._answer(crop, clicks, crop.pipeline.carry(selected.on_grid(rect, crop.view.grid)))
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
            alpha = self._rendered(clicks, selection)
        if selection.window != self.whole.rect:
            placed = selection.kept.alpha(self.whole.rect)
            placed[selection.window.slices] = alpha
            alpha = placed
        self._obey(alpha, self.whole.rect, clicks, selection)
        return alpha

    def _in_window(self, clicks: Clicks, selection: CropPrediction) -> Alpha:
        """Render a selection within its window."""
        alpha = self._rendered(clicks, selection)
        self._obey(alpha, selection.window, clicks, selection)
        return alpha

    def _obey(self, alpha: Alpha, rect: Rect, clicks: Clicks, selection: CropPrediction) -> None:
        """Put the clicked pixels of a rectangle on their clicks' side where rendering a selection did not."""
        if not selection.given:  # bit for bit what it began with
            obeyed.obey(alpha, rect, clicks, obeyed.reach(self._view(selection.rect)))

    def _rendered(self, clicks: Clicks, selection: CropPrediction) -> Alpha:
        """Render a selection within its window, but for what `_obey` does."""
        if selection.given:
            return selection.kept.alpha(selection.window)
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

    def matte_in(self, clicks: Clicks, selection: CropPrediction, rect: Rect) -> Alpha:
        """Render what `matte` does within a rectangle of the image, bit for bit; uint8, of its shape. A fresh array."""
        if selection.kept is not _NOTHING or selection.details:
            return np.array(self.matte(clicks, selection)[rect.slices])
        reach, wide = obeyed.reach(self._view(selection.rect)), rect
        for disc in obeyed.around([click for click in clicks if not rect.has(*click[:2])], reach):
            if disc.common(rect):  # whether that click corrects anything is seen at its own pixel
                wide = wide.union(disc.common(self.whole.rect) or rect)
        placed = np.zeros(wide.shape, dtype=np.uint8)
        with self._working():
            crop = self._crop(selection.rect)
            common = crop.rect.common(wide)
            if common is not None:
                alpha = crop.pipeline.matte_in(crop.clicks_in(clicks), selection.prediction, common.within(crop.rect))
                placed[common.within(wide).slices] = alpha
        self._obey(placed, wide, clicks, selection)
        return placed if wide == rect else np.array(placed[rect.within(wide).slices])

    def changed(
        self, clicks: Clicks, selection: CropPrediction | None, other_clicks: Clicks, other: CropPrediction | None
    ) -> Rect | None:
        """Return a rectangle outside of which two mattes are the same bit for bit; None where they are so everywhere.

        Args:
            clicks, selection: As for `matte`; None stands for nothing selected.
            other_clicks, other: Likewise.
        """
        asked = [(of, found) for of, found in ((clicks, selection), (other_clicks, other)) if found is not None]
        if not asked:
            return None
        there = [found for _, found in asked]
        risky = [self._at_risk(of, found) for of, found in asked]
        # What windows left outside, and what stays selected inside because no click is on it.
        rects = [detail.rect for found in there for detail in found.details]
        rects += [bounds for found in there for bounds in found.kept.bounds]
        rects += [part for discs in risky for disc in discs if (part := disc.common(self.whole.rect))]
        if len(asked) == 2:
            rects += there[0].kept.differences(there[1].kept)
        if len({found.window for found in there}) > 1:
            rects += [found.window for found in there]
        elif len({found.rect for found in there}) > 1:
            # Each where it selects anything, if that is known without encoding a crop again.
            known = {self.whole.rect} | ({self._zoomed.rect} if self._zoomed is not None else set())
            for of, found in asked:
                rects += self._compared((of, found), None) if found.rect in known else [found.rect]
        else:
            rects += self._compared(asked[0], asked[1] if len(asked) == 2 else None)
        return functools.reduce(Rect.union, rects) if rects else None

    def _at_risk(self, clicks: Clicks, selection: CropPrediction) -> list[Rect]:
        """Return rectangles around those clicks that may have to be obeyed once more where a selection is rendered."""
        view, form = self._view(selection.rect), self._model.click_params.form
        overlaid = [*selection.kept.bounds, *(detail.rect for detail in selection.details)]
        risky = obeyed.at_risk(clicks, selection.rect, view, form, overlaid)
        return obeyed.around(risky, obeyed.reach(view))

    def _compared(self, one: tuple[Clicks, CropPrediction], other: tuple[Clicks, CropPrediction] | None) -> list[Rect]:
        """Return where the predictions of two selections on one crop differ, or one from nothing; at most one."""
        with self._working():
            crop = self._crop(one[1].rect)
            found = crop.pipeline.changed(
                crop.clicks_in(one[0]),
                one[1].prediction,
                crop.clicks_in(other[0] if other else ()),
                other[1].prediction if other else None,
            )
        return [] if found is None else [found.shifted(crop.rect.top, crop.rect.left)]

    def to_device(self, alpha: Alpha) -> Array:
        """Bring a matte, uint8, shape (H, W), to the device. The next call overwrites it."""
        return cast("DevicePipeline", self.whole.pipeline).to_device(alpha)

    def matte_on_device(self, clicks: Clicks, selection: CropPrediction | None) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("DevicePipeline", self.whole.pipeline)
        if selection is not None and (
            selection.rect != self.whole.rect
            or selection.details
            or selection.kept is not _NOTHING
            or self._at_risk(clicks, selection)
        ):
            return pipeline.to_device(self.matte(clicks, selection))
        prediction = None if selection is None else selection.prediction
        return pipeline.matte_on_device(self.whole.clicks_in(clicks), prediction)

    def close(self) -> None:
        """Release everything but the image; nothing can be predicted or rendered any more."""
        self.release()
        self.whole = cast("Crop", None)

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
