"""geometry.py: sizes, click positions, resizing."""

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
    moved = chosen.grid_clicks([(x, y, x % 2 == 0) for x, y in zip(xs, ys, strict=True)])
    assert moved.dtype == np.int32
    assert moved.flags.c_contiguous
    for x, y, (grid_x, grid_y, label) in zip(xs, ys, moved.tolist(), strict=True):
        # The centre of the clicked pixel, as a part of the whole, lies inside the grid pixel.
        assert grid_x * 2 * width <= (2 * x + 1) * columns < (grid_x + 1) * 2 * width
        assert grid_y * 2 * height <= (2 * y + 1) * rows < (grid_y + 1) * 2 * height
        assert 0 <= grid_x < columns
        assert 0 <= grid_y < rows
        assert label == (x % 2 == 0)


def test_no_clicks() -> None:
    assert view(30, 40).grid_clicks([]).shape == (0, 3)


def test_working_image_is_the_image_where_no_resizing_is_needed() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 512, 3), dtype=np.uint8)
    planes = view(64, 512).working_image(rgb)
    assert planes.shape == (1, 3, 64, 512)
    assert planes.dtype == np.float32
    np.testing.assert_array_equal(planes[0], rgb.transpose(2, 0, 1) / np.float32(255))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 10_000), (10_000, 1), (300, 451), (2000, 3000)])
def test_constants_survive_resizing(height: int, width: int) -> None:
    chosen = view(height, width)
    rgb = np.broadcast_to(np.array([10, 128, 255], dtype=np.uint8), (height, width, 3)).copy()
    planes = chosen.working_image(rgb)
    assert planes.shape == (1, 3, *chosen.working)
    np.testing.assert_allclose(planes.min((2, 3)), planes.max((2, 3)))
    np.testing.assert_allclose(planes[0, :, 0, 0], np.array([10, 128, 255]) / 255, rtol=1e-6)
    guide = chosen.grid_guide(np.full((height, width), -1.75, dtype=np.float32))
    assert guide.shape == chosen.grid
    assert guide.dtype == np.float32
    np.testing.assert_allclose(guide, -1.75, rtol=1e-6)


def test_guide_is_averaged_over_boxes_where_it_shrinks() -> None:
    guide = np.random.default_rng(1).normal(size=(768, 1024)).astype(np.float32)
    boxes = guide.astype(np.float64).reshape(192, 4, 256, 4).mean((1, 3))
    np.testing.assert_allclose(view(768, 1024).grid_guide(guide), boxes, atol=1e-5)


def test_guide_shrinks_along_one_side_and_grows_along_the_other() -> None:
    chosen = view(2, 2560)
    assert chosen.grid == (16, 256)
    guide = np.stack([np.zeros(2560), np.ones(2560)]).astype(np.float32)
    guide += np.arange(2560, dtype=np.float32) % 10  # mean 4.5 in every box of 10
    found = chosen.grid_guide(guide)
    ramp = np.clip((np.arange(16) + 0.5) / 8 - 0.5, 0, 1)  # bilinear between the two pixel centres
    np.testing.assert_allclose(found, np.repeat(4.5 + ramp[:, None], 256, axis=1), atol=1e-5)


def test_the_grid_guide_is_a_copy() -> None:
    guide = np.zeros((256, 256), dtype=np.float32)
    chosen = View((256, 256), (512, 512), (256, 256))
    chosen.grid_guide(guide)[...] = 1
    assert not guide.any()
