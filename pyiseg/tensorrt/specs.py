"""Which engines a model needs for a working size, and what each is built from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pyiseg.model import Model
from pyiseg.runtime.engine import GUIDE_STRIP

Size = tuple[int, int]

_ASPECTS = ((1, 1), (3, 4), (4, 3), (2, 3), (3, 2), (9, 16), (16, 9), (10, 16), (16, 10))  # height : width


@dataclasses.dataclass(frozen=True)
class EngineSpec:
    """The network and the sizes that one engine is built for.

    Sizes are (height, width) in pixels of the network input; those of a guide in pixels.

    Attributes:
        network: "image", "click" or "guide".
        min, opt, max: The smallest size that it takes, the one it is optimized for, and the largest.
        grid_stride: Working pixels to a grid pixel.
    """

    network: str
    min: Size
    opt: Size
    max: Size
    grid_stride: int

    @property
    def static(self) -> bool:
        """Whether it takes one size only."""
        return self.min == self.max

    @property
    def size(self) -> str:
        """As in a file's name: "384x512", or "32x32to512x512"."""
        low, high = (f"{height}x{width}" for height, width in (self.min, self.max))
        return high if self.static else f"{low}to{high}"

    def grid(self, size: Size) -> Size:
        """The grid of a working size."""
        return size[0] // self.grid_stride, size[1] // self.grid_stride


def working_size(model: Model, image: Size) -> Size:
    """The working size of an image."""
    fit = model.view(image)
    return fit.working


def common_sizes(model: Model) -> tuple[Size, ...]:
    """The working sizes that have engines of their own: those of the usual aspect ratios, both ways round."""
    return tuple(dict.fromkeys(working_size(model, aspect) for aspect in _ASPECTS))


def engine_specs(model: Model, working: Size | None) -> tuple[EngineSpec, ...]:
    """The engines for a working size, in the order in which they are needed.

    Args:
        model: Without image.onnx there is none for "image", without guide.onnx none for "guide".
        working: One of `common_sizes` gets engines for itself, any other those for all sizes; None stands for these.
    """
    if working in common_sizes(model):
        low, best, high = working, working, working
    else:
        low, high = (model.multiple,) * 2, (model.long_side,) * 2
        best = working_size(model, (3, 4))
    made = {network: EngineSpec(network, low, best, high, model.grid_stride) for network in ("image", "click")}
    strip = (1, GUIDE_STRIP)
    made["guide"] = EngineSpec("guide", strip, strip, strip, 1)
    return tuple(spec for network, spec in made.items() if f"{network}.onnx" in model.files)


def engine_specs_for(model: Model, sizes: Sequence[str]) -> tuple[EngineSpec, ...]:
    """The engines for some images, each once.

    Args:
        model: As for `engine_specs`.
        sizes: Of images, as in "480x640" (height, width), or "any" for the engines that take all other sizes. None at
            all stands for `common_sizes` and "any".

    Raises:
        ValueError: One is no size.
    """
    working: list[Size | None] = []
    for text in sizes:
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
        if match is None and text != "any":
            raise ValueError(f"size is {text!r}; pass height and width of an image, as in 480x640, or any")
        working.append(None if match is None else working_size(model, (int(match[1]), int(match[2]))))
    working = working or [*common_sizes(model), None]
    return tuple(dict.fromkeys(spec for size in working for spec in engine_specs(model, size)))


def network_file(model: Model, network: str) -> str:
    """The file that a part's engine is built from: the one in FP16 if there is one. The guide needs FP32."""
    if network != "guide" and model.has_fp16:
        return f"{network}.fp16.onnx"
    return f"{network}.onnx"


def depends_on(model: Model, network: str) -> dict[str, str]:
    """The SHA-256 of all files that a part's engine depends on, by name."""
    if model not in _hashes:
        _hashes[model] = model.sha256
    # The features between them are inputs of "click"; what is FP16 has its weights in the FP32 file.
    networks = [network, "image"] if network == "click" else [network]
    names = {name for one in networks for name in (network_file(model, one), f"{one}.onnx")}
    return {name: _hashes[model][name] for name in sorted(names & set(model.files))}


_hashes: WeakKeyDictionary[Model, dict[str, str]] = WeakKeyDictionary()
