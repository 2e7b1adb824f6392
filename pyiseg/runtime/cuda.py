"""CUDA's encoded image: engines run the networks, native streams do the rest.

It and its pipelines (`pyiseg.runtime.cuda_pipeline`) are given their device (`pyiseg._core.cuda`) and its engines
(`pyiseg.runtime.engine`), and import neither TensorRT nor anything of CUDA.

Device memory is allocated when it is made (`CudaImage.nbytes`): the image's pixels (3 bytes each, unless they lie
there already), as much again where the color guide meets noise (`pyiseg.runtime.noise`), a learned guide (4 bytes a
pixel, where the model has one that does not see the clicks), the network input, the features and nine grids.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.cuda_pipeline import CudaPipeline
from pyiseg.runtime.engine import GUIDE_STRIP, Engine
from pyiseg.runtime.guide import ClickGuide, ColorGuide, ImageGuide
from pyiseg.runtime.guided_filter import ColorFilter, GuidedFilter, LearnedFilter
from pyiseg.runtime.memory import Memory, failures, on_device
from pyiseg.runtime.noise import noise_level
from pyiseg.runtime.resample import working_image

Engines: TypeAlias = Mapping[str, Engine]


class CudaImage:
    """An image, encoded on a device; see `pyiseg.runtime.pipeline.EncodedImage`.

    Args:
        model: For its params; the networks come as engines.
        view: How the model sees the image.
        image: RGB, uint8, shape (H, W, 3), C-contiguous: a numpy array, which is uploaded, or something with a method
            ``borrow(stream)`` that gives a native array, which is used where it lies.
        native: The device, `pyiseg._core.cuda`.
        engines: "click", "image" (absent with early fusion) and "guide" (absent with the color guide).
        of_crops: The same for images of any size: for crops that are zoomed in on. None: those above.
        noise: Of the image that this is a crop of, see `pyiseg.runtime.noise`; None to measure it.

    Attributes:
        model, view, native, engines: See above.
        pixels: The image, native, uint8, shape (H, W, 3).
        working: The network input, native, float32, shape (1, 3, Hw, Ww).
        features: What image.onnx gave, native, by name.

    Raises:
        DeviceError: The device or an engine failed, or there is no memory left; nothing of the image stays then.
    """

    def __init__(
        self,
        model: Model,
        view: View,
        image: Any,
        *,
        native: Any,
        engines: Engines,
        of_crops: Engines | None = None,
        noise: float | None = None,
    ) -> None:
        self.native, self.model, self.view, self.engines = native, model, view, engines
        self._of_crops, self._noise = engines if of_crops is None else of_crops, noise
        self._rgb: npt.NDArray[np.uint8] | None = None
        self._fetching = threading.Lock()
        with failures(native, "encoding an image"):
            self._stream = native.Stream()
        with self._doing("encoding an image"):
            memory = self._memory = Memory(self._stream)
            if isinstance(image, np.ndarray):
                self.pixels, self._rgb = memory.uploaded(image), image
            else:
                self.pixels = image.borrow(self._stream)
            self.working = memory.empty((1, 3, *view.working))
            working_image(Memory(self._stream).device, view, self.pixels, self.working)
            self.features = self._encode()
            self._guide = self._shared_guide()
            self._stream.synchronize()  # streams of pipelines read what was written on this one

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The image on the host; see `pyiseg.runtime.pipeline.EncodedImage.rgb`."""
        with self._fetching:
            if self._rgb is None:
                with self._doing("fetching the image"):
                    image = np.empty((*self.view.image, 3), dtype=np.uint8)
                    self._stream.download(self.pixels, image)
                image.flags.writeable = False
                self._rgb = image
            return self._rgb

    @property
    def nbytes(self) -> int:
        """Device memory that was allocated for this image, in bytes, without that of pipelines."""
        return self._memory.nbytes

    def pipeline(self) -> CudaPipeline:
        """Return a fresh pipeline; see `pyiseg.runtime.pipeline.EncodedImage.pipeline`."""
        with self._doing("making a session"):  # on this device, whichever one is current for the caller
            return CudaPipeline(self)

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> CudaImage:
        """Encode a crop; see `pyiseg.runtime.pipeline.EncodedImage.for_crop`."""
        with self._doing("zooming in"):
            return CudaImage(self.model, view, rgb, native=self.native, engines=self._of_crops, noise=self._noise)

    def filter(self, memory: Memory) -> GuidedFilter:
        """Return a guided filter of this image.

        Args:
            memory: Where its buffers lie, on whose stream it works.
        """
        params, view, guide, stream = self.model.click_params, self.view, self._guide, memory.stream
        if isinstance(guide, ColorGuide):
            return ColorFilter(guide, params.radius, stream, memory.zeros)
        if guide is not None:
            return LearnedFilter(params, guide, view.grid, stream, memory.zeros)
        network = GuideStrips(memory, self.engines["guide"])
        seeing = ClickGuide(memory.device, view, network, self.pixels, self.working, params.sigmas[0])
        return LearnedFilter(params, seeing, view.grid, stream, memory.zeros)

    def _doing(self, what: str) -> AbstractContextManager[None]:
        return on_device(self.native, self._stream, what)

    def _shared_guide(self) -> ColorGuide | ImageGuide | None:
        """Compute the guide, unless it depends on the clicks."""
        memory, params, temporary = self._memory, self.model.click_params, Memory(self._stream)
        if "guide" not in self.engines:
            if self._noise is None:
                self._noise = noise_level(temporary.device, self.pixels)
            radius, eps = params.radius, params.eps
            return ColorGuide(temporary.device, self.view, self.pixels, radius, eps, memory.zeros, self._noise)
        if "click_maps" in self.engines["guide"].inputs:
            return None
        network = GuideStrips(temporary, self.engines["guide"])
        guide = ImageGuide(temporary.device, self.view, network, self.pixels, memory.empty)
        self._stream.synchronize()  # the engine must not be closed while it works
        return guide

    def _encode(self) -> dict[str, Any]:
        """Run the image stream, and keep its features."""
        if "image" not in self.engines:
            return {}
        engine = self.engines["image"]
        execution = engine.open({"image": self.working.shape})
        features = {name: self._memory.empty(execution.outputs[name], dtype) for name, dtype in engine.outputs.items()}
        # Its scratch is given back when the image has been looked at: a click needs it no more.
        scratch = self._stream.empty((execution.scratch_bytes,), np.uint8)
        execution.set_device_memory(scratch.ptr)
        for name, array in {"image": self.working, **features}.items():
            execution.bind(name, array.ptr)
        execution.enqueue(self._stream)
        self._stream.synchronize()
        return features


class GuideStrips:
    """An engine of guide.onnx at work; see `pyiseg.runtime.guide.GuideNetwork`."""

    def __init__(self, memory: Memory, engine: Engine) -> None:
        self._stream = memory.stream
        self.image = memory.empty((1, 3, 1, GUIDE_STRIP))
        self.maps = memory.empty((1, 2, 1, GUIDE_STRIP)) if "click_maps" in engine.inputs else None
        arrays = {"image": self.image} | ({} if self.maps is None else {"click_maps": self.maps})
        self._execution = engine.open({name: array.shape for name, array in arrays.items()})
        self._execution.set_device_memory(memory.empty((self._execution.scratch_bytes,), np.uint8).ptr)
        for name, array in arrays.items():
            self._execution.bind(name, array.ptr)

    def run(self, out: Any, first: int) -> None:
        """See `pyiseg.runtime.guide.GuideNetwork.run`."""
        self._execution.bind("guide", out.view((GUIDE_STRIP,), first).ptr)
        self._execution.enqueue(self._stream)
