"""The CPU pipeline: ONNX Runtime runs the networks, pyiseg._core does the rest.

This is the only module that imports onnxruntime, and it is imported when the first session is built.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pyiseg import _core
from pyiseg.errors import ModelError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.click import NUMPY, ClickStage, Float32
from pyiseg.runtime.guided_filter import ColorFilter, GuidedFilter, LearnedFilter

_STRIP = 1 << 16  # Pixels given to guide.onnx at a time: with 64 channels, 16 MiB, whatever the image's size.


class Carried(NamedTuple):
    """An alpha on the grid that stands for a prediction, to go on from; shape (h, w)."""

    alpha: Float32


class CpuPipeline:
    """One image on the CPU; see `pyiseg.backend.Pipeline`.

    The buffers are allocated here and written by every click. ONNX Runtime reads and writes them in place, and holds
    the image's features as its own values, so a click copies nothing in or out of the networks.
    """

    def __init__(self, model: Model, view: View, rgb: npt.NDArray[np.uint8]) -> None:
        self._model, self._view, self._networks = model, view, _networks_of(model)
        self._click_stage = ClickStage(model.rules, view.grid)
        planes = view.working_image(rgb)
        self._filter = self._make_filter(rgb, planes)
        working = ort.OrtValue.ortvalue_from_numpy(planes)
        inputs = {
            "image": working,
            "click_maps": ort.OrtValue.ortvalue_from_numpy(self._click_stage.maps),
            "previous_alpha": ort.OrtValue.ortvalue_from_numpy(self._click_stage.previous),
            **self._networks.features_of(working),
        }
        self._binding = self._networks.click.io_binding()
        for wanted in self._networks.click.get_inputs():
            self._binding.bind_ortvalue_input(wanted.name, inputs[wanted.name])
        self._binding.bind_ortvalue_output("alpha", ort.OrtValue.ortvalue_from_numpy(self._click_stage.answer))

    def _make_filter(self, rgb: npt.NDArray[np.uint8], planes: Float32) -> GuidedFilter:
        rules, view, networks = self._model.rules, self._view, self._networks
        if networks.guide is None:
            return ColorFilter(rules, view, rgb, NUMPY, np.zeros)
        guide: _ImageGuide | _ClickGuide
        if networks.guide_sees_clicks:
            guide = _ClickGuide(networks, view, rgb, planes, rules.sigmas[0])
        else:
            guide = _ImageGuide(networks, view, rgb)
        return LearnedFilter(rules, guide, view.grid, _core, np.zeros)

    def predict(self, clicks: npt.NDArray[np.int32], previous: Float32 | Carried | None) -> Float32:
        """Predict the selection after the last of some clicks; see `pyiseg.backend.Pipeline.predict`."""
        placed = self._view.grid_clicks(clicks)
        alpha = np.zeros(self._view.grid, np.float32) if previous is None else self._on_grid(placed[:-1], previous)
        self._click_stage.encode(placed, placed[:-1], alpha)
        self._networks.run_click(self._binding)
        prediction = np.empty(self._view.grid, dtype=np.float32)
        self._click_stage.postprocess(placed, prediction)
        return prediction

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Float32) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; see `pyiseg.backend.Pipeline.matte`."""
        alpha = np.empty(self._view.image, dtype=np.uint8)
        self._filter.apply(clicks, self._view.grid_clicks(clicks), prediction, alpha)
        return alpha

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Float32) -> Float32:
        """Render a prediction on the grid; see `pyiseg.backend.Pipeline.on_grid`."""
        return np.array(self._on_grid(self._view.grid_clicks(clicks), prediction))

    def carry(self, alpha: Float32) -> Carried:
        """A prediction that stands for an alpha; see `pyiseg.backend.Pipeline.carry`."""
        return Carried(alpha)

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> CpuPipeline:
        """Return the pipeline of a crop; see `pyiseg.backend.Pipeline.for_crop`."""
        return CpuPipeline(self._model, view, rgb)

    def offload(self) -> None:
        """Nothing is held; see `pyiseg.backend.Pipeline.offload`."""

    def _on_grid(self, placed: npt.NDArray[np.int32], prediction: Float32 | Carried) -> Float32:
        """What `on_grid` returns, for clicks on the grid; not for long."""
        if isinstance(prediction, Carried):
            return prediction.alpha
        alpha: Float32 = self._filter.on_grid(placed, prediction)
        return alpha


class _ImageGuide:
    """A guide that the image alone decides: computed once, at the image's resolution, and averaged to the grid."""

    def __init__(self, networks: _Networks, view: View, rgb: npt.NDArray[np.uint8]) -> None:
        self.full = np.empty(rgb.shape[:2], dtype=np.float32)
        pixels, flat = rgb.reshape(-1, 3), self.full.reshape(-1)
        for start in range(0, len(pixels), _STRIP):
            strip = slice(start, start + _STRIP)
            networks.run_guide(_planes(pixels[strip]), None, flat[strip])
        self.grid = view.grid_guide(self.full)
        # Only differences of the guide matter. Centred, it is small, and its windows' sums lose nothing in FP32.
        mean = _mean(self.grid)
        self.full -= mean
        self.grid -= mean

    def on_grid(self, clicks: npt.NDArray[np.int32]) -> Float32:
        """The centered guide that coefficients are fitted to, shape (h, w); overwritten by the next call."""
        return self.grid

    def at_image(self) -> Float32:
        """The same guide at the image's resolution, shape (H, W)."""
        return self.full


class _ClickGuide:
    """A guide that also sees the clicks: computed for the clicks that it is asked for, into buffers made here.

    It is fitted where the network works, on the working image and the click maps as they are, and applied at the image
    itself with those maps enlarged. A call of `on_grid` remembers nothing of earlier ones, so undo gives the same bits.
    """

    def __init__(
        self, networks: _Networks, view: View, rgb: npt.NDArray[np.uint8], working: Float32, sigma: float
    ) -> None:
        self._networks, self._view, self._rgb = networks, view, rgb
        self._working, self._sigma = working.reshape(3, -1), sigma
        self.full = np.empty(view.image, dtype=np.float32)
        self.grid = np.empty(view.grid, dtype=np.float32)
        self.maps = np.empty((2, *view.grid), dtype=np.float32)
        self._mean = np.float32(0)

    def at_image(self) -> Float32:
        """See `pyiseg.runtime.guided_filter.Guide.at_image`; overwritten by the next call."""
        for rows, maps in self._view.image_rows(self.maps, _STRIP):
            planes = _planes(self._rgb[rows].reshape(-1, 3))
            self._networks.run_guide(planes, maps.reshape(1, 2, 1, -1), self.full[rows].reshape(-1))
        self.full -= self._mean
        return self.full

    def on_grid(self, clicks: npt.NDArray[np.int32]) -> Float32:
        """See `pyiseg.runtime.guided_filter.Guide.on_grid`."""
        _core.click_maps(clicks, (self._sigma,), self.maps)
        flat, maps = self.grid.reshape(-1), self.maps.reshape(2, -1)
        for start in range(0, flat.size, _STRIP):
            strip = np.s_[start : start + _STRIP]
            image, clicked = (np.ascontiguousarray(x[:, strip])[None, :, None] for x in (self._working, maps))
            self._networks.run_guide(image, clicked, flat[strip])
        self._mean = _mean(self.grid)
        self.grid -= self._mean
        return self.grid


def _planes(pixels: npt.NDArray[np.uint8]) -> Float32:
    """RGB pixels, shape (N, 3), as a network takes them: 0..1, shape (1, 3, 1, N)."""
    planes = np.empty((1, 3, 1, len(pixels)), dtype=np.float32)
    np.divide(pixels.T, np.float32(255), out=planes[0, :, 0])
    return planes


def _mean(guide: Float32) -> np.float32:
    mean: np.float32 = np.float32(guide.mean(dtype=np.float64))
    return mean


class _Networks:
    """A model's networks in ONNX Runtime: shared by all sessions, run from any thread."""

    def __init__(self, model: Model) -> None:
        self._folder = model.folder
        self.image = self._open(model, "image.onnx") if "image.onnx" in model.files else None
        self.click = self._open(model, "click.onnx")
        self.guide = self._open(model, "guide.onnx") if "guide.onnx" in model.files else None
        if self.image is not None:
            self._check("image.onnx", self.image, needs={"image"}, may=set(), gives=set())
        features = set(_names(self.image.get_outputs())) if self.image is not None else set()
        # Without previous_alpha the network does not feed back; with image it fuses clicks and image early.
        may = {"previous_alpha", "image", *features}
        self._check("click.onnx", self.click, needs={"click_maps"}, may=may, gives={"alpha"})
        self.guide_sees_clicks = False
        if self.guide is not None:
            self._check("guide.onnx", self.guide, needs={"image"}, may={"click_maps"}, gives={"guide"})
            self.guide_sees_clicks = "click_maps" in _names(self.guide.get_inputs())
        if self.guide_sees_clicks and model.grid_stride != 1:
            raise ModelError(
                f"'{self._folder / 'guide.onnx'}' takes click_maps, so the grid must be the working image, but "
                f"model.json states grid_stride {model.grid_stride}; export the model again, with grid_stride 1"
            )

    def features_of(self, working: ort.OrtValue) -> dict[str, ort.OrtValue]:
        """The image stream's outputs by name, as values that stay in ONNX Runtime. None for an early-fusion model."""
        if self.image is None:
            return {}
        binding = self.image.io_binding()
        binding.bind_ortvalue_input("image", working)
        names = _names(self.image.get_outputs())
        for name in names:
            binding.bind_output(name)
        self._run("image.onnx", self.image, binding)
        return dict(zip(names, binding.get_outputs(), strict=True))

    def run_guide(self, image: Float32, maps: Float32 | None, guide: Float32) -> None:
        """Compute the guide of some pixels. The network is pointwise, so any will do, in any arrangement.

        Args:
            image: RGB in 0..1, shape (1, 3, 1, N).
            maps: The finest background and foreground map, shape (1, 2, 1, N), for a guide that sees the clicks.
            guide: Filled, float32, shape (N,).
        """
        assert self.guide is not None, "with the color guide there is nothing to run"
        binding = self.guide.io_binding()
        binding.bind_cpu_input("image", image)
        if maps is not None:
            binding.bind_cpu_input("click_maps", maps)
        binding.bind_ortvalue_output("guide", ort.OrtValue.ortvalue_from_numpy(guide.reshape(1, 1, 1, -1)))
        self._run("guide.onnx", self.guide, binding)

    def run_click(self, binding: ort.IOBinding) -> None:
        self._run("click.onnx", self.click, binding)

    def _open(self, model: Model, name: str) -> ort.InferenceSession:
        try:
            return ort.InferenceSession(model.files[name], _options(), providers=["CPUExecutionProvider"])
        except Exception as error:
            _reraise_foreign(error)
            raise ModelError(f"ONNX Runtime {ort.__version__} cannot load '{self._folder / name}': {error}") from error

    def _run(self, name: str, network: ort.InferenceSession, binding: ort.IOBinding) -> None:
        try:
            network.run_with_iobinding(binding)
        except Exception as error:
            _reraise_foreign(error)
            raise ModelError(f"'{self._folder / name}' failed on this image: {error}") from error

    def _check(self, name: str, network: ort.InferenceSession, needs: set[str], may: set[str], gives: set[str]) -> None:
        inputs, outputs = network.get_inputs(), network.get_outputs()
        has, out = set(_names(inputs)), set(_names(outputs))
        if not (needs <= has <= needs | may and gives <= out):
            raise ModelError(
                f"'{self._folder / name}' is not a network pyiseg can run: it turns {sorted(has)} into {sorted(out)}, "
                f"which should be {sorted(needs)}{f' and some of {sorted(may)}' if may else ''} into "
                f"{sorted(gives) or 'features'}"
            )
        other = [f"{value.name} is {value.type}" for value in (*inputs, *outputs) if value.type != "tensor(float)"]
        if other:
            raise ModelError(f"'{self._folder / name}' must take and give float32, but {', '.join(other)}")


_opened: WeakKeyDictionary[Model, _Networks] = WeakKeyDictionary()
_opening = threading.Lock()


def _networks_of(model: Model) -> _Networks:
    """The networks of a model, opened once and kept as long as the model is."""
    with _opening:
        if model not in _opened:
            _opened[model] = _Networks(model)
        return _opened[model]


def _reraise_foreign(error: Exception) -> None:
    """Let through what is not ONNX Runtime's: a signal handler's exception, say, or MemoryError.

    Its errors have no common base; those that its bindings do not name arrive as RuntimeError itself.
    """
    if not (type(error) is RuntimeError or type(error).__module__.startswith("onnxruntime")):
        raise error


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    # _core's threads run between the networks. Workers that spin while they wait would keep the cores from them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if os.environ.get("PYISEG_NUM_THREADS"):
        options.intra_op_num_threads = _core.get_num_threads()
    options.log_severity_level = 4  # What goes wrong is raised; it need not be printed as well.
    return options


def _names(values: Any) -> list[str]:
    return [value.name for value in values]
