"""A model's networks in ONNX Runtime. The only module of pyiseg that imports onnxruntime."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from pyiseg import _core
from pyiseg.errors import ModelError
from pyiseg.model import Model
from pyiseg.runtime.scratch import Scratch

_STRIP = 1 << 16  # Pixels given to guide.onnx at a time: with 64 channels, 16 MiB, whatever the image's size.


class Networks:
    """The networks of a model: shared by all images, run from any thread. Made by `networks_of`.

    Attributes:
        learned_guide: Whether there is a guide.onnx.
        guide_sees_clicks: Whether that takes click maps.
        click_inputs: Names of click.onnx's inputs.
    """

    def __init__(self, model: Model, num_threads: int | None = None) -> None:
        self._folder, self._num_threads = model.folder, num_threads
        self._image = self._open(model, "image.onnx") if "image.onnx" in model.files else None
        self._click = self._open(model, "click.onnx")
        self._guide = self._open(model, "guide.onnx") if "guide.onnx" in model.files else None
        if self._image is not None:
            self._check("image.onnx", self._image, needs={"image"}, may=set(), gives=set())
        features = set(_names(self._image.get_outputs())) if self._image is not None else set()
        # Without previous_alpha the network does not feed back; with image it fuses clicks and image early.
        may = {"previous_alpha", "image", *features}
        self._check("click.onnx", self._click, needs={"click_maps"}, may=may, gives={"alpha"})
        self.click_inputs = frozenset(_names(self._click.get_inputs()))
        self.learned_guide, self.guide_sees_clicks = self._guide is not None, False
        if self._guide is not None:
            self._check("guide.onnx", self._guide, needs={"image"}, may={"click_maps"}, gives={"guide"})
            self.guide_sees_clicks = "click_maps" in _names(self._guide.get_inputs())
        if self.guide_sees_clicks and model.grid_stride != 1:
            raise ModelError(
                f"'{self._folder / 'guide.onnx'}' takes click_maps, so the grid must be the working image, but "
                f"model.json states grid_stride {model.grid_stride}; export the model again, with grid_stride 1"
            )

    def features_of(self, working: ort.OrtValue) -> dict[str, ort.OrtValue]:
        """Return image.onnx's outputs by name, as values that stay in ONNX Runtime. None with early fusion."""
        if self._image is None:
            return {}
        binding = self._image.io_binding()
        binding.bind_ortvalue_input("image", working)
        names = _names(self._image.get_outputs())
        for name in names:
            binding.bind_output(name)
        self._run("image.onnx", self._image, binding)
        return dict(zip(names, binding.get_outputs(), strict=True))

    def click(
        self, inputs: Mapping[str, ort.OrtValue | npt.NDArray[np.float32]], alpha: npt.NDArray[np.float32]
    ) -> None:
        """Run click.onnx, which reads its inputs in place.

        Args:
            inputs: By name; those that the network does not take are left out.
            alpha: Filled, float32, shape (1, 1, h, w).
        """
        binding = self._click.io_binding()
        for name in self.click_inputs:
            value = inputs[name]
            binding.bind_ortvalue_input(name, ort_value(value) if isinstance(value, np.ndarray) else value)
        binding.bind_ortvalue_output("alpha", ort_value(alpha))
        self._run("click.onnx", self._click, binding)

    def guide(self, pixels: int, scratch: Scratch) -> GuideStrips:
        """Return guide.onnx at work.

        Args:
            pixels: Of what it is to compute the guide of; strips are no longer.
            scratch: Where its inputs lie.
        """
        assert self._guide is not None, "with the color guide there is nothing to run"
        return GuideStrips(self, self._guide, min(_STRIP, pixels), scratch)

    def _open(self, model: Model, name: str) -> ort.InferenceSession:
        try:
            # Without falling back to the same provider, of which it prints a notice.
            network = ort.InferenceSession(
                model.files[name],
                _options(self._num_threads),
                providers=["CPUExecutionProvider"],
                enable_fallback=0,
            )
            _names((*network.get_inputs(), *network.get_outputs()))  # of a damaged file they may be no text
            return network
        except Exception as error:
            _reraise_foreign(error)
            way_out = ": it got no more threads, so let PYISEG_NUM_THREADS be 1" if "pthread" in str(error) else ""
            raise ModelError(
                f"ONNX Runtime {ort.__version__} cannot load '{self._folder / name}'{way_out}: {error}"
            ) from error

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


class GuideStrips:
    """guide.onnx on strips of pixels; see `pyiseg.runtime.guide.GuideNetwork`."""

    def __init__(self, networks: Networks, network: ort.InferenceSession, strip: int, scratch: Scratch) -> None:
        self._networks, self._network, self._strip = networks, network, strip
        self.image = scratch.empty((1, 3, 1, strip))
        self.maps = scratch.empty((1, 2, 1, strip)) if networks.guide_sees_clicks else None

    def run(self, out: npt.NDArray[np.float32], first: int) -> None:
        """See `pyiseg.runtime.guide.GuideNetwork.run`."""
        binding = self._network.io_binding()
        binding.bind_ortvalue_input("image", ort_value(self.image))
        if self.maps is not None:
            binding.bind_ortvalue_input("click_maps", ort_value(self.maps))
        binding.bind_ortvalue_output("guide", ort_value(out[first : first + self._strip].reshape(1, 1, 1, -1)))
        self._networks._run("guide.onnx", self._network, binding)


def ort_value(array: npt.NDArray[np.float32]) -> ort.OrtValue:
    """Return an array as ONNX Runtime takes it, in place."""
    return ort.OrtValue.ortvalue_from_numpy(array)


_opened: WeakKeyDictionary[Model, Networks] = WeakKeyDictionary()
_opening = threading.Lock()


def networks_of(model: Model, num_threads: int | None = None) -> Networks:
    """Return the networks of a model, opened once and kept as long as the model is.

    Args:
        model: The model.
        num_threads: In how many threads each network runs: the caller's own, and others that callers side by side have
            in common. None for PYISEG_NUM_THREADS or, if that is not set, ONNX Runtime's own number. Only the call
            that opens the networks decides it.

    Raises:
        ModelError: ONNX Runtime cannot run them, or they are not of a kind that pyiseg knows.
    """
    with _opening:
        if model not in _opened:
            _opened[model] = Networks(model, num_threads)
        return _opened[model]


def _reraise_foreign(error: Exception) -> None:
    """Let through what is not ONNX Runtime's: a signal handler's exception, say, or MemoryError.

    Its errors have no common base; those that its bindings do not name arrive as RuntimeError itself.
    """
    # A message with bytes of a damaged file in it arrives as UnicodeDecodeError.
    own = type(error) in (RuntimeError, UnicodeDecodeError) or type(error).__module__.startswith("onnxruntime")
    if not own:
        raise error


def _options(num_threads: int | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    # _core's threads run between the networks. Workers that spin while they wait would keep the cores from them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    elif os.environ.get("PYISEG_NUM_THREADS"):
        options.intra_op_num_threads = _core.get_num_threads()
    options.log_severity_level = 4  # What goes wrong is raised; it need not be printed as well.
    return options


def _names(values: Any) -> list[str]:
    return [value.name for value in values]
