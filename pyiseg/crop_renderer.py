"""Render selections on the crops of an image: at the image's own resolution, in a rectangle of it, along a path."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from pyiseg import obeyed
from pyiseg.crop import Clicks, Crop, CropPrediction
from pyiseg.crop_holder import CropHolder
from pyiseg.geometry import Rect
from pyiseg.kept import NOTHING, Alpha
from pyiseg.runtime.pipeline import DevicePipeline

if TYPE_CHECKING:
    from pyiseg._core import Array


class CropRenderer(CropHolder):
    """Crops whose selections can be rendered. What is predicted on them, `pyiseg.crops.Crops` says."""

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

    def matte_in(self, clicks: Clicks, selection: CropPrediction, rect: Rect) -> Alpha:
        """Render what `matte` does within a rectangle of the image, bit for bit; uint8, of its shape. A fresh array."""
        if selection.kept is not NOTHING or selection.details:
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
        if selection.kept is not NOTHING or selection.details:
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

    def to_device(self, alpha: Alpha) -> Array:
        """Bring a matte, uint8, shape (H, W), to the device. The next call overwrites it."""
        return cast("DevicePipeline", self.whole.pipeline).to_device(alpha)

    def matte_on_device(self, clicks: Clicks, selection: CropPrediction | None) -> Array:
        """What `matte` returns, on the device; without a selection, zeros. The next call overwrites it."""
        pipeline = cast("DevicePipeline", self.whole.pipeline)
        if selection is not None and (
            selection.rect != self.whole.rect
            or selection.details
            or selection.kept is not NOTHING
            or self._at_risk(clicks, selection)
        ):
            return pipeline.to_device(self.matte(clicks, selection))
        prediction = None if selection is None else selection.prediction
        return pipeline.matte_on_device(self.whole.clicks_in(clicks), prediction)

    def _in_window(self, clicks: Clicks, selection: CropPrediction) -> Alpha:
        """Render a selection within its window."""
        alpha = self._rendered(clicks, selection)
        self._obey(alpha, selection.window, clicks, selection)
        return alpha

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
        if selection.kept is not NOTHING:
            view = self._view(window)
            inside = Crop(window, view, crop.pipeline).clicks_in(clicks)
            selection.kept.restore(alpha, window, view.grid, view.grid_clicks(inside))
        for detail in selection.details:
            detail.put_on(alpha, window)
        return alpha

    def _obey(self, alpha: Alpha, rect: Rect, clicks: Clicks, selection: CropPrediction) -> None:
        """Put the clicked pixels of a rectangle on their clicks' side where rendering a selection did not."""
        if not selection.given:  # bit for bit what it began with
            obeyed.obey(alpha, rect, clicks, obeyed.reach(self._view(selection.rect)))

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
