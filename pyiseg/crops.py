"""The crops of one image that predictions are made on: the whole image and, zoomed in, at most one crop of it.

A crop is an image of its own, with its own view and pipeline. Every step of a session says which crop its prediction
belongs to; outside of that crop alpha is 0.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from pyiseg import _core, zoom
from pyiseg.errors import PyisegError
from pyiseg.geometry import Rect, View
from pyiseg.image import Image
from pyiseg.runtime.pipeline import DevicePipeline, Pipeline, Prediction

if TYPE_CHECKING:
    from pyiseg._core import Array

Click: TypeAlias = tuple[int, int, bool]
Clicks: TypeAlias = Sequence[Click]


class CropPrediction(NamedTuple):
    """A prediction, and which crop it was made on."""

    prediction: Prediction
    rect: Rect


class Crop(NamedTuple):
    """A rectangle of the image, and the pipeline that predicts on it."""

    rect: Rect
    view: View
    pipeline: Pipeline

    def clicks_in(self, clicks: Clicks) -> npt.NDArray[np.int32]:
        """Return the clicks in force in the crop, int32, shape (N, 3), rows x, y, label in the crop's pixels.

        A click is no longer in force where a later one with the other label lies on the same grid pixel: the network
        cannot tell them apart, and the two together would say nothing.
        """
        return self.split(clicks, 0)[0]

    def split(self, clicks: Clicks, answered: int) -> tuple[npt.NDArray[np.int32], int]:
        """Return what `clicks_in` does, and how many of those are among the first ``answered`` clicks given."""
        top, left = self.rect.top, self.rect.left
        inside = [i for i, (x, y, _) in enumerate(clicks) if self.rect.has(x, y)]
        rows = np.array([(clicks[i][0] - left, clicks[i][1] - top, clicks[i][2]) for i in inside], dtype=np.int32)
        rows = rows.reshape(-1, 3)
        kept = in_force(self.view.grid_clicks(rows))
        return rows[kept], int(sum(i < answered for i, keep in zip(inside, kept, strict=True) if keep))


def in_force(placed: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return which clicks no later one with the other label on the same grid pixel supersedes, bool, shape (N,).

    Args:
        placed: int32, shape (N, 3), rows x, y, label on the grid, in the order they were made.
    """
    last: dict[tuple[int, int], int] = {}
    superseded: set[tuple[int, int]] = set()
    kept = np.ones(len(placed), dtype=np.bool_)
    for i in range(len(placed) - 1, -1, -1):
        x, y, label = map(int, placed[i])
        if last.setdefault((x, y), label) != label:
            superseded.add((x, y))  # and with it whatever came before it there
        kept[i] = (x, y) not in superseded
    return kept


def grid_window(wanted: Rect, crop: Rect, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return 1 on the grid pixels of a crop that a rectangle covers in part or that lie beside them, else 0.

    Returns:
        float32, shape ``grid``. Fresh.
    """
    window = np.zeros(grid, np.float32)
    sides = []
    for axis, (low, high, start) in enumerate(
        ((wanted.top, wanted.bottom, crop.top), (wanted.left, wanted.right, crop.left))
    ):
        pixels, length = grid[axis], crop.shape[axis]
        first, last = (low - start) * pixels // length, -(-(high - start) * pixels // length)
        sides.append(slice(max(0, first - 1), max(0, last + 1)))
    window[tuple(sides)] = 1
    return window


def connected_change(
    old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], click: npt.NDArray[np.int32], margin: int
) -> npt.NDArray[np.bool_]:
    """Return where a selection changed in connection with a click, and a margin around that, bool, shape (h, w).

    Args:
        old, new: Alpha on the grid, float32, shape (h, w).
        click: int32, shape (1, 3), on the grid, label 1.
        margin: In grid pixels, so that the edge of what changed comes along.
    """
    changed = np.where((new > 0.5) != (old > 0.5), np.float32(1), np.float32(0))
    labels, kept = np.empty(old.shape, np.int32), np.empty(old.shape, np.float32)
    _core.keep_clicked_components(changed, click, 0, labels, kept)
    near = kept > 0
    for axis in (0, 1):
        reached = near.copy()
        for shift in range(1, margin + 1):
            here, there = [slice(None)] * 2, [slice(None)] * 2
            here[axis], there[axis] = slice(shift, None), slice(None, -shift)
            reached[tuple(here)] |= near[tuple(there)]
            reached[tuple(there)] |= near[tuple(here)]
        near = reached
    return near


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
            return self._predict(clicks, previous)

    def start(self, mask: npt.NDArray[np.uint8]) -> tuple[CropPrediction, npt.NDArray[np.float32]]:
        """Return what `predict` goes on from where a selection begins with a matte, uint8, shape (H, W).

        Returns:
            It, which cannot be rendered: at the image's own resolution the matte is what it is. And the matte on the
            grid, float32, shape (h, w).
        """
        from PIL import Image

        height, width = self.whole.view.grid
        alpha = Image.fromarray(mask).convert("F").resize((width, height), Image.Resampling.BOX)
        carried = np.array(alpha, dtype=np.float32) / np.float32(255)
        return CropPrediction(self.whole.pipeline.carry(carried), self.whole.rect), carried

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
        if previous is None:
            return self.predict(clicks, None)
        with self._working():
            x, y, fg = clicks[-1]
            crop = self._crop(previous.rect)
            old = crop.pipeline.on_grid(crop.clicks_in(clicks[:-1]), previous.prediction)
            rect = previous.rect if previous.rect.has(x, y) else self.whole.rect
            found = self._predict_on(rect, clicks, previous, old)
            crop = self._crop(rect)
            if rect != previous.rect:
                old = zoom.resample_to_crop(old, previous.rect, rect, crop.view.grid)
            new = crop.pipeline.fetch(found.prediction)
            at = crop.view.grid_clicks([(x - rect.left, y - rect.top, 1)])
            near = connected_change(old, new, at, self._model.click_params.margin)
            merged = np.where(near, new, old)
            # The click itself is obeyed also where nothing had to change for it.
            merged[at[0, 1], at[0, 0]] = float(fg)
            return CropPrediction(crop.pipeline.adopt(merged), rect)

    def predict_in(self, wanted: Rect, fg: Click, bg: Clicks) -> CropPrediction:
        """Predict what a rectangle holds, from nothing.

        The network is told that all of the rectangle is selected so far, and answers twice: the second time it sees its
        own first answer. Whatever it selects outside of the rectangle is dropped.

        Args:
            wanted: The rectangle; its selection is looked for in the crop around it where the model zooms in.
            fg: A click that selects, in it.
            bg: Clicks that remove, around it.
        """
        with self._working():
            rect = self._around(wanted)
            crop = self._crop(rect)
            inside = grid_window(wanted, rect, crop.view.grid)
            clicks = [fg, *(click for click in bg if rect.has(click[0], click[1]))]
            before = crop.pipeline.carry(inside)
            for answered in (1, len(clicks)):
                placed, known = crop.split(clicks, answered)
                only = crop.pipeline.fetch(crop.pipeline.predict(placed, before, known)) * inside
                before = crop.pipeline.adopt(only)
            return CropPrediction(before, rect)

    def union(self, clicks: Clicks, one: CropPrediction, more: Clicks, other: CropPrediction) -> CropPrediction:
        """Return the selection of what either of two selects.

        Args:
            clicks, one: A selection, and the clicks that it was predicted for.
            more, other: The other one, likewise.
        """
        with self._working():
            found, bounds = list[tuple[npt.NDArray[np.float32], Rect]](), self.whole.rect
            rects = list[Rect]()
            for asked, selection in ((clicks, one), (more, other)):
                crop = self._crop(selection.rect)
                alpha = crop.pipeline.on_grid(crop.clicks_in(asked), selection.prediction)
                found.append((alpha, selection.rect))
                if (selected := zoom.selection_bounds(alpha, selection.rect)) is not None:
                    rects.append(selected)
            if rects:
                bounds = self._around(rects[0].union(rects[-1]))
            crop = self._crop(bounds)
            moved = [
                alpha if rect == bounds else zoom.resample_to_crop(alpha, rect, bounds, crop.view.grid)
                for alpha, rect in found
            ]
            return CropPrediction(crop.pipeline.adopt(np.maximum(*moved)), bounds)

    def _predict(self, clicks: Clicks, previous: CropPrediction | None) -> CropPrediction:
        if previous is None or (previous.rect == self.whole.rect and not self._may_zoom(clicks)):
            before = None if previous is None else previous.prediction
            placed, answered = self.whole.split(clicks, len(clicks) - 1)
            return CropPrediction(self.whole.pipeline.predict(placed, before, answered), self.whole.rect)
        x, y, fg = clicks[-1]
        if not fg and not previous.rect.has(x, y):
            return previous  # Alpha is 0 outside the crop, so a background click there changes nothing.
        crop = self._crop(previous.rect)
        alpha = crop.pipeline.on_grid(crop.clicks_in(clicks[:-1]), previous.prediction)
        rect = self._choose(crop, alpha, clicks[-1])
        found = self._predict_on(rect, clicks, previous, alpha)
        if rect == self.whole.rect:
            return found
        # A selection that has grown to the crop's edge would be cut off there.
        wider = self._wider(found, clicks)
        if wider != rect:
            found = self._predict_on(wider, clicks, previous, alpha)
            if wider != self.whole.rect and self._wider(found, clicks) != wider:
                found = self._predict_on(self.whole.rect, clicks, previous, alpha)
        return found

    def matte(self, clicks: Clicks, selection: CropPrediction) -> npt.NDArray[np.uint8]:
        """Render a selection at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that it was predicted for.
            selection: What `predict` returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        with self._working():
            crop = self._crop(selection.rect)
            alpha = crop.pipeline.matte(crop.clicks_in(clicks), selection.prediction)
        if crop is self.whole:
            return alpha
        placed = np.zeros(self.whole.rect.shape, dtype=np.uint8)
        placed[crop.rect.slices] = alpha
        return placed

    def matte_in(self, clicks: Clicks, selection: CropPrediction, rect: Rect) -> npt.NDArray[np.uint8]:
        """Render what `matte` does within a rectangle of the image, bit for bit; uint8, of its shape. A fresh array."""
        placed = np.zeros(rect.shape, dtype=np.uint8)
        with self._working():
            crop = self._crop(selection.rect)
            common = crop.rect.common(rect)
            if common is not None:
                inside = common.moved(-crop.rect.top, -crop.rect.left)
                alpha = crop.pipeline.matte_in(crop.clicks_in(clicks), selection.prediction, inside)
                placed[common.moved(-rect.top, -rect.left).slices] = alpha
        return placed

    def changed(
        self, clicks: Clicks, selection: CropPrediction | None, other_clicks: Clicks, other: CropPrediction | None
    ) -> Rect | None:
        """Return a rectangle outside of which two mattes are the same bit for bit; None where they are so everywhere.

        Args:
            clicks, selection: As for `matte`; None stands for nothing selected.
            other_clicks, other: Likewise.
        """
        if selection is not None and other is not None and selection.rect != other.rect:
            return selection.rect.union(other.rect)  # outside of its crop alpha is 0
        there = selection or other
        if there is None:
            return None
        with self._working():
            crop = self._crop(there.rect)
            found = crop.pipeline.changed(
                crop.clicks_in(clicks),
                None if selection is None else selection.prediction,
                crop.clicks_in(other_clicks),
                None if other is None else other.prediction,
            )
        return None if found is None else found.moved(crop.rect.top, crop.rect.left)

    def matte_on_device(self, clicks: Clicks, selection: CropPrediction | None) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("DevicePipeline", self.whole.pipeline)
        if selection is not None and selection.rect != self.whole.rect:
            return pipeline.to_device(self.matte(clicks, selection))
        prediction = None if selection is None else selection.prediction
        return pipeline.matte_on_device(self.whole.clicks_in(clicks), prediction)

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Array:
        """Bring a matte, uint8, shape (H, W), to the device. The next call overwrites it."""
        return cast("DevicePipeline", self.whole.pipeline).to_device(alpha)

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

    def _may_zoom(self, clicks: Clicks) -> bool:
        """Whether there are clicks enough, counted from the first one that selects."""
        rules = self._model.zoom
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
        placed, answered = crop.split(clicks, len(clicks) - 1)
        return CropPrediction(crop.pipeline.predict(placed, before, answered), rect)

    def _wider(self, found: CropPrediction, clicks: Clicks) -> Rect:
        """Return a prediction's crop or, where its selection is cut off at an edge inside the image, a larger one."""
        rules, crop = self._model.zoom, self._crop(found.rect)
        alpha = crop.pipeline.on_grid(crop.clicks_in(clicks), found.prediction)
        selected = zoom.selection_bounds(alpha, found.rect)
        whole = self.whole.rect
        if rules is None or selected is None or not zoom.touches_crop_edge(selected, found.rect, whole):
            return found.rect
        x, y, _ = clicks[-1]
        return zoom.choose_crop(rules, whole.shape, self._model.long_side, whole, selected.with_pixel(x, y))

    def _choose(self, before: Crop, alpha: npt.NDArray[np.float32], click: tuple[int, int, bool]) -> Rect:
        """Return the crop to predict on for a new click, from the last crop and its selection."""
        rules, (x, y, fg) = self._model.zoom, click
        selected = zoom.selection_bounds(alpha, before.rect)
        if rules is None or selected is None:
            return self.whole.rect
        if fg:
            selected = selected.with_pixel(x, y)
        rect = zoom.choose_crop(rules, self.whole.rect.shape, self._model.long_side, before.rect, selected)
        return rect if rect.has(x, y) else before.rect

    def _around(self, wanted: Rect) -> Rect:
        """Return the crop to look at something in whose rectangle is known; the whole image where none enlarges it."""
        rules, whole = self._model.zoom, self.whole.rect
        if rules is None:
            return whole
        return zoom.choose_crop(rules, whole.shape, self._model.long_side, whole, wanted)

    def _crop(self, rect: Rect) -> Crop:
        if rect == self.whole.rect:
            return self.whole
        held = self._zoomed
        if held is None or held.rect != rect:
            rules = self._model.zoom
            assert rules is not None, "without zoom rules there is no crop"
            long_side = zoom.long_side(rules, rect, self._model.long_side, self._model.multiple)
            view = self._model.view(rect.shape, long_side)
            self.release()  # first, so that two are never held at once
            pixels = np.ascontiguousarray(self.image.rgb[rect.slices])
            self._zoomed = held = Crop(rect, view, self.image.encoded.for_crop(view, pixels).pipeline())
        self._to_let_go = False
        self.image._held_crops.hold(self)
        return held
