"""The native ops of pyiseg.

Arrays are C-contiguous numpy arrays that belong to the caller; an op writes into those named ``out``, ``alpha`` (of
`force_clicks`), ``labels``, ``scratch`` and ``lines`` (of `guided_filter_lines` and `pin_clicks`) and keeps no
reference. Arrays that are written must not overlap others. The GIL is released while an op runs, and results do not
depend on the number of threads. Every op raises ValueError, naming the value, for a wrong dtype, shape or range.

Clicks are int32 rows (x, y, label) inside the grid; label 1 is foreground, 0 background. There may be none.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, type_check_only

import numpy as np
from numpy.typing import NDArray

_Float: TypeAlias = NDArray[np.float32]
_Int: TypeAlias = NDArray[np.int32]

cuda_built: bool
"""Whether this build has the submodule `cuda`. It says nothing about the machine."""

def click_maps(clicks: _Int, sigmas: Sequence[float], out: _Float) -> None:
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

def pin_clicks(guide: _Float, clicks: _Int, lines: _Float) -> None:
    """Make lines obey the clicks whose own pixel's alpha is not on their side (< 0.6 selecting, > 0.4 removing).

    There the lines of the pixel and its eight neighbours become a = 0, b = label; a neighbour that another click is
    nearer to, or as near and later, stays as it is.

    Args:
        guide: Shape (h, w).
        clicks: Shape (N, 3).
        lines: Shape (2, h, w), changed in place.
    """

def keep_clicked_regions(alpha: _Float, clicks: _Int, margin: int, labels: _Int, out: _Float) -> None:
    """Keep the 8-connected regions of alpha > 0.5 that hold a foreground click, and soft pixels near them.

    Args:
        alpha: Shape (h, w). NaN counts as 0.
        clicks: Shape (N, 3).
        margin: Pixels with alpha <= 0.5 stay within this Chebyshev distance of a kept region; 0 drops them all.
        labels: Shape (h, w), int32 scratch.
        out: Shape (h, w): alpha where it is kept, else 0.
    """

def guided_filter_lines(guide: _Float, p: _Float, radius: int, eps: float, scratch: _Float, lines: _Float) -> None:
    """Fit the guided filter's lines, so that alpha = a * guide + b (He et al. 2013, eq. 5-8).

    Args:
        guide: Shape (h, w), best centred on 0: b is the value at guide 0, and far from there it loses digits.
        p: Shape (h, w), what is to be filtered.
        radius: Windows have 2 * radius + 1 pixels a side, cut off at the border; 0..64. Time grows with its square.
        eps: Regularisation, in squared units of the guide; 1e-12..1e12.
        scratch: Shape (2, h, w).
        lines: Shape (2, h, w): a and b, averaged over the windows that cover a pixel.
    """

def apply_lines(lines: _Float, guide: _Float, out: NDArray[np.float32] | NDArray[np.uint8]) -> None:
    """Write clip(a * guide + b, 0, 1) with a and b looked up bilinearly.

    Pixel X of W lies at (X + 0.5) * w / W - 0.5 of the grid, clamped to 0..w-1, and likewise Y. Where both sizes are
    the same, the grid's own values are used, exactly.

    Args:
        lines: Shape (2, h, w).
        guide: Shape (H, W).
        out: Shape (H, W); float32 in 0..1, or uint8, 255 times that, halves rounded up. NaN becomes 0.
    """

def set_num_threads(n: int) -> None:
    """Set how many CPU threads an op may use, 1..256.

    At import it is PYISEG_NUM_THREADS, or the number of cores, at most 8.
    """

def get_num_threads() -> int:
    """Return how many CPU threads an op may use."""

class _Buffer(Protocol):
    """Device memory; freed with the object. Copies run on a stream and are done when they return."""

    @property
    def ptr(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def upload(self, array: NDArray[Any], stream: int = 0) -> None: ...
    def download(self, array: NDArray[Any], stream: int = 0) -> None: ...

@type_check_only
class _Cuda(Protocol):
    """The same ops on device memory, enqueued on a stream.

    Addresses and streams are integers; stream 0 is the default one. Clicks are ``count`` rows in device memory that
    must lie inside the grid, for nothing can check them there; a row with a negative label ends the list. Shapes are
    (h, w).
    """

    CudaError: type[RuntimeError]
    def Buffer(self, nbytes: int) -> _Buffer: ...  # noqa: N802  # a class
    def device_count(self) -> int: ...
    def click_maps(
        self, clicks: int, count: int, sigmas: Sequence[float], out: int, shape: tuple[int, int], stream: int = 0
    ) -> None: ...
    def force_clicks(self, clicks: int, count: int, alpha: int, shape: tuple[int, int], stream: int = 0) -> None: ...
    def pin_clicks(
        self, guide: int, clicks: int, count: int, lines: int, shape: tuple[int, int], stream: int = 0
    ) -> None: ...
    def keep_clicked_regions(
        self,
        alpha: int,
        clicks: int,
        count: int,
        margin: int,
        labels: int,
        out: int,
        shape: tuple[int, int],
        stream: int = 0,
    ) -> None: ...
    def guided_filter_lines(
        self,
        guide: int,
        p: int,
        radius: int,
        eps: float,
        scratch: int,
        lines: int,
        shape: tuple[int, int],
        stream: int = 0,
    ) -> None: ...
    def apply_lines(
        self, lines: int, grid_shape: tuple[int, int], guide: int, out: int, shape: tuple[int, int], stream: int = 0
    ) -> None: ...
    def apply_lines_uint8(
        self, lines: int, grid_shape: tuple[int, int], guide: int, out: int, shape: tuple[int, int], stream: int = 0
    ) -> None: ...

cuda: _Cuda
"""Only where `cuda_built`."""
