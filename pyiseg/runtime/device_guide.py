"""The guide of the guided filter on a device: what `pyiseg.runtime.cpu` does with its two guides, enqueued on a stream.

The guide's network is pointwise. Its engine takes strips of `pyiseg.runtime.engine.GUIDE_STRIP` pixels, wherever they
lie in the image; what it computes beyond the last pixel is written where nobody looks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyiseg import _core
from pyiseg.geometry import View
from pyiseg.runtime.engine import GUIDE_STRIP, Engine
from pyiseg.runtime.memory import Memory
from pyiseg.runtime.resample import ImageMaps, grid_guide


class _Strips:
    """Runs the guide's engine strip by strip: an image strip and, if it sees clicks, a strip of their maps."""

    def __init__(self, memory: Memory, engine: Engine) -> None:
        self.stream = memory.stream
        self.image = memory.empty((1, 3, 1, GUIDE_STRIP))
        self.maps = memory.empty((1, 2, 1, GUIDE_STRIP)) if "click_maps" in engine.inputs else None
        arrays = {"image": self.image} | ({} if self.maps is None else {"click_maps": self.maps})
        self._execution = engine.open({name: array.shape for name, array in arrays.items()})
        self._execution.set_device_memory(memory.empty((self._execution.scratch_bytes,), np.uint8).ptr)
        for name, array in arrays.items():
            self._execution.bind(name, array.ptr)

    def run(self, out: Any, first: int) -> None:
        """Compute the guide of what the strips hold, into a strip of out, float32, flat, from `first` on."""
        self._execution.bind("guide", out.view((GUIDE_STRIP,), first).ptr)
        self._execution.enqueue(self.stream)


def _padded(memory: Memory, shape: tuple[int, int]) -> Any:
    """Room for the guide of so many pixels in whole strips."""
    strips = math.ceil(shape[0] * shape[1] / GUIDE_STRIP)
    return memory.empty((strips * GUIDE_STRIP,))


class ImageGuide:
    """A guide that the image alone decides: computed here, once, at the image's resolution, and averaged to the grid.

    Args:
        memory: Of the session.
        view: How the image is seen.
        engine: Of guide.onnx.
        rgb: The image, uint8, shape (H, W, 3).
    """

    def __init__(self, memory: Memory, view: View, engine: Engine, rgb: Any) -> None:
        stream, shape = memory.stream, view.image
        temporary = Memory(stream)  # the guide never changes, so what makes it is needed only now
        strips, padded = _Strips(temporary, engine), _padded(memory, shape)
        for first in range(0, shape[0] * shape[1], GUIDE_STRIP):
            stream.hwc_to_chw(rgb, first, strips.image)
            strips.run(padded, first)
        self._full, mean = padded.view(shape), temporary.empty((1,))
        averaged = grid_guide(temporary.device, view, self._full)
        self._grid = memory.empty(view.grid)
        stream.copy(averaged, self._grid)
        # Only differences of the guide matter. Centred, it is small, and its windows' sums lose nothing in FP32.
        stream.mean(self._grid, temporary.empty((_core.mean_scratch,), np.float64), mean)
        stream.subtract(mean, self._full)
        stream.subtract(mean, self._grid)
        stream.synchronize()  # the engine must not be closed while it works

    def on_grid(self, clicks: Any) -> Any:
        """The centered guide that coefficients are fitted to, shape (h, w)."""
        return self._grid

    def at_image(self) -> Any:
        """The same guide at the image's resolution, shape (H, W)."""
        return self._full


class ClickGuide:
    """A guide that also sees the clicks: computed anew for the clicks that it is asked for.

    Args:
        memory, view, engine, rgb: As for `ImageGuide`.
        working: The working image, float32, shape (1, 3, h, w); the grid is as large.
        sigma: Width of the finest click maps.
    """

    def __init__(self, memory: Memory, view: View, engine: Engine, rgb: Any, working: Any, sigma: float) -> None:
        self._stream, self._view, self._rgb, self._sigma = memory.stream, view, rgb, sigma
        self._working = working.reshape((3, *view.grid))
        self._strips = _Strips(memory, engine)
        padded = _padded(memory, view.image), _padded(memory, view.grid)
        self._padded, self._padded_grid = padded
        self._full, self._grid = padded[0].view(view.image), padded[1].view(view.grid)
        self._maps = memory.empty((2, *view.grid))
        self._image_maps = ImageMaps(memory.device, view, 2)
        self._mean, self._scratch = memory.empty((1,)), memory.empty((_core.mean_scratch,), np.float64)

    def on_grid(self, clicks: Any) -> Any:
        """See `ImageGuide.on_grid`; overwritten by the next call."""
        stream, strips, (h, w) = self._stream, self._strips, self._view.grid
        stream.click_maps(clicks, (self._sigma,), self._maps)
        for first in range(0, h * w, GUIDE_STRIP):
            stream.copy_strip(self._working, first, strips.image)
            stream.copy_strip(self._maps, first, strips.maps)
            strips.run(self._padded_grid, first)
        stream.mean(self._grid, self._scratch, self._mean)
        stream.subtract(self._mean, self._grid)
        return self._grid

    def at_image(self) -> Any:
        """The guide that `on_grid` returned last, at the image's resolution; overwritten by the next call."""
        stream, strips, (height, width) = self._stream, self._strips, self._view.image
        self._image_maps.fill(self._maps)
        for first in range(0, height * width, GUIDE_STRIP):
            stream.hwc_to_chw(self._rgb, first, strips.image)
            self._image_maps.strip(first, strips.maps)
            strips.run(self._padded, first)
        stream.subtract(self._mean, self._full)
        return self._full
