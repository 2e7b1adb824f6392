"""The native ops of pyiseg.

Arrays are C-contiguous numpy arrays that belong to the caller. An op writes into the one named last, into ``labels``,
``flags`` and ``scratch``, and keeps no reference. Arrays that are written must not overlap others. The GIL is released
while an op runs, and results do not depend on the number of threads. Every op raises ValueError, naming the value, for
a wrong dtype, shape or range.

Clicks are int32 rows (x, y, label) inside the grid; label 1 is foreground, 0 background. There may be none.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import NDArray

_Float: TypeAlias = NDArray[np.float32]
_Int: TypeAlias = NDArray[np.int32]
_Guide: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]

cuda_built: bool
"""Whether this build has the submodule `cuda`. It says nothing about the machine."""

def click_maps(clicks: _Int, sigmas: Sequence[float], out: _Float | NDArray[np.float16]) -> None:
    """Write a Gaussian of the distance to the nearest click of each label.

    Args:
        clicks: Shape (N, 3).
        sigmas: S widths in grid pixels, 1 to 8 of them, each in 0.001..1e6.
        out: Shape (2 S, h, w): background s1..sS, then foreground. Values exp(-d^2 / (2 sigma^2)) in 0..1, exactly 1
            at a click; all 0 where a label has no click.
    """

def force_clicks(clicks: _Int, alpha: _Float) -> None:
    """Set alpha to 1 at foreground and to 0 at background clicks; of two clicks on one pixel the later counts.

    Args:
        clicks: Shape (N, 3).
        alpha: Shape (h, w), changed in place.
    """

def pin_clicks(guide: _Float, clicks: _Int, coefficients: _Float) -> None:
    """Make coefficients obey the clicks whose own pixel's alpha is not on their side (< 0.6 selecting, > 0.4 removing).

    There those of the pixel and its eight neighbors become a = 0, b = label; a neighbor that another click is
    nearer to, or as near and later, stays as it is.

    Args:
        guide: Shape (h, w).
        clicks: Shape (N, 3).
        coefficients: Shape (2, h, w), changed in place.
    """

def pin_image_clicks(guide: _Guide, image_clicks: _Int, clicks: _Int, flags: _Float, coefficients: _Float) -> None:
    """Do what `pin_clicks` does where alpha is not on a click's side at the clicked pixel of the image.

    Of several clicks on one grid pixel the last one's label counts, and all clicks of that label are looked at.

    Args:
        guide: As for `apply_coefficients`, of the image's size (H, W).
        image_clicks: Shape (N, 3): the clicks on the image.
        clicks: Shape (N, 3): the same clicks on the grid, in the same order.
        flags: Shape (h, w), scratch.
        coefficients: Shape (2, h, w) with a float32 guide, (4, h, w) with RGB; changed in place.
    """

def keep_clicked_components(
    alpha: _Float, clicks: _Int, margin: int, labels: _Int, out: _Float | NDArray[np.float16]
) -> None:
    """Keep the 8-connected regions of alpha > 0.5 that hold a foreground click, and soft pixels near them.

    Args:
        alpha: Shape (h, w). NaN counts as 0.
        clicks: Shape (N, 3).
        margin: Pixels with alpha <= 0.5 stay within this Chebyshev distance of a kept region; 0 drops them all.
        labels: Shape (h, w), int32 scratch.
        out: Shape (h, w): alpha where it is kept, else 0. float16 only with margin 0.
    """

def zero_coefficients(alpha: _Float, kept: _Float, coefficients: _Float) -> None:
    """Make coefficients select nothing (a = 0, b = 0) where alpha > 0 and kept is 0.

    Args:
        alpha: Shape (h, w).
        kept: Shape (h, w): what `keep_clicked_components` made of it.
        coefficients: Shape (2, h, w), changed in place.
    """

def guided_filter_coefficients(
    guide: _Float, p: _Float, radius: int, eps: float, residual: bool, scratch: _Float, coefficients: _Float
) -> None:
    """Fit the guided filter's coefficients, so that alpha = a * guide + b (He et al. 2013, eq. 5-8).

    Args:
        guide: Shape (h, w), best centered on 0: b is the value at guide 0, and far from there it loses digits.
        p: Shape (h, w), what is to be filtered.
        radius: Windows have 2 * radius + 1 pixels a side, cut off at the border; 0..64. Time grows with its square.
        eps: Regularization, in squared units of the guide; 1e-12..1e12.
        residual: Average a alone over the windows that cover a pixel, and take b = p - a * guide; else average both.
        scratch: Shape (2, h, w).
        coefficients: Shape (2, h, w): a and b.
    """

def color_guide_statistics(image: _Float, radius: int, eps: float, statistics: _Float) -> None:
    """Compute what the color guide needs of its image, once for all predictions (He et al. 2013, eq. 19).

    Args:
        image: R, G and B in 0..1 on the grid, shape (3, h, w).
        radius: Windows have 2 * radius + 1 pixels a side, cut off at the border; 0..64.
        eps: Regularization, in squared units of the image; 1e-6..1e12. With less, FP32 would leave no digit of the
            slopes where the colors go together.
        statistics: Shape (6, h, w): the inverse of each window's covariances, with eps added to the variances, as rr,
            rg, rb, gg, gb, bb.
    """

def color_guided_filter_coefficients(
    image: _Float, statistics: _Float, p: _Float, radius: int, scratch: _Float, coefficients: _Float
) -> None:
    """Fit the color guided filter in residual form, so that on the grid a . image + b is p (He et al. 2013, eq. 19-21).

    Args:
        image: Shape (3, h, w), as `color_guide_statistics` was given it.
        statistics: Shape (6, h, w), what it wrote.
        p: Shape (h, w), what is to be filtered.
        radius: As for `color_guide_statistics`.
        scratch: Shape (3, h, w).
        coefficients: Shape (4, h, w): the slopes of R, G and B, averaged over the windows that cover a pixel; and b.
    """

def apply_coefficients(coefficients: _Float, guide: _Guide, out: NDArray[np.float32] | NDArray[np.uint8]) -> None:
    """Write clip(a * guide + b, 0, 1) with a and b looked up bilinearly.

    Pixel X of W lies at (X + 0.5) * w / W - 0.5 of the grid, clamped to 0..w-1, and likewise Y. Where both sizes are
    the same, the grid's own values are used, exactly.

    Args:
        coefficients: Shape (2, h, w) with a float32 guide, (4, h, w) with RGB.
        guide: float32, shape (H, W); or RGB, uint8, shape (H, W, 3), of which 255 counts as 1.
        out: Shape (H, W); float32 in 0..1, or uint8, 255 times that, halves rounded up. NaN becomes 0.
    """

def apply_coefficients_in(coefficients: _Float, guide: _Guide, top: int, left: int, out: NDArray[np.uint8]) -> None:
    """Write what `apply_coefficients` writes into a window, bit for bit. On the CPU only.

    Args:
        coefficients, guide: As for `apply_coefficients`.
        top, left: Row and column of the guide at which the window begins.
        out: uint8, of the window's shape.
    """

mean_scratch: int
"""Length of the scratch that `mean` works in."""

def hwc_to_chw(rgb: NDArray[np.uint8], first: int, out: _Float) -> None:
    """Write pixels as planes, value / 255.

    Args:
        rgb: Shape (H, W, 3).
        first: The first pixel, y * W + x.
        out: Shape (1, 3, h, w): pixels first, first + 1, ... of rgb; 0 beyond the last.
    """

def noise_samples(rgb: NDArray[np.uint8], out: _Int) -> None:
    """Write how far pixels on a lattice over an image are from what their neighbors say.

    Args:
        rgb: Shape (H, W, 3), both sides at least 3.
        out: Shape (m, n, 3), m in 1..H - 2 and n in 1..W - 2: the absolute Laplacian of Immerkaer (1996), 0..2040; -1
            where the pixel is 0 or 255. Of white noise of deviation s the Laplacian has the deviation 6 s.
    """

def reduce_noise(rgb: NDArray[np.uint8], limit: float, out: NDArray[np.uint8]) -> None:
    """Write means over 3 x 3 pixels, of which each counts as much as its colors are like those of the middle.

    Args:
        rgb: Shape (H, W, 3).
        limit: A squared distance of colors; a pixel at distance d counts max(0, 1 - d^2 / limit)^2. 1e-3..1e9.
        out: Shape (H, W, 3), rounded half up.
    """

def reduce_rgb(rgb: NDArray[np.uint8], fx: int, fy: int, out: NDArray[np.uint8]) -> None:
    """Write the means of boxes of fy x fx pixels, to the bit as Pillow's ``Image.reduce``.

    Args:
        rgb: Shape (H, W, 3).
        fx, fy: At least 1; their product at most 65536.
        out: Shape (ceil(H / fy), ceil(W / fx), 3).
    """

def resample_rgb_x(rgb: NDArray[np.uint8], starts: _Int, weights: _Int, out: NDArray[np.uint8]) -> None:
    """Resample bytes along rows; `pyiseg.runtime.resample.fixed_windows` makes starts and weights.

    Args:
        rgb: Shape (h, w, 3).
        starts: Shape (n,), each in 0..w - taps.
        weights: Shape (taps, n), in units of 2^-22.
        out: Shape (h, n, 3), rounded half up and clipped.
    """

def resample_rgb_y(rgb: NDArray[np.uint8], starts: _Int, weights: _Int, out: NDArray[np.uint8]) -> None:
    """Resample bytes along columns: rgb (h, w, 3) to out (n, w, 3); see `resample_rgb_x`."""

def rgb_on_grid(
    rgb: NDArray[np.uint8],
    row_starts: _Int,
    row_weights: NDArray[np.float64],
    column_starts: _Int,
    column_weights: NDArray[np.float64],
    out: _Float,
) -> None:
    """Bring RGB bytes to a grid as planes, 255 as 1; `pyiseg.runtime.resample.windows` makes the windows.

    Args:
        rgb: Shape (H, W, 3).
        row_starts, row_weights: Windows of H over h: shapes (h,), each in 0..H - taps, and (taps, h).
        column_starts, column_weights: Windows of W over w, likewise.
        out: Shape (3, h, w).
    """

def resample_x(planes: _Float, starts: _Int, weights: NDArray[np.float64], out: _Float) -> None:
    """Resample planes along rows, summed in float64; `pyiseg.runtime.resample.windows` makes starts and weights.

    Args:
        planes: Shape (C, h, w).
        starts: Shape (n,), each in 0..w - taps.
        weights: Shape (taps, n).
        out: Shape (C, h, n).
    """

def resample_y(planes: _Float, starts: _Int, weights: NDArray[np.float64], out: _Float) -> None:
    """Resample planes along columns: planes (C, h, w) to out (C, n, w); see `resample_x`."""

def resample_strip(planes: _Float, starts: _Int, weights: NDArray[np.float64], first: int, out: _Float) -> None:
    """Write a part of what `resample_y` gives, its rows joined end to end.

    Args:
        planes, starts, weights: As for `resample_y`.
        first: The first pixel, y * w + x.
        out: Shape (1, C, h, w) of any h and w: pixels first, first + 1, ...; 0 beyond the last.
    """

def copy_strip(planes: _Float, first: int, out: _Float) -> None:
    """Write pixels first, first + 1, ... of planes (C, h, w) to out (1, C, h', w') of any size; 0 beyond the last."""

def mean(values: _Float, scratch: NDArray[np.float64], out: _Float) -> None:
    """Write the mean of values (h, w) to out (1,), summed in float64 in one order; scratch: (mean_scratch,)."""

def subtract(mean: _Float, values: _Float) -> None:
    """Take mean (1,) off values (h, w), in place."""

def estimate_foreground(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], scratch: NDArray[np.uint8], out: NDArray[np.uint8]
) -> None:
    """Write the colors of what alpha selects, without what is behind it; no op of streams. See `pyiseg.foreground`.

    Args:
        rgb: The image, shape (h, w, 3).
        alpha: The matte, shape (h, w).
        scratch: Shape (n,), n at least `foreground_scratch`.
        out: Shape (h, w, 3): rgb where alpha is 0 or 255, else the estimate.
    """

def foreground_scratch(height: int, width: int) -> int:
    """Return how many bytes of scratch `estimate_foreground` needs for an image of this size."""

def set_num_threads(n: int) -> None:
    """Set how many CPU threads an op may use, 1..256.

    At import it is PYISEG_NUM_THREADS, or the number of cores, at most 8.
    """

def get_num_threads() -> int:
    """Return how many CPU threads an op may use."""

class DeviceRuntimeError(RuntimeError):
    """A device did not do what it was asked to; the message has the native expression and where it stands."""

class DeviceMemoryError(DeviceRuntimeError):
    """A device has not enough memory left."""

@final
class Array:
    """C-contiguous memory of a stream's device, freed with the last array that shares it.

    Other libraries take it without a copy through ``__dlpack__``, on a CUDA device also ``__cuda_array_interface__``.
    """

    @property
    def ptr(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def view(self, shape: Sequence[int], offset: int = 0) -> Array:
        """Return the elements from an offset on, as an array of a shape; it shares the memory."""

    def reshape(self, shape: Sequence[int]) -> Array:
        """Return the same elements in another shape; it shares the memory."""

    def __getitem__(self, index: int | tuple[int, ...]) -> Array: ...
    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

def borrow(address: int, shape: Sequence[int], dtype: Any, owner: object) -> Array:
    """Make an array over another library's memory on a CUDA device, C-contiguous; it keeps owner alive."""

def from_dlpack(capsule: Any) -> Array:
    """Take the tensor out of a capsule that ``__dlpack__`` returned. Raises ValueError if it is of an unfit kind."""

@type_check_only
class _Stream(Protocol):
    """Work on a device, done in order.

    It has the ops of this module as methods, except `estimate_foreground`, on arrays of its device; they check dtypes
    and shapes, and enqueue. The clicks there must lie inside the grid, for nothing can look at them; a row with a
    negative label ends the list.
    """

    @property
    def handle(self) -> int:
        """The ``cudaStream_t``."""

    def empty(self, shape: Sequence[int], dtype: Any = ...) -> Array: ...
    def upload(self, array: NDArray[Any], to: Array) -> None:
        """Copy from numpy; done when it returns."""

    def download(self, array: Array, to: NDArray[Any]) -> None:
        """Copy to numpy; done when it returns."""

    def copy(self, array: Array, to: Array) -> None: ...
    def fill_zero(self, out: Array) -> None: ...
    def synchronize(self) -> None:
        """Wait until all is done."""

    def current(self) -> AbstractContextManager[None]:
        """Make its device the current one of this thread for a with statement."""

    def wait_for(self, stream: int) -> None:
        """Let what is enqueued here from now on wait for what another stream holds now."""

    def check_address(self, address: int) -> None:
        """Raise ValueError if what lies there is not memory of its device."""

    def __getattr__(self, op: str) -> Any: ...

@type_check_only
class _ClickFeed(Protocol):
    """The clicks' way to the device: pinned memory of fixed size, copied to an array (3, capacity, 3).

    Plane 0 gets all clicks and plane 1 those of the previous prediction, on the grid; plane 2 all clicks on the image.
    A label of -1 ends a list that does not fill its plane.
    """

    @property
    def capacity(self) -> int: ...
    def write(self, clicks: _Int, previous_clicks: int, image_clicks: _Int) -> None:
        """Write clicks (N, 3), N <= capacity, and enqueue their copy.

        Args:
            clicks: On the grid.
            previous_clicks: How many of them, the first ones, the previous prediction was made for, 0..N.
            image_clicks: The same clicks on the image.
        """

@type_check_only
class _ClickGraph(Protocol):
    """A captured click. Whatever is thrown while it is made ends the capture and is thrown on."""

    def launch(self, clicks: _Int, previous_clicks: int, image_clicks: _Int) -> None:
        """Write clicks as `_ClickFeed.write` does, and launch what was captured."""

@type_check_only
class _Cuda(Protocol):
    """The CUDA device that is current."""

    def Stream(self) -> _Stream: ...  # noqa: N802  # classes
    def ClickFeed(  # noqa: N802
        self, stream: _Stream, clicks: Array, grid: tuple[int, int], image: tuple[int, int]
    ) -> _ClickFeed: ...
    def ClickGraph(self, feed: _ClickFeed, enqueue: Callable[[], None]) -> _ClickGraph: ...  # noqa: N802
    def device_count(self) -> int:
        """Return how many there are; 0 also without a driver."""

    def driver_version(self) -> int:
        """Return the newest CUDA version that the driver knows, as 1000 * major + 10 * minor; 0 without one."""

    def runtime_version(self) -> int:
        """Return the CUDA version that this was built with, in the same form."""

    def device_index(self) -> int:
        """Return the number of the device that is current in this thread."""

    def compute_capability(self) -> tuple[int, int]:
        """Return its compute capability, major and minor."""

    def device_info(self) -> dict[str, Any]:
        """Return index, name, compute_capability (major, minor), multiprocessors, memory in bytes, and driver."""

    def memory(self) -> tuple[int, int]:
        """Return free and whole memory in bytes. What is kept for the next session counts as used."""

    def trim(self) -> None:
        """Give back to the driver the memory that is kept for the next session."""

cuda: _Cuda
"""Only where `cuda_built`."""
