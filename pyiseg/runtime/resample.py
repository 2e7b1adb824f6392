"""Resizing by native ops, the same on every device: the network input, the guide on the grid, click maps at the image.

Results are those of Pillow, to the bit where the functions below say so. Here is what decides the numbers: which pixels
are averaged with which weights. The windows are made with numpy once per pair of sizes; `csrc/ops/ops_image.h` has the
ops that apply them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import _core
from pyiseg.geometry import View

Float64: TypeAlias = npt.NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]
Filter: TypeAlias = Literal["area", "box", "bilinear", "lanczos"]

_WEIGHT_BITS = 22  # as csrc/math/resample.h has it
_REDUCING_GAP = 3.0  # of Pillow's `Image.resize`: much faster on very large images, and hardly different


class Ops(Protocol):
    """The ops that resizing needs: those of `pyiseg._core`, or the methods of a native stream.

    Arrays are the device's; ``starts``, ``weights`` are those of `Windows`.
    """

    def hwc_to_chw(self, rgb: Any, first: int, out: Any) -> None:
        """Write pixels first, first + 1, ... of rgb (H, W, 3) to out (1, 3, h, w) as value / 255; 0 beyond the last."""
        ...

    def reduce_rgb(self, rgb: Any, fx: int, fy: int, out: Any) -> None:
        """Write the means of boxes of fy x fx pixels of rgb (H, W, 3) to out (ceil(H / fy), ceil(W / fx), 3)."""
        ...

    def resample_rgb_x(self, rgb: Any, starts: Any, weights: Any, out: Any) -> None:
        """Resample rgb (h, w, 3) along rows to out (h, n, 3); weights are int32."""
        ...

    def resample_rgb_y(self, rgb: Any, starts: Any, weights: Any, out: Any) -> None:
        """Resample rgb (h, w, 3) along columns to out (n, w, 3); weights are int32."""
        ...

    def rgb_on_grid(
        self, rgb: Any, row_starts: Any, row_weights: Any, column_starts: Any, column_weights: Any, out: Any
    ) -> None:
        """Bring rgb (H, W, 3) to out (3, h, w), float32, 255 as 1; weights are float64."""
        ...

    def resample_x(self, planes: Any, starts: Any, weights: Any, out: Any) -> None:
        """Resample planes (C, h, w), float32, along rows to out (C, h, n); weights are float64."""
        ...

    def resample_y(self, planes: Any, starts: Any, weights: Any, out: Any) -> None:
        """Resample planes (C, h, w), float32, along columns to out (C, n, w); weights are float64."""
        ...

    def noise_samples(self, rgb: Any, out: Any) -> None:
        """Write how far pixels of rgb (H, W, 3) on a lattice are from what their neighbors say to out (m, n, 3)."""
        ...

    def reduce_noise(self, rgb: Any, limit: float, out: Any) -> None:
        """Write means of what is alike in 3 x 3 pixels of rgb (H, W, 3) to out, which is like it."""
        ...

    def resample_strip(self, planes: Any, starts: Any, weights: Any, first: int, out: Any) -> None:
        """Write pixels first, first + 1, ... of what `resample_y` gives, (C, n, w), to out (1, C, 1, N); 0 beyond."""
        ...


@dataclasses.dataclass(frozen=True)
class Device:
    """Where resizing runs.

    Attributes:
        ops: What it can do.
        empty: Makes an array of a shape and dtype there. One that is dropped while ops on it are under way must stay
            until they are done, as memory that is freed in a stream's order does.
        array: Copies a numpy array there.
        fetch: Copies an array from there to a numpy array, when all that was enqueued has been done.
    """

    ops: Ops
    empty: Callable[[Shape, npt.DTypeLike], Any]
    array: Callable[[npt.NDArray[Any]], Any]
    fetch: Callable[[Any], npt.NDArray[Any]]


NUMPY = Device(_core, np.empty, lambda array: array, lambda array: array)
"""The functions of `pyiseg._core`, on numpy arrays."""


def part(array: Any, shape: Shape, first: int = 0) -> Any:
    """Return the elements of an array from the `first` on, in a shape; it shares the memory.

    Args:
        array: A C-contiguous numpy array or a native one.
        shape: Its size may be less than what is left of the array.
        first: Index of the first element, all dimensions joined end to end.
    """
    if not isinstance(array, np.ndarray):
        return array.view(shape, first)
    return array.reshape(-1)[first : first + math.prod(shape)].reshape(shape)


@dataclasses.dataclass(frozen=True)
class Windows:
    """Pixel i of the result is the sum over k of ``weights[k, i] * pixel[starts[i] + k]``, along one axis.

    Attributes:
        starts: int32, shape (n,). Every window lies inside the input.
        weights: Shape (taps, n), float64 that sum to 1, or int32 in units of 2^-22.
    """

    starts: npt.NDArray[np.int32]
    weights: npt.NDArray[Any]


@functools.lru_cache(maxsize=32)
def windows(kind: Filter, size: int, result: int, covered: float | None = None) -> Windows:
    """The windows of a filter, by Pillow's rules: a filter is widened where it shrinks and cut off at the border.

    Args:
        kind: The filter; "area", which Pillow has not, is for shrinking: exact averages of what a pixel of the result
            covers, where Pillow's "box" takes whole pixels.
        size: Pixels along the axis.
        result: Pixels of the result, which cover the axis edge to edge.
        covered: How much of the axis is covered, from its beginning; all of it unless given. FP32, as Pillow has it.

    Returns:
        With float64 weights; read-only.
    """
    scale = float(np.float32(size if covered is None else covered)) / result
    widened = max(scale, 1.0)
    reach = (widened + 1) / 2 if kind == "area" else _REACH[kind] * widened
    centers = (np.arange(result) + 0.5) * scale
    starts = np.maximum((centers - reach + 0.5).astype(np.int64), 0)  # cut off towards 0
    stops = np.minimum((centers + reach + 0.5).astype(np.int64), size)
    pixels = starts[:, None] + np.arange((stops - starts).max())
    distances = pixels - centers[:, None] + 0.5
    if kind == "area":  # how much of a pixel lies in the window, which is as wide as a pixel of the result
        weights = np.clip(reach - np.abs(distances), 0.0, 1.0)
    else:
        weights = _weights(kind, distances * (1.0 / widened))
    weights[pixels >= stops[:, None]] = 0.0
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # added up one after the other: a pairwise sum has other last bits
    return _packed(starts, weights, size)


@functools.lru_cache(maxsize=32)
def fixed_windows(kind: Filter, size: int, result: int, covered: float | None = None) -> Windows:
    """`windows` with int32 weights, as images of bytes are resized."""
    exact = windows(kind, size, result, covered)
    units = exact.weights * (1 << _WEIGHT_BITS)
    weights = np.trunc(units + np.copysign(0.5, units)).astype(np.int32)
    return _packed(exact.starts.astype(np.int64), weights.T, size)


def working_image(device: Device, view: View, rgb: Any, out: Any) -> None:
    """Resize the image to the network's input: Lanczos, to the bit as Pillow 13 and later with a reducing gap of 3.

    Args:
        device: Where the arrays lie.
        view: How the image is seen.
        rgb: uint8, shape (H, W, 3).
        out: Filled with R, G and B in 0..1, float32, shape (1, 3, Hw, Ww).
    """
    (height, width), (rows, columns) = view.image, view.working
    # Pillow reduces by whole factors first; then what is left of the sides is no longer whole.
    fx, fy = (int(side / target / _REDUCING_GAP) or 1 for side, target in ((width, columns), (height, rows)))
    h, w = -(-height // fy), -(-width // fx)
    current = rgb
    if fx > 1 or fy > 1:
        current = device.empty((h, w, 3), np.uint8)
        device.ops.reduce_rgb(rgb, fx, fy, current)
    along_rows = (device.ops.resample_rgb_x, fixed_windows("lanczos", w, columns, width / fx))
    along_columns = (device.ops.resample_rgb_y, fixed_windows("lanczos", h, rows, height / fy))
    # The second pass works on the first one's bytes, so their order shows. It is that of Pillow 13 and later.
    columns_first = rows < h and h - rows > 2 * (w - columns)
    between = (rows, w, 3) if columns_first else (h, columns, 3)
    passes = (along_columns, along_rows) if columns_first else (along_rows, along_columns)
    for (resample, made), shape in zip(passes, (between, (rows, columns, 3)), strict=True):
        resized = device.empty(shape, np.uint8)
        resample(current, *_uploaded(device, made), resized)
        current = resized
    device.ops.hwc_to_chw(current, 0, out)


def grid_guide(device: Device, view: View, guide: Any, out: Any) -> None:
    """Bring a learned guide to the grid: box averages where it shrinks, bilinear where it grows, to the bit as Pillow.

    Args:
        device: Where the arrays lie.
        view: How the image is seen.
        guide: float32, shape (H, W).
        out: Filled, float32, shape (h, w).
    """
    (height, width), (rows, columns) = view.image, view.grid

    def side(size: int, result: int) -> tuple[Any, Any]:
        return _uploaded(device, windows("box" if result < size else "bilinear", size, result))

    narrow = device.empty((1, height, columns), np.float32)
    device.ops.resample_x(guide.reshape((1, height, width)), *side(width, columns), narrow)
    device.ops.resample_y(narrow, *side(height, rows), out.reshape((1, rows, columns)))


def image_on_grid(device: Device, view: View, rgb: Any, out: Any) -> None:
    """Bring the image to the grid, as the color guide needs it: area averages where it shrinks, else bilinear.

    Args:
        device: Where the arrays lie.
        view: How the image is seen.
        rgb: uint8, shape (H, W, 3).
        out: Filled with R, G and B in 0..1, float32, shape (3, h, w).
    """

    def side(size: int, result: int) -> tuple[Any, Any]:
        return _uploaded(device, windows("area" if result < size else "bilinear", size, result))

    (height, width), (rows, columns) = view.image, view.grid
    device.ops.rgb_on_grid(rgb, *side(height, rows), *side(width, columns), out)


class ImageMaps:
    """Maps on the grid brought to the image's resolution, strip by strip, so that memory stays small.

    Bilinear, with wider triangles where it shrinks, as Pillow resizes up to the last bit of FP32. A strip is a number
    of the image's pixels, its rows joined end to end, and may begin anywhere: an engine with inputs of one length takes
    them as they come. Whatever the strips' length, they hold the same numbers.

    Everything is allocated here: filling maps and rendering strips only enqueues, so a stream can capture it. Holds
    4 * channels * h * W bytes.

    Args:
        device: Where the maps lie.
        view: How the image is seen.
        channels: How many maps there are.
    """

    def __init__(self, device: Device, view: View, channels: int) -> None:
        (height, width), (h, w) = view.image, view.grid
        self._ops = device.ops
        self._across = _uploaded(device, windows("bilinear", w, width))
        self._down = _uploaded(device, windows("bilinear", h, height))
        self._wide = device.empty((channels, h, width), np.float32)

    def fill(self, maps: Any) -> None:
        """Take maps, float32, shape (channels, h, w), that the strips are taken from until the next call."""
        self._ops.resample_x(maps, *self._across, self._wide)

    def strip(self, first: int, out: Any) -> None:
        """Write the maps of some of the image's pixels.

        Args:
            first: The strip's first pixel, y * W + x.
            out: float32, shape (1, channels, 1, N); 0 where the image has ended.
        """
        self._ops.resample_strip(self._wide, *self._down, first, out)


_REACH: dict[str, float] = {"box": 0.5, "bilinear": 1.0, "lanczos": 3.0}


def _weights(kind: Filter, x: Float64) -> Float64:
    """A filter's value at x, in pixels of the smaller side."""
    if kind == "box":
        return ((x > -0.5) & (x <= 0.5)).astype(np.float64)
    if kind == "bilinear":
        return np.maximum(1.0 - np.abs(x), 0.0)
    lanczos: Float64 = np.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3), 0.0)
    return lanczos


def _sinc(x: Float64) -> Float64:
    angle = np.where(x == 0.0, 1.0, x * np.pi)
    sinc: Float64 = np.where(x == 0.0, 1.0, np.sin(angle) / angle)
    return sinc


def _packed(starts: npt.NDArray[np.int64], weights: npt.NDArray[Any], size: int) -> Windows:
    """Windows of the least common length, moved inwards where they would leave the axis.

    Args:
        starts: Shape (n,).
        weights: Shape (n, taps); 0 beyond the axis.
        size: Pixels along the axis.
    """
    taps = weights.shape[1]
    used = weights != 0
    before = used.argmax(axis=1)
    after = taps - used[:, ::-1].argmax(axis=1)
    needed = int((after - before).max())
    first = np.minimum(starts + before, size - needed)
    index = first[:, None] + np.arange(needed) - starts[:, None]
    inside = (index >= 0) & (index < taps)
    packed = np.where(inside, np.take_along_axis(weights, np.clip(index, 0, taps - 1), axis=1), 0)
    result = Windows(first.astype(np.int32), np.ascontiguousarray(packed.T))
    result.starts.flags.writeable = result.weights.flags.writeable = False
    return result


def _uploaded(device: Device, made: Windows) -> tuple[Any, Any]:
    return device.array(made.starts), device.array(made.weights)
