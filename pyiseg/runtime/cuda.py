"""The CUDA pipeline: engines run the networks, native streams do the rest, and a click is one captured launch.

It is given its device (`pyiseg._core.cuda`, or `pyiseg._core.host`, which walks the same way without a GPU) and its
engines (`pyiseg.runtime.engine`), and imports neither TensorRT nor anything of CUDA.

Device memory of one image, all of it allocated when the pipeline is made: the image (3 bytes a pixel, unless it lies
there already), the matte (1 byte a pixel), a learned guide (4 bytes a pixel, where the model has one), the working
image, the features, two dozen grids and the engines' scratch; `CudaPipeline.nbytes` tells. Each click adds its
prediction (4 bytes a grid pixel, at most 0.26 MB with the default model); those of the last 32 clicks stay on the
device, older ones move to the host (`pyiseg.runtime.history`).
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.errors import ModelError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.click import ClickStage
from pyiseg.runtime.device_guide import ClickGuide, ImageGuide
from pyiseg.runtime.engine import Engine, ExecutionContext
from pyiseg.runtime.guided_filter import ColorFilter, GuidedFilter, LearnedFilter
from pyiseg.runtime.history import Prediction, RecentPredictions
from pyiseg.runtime.memory import Memory, failures
from pyiseg.runtime.resample import working_image

CAPACITY = 64  # Clicks that a captured graph has room for; one more, and it is captured anew with twice as many.
CAPTURES = 3  # Tries to capture a click: another thread that waits for the whole device spoils one.

EngineProvider: TypeAlias = Mapping[str, Engine]
log = logging.getLogger("pyiseg")


class CudaPipeline:
    """One image on a device; see `pyiseg.backend.Pipeline`.

    Args:
        model: For its rules; the networks come as engines.
        view: How the model sees the image.
        image: RGB, uint8, shape (H, W, 3), C-contiguous: a numpy array, which is uploaded, or something with a method
            ``borrow(stream)`` that gives a native array, which is used where it lies.
        native: The device, `pyiseg._core.cuda`.
        engines: "click", "image" (absent with early fusion) and "guide" (absent with the color guide).
        of_crops: The same for images of any size: for crops that are zoomed in on. None: those above.

    Raises:
        DeviceError: The device or an engine failed, or there is no memory left; nothing of the pipeline stays then.
    """

    def __init__(
        self,
        model: Model,
        view: View,
        image: Any,
        *,
        native: Any,
        engines: EngineProvider,
        of_crops: EngineProvider | None = None,
    ) -> None:
        with failures(native, "making a session"):
            self._native, self._model, self._view = native, model, view
            self._of_crops = engines if of_crops is None else of_crops
            self._stream = native.Stream()
        with self._doing("making a session"):
            memory = self._memory = Memory(self._stream)
            self._rgb = memory.uploaded(image) if isinstance(image, np.ndarray) else image.borrow(self._stream)
            self._working = memory.empty((1, 3, *view.working))
            self._stream.copy(working_image(Memory(self._stream).device, view, self._rgb), self._working)
            inputs = engines["click"].inputs
            dtypes = inputs["click_maps"], inputs.get("previous_alpha", np.dtype(np.float32))
            self._click_stage = ClickStage(
                model.rules, view.grid, self._stream, memory.zeros, self._stream.copy, dtypes
            )
            self._features = self._look(engines)
            self._click = self._open(
                engines["click"],
                {
                    "image": self._working,
                    "click_maps": self._click_stage.maps,
                    "previous_alpha": self._click_stage.previous,
                    "alpha": self._click_stage.answer,
                    **self._features,
                },
            )
            self._filter = self._make_filter(engines)
            self._prediction = memory.zeros(view.grid)
            self._fed_back = memory.zeros(view.grid)
            self._alpha = memory.zeros(view.image, np.uint8)
            # Whose prediction, alpha on the grid and matte these three hold.
            self._predicted: Prediction | None = None
            self._fed: Prediction | None = None
            self._rendered: Prediction | None = None
            self._recent = RecentPredictions(self._stream)
            self._clicks: Any = None
            self._feed: Any = None
            self._graph: Any = None
            self._prepare(CAPACITY)

    @property
    def captured(self) -> bool:
        """Whether a click is one launch of a graph.

        Where capturing is refused, its steps are enqueued one by one, with the same results.
        """
        return self._graph is not None

    @property
    def nbytes(self) -> int:
        """Device memory that was allocated for this session, in bytes, without its steps."""
        return self._memory.nbytes + int(self._clicks.nbytes)

    def predict(self, clicks: npt.NDArray[np.int32], previous: Prediction | None) -> Prediction:
        """Predict after the last of some clicks, and render it; see `pyiseg.backend.Pipeline.predict`."""
        with self._doing("a click"):
            if len(clicks) > self._feed.capacity:
                self._prepare(2 * len(clicks))
            result = Prediction(array=self._stream.empty(self._view.grid))  # before anything is under way
            self._feed_back(clicks[:-1], previous)
            self._predicted = self._fed = self._rendered = None
            fed = self._view.grid_clicks(clicks), len(clicks) - 1, clicks
            if self._graph is not None:
                self._graph.launch(*fed)
            else:
                self._feed.write(*fed)
                self._enqueue()
            self._stream.copy(self._prediction, result.array)
            self._recent.add(result)
            self._predicted = self._fed = self._rendered = result
            return result

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; see `pyiseg.backend.Pipeline.matte`."""
        with self._doing("rendering a matte"):
            self._show(clicks, prediction)
            alpha = np.empty(self._view.image, dtype=np.uint8)
            self._stream.download(self._alpha, alpha)
            return alpha

    def matte_on_device(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> Any:
        """The same, left where it is: a native array, uint8, shape (H, W), complete; the next call overwrites it.

        Args:
            clicks: As for `matte`.
            prediction: Likewise; None stands for nothing selected.
        """
        with self._doing("rendering a matte"):
            self._show(clicks, prediction)
            self._stream.synchronize()
            self._rendered = None  # whoever gets it may write into it
            return self._alpha

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.float32]:
        """Render a prediction on the grid; see `pyiseg.backend.Pipeline.on_grid`."""
        with self._doing("rendering a selection"):
            self._feed_back(clicks, prediction)
            alpha = np.empty(self._view.grid, dtype=np.float32)
            self._stream.download(self._fed_back, alpha)
            return alpha

    def carry(self, alpha: npt.NDArray[np.float32]) -> Prediction:
        """What stands for an alpha; see `pyiseg.backend.Pipeline.carry`."""
        return Prediction(host=alpha, carried=True)

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> CudaPipeline:
        """Return the pipeline of a crop; see `pyiseg.backend.Pipeline.for_crop`."""
        with self._doing("zooming in"):  # on this device, whichever one is current for the caller
            return CudaPipeline(self._model, view, rgb, native=self._native, engines=self._of_crops)

    def offload(self) -> None:
        """Move all predictions that were returned to the host; see `pyiseg.backend.Pipeline.offload`."""
        with self._doing("zooming in"):
            self._recent.move_to_host()

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Any:
        """Bring a matte, uint8, shape (H, W), to the device; see `matte_on_device`."""
        with self._doing("rendering a matte"):
            self._rendered = None
            self._stream.upload(alpha, self._alpha)
            self._stream.synchronize()
            return self._alpha

    def image(self) -> npt.NDArray[np.uint8]:
        """The image, uint8, shape (H, W, 3), brought to the host."""
        with self._doing("fetching the image"):
            image = np.empty((*self._view.image, 3), dtype=np.uint8)
            self._stream.download(self._rgb, image)
            return image

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """With the session's device current, whatever thread this is, and failures said as they should be."""
        with failures(self._native, what), self._stream.current():
            try:
                yield
            except BaseException:
                # What is under way uses memory that may be let go now.
                with suppress(_core.DeviceRuntimeError):
                    self._stream.synchronize()
                raise

    def _make_filter(self, engines: EngineProvider) -> GuidedFilter:
        memory, view, rules = self._memory, self._view, self._model.rules
        if "guide" not in engines:
            return ColorFilter(rules, view, self._rgb, Memory(self._stream).device, memory.zeros)
        guide = engines["guide"]
        if "click_maps" in guide.inputs:
            seeing = ClickGuide(memory, view, guide, self._rgb, self._working, rules.sigmas[0])
            return LearnedFilter(rules, seeing, view.grid, self._stream, memory.zeros)
        return LearnedFilter(rules, ImageGuide(memory, view, guide, self._rgb), view.grid, self._stream, memory.zeros)

    def _look(self, engines: EngineProvider) -> dict[str, Any]:
        """Run the image stream, and keep its features."""
        if "image" not in engines:
            return {}
        engine = engines["image"]
        execution = engine.open({"image": self._working.shape})
        features = {name: self._memory.empty(execution.outputs[name], dtype) for name, dtype in engine.outputs.items()}
        # Its scratch is given back when the image has been looked at: a click needs it no more.
        scratch = self._stream.empty((execution.scratch_bytes,), np.uint8)
        execution.set_device_memory(scratch.ptr)
        for name, array in {"image": self._working, **features}.items():
            execution.bind(name, array.ptr)
        execution.enqueue(self._stream)
        self._stream.synchronize()
        return features

    def _open(self, engine: Engine, arrays: Mapping[str, Any]) -> ExecutionContext:
        for name, dtype in {**engine.inputs, **engine.outputs}.items():
            has = arrays[name].dtype if name in arrays else None
            if has != dtype:
                raise ModelError(
                    f"the click network's {name} is {dtype}, where pyiseg has {has or 'nothing of that name'}; "
                    "export the model again"
                )
        execution = engine.open({name: arrays[name].shape for name in engine.inputs})
        execution.set_device_memory(self._memory.empty((execution.scratch_bytes,), np.uint8).ptr)
        for name in (*engine.inputs, *engine.outputs):
            execution.bind(name, arrays[name].ptr)
        return execution

    def _prepare(self, capacity: int) -> None:
        """Make room for so many clicks, and capture a click. If that fails, the room there was stays."""
        view, before = self._view, (self._clicks, self._feed, self._graph)
        clicks = self._stream.empty((3, capacity, 3), np.int32)
        feed = self._native.ClickFeed(self._stream, clicks, view.grid, view.image)
        self._clicks, self._feed, self._graph = clicks, feed, None
        self._predicted = self._fed = self._rendered = None
        try:
            # Once for itself: runtimes do things at their first run that cannot be captured.
            none = np.empty((0, 3), dtype=np.int32)
            feed.write(none, 0, none)
            self._stream.fill_zero(self._fed_back)
            self._enqueue()
            self._stream.synchronize()
            self._graph = self._capture()
        except BaseException:
            self._clicks, self._feed, self._graph = before
            raise

    def _capture(self) -> Any:
        """A click as a graph; None where it is refused."""
        collecting = gc.isenabled()
        for remaining in range(CAPTURES - 1, -1, -1):
            gc.disable()  # what a collection frees meanwhile, here or in other libraries, would spoil the capture
            try:
                return self._native.ClickGraph(self._feed, self._enqueue)
            except (
                Exception
            ) as error:  # Whatever it was, it did not happen when the same was enqueued without capturing.
                if not remaining:
                    log.warning(
                        "clicks are not captured as a CUDA graph, which costs time but changes no result: %s", error
                    )
            finally:
                if collecting:
                    gc.enable()
        return None

    def _enqueue(self) -> None:
        """Enqueue a whole click: `_clicks` and `_fed_back` in, `_prediction`, `_alpha` and the next `_fed_back` out."""
        clicks, answered, image_clicks = self._clicks[0], self._clicks[1], self._clicks[2]
        self._click_stage.encode(clicks, answered, self._fed_back)
        self._click.enqueue(self._stream)
        self._click_stage.postprocess(clicks, self._prediction)
        self._filter.apply(image_clicks, clicks, self._prediction, self._alpha)
        self._stream.copy(self._filter.on_grid(clicks, self._prediction, applied=True), self._fed_back)

    def _show(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> None:
        """Render a prediction into `_alpha`, unless it is there already."""
        if prediction is None:
            self._rendered = None
            self._stream.fill_zero(self._alpha)
        elif prediction is not self._rendered:
            self._rendered = None
            self._load(clicks, prediction)
            self._filter.apply(self._clicks[2], self._clicks[0], self._prediction, self._alpha)
            self._rendered = prediction

    def _feed_back(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> None:
        """Render a prediction on the grid into `_fed_back`, unless it is there already; without one, zeros."""
        fed, self._fed = self._fed, None
        if prediction is None:
            self._stream.fill_zero(self._fed_back)
        elif prediction.carried:
            self._stream.upload(prediction.host, self._fed_back)
        elif prediction is not fed:
            self._load(clicks, prediction)
            self._stream.copy(self._filter.on_grid(self._clicks[0], self._prediction), self._fed_back)
        self._fed = prediction

    def _load(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> None:
        """Bring a step's prediction and clicks to where they are rendered from."""
        if len(clicks) > self._feed.capacity:
            self._prepare(2 * len(clicks))
        self._feed.write(self._view.grid_clicks(clicks), 0, clicks)
        predicted, self._predicted = self._predicted, None
        if prediction.host is not None:
            self._stream.upload(prediction.host, self._prediction)
        elif prediction is not predicted:
            self._stream.copy(prediction.array, self._prediction)
        self._predicted = prediction
