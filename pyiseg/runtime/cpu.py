"""The CPU's encoded image and pipeline: ONNX Runtime runs the networks, pyiseg._core does the rest.

Imported when the first image is encoded on the CPU.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.geometry import Rect, View
from pyiseg.model import Model
from pyiseg.runtime.click import ClickStage, Float32
from pyiseg.runtime.guide import ClickGuide, ColorGuide, ImageGuide
from pyiseg.runtime.guided_filter import ColorFilter, GuidedFilter, LearnedFilter, difference
from pyiseg.runtime.noise import noise_level
from pyiseg.runtime.ort import networks_of, ort_value
from pyiseg.runtime.resample import NUMPY, Device, working_image
from pyiseg.runtime.scratch import Scratch, ScratchPool


class Carried(NamedTuple):
    """An alpha on the grid that stands for a prediction, to go on from; shape (h, w)."""

    alpha: Float32


class CpuImage:
    """An image, encoded on the CPU; see `pyiseg.runtime.pipeline.EncodedImage`.

    ONNX Runtime holds the features as its own values, so a click copies nothing into the network.

    Args:
        model: The networks and their params.
        view: How the model sees the image.
        rgb: RGB, uint8, shape (H, W, 3), C-contiguous. It is kept, so it must not change.
        pool: Memory that clicks work in, shared with other images; None for a pool of its own.
        noise: Of the image that this is a crop of, see `pyiseg.runtime.noise`; None to measure it.

    Raises:
        ModelError: The networks cannot be run.
    """

    def __init__(
        self,
        model: Model,
        view: View,
        rgb: npt.NDArray[np.uint8],
        pool: ScratchPool | None = None,
        noise: float | None = None,
    ) -> None:
        self.model, self.view, self.rgb, self.noise = model, view, rgb, noise
        self.networks, self.pool = networks_of(model), pool or ScratchPool()
        planes = np.empty((1, 3, *view.working), dtype=np.float32)
        working_image(NUMPY, view, rgb, planes)
        working = ort_value(planes)
        self.features: dict[str, Any] = self.networks.features_of(working)
        if "image" in self.networks.click_inputs:
            self.features["image"] = working
        self._working = planes if self.networks.guide_sees_clicks else None
        self._guide = self._shared_guide()

    def _shared_guide(self) -> ColorGuide | ImageGuide | None:
        """Compute the guide, unless it depends on the clicks."""
        params = self.model.click_params
        if not self.networks.learned_guide:
            if self.noise is None:
                self.noise = noise_level(NUMPY, self.rgb)
            return ColorGuide(NUMPY, self.view, self.rgb, params.radius, params.eps, np.zeros, self.noise)
        if self.networks.guide_sees_clicks:
            return None
        network = self.networks.guide(self.rgb.shape[0] * self.rgb.shape[1], Scratch())
        return ImageGuide(NUMPY, self.view, network, self.rgb, np.empty)

    @property
    def nbytes(self) -> int:
        """Memory of this image, in bytes: its pixels, features and guide, without the scratch memory of clicks."""
        held = {id(array): int(array.nbytes) for array in (self.rgb, self._working) if array is not None}
        for value in (*self.features.values(), self._guide):
            arrays = (value,) if value is not self._guide else vars(value).values() if value is not None else ()
            held.update((id(array), _nbytes(array)) for array in arrays)
        return sum(held.values())

    def filter(self, scratch: Scratch) -> GuidedFilter:
        """Return the guided filter of this image, at work in scratch memory."""
        params, view, guide = self.model.click_params, self.view, self._guide
        if isinstance(guide, ColorGuide):
            return ColorFilter(guide, params.radius, _core, scratch.empty)
        if guide is not None:
            return LearnedFilter(params, guide, view.grid, _core, scratch.empty)
        device = Device(_core, scratch.empty, NUMPY.array, NUMPY.fetch)
        network = self.networks.guide(self.rgb.shape[0] * self.rgb.shape[1], scratch)
        seeing = ClickGuide(device, view, network, self.rgb, self._working, params.sigmas[0])
        return LearnedFilter(params, seeing, view.grid, _core, scratch.empty)

    def pipeline(self) -> CpuPipeline:
        """Return a fresh pipeline; see `pyiseg.runtime.pipeline.EncodedImage.pipeline`."""
        return CpuPipeline(self)

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> CpuImage:
        """Encode a crop; see `pyiseg.runtime.pipeline.EncodedImage.for_crop`."""
        return CpuImage(self.model, view, rgb, self.pool, self.noise)


class CpuPipeline:
    """Predictions on an image, on the CPU; see `pyiseg.runtime.pipeline.Pipeline`. It holds nothing of its own.

    Args:
        image: The encoded image.
    """

    def __init__(self, image: CpuImage) -> None:
        self._image, self._view = image, image.view

    @property
    def nbytes(self) -> int:
        """Memory of its own, in bytes: none."""
        return 0

    def predict(
        self, clicks: npt.NDArray[np.int32], previous: Float32 | Carried | None, answered: int | None = None
    ) -> Float32:
        """Predict the selection after some clicks; see `pyiseg.runtime.pipeline.Pipeline.predict`."""
        image, placed = self._image, self._view.grid_clicks(clicks)
        before = placed[: len(clicks) - 1 if answered is None else answered]
        with image.pool.lend() as scratch:
            stage = ClickStage(image.model.click_params, self._view.grid, _core, scratch.empty)
            if previous is None:
                alpha = np.zeros(self._view.grid, dtype=np.float32)
            else:
                # Not before: the new click may have moved others (`View.grid_clicks`).
                alpha = self._on_grid(self._view.grid_clicks(clicks[: len(before)]), previous, scratch)
            stage.encode(placed, before, alpha)
            inputs = {**image.features, "click_maps": stage.maps, "previous_alpha": stage.previous}
            image.networks.click(inputs, stage.output)
            prediction = np.empty(self._view.grid, dtype=np.float32)
            stage.postprocess(placed, prediction)
        return prediction

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Float32 | Carried) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; see `pyiseg.runtime.pipeline.Pipeline.matte`."""
        alpha = np.empty(self._view.image, dtype=np.uint8)
        with self._image.pool.lend() as scratch:
            self._image.filter(scratch).apply(clicks, self._view.grid_clicks(clicks), _plain(prediction), alpha)
        return alpha

    def matte_in(
        self, clicks: npt.NDArray[np.int32], prediction: Float32 | Carried, rect: Rect
    ) -> npt.NDArray[np.uint8]:
        """Render a prediction within a rectangle; see `pyiseg.runtime.pipeline.Pipeline.matte_in`."""
        alpha = np.empty(rect.shape, dtype=np.uint8)
        with self._image.pool.lend() as scratch:
            placed = self._view.grid_clicks(clicks)
            self._image.filter(scratch).apply_in(clicks, placed, _plain(prediction), rect.top, rect.left, alpha)
        return alpha

    def changed(
        self,
        clicks: npt.NDArray[np.int32],
        prediction: Float32 | Carried | None,
        other_clicks: npt.NDArray[np.int32],
        other: Float32 | Carried | None,
    ) -> Rect | None:
        """Return where two mattes may differ; see `pyiseg.runtime.pipeline.Pipeline.changed`."""
        with self._image.pool.lend() as scratch:
            guided = self._image.filter(scratch)

            def coefficients(asked: npt.NDArray[np.int32], selection: Float32 | Carried | None) -> Any:
                if selection is None:
                    return np.float32(0)
                found = guided.coefficients(asked, self._view.grid_clicks(asked), _plain(selection))
                return None if found is None else np.array(found)

            return difference(self._view, coefficients(clicks, prediction), coefficients(other_clicks, other))

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Float32 | Carried) -> Float32:
        """Render a prediction on the grid; see `pyiseg.runtime.pipeline.Pipeline.on_grid`."""
        with self._image.pool.lend() as scratch:
            return np.array(self._on_grid(self._view.grid_clicks(clicks), prediction, scratch))

    def fetch(self, prediction: Float32) -> Float32:
        """Return a prediction on the host; see `pyiseg.runtime.pipeline.Pipeline.fetch`."""
        return prediction

    def adopt(self, prediction: Float32) -> Float32:
        """Take a prediction from the host; see `pyiseg.runtime.pipeline.Pipeline.adopt`."""
        return prediction

    def carry(self, alpha: Float32) -> Carried:
        """Return a prediction that stands for an alpha; see `pyiseg.runtime.pipeline.Pipeline.carry`."""
        return Carried(alpha)

    def offload(self) -> None:
        """Do nothing, for nothing is held; see `pyiseg.runtime.pipeline.Pipeline.offload`."""

    def _on_grid(self, placed: npt.NDArray[np.int32], prediction: Float32 | Carried, scratch: Scratch) -> Float32:
        """Return what `on_grid` does, for clicks on the grid; it may lie in the scratch memory."""
        if isinstance(prediction, Carried):
            return prediction.alpha
        alpha: Float32 = self._image.filter(scratch).on_grid(placed, prediction)
        return alpha


def _nbytes(array: Any) -> int:
    """Return the memory of a numpy array or a value of ONNX Runtime; 0 for what is neither."""
    if isinstance(array, np.ndarray):
        return array.nbytes
    return 4 * math.prod(array.shape()) if hasattr(array, "element_type") else 0


def _plain(prediction: Float32 | Carried) -> Float32:
    """Return what is rendered for a prediction: an alpha that stands for one is rendered as if it were one."""
    return prediction.alpha if isinstance(prediction, Carried) else prediction
