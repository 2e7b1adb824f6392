"""What Pillow makes of the resizing that pyiseg does by itself: a reference for `pyiseg.runtime.resample`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pyiseg.geometry import View


def working_image(view: View, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The network input, float32, shape (1, 3, Hw, Ww), 0..1."""
    resized = Image.fromarray(rgb).resize(view.working[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1)[None] / np.float32(255))


def grid_guide(view: View, guide: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A guide of the image on the grid, float32, shape (h, w)."""
    resized = Image.fromarray(guide)
    # One side at a time: an image one pixel wide and thousands high shrinks along one and grows along the other.
    for height, width in ((view.image[0], view.grid[1]), view.grid):
        shrinks = height < resized.height or width < resized.width
        resized = resized.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    return np.array(resized, dtype=np.float32)


def image_maps(view: View, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Maps on the grid, float32, shape (C, h, w), at the image's resolution."""
    size = view.image[::-1]
    return np.stack([np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BILINEAR)) for x in maps])
