"""CUDA's pipeline: engines run the click network, native streams do the rest, a click is one launch.

Device memory is allocated when it is made (`CudaPipeline.nbytes`): the matte (1 byte a pixel), a guide that sees the
clicks (4 bytes a pixel), some twenty grids and the click network's scratch. Each click adds its prediction (4 bytes a
grid pixel, at most 0.26 MB with the default model); those of the last 32 clicks stay on the device, older ones move to
the host (`pyiseg.runtime.history`).
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyiseg.errors import ModelError
from pyiseg.geometry import Rect
from pyiseg.runtime.click import ClickStage
from pyiseg.runtime.engine import Engine, ExecutionContext
from pyiseg.runtime.guided_filter import difference
from pyiseg.runtime.history import Prediction, RecentPredictions
from pyiseg.runtime.memory import Memory, failures, on_device

if TYPE_CHECKING:
    from pyiseg.runtime.cuda import CudaImage

CAPACITY = 64  # Clicks that a captured graph has room for; one more, and it is captured anew with twice as many.
CAPTURES = 3  # Tries to capture a click: another thread that waits for the whole device spoils one.

log = logging.getLogger("pyiseg")

_lock = threading.Lock()
_capturing, _collected = 0, True  # threads at it, and whether the collector was on before


class CudaPipeline:
    """Predictions on an image, on its device; see `pyiseg.runtime.pipeline.Pipeline`.

    Args:
        image: The encoded image.

    Attributes:
        stream: The native stream that its work is enqueued on.
        network: The click network at work.
        use_graph: Whether a click is launched as a graph where it was captured; else its steps are enqueued one by
            one, with the same results.

    Raises:
        DeviceError: The device or an engine failed, or there is no memory left; nothing of the pipeline stays then.
        ModelError: The click network's inputs are not of the types that pyiseg has.
    """

    def __init__(self, image: CudaImage) -> None:
        model, view = image.model, image.view
        with failures(image.native, "making a session"):
            self._image, self._native, self._view, self.use_graph = image, image.native, view, True
            self.stream = image.native.Stream()
        with self._doing("making a session"):
            memory = self._memory = Memory(self.stream)
            inputs = image.engines["click"].inputs
            dtypes = inputs["click_maps"], inputs.get("previous_alpha", np.dtype(np.float32))
            self._click_stage = ClickStage(
                model.click_params, view.grid, self.stream, memory.zeros, self.stream.copy, dtypes
            )
            self.network = self._open(
                image.engines["click"],
                {
                    "image": image.working,
                    "click_maps": self._click_stage.maps,
                    "previous_alpha": self._click_stage.previous,
                    "alpha": self._click_stage.output,
                    **image.features,
                },
            )
            self._filter = image.filter(memory)
            self._prediction = memory.zeros(view.grid)
            self._fed_back = memory.zeros(view.grid)
            self._alpha = memory.zeros(view.image, np.uint8)
            # Whose prediction, alpha on the grid and matte these three hold.
            self._predicted: Prediction | None = None
            self._fed: Prediction | None = None
            self._rendered: Prediction | None = None
            self._recent = RecentPredictions(self.stream)
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
        """Device memory that was allocated for this pipeline, in bytes, without its steps and its image."""
        return self._memory.nbytes + int(self._clicks.nbytes)

    def predict(
        self, clicks: npt.NDArray[np.int32], previous: Prediction | None, answered: int | None = None
    ) -> Prediction:
        """Predict after some clicks, and render it; see `pyiseg.runtime.pipeline.Pipeline.predict`."""
        before = len(clicks) - 1 if answered is None else answered
        with self._doing("a click"):
            if len(clicks) > self._feed.capacity:
                self._prepare(2 * len(clicks))
            result = Prediction(array=self.stream.empty(self._view.grid))  # before anything is under way
            self._feed_back(clicks[:before], previous)
            self._predicted = self._fed = self._rendered = None
            fed = self._view.grid_clicks(clicks), before, clicks
            if self.use_graph and self._graph is not None:
                self._graph.launch(*fed)
            else:
                self._feed.write(*fed)
                self._enqueue()
            self.stream.copy(self._prediction, result.array)
            self._recent.add(result)
            self._predicted = self._fed = self._rendered = result
            return result

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; see `pyiseg.runtime.pipeline.Pipeline.matte`."""
        with self._doing("rendering a matte"):
            self._show(clicks, prediction)
            alpha = np.empty(self._view.image, dtype=np.uint8)
            self.stream.download(self._alpha, alpha)
            return alpha

    def matte_on_device(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> Any:
        """The same, left where it is: a native array, uint8, shape (H, W), complete; the next call overwrites it.

        Args:
            clicks: As for `matte`.
            prediction: Likewise; None stands for nothing selected.
        """
        with self._doing("rendering a matte"):
            self._show(clicks, prediction)
            self.stream.synchronize()
            self._rendered = None  # whoever gets it may write into it
            return self._alpha

    def matte_in(self, clicks: npt.NDArray[np.int32], prediction: Prediction, rect: Rect) -> npt.NDArray[np.uint8]:
        """Render a prediction within a rectangle; see `pyiseg.runtime.pipeline.Pipeline.matte_in`."""
        with self._doing("rendering a matte"):
            self._show(clicks, prediction)
            width = self._view.image[1]
            rows = np.empty((rect.bottom - rect.top, width), dtype=np.uint8)
            self.stream.download(self._alpha.view(rows.shape, rect.top * width), rows)
            return np.array(rows[:, rect.left : rect.right])

    def changed(
        self,
        clicks: npt.NDArray[np.int32],
        prediction: Prediction | None,
        other_clicks: npt.NDArray[np.int32],
        other: Prediction | None,
    ) -> Rect | None:
        """Return where two mattes may differ; see `pyiseg.runtime.pipeline.Pipeline.changed`."""
        with self._doing("comparing mattes"):
            found = [self._coefficients(clicks, prediction), self._coefficients(other_clicks, other)]
            return difference(self._view, *found)

    def _coefficients(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> Any:
        if prediction is None:
            return np.float32(0)
        self._load(clicks, prediction)
        array = self._filter.coefficients(self._clicks[2], self._clicks[0], self._prediction)
        if array is None:
            return None
        host = np.empty(array.shape, dtype=np.float32)
        self.stream.download(array, host)
        return host

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.float32]:
        """Render a prediction on the grid; see `pyiseg.runtime.pipeline.Pipeline.on_grid`."""
        with self._doing("rendering a selection"):
            self._feed_back(clicks, prediction)
            alpha = np.empty(self._view.grid, dtype=np.float32)
            self.stream.download(self._fed_back, alpha)
            return alpha

    def fetch(self, prediction: Prediction) -> npt.NDArray[np.float32]:
        """Bring a prediction to the host; see `pyiseg.runtime.pipeline.Pipeline.fetch`."""
        if prediction.host is not None:
            return prediction.host
        with self._doing("fetching a prediction"):
            host = np.empty(self._view.grid, dtype=np.float32)
            self.stream.download(prediction.array, host)
            return host

    def adopt(self, prediction: npt.NDArray[np.float32]) -> Prediction:
        """Take a prediction from the host; see `pyiseg.runtime.pipeline.Pipeline.adopt`."""
        return Prediction(host=prediction)

    def carry(self, alpha: npt.NDArray[np.float32]) -> Prediction:
        """What stands for an alpha; see `pyiseg.runtime.pipeline.Pipeline.carry`."""
        return Prediction(host=alpha, carried=True)

    def offload(self) -> None:
        """Move all predictions that were returned to the host; see `pyiseg.runtime.pipeline.Pipeline.offload`."""
        with self._doing("zooming in"):
            self._recent.move_to_host()

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Any:
        """Bring a matte, uint8, shape (H, W), to the device; see `matte_on_device`."""
        with self._doing("rendering a matte"):
            self._rendered = None
            self.stream.upload(alpha, self._alpha)
            self.stream.synchronize()
            return self._alpha

    def _doing(self, what: str) -> AbstractContextManager[None]:
        return on_device(self._native, self.stream, what)

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
        clicks = self.stream.empty((3, capacity, 3), np.int32)
        feed = self._native.ClickFeed(self.stream, clicks, view.grid, view.image)
        self._clicks, self._feed, self._graph = clicks, feed, None
        self._predicted = self._fed = self._rendered = None
        try:
            # Once for itself: runtimes do things at their first run that cannot be captured.
            none = np.empty((0, 3), dtype=np.int32)
            feed.write(none, 0, none)
            self.stream.fill_zero(self._fed_back)
            self._enqueue()
            self.stream.synchronize()
            self._graph = self._capture()
        except BaseException:
            self._clicks, self._feed, self._graph = before
            raise

    def _capture(self) -> Any:
        """A click as a graph; None where it is refused."""
        for remaining in range(CAPTURES - 1, -1, -1):
            try:
                with _collecting_nothing():
                    return self._native.ClickGraph(self._feed, self._enqueue)
            except (
                Exception
            ) as error:  # Whatever it was, it did not happen when the same was enqueued without capturing.
                if not remaining:
                    log.warning(
                        "clicks are not captured as a CUDA graph, which costs time but changes no result: %s", error
                    )
        return None

    def _enqueue(self) -> None:
        """Enqueue a whole click: `_clicks` and `_fed_back` in, `_prediction`, `_alpha` and the next `_fed_back` out."""
        clicks, previous_clicks, image_clicks = self._clicks[0], self._clicks[1], self._clicks[2]
        self._click_stage.encode(clicks, previous_clicks, self._fed_back)
        self.network.enqueue(self.stream)
        self._click_stage.postprocess(clicks, self._prediction)
        self._filter.apply(image_clicks, clicks, self._prediction, self._alpha)
        self.stream.copy(self._filter.on_grid(clicks, self._prediction, applied=True), self._fed_back)

    def _show(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> None:
        """Render a prediction into `_alpha`, unless it is there already."""
        if prediction is None:
            self._rendered = None
            self.stream.fill_zero(self._alpha)
        elif prediction is not self._rendered:
            self._rendered = None
            self._load(clicks, prediction)
            self._filter.apply(self._clicks[2], self._clicks[0], self._prediction, self._alpha)
            self._rendered = prediction

    def _feed_back(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> None:
        """Render a prediction on the grid into `_fed_back`, unless it is there already; without one, zeros."""
        fed, self._fed = self._fed, None
        if prediction is None:
            self.stream.fill_zero(self._fed_back)
        elif prediction.carried:
            self.stream.upload(prediction.host, self._fed_back)
        elif prediction is not fed:
            self._load(clicks, prediction)
            self.stream.copy(self._filter.on_grid(self._clicks[0], self._prediction), self._fed_back)
        self._fed = prediction

    def _load(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> None:
        """Bring a step's prediction and clicks to where they are rendered from."""
        if len(clicks) > self._feed.capacity:
            self._prepare(2 * len(clicks))
        self._feed.write(self._view.grid_clicks(clicks), 0, clicks)
        predicted, self._predicted = self._predicted, None
        if prediction.host is not None:
            self.stream.upload(prediction.host, self._prediction)
        elif prediction is not predicted:
            self.stream.copy(prediction.array, self._prediction)
        self._predicted = prediction


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Keep Python's collector off: what it frees, here or in other libraries, would spoil a capture.

    It is on again once the last of all threads that capture has left, if it was before the first one came.
    """
    global _capturing, _collected
    with _lock:
        if not _capturing:
            _collected = gc.isenabled()
            gc.disable()
        _capturing += 1
    try:
        yield
    finally:
        with _lock:
            _capturing -= 1
            if _collected and not _capturing:
                gc.enable()
