"""The CUDA pipeline: engines run the networks, native streams do the rest, and a click is one captured launch.

It is given its device (`pyiseg._core.cuda`, or `pyiseg._core.host`, which walks the same way without a GPU) and its
engines (`pyiseg.engine`), and imports neither TensorRT nor anything of CUDA.

Device memory of one image, all of it allocated when the pipeline is made: the image (3 bytes a pixel, unless it lies
there already), guide and matte (5 bytes a pixel), the working image, the features, a dozen grids and the engines'
scratch; `CudaPipeline.nbytes` tells. Each click adds its lines (8 bytes a grid pixel, at most 0.5 MB with the default
model); those of the last 32 clicks stay on the device, older ones move to the host (`pyiseg.device_lines`).
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
from pyiseg.chain import Chain
from pyiseg.device_guide import ClickGuide, ImageGuide
from pyiseg.device_lines import Lines, RecentLines
from pyiseg.device_memory import Memory, failures
from pyiseg.engine import Engine, Execution
from pyiseg.errors import ModelError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.resampling import working_image

CAPACITY = 64  # Clicks that a captured graph has room for; one more, and it is captured anew with twice as many.
CAPTURES = 3  # Tries to capture a click: another thread that waits for the whole device spoils one.

Engines: TypeAlias = Mapping[str, Engine]
log = logging.getLogger("pyiseg")


class CudaPipeline:
    """One image on a device; see `pyiseg.backend.Pipeline`.

    Args:
        model: For its rules; the networks come as engines.
        view: How the model sees the image.
        image: RGB, uint8, shape (H, W, 3), C-contiguous: a numpy array, which is uploaded, or something with a method
            ``borrow(stream)`` that gives a native array, which is used where it lies.
        native: The device, `pyiseg._core.cuda`.
        engines: "image" (absent with early fusion), "click" and "guide".
        of_parts: The same for images of any size: for parts that are looked at closer. None: those above.

    Raises:
        DeviceError: The device or an engine failed, or there is no memory left; nothing of the pipeline stays then.
    """

    def __init__(
        self, model: Model, view: View, image: Any, *, native: Any, engines: Engines, of_parts: Engines | None = None
    ) -> None:
        with failures(native, "making a session"):
            self._native, self._model, self._view = native, model, view
            self._of_parts = engines if of_parts is None else of_parts
            self._stream = native.Stream()
        with self._doing("making a session"):
            memory = self._memory = Memory(self._stream)
            self._rgb = memory.uploaded(image) if isinstance(image, np.ndarray) else image.borrow(self._stream)
            self._working = memory.empty((1, 3, *view.working))
            self._stream.copy(working_image(Memory(self._stream).device, view, self._rgb), self._working)
            inputs = engines["click"].inputs
            dtypes = inputs["click_maps"], inputs.get("previous_alpha", np.dtype(np.float32))
            self._chain = Chain(model.rules, view.grid, self._stream, memory.zeros, dtypes)
            self._features = self._look(engines)
            self._click = self._open(
                engines["click"],
                {
                    "image": self._working,
                    "click_maps": self._chain.maps,
                    "previous_alpha": self._chain.previous,
                    "alpha": self._chain.answer,
                    **self._features,
                },
            )
            guide = engines["guide"]
            if "click_maps" in guide.inputs:
                sigma = model.rules.sigmas[0]
                self._guide: Any = ClickGuide(memory, view, guide, self._rgb, self._working, sigma)
            else:
                self._guide = ImageGuide(memory, view, guide, self._rgb)
            self._lines = memory.zeros((2, *view.grid))
            self._alpha = memory.zeros(view.image, np.uint8)
            self._soft = memory.zeros(view.grid)
            self._held: Lines | None = None  # whose lines are in the buffer
            self._drawn: Lines | None = None  # whose matte is
            self._recent = RecentLines(self._stream)
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

    def predict(self, clicks: npt.NDArray[np.int32], previous: Lines | None) -> Lines:
        """Predict the lines after the last of some clicks, and draw them; see `pyiseg.backend.Pipeline.predict`."""
        with self._doing("a click"):
            if len(clicks) > self._feed.capacity:
                self._prepare(2 * len(clicks))
            lines = Lines(array=self._stream.empty(self._lines.shape))  # before anything is under way
            self._load(previous)
            self._held = self._drawn = None
            if self._graph is not None:
                self._graph.launch(clicks, len(clicks) - 1)
            else:
                self._feed.write(clicks, len(clicks) - 1)
                self._enqueue()
            self._stream.copy(self._lines, lines.array)
            self._recent.add(lines)
            self._held = self._drawn = lines
            return lines

    def matte(self, clicks: npt.NDArray[np.int32], lines: Lines) -> npt.NDArray[np.uint8]:
        """Draw lines at the image's own resolution; see `pyiseg.backend.Pipeline.matte`."""
        with self._doing("drawing a matte"):
            self._show(clicks, lines)
            alpha = np.empty(self._view.image, dtype=np.uint8)
            self._stream.download(self._alpha, alpha)
            return alpha

    def matte_on_device(self, clicks: npt.NDArray[np.int32], lines: Lines | None) -> Any:
        """The same, left where it is: a native array, uint8, shape (H, W), complete; the next call overwrites it.

        Args:
            clicks: As for `matte`.
            lines: Likewise; None stands for nothing selected.
        """
        with self._doing("drawing a matte"):
            self._show(clicks, lines)
            self._stream.synchronize()
            self._drawn = None  # whoever gets it may write into it
            return self._alpha

    def on_grid(self, clicks: npt.NDArray[np.int32], lines: Lines) -> npt.NDArray[np.float32]:
        """Draw lines on the grid; see `pyiseg.backend.Pipeline.on_grid`."""
        with self._doing("drawing a selection"):
            guide = self._set(clicks, lines)
            self._stream.apply_coefficients(self._lines, guide, self._soft)
            self._held = lines
            alpha = np.empty(self._view.grid, dtype=np.float32)
            self._stream.download(self._soft, alpha)
            return alpha

    def lines_of(self, alpha: npt.NDArray[np.float32]) -> Lines:
        """Lines that stand for an alpha; see `pyiseg.backend.Pipeline.lines_of`."""
        return Lines(host=np.stack((np.zeros_like(alpha), alpha)))

    def part(self, view: View, rgb: npt.NDArray[np.uint8]) -> CudaPipeline:
        """The pipeline of a part of the image; see `pyiseg.backend.Pipeline.part`."""
        with self._doing("looking closer"):  # on this device, whichever one is current for the caller
            return CudaPipeline(self._model, view, rgb, native=self._native, engines=self._of_parts)

    def retire(self) -> None:
        """Move all lines that were returned to the host; see `pyiseg.backend.Pipeline.retire`."""
        with self._doing("looking closer"):
            self._recent.move_to_host()

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Any:
        """Bring a matte, uint8, shape (H, W), to the device; see `matte_on_device`."""
        with self._doing("drawing a matte"):
            self._drawn = None
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

    def _look(self, engines: Engines) -> dict[str, Any]:
        """Run the image stream, and keep its features."""
        if "image" not in engines:
            return {}
        engine = engines["image"]
        execution = engine.open({"image": self._working.shape})
        features = {name: self._memory.empty(execution.outputs[name], dtype) for name, dtype in engine.outputs.items()}
        # Its scratch is given back when the image has been looked at: a click needs it no more.
        scratch = self._stream.empty((execution.scratch_bytes,), np.uint8)
        execution.use_scratch(scratch.ptr)
        for name, array in {"image": self._working, **features}.items():
            execution.bind(name, array.ptr)
        execution.enqueue(self._stream)
        self._stream.synchronize()
        return features

    def _open(self, engine: Engine, arrays: Mapping[str, Any]) -> Execution:
        for name, dtype in {**engine.inputs, **engine.outputs}.items():
            has = arrays[name].dtype if name in arrays else None
            if has != dtype:
                raise ModelError(
                    f"the click network's {name} is {dtype}, where pyiseg has {has or 'nothing of that name'}; "
                    "export the model again"
                )
        execution = engine.open({name: arrays[name].shape for name in engine.inputs})
        execution.use_scratch(self._memory.empty((execution.scratch_bytes,), np.uint8).ptr)
        for name in (*engine.inputs, *engine.outputs):
            execution.bind(name, arrays[name].ptr)
        return execution

    def _prepare(self, capacity: int) -> None:
        """Make room for so many clicks, and capture a click. If that fails, the room there was stays."""
        clicks = self._stream.empty((2, capacity, 3), np.int32)
        feed = self._native.ClickFeed(self._stream, clicks, self._view.grid)
        self._clicks, self._feed, self._graph = clicks, feed, None
        self._held = self._drawn = None
        # Once for itself: runtimes do things at their first run that cannot be captured.
        feed.write(np.empty((0, 3), dtype=np.int32), 0)
        self._stream.fill_zero(self._lines)
        self._enqueue()
        self._stream.synchronize()
        self._graph = self._capture()

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
        """Enqueue a whole click: `_clicks` and `_lines` in, `_lines` and `_alpha` out."""
        clicks, answered = self._clicks[0], self._clicks[1]
        self._chain.before(clicks, answered, self._lines, self._guide.on_grid(answered))
        self._click.enqueue(self._stream)
        self._chain.after(clicks, self._guide.on_grid(clicks), self._lines)
        self._stream.apply_coefficients(self._lines, self._guide.at_image(), self._alpha)

    def _show(self, clicks: npt.NDArray[np.int32], lines: Lines | None) -> None:
        """Draw lines into `_alpha`, unless it holds them already."""
        if lines is None:
            self._drawn = None
            self._stream.fill_zero(self._alpha)
        elif lines is not self._drawn:
            self._set(clicks, lines)
            self._stream.apply_coefficients(self._lines, self._guide.at_image(), self._alpha)
            self._held = self._drawn = lines

    def _set(self, clicks: npt.NDArray[np.int32], lines: Lines) -> Any:
        """Bring a step's lines and clicks to where they are drawn from, and return the guide on the grid for them."""
        if len(clicks) > self._feed.capacity:
            self._prepare(2 * len(clicks))
        self._drawn = None
        self._load(lines)
        self._feed.write(clicks, 0)
        return self._guide.on_grid(self._clicks[0])

    def _load(self, lines: Lines | None) -> None:
        """Bring a step's lines into the buffer that a click starts from."""
        held, self._held = self._held, None
        if lines is None:
            self._stream.fill_zero(self._lines)
        elif lines.host is not None:
            self._stream.upload(lines.host, self._lines)
        elif lines is not held:
            self._stream.copy(lines.array, self._lines)
