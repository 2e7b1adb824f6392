"""The CPU pipeline: ONNX Runtime runs the networks, pyiseg._core does the rest.

This is the only module that imports onnxruntime, and it is imported when the first session is built.
"""

from __future__ import annotations

import os
import threading
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pyiseg import _core
from pyiseg.chain import Chain, Float32
from pyiseg.errors import ModelError
from pyiseg.geometry import View
from pyiseg.model import Model

_STRIP = 1 << 16  # Pixels given to guide.onnx at a time: with 64 channels, 16 MiB, whatever the image's size.


class CpuPipeline:
    """One image on the CPU; see `pyiseg.backend.Pipeline`.

    The chain's buffers are allocated here and written by every click. ONNX Runtime reads and writes them in place, and
    holds the image's features as its own values, so a click copies nothing in or out of the networks.
    """

    def __init__(self, model: Model, view: View, rgb: npt.NDArray[np.uint8]) -> None:
        self._networks = _networks_of(model)
        self._guide = self._networks.guide_of(rgb)
        grid_guide = view.grid_guide(self._guide)
        # Only differences of the guide matter. Centred, it is small, and its windows' sums lose nothing in FP32.
        mean = np.float32(grid_guide.mean(dtype=np.float64))
        self._guide -= mean
        grid_guide -= mean
        self._chain = Chain(model.rules, grid_guide)

        working = ort.OrtValue.ortvalue_from_numpy(view.working_image(rgb))
        inputs = {
            "image": working,
            "click_maps": ort.OrtValue.ortvalue_from_numpy(self._chain.maps),
            "previous_alpha": ort.OrtValue.ortvalue_from_numpy(self._chain.previous),
            **self._networks.features_of(working),
        }
        self._binding = self._networks.click.io_binding()
        for wanted in self._networks.click.get_inputs():
            self._binding.bind_ortvalue_input(wanted.name, inputs[wanted.name])
        self._binding.bind_ortvalue_output("alpha", ort.OrtValue.ortvalue_from_numpy(self._chain.answer))

    def predict(self, clicks: npt.NDArray[np.int32], previous: Float32 | None) -> Float32:
        """Predict the lines after the last of some clicks; see `pyiseg.backend.Pipeline.predict`."""
        self._chain.before(clicks, previous, len(clicks) - 1)
        self._networks.run_click(self._binding)
        return self._chain.after(clicks)

    def matte(self, lines: Float32) -> npt.NDArray[np.uint8]:
        """Draw lines at the image's own resolution; see `pyiseg.backend.Pipeline.matte`."""
        alpha = np.empty(self._guide.shape, dtype=np.uint8)
        _core.apply_lines(lines, self._guide, alpha)
        return alpha


class _Networks:
    """A model's networks in ONNX Runtime: shared by all sessions, run from any thread."""

    def __init__(self, model: Model) -> None:
        self._folder = model.folder
        self.image = self._open(model, "image.onnx") if "image.onnx" in model.files else None
        self.click = self._open(model, "click.onnx")
        self.guide = self._open(model, "guide.onnx")
        if self.image is not None:
            self._check("image.onnx", self.image, needs={"image"}, may=set(), gives=set())
        features = set(_names(self.image.get_outputs())) if self.image is not None else set()
        self._check(
            "click.onnx", self.click, needs={"click_maps", "previous_alpha"}, may={"image", *features}, gives={"alpha"}
        )
        self._check("guide.onnx", self.guide, needs={"image"}, may=set(), gives={"guide"})

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

    def guide_of(self, rgb: npt.NDArray[np.uint8]) -> Float32:
        """The guide at the image's own resolution, shape (H, W). The network is pointwise, so any strip will do."""
        guide = np.empty(rgb.shape[:2], dtype=np.float32)
        pixels, flat = rgb.reshape(-1, 3), guide.reshape(-1)
        for start in range(0, len(pixels), _STRIP):
            strip = pixels[start : start + _STRIP]
            planes = np.empty((1, 3, 1, len(strip)), dtype=np.float32)
            np.divide(strip.T, np.float32(255), out=planes[0, :, 0])
            binding = self.guide.io_binding()
            binding.bind_cpu_input("image", planes)
            target = flat[start : start + _STRIP].reshape(1, 1, 1, -1)
            binding.bind_ortvalue_output("guide", ort.OrtValue.ortvalue_from_numpy(target))
            self._run("guide.onnx", self.guide, binding)
        return guide

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
