"""geometry.py: sizes and click positions."""

from __future__ import annotations

import numpy as np
import pytest

from pyiseg.geometry import View


def view(height: int, width: int, grid_stride: int = 2) -> View:
    return View.fit((height, width), long_side=512, multiple=32, grid_stride=grid_stride)


@pytest.mark.parametrize(
    ("image", "working"),
    [
        ((384, 512), (384, 512)),
        ((512, 384), (512, 384)),
        ((300, 451), (352, 512)),  # 340.6 is nearer to 352 than to 320
        ((1, 1), (512, 512)),
        ((1, 10_000), (32, 512)),
        ((10_000, 1), (512, 32)),
        ((5773, 8660), (352, 512)),  # 50 megapixels
        ((75, 100), (384, 512)),
        ((21, 32), (352, 512)),  # 336 is as near to 320 as to 352: halves go up
        ((2**31, 2**31 - 1), (512, 512)),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_working_size(image: tuple[int, int], working: tuple[int, int], stride: int) -> None:
    chosen = view(*image, grid_stride=stride)
    assert chosen == View(image, working, (working[0] // stride, working[1] // stride))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 10_000), (10_000, 1), (300, 451), (31, 33), (5773, 8660)])
def test_clicks_land_on_the_grid_pixel_that_covers_them(height: int, width: int) -> None:
    chosen = view(height, width)
    rows, columns = chosen.grid
    rng = np.random.default_rng(3)
    xs = [0, width - 1, *map(int, rng.integers(0, width, 200))]
    ys = [0, height - 1, *map(int, rng.integers(0, height, 200))]
    moved = chosen.grid_clicks([(x, y, True) for x, y in zip(xs, ys, strict=True)])
    assert moved.dtype == np.int32
    assert moved.flags.c_contiguous
    for x, y, (grid_x, grid_y, label) in zip(xs, ys, moved.tolist(), strict=True):
        # The center of the clicked pixel, as a part of the whole, lies inside the grid pixel.
        assert grid_x * 2 * width <= (2 * x + 1) * columns < (grid_x + 1) * 2 * width
        assert grid_y * 2 * height <= (2 * y + 1) * rows < (grid_y + 1) * 2 * height
        assert 0 <= grid_x < columns
        assert 0 <= grid_y < rows
        assert label == 1


def test_no_clicks() -> None:
    assert view(30, 40).grid_clicks([]).shape == (0, 3)
