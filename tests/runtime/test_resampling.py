"""runtime/resample.py: what comes out of the native ops is what Pillow makes, for any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import pillow, reference, tolerances
from support.devices import DEVICES
from support.native import Native
from support.op_inputs import rng

from pyiseg.geometry import View
from pyiseg.runtime.resample import Device, ImageMaps, fixed_windows, grid_guide, windows, working_image

# Sides of one pixel, sides smaller than the grid, sides that stay, shrink by a whole factor, by a little, by a lot.
IMAGES = [
    (1, 1),
    (1, 7),
    (31, 33),
    (33, 17),
    (300, 451),
    (384, 512),
    (481, 641),
    (1, 10_000),
    (10_000, 1),
    (3, 5000),
    (5000, 3),
    (100, 3000),
    (900, 401),
    (768, 1024),
    (1537, 2049),
    (2304, 3071),
]
RULES = [(512, 32, 2), (640, 32, 1), (448, 14, 1)]  # long side, multiple, grid stride
PILLOW = int(PIL.__version__.split(".")[0])


def pillow_differs(image: tuple[int, int]) -> bool:
    """Whether the Pillow that is here resizes an image in another order than pyiseg.

    Pillow before 13 goes along rows first even where a tall image shrinks most along its columns. It also rounds and
    clips to 0..255 between its two passes, which in noise makes more than any tolerance that would still say something.
    """
    return PILLOW < 13 and image[0] > 2 * image[1]


@pytest.fixture(params=DEVICES)
def native(request: pytest.FixtureRequest) -> Native:
    return Native(request.param)


def view(image: tuple[int, int], rule: tuple[int, int, int] = RULES[0]) -> View:
    return View.fit(image, long_side=rule[0], multiple=rule[1], grid_stride=rule[2])


def network_input(native: Native, chosen: View, rgb: np.ndarray) -> np.ndarray:
    """What `working_image` fills."""
    out = native.empty((1, 3, *chosen.working), np.float32)
    working_image(native.device, chosen, native.there(rgb), out)
    return native.here(out)


def guide_on_grid(native: Native, chosen: View, guide: np.ndarray) -> np.ndarray:
    """What `grid_guide` fills."""
    out = native.empty(chosen.grid, np.float32)
    grid_guide(native.device, chosen, native.there(guide), out)
    return native.here(out)


@pytest.mark.parametrize("image", IMAGES)
def test_working_image_is_that_of_pillow(native: Native, image: tuple[int, int]) -> None:
    if pillow_differs(image):
        pytest.skip(f"Pillow {PIL.__version__} resizes tall images in another order; 13 and newer compare")
    rgb = rng(*image).integers(0, 256, (*image, 3), dtype=np.uint8)
    for rule in RULES:
        chosen = view(image, rule)
        planes = network_input(native, chosen, rgb)
        assert planes.dtype == np.float32
        np.testing.assert_array_equal(planes, pillow.working_image(chosen, rgb))


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), long_side=st.sampled_from([16, 32, 48]))
def test_working_image_of_any_size(height: int, width: int, long_side: int) -> None:
    """Small working images, so that reduction by many factors comes up."""
    cpu, chosen = Native("cpu"), view((height, width), (long_side, 8, 2))
    rgb = rng(height, width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    planes = network_input(cpu, chosen, rgb)
    if not pillow_differs((height, width)):
        np.testing.assert_array_equal(planes, pillow.working_image(chosen, rgb))
    guide = rng(height, width).normal(size=(height, width)).astype(np.float32)
    np.testing.assert_array_equal(guide_on_grid(cpu, chosen, guide), pillow.grid_guide(chosen, guide))


@pytest.mark.parametrize("image", IMAGES)
def test_grid_guide_is_that_of_pillow(native: Native, image: tuple[int, int]) -> None:
    guide = rng(*image).normal(size=image).astype(np.float32)
    for rule in RULES:
        chosen = view(image, rule)
        found = guide_on_grid(native, chosen, guide)
        assert found.shape == chosen.grid
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, pillow.grid_guide(chosen, guide))


def enlarged(native: Native, chosen: View, maps: np.ndarray, length: int) -> np.ndarray:
    """The maps at the image's resolution, rendered in strips of so many pixels, and what the last strip has beyond."""
    (height, width), channels = chosen.image, len(maps)
    image_maps = ImageMaps(native.device, chosen, channels)
    image_maps.fill(native.there(maps))
    out, strips = native.empty((1, channels, 1, length), np.float32), []
    for first in range(0, height * width, length):
        image_maps.strip(first, out)
        strips.append(native.here(out).copy())
    return np.concatenate(strips, axis=3)[0, :, 0]


def maps_on(grid: tuple[int, int]) -> np.ndarray:
    return rng(*grid).random((2, *grid)).astype(np.float32)


@pytest.mark.parametrize("image", [size for size in IMAGES if size[0] * size[1] < 1_000_000])
def test_enlarged_maps_are_those_of_pillow(native: Native, image: tuple[int, int]) -> None:
    pixels = image[0] * image[1]
    for rule in RULES[:2]:
        chosen = view(image, rule)
        maps = maps_on(chosen.grid)
        whole = pillow.image_maps(chosen, maps)
        found = enlarged(native, chosen, maps, 1 << 17)
        assert not found[:, pixels:].any()
        found = found[:, :pixels].reshape(2, *image)
        np.testing.assert_allclose(found, whole, rtol=0, atol=tolerances.RESIZED)
        np.testing.assert_allclose(found, reference.resize(maps, "bilinear", *image), rtol=0, atol=tolerances.RESIZED)


def test_strips_of_any_length_join_without_a_seam(native: Native) -> None:
    chosen = view((97, 131))
    maps = maps_on(chosen.grid)
    whole = enlarged(native, chosen, maps, 97 * 131)
    for length in (1000, 4096, 131, 5000):
        np.testing.assert_array_equal(enlarged(native, chosen, maps, length)[:, : 97 * 131], whole)


def test_maps_that_are_filled_again_forget_the_last_ones(native: Native) -> None:
    chosen = view((50, 60))
    first, second = maps_on(chosen.grid), 1 - maps_on(chosen.grid)
    image_maps, out = ImageMaps(native.device, chosen, 2), native.empty((1, 2, 1, 3000), np.float32)
    for maps in (first, second):
        image_maps.fill(native.there(maps))
        image_maps.strip(0, out)
    np.testing.assert_array_equal(native.here(out)[0, :, 0], enlarged(native, chosen, second, 3000))


def test_maps_are_drawn_without_allocating() -> None:
    cpu, made = Native("cpu"), []

    def empty(shape: tuple[int, ...], dtype: Any) -> Any:
        made.append(shape)
        return np.empty(shape, dtype)

    def array(values: np.ndarray) -> np.ndarray:
        made.append(values.shape)
        return values

    chosen = view((50, 60))
    image_maps = ImageMaps(Device(cpu.ops, empty, array, cpu.here), chosen, 2)
    made.clear()
    image_maps.fill(maps_on(chosen.grid))
    image_maps.strip(7, np.empty((1, 2, 1, 99), np.float32))
    assert not made


@pytest.mark.parametrize("image", IMAGES[:11])
def test_constants_survive(native: Native, image: tuple[int, int]) -> None:
    chosen = view(image)
    rgb = np.broadcast_to(np.array([10, 128, 255], np.uint8), (*image, 3)).copy()
    planes = network_input(native, chosen, rgb)[0]
    wanted = np.array([10, 128, 255], np.float32)[:, None, None] / np.float32(255)
    np.testing.assert_array_equal(planes, np.broadcast_to(wanted, planes.shape))
    guide = np.full(image, -1.75, np.float32)
    np.testing.assert_array_equal(guide_on_grid(native, chosen, guide), -1.75)
    maps = np.full((2, *chosen.grid), 0.3, np.float32)
    pixels = image[0] * image[1]
    np.testing.assert_array_equal(enlarged(native, chosen, maps, pixels), np.float32(0.3))


# windows


@pytest.mark.parametrize("kind", ["box", "bilinear", "lanczos"])
@pytest.mark.parametrize(("size", "result"), [(1, 1), (1, 5), (5, 1), (7, 7), (9, 31), (31, 9), (640, 97), (97, 640)])
def test_windows_are_the_filters_matrix(kind: Any, size: int, result: int) -> None:
    made = windows(kind, size, result)
    taps = len(made.weights)
    assert made.starts.min() >= 0
    assert made.starts.max() + taps <= size
    matrix = np.zeros((result, size))
    np.put_along_axis(matrix, made.starts[:, None] + np.arange(taps), made.weights.T, axis=1)
    np.testing.assert_allclose(matrix, reference.filter_matrix(kind, size, result), rtol=0, atol=1e-14)
    fixed = fixed_windows(kind, size, result)
    assert np.abs(fixed.weights.sum(0) - (1 << 22)).max() <= len(fixed.weights) / 2


def test_windows_of_equal_sides_are_single_pixels() -> None:
    for kind in ("box", "bilinear", "lanczos"):
        made = fixed_windows(kind, 40, 40)
        np.testing.assert_array_equal(made.starts, np.arange(40))
        np.testing.assert_array_equal(made.weights, np.full((1, 40), 1 << 22))


def test_windows_are_made_once_and_cannot_be_changed() -> None:
    made = windows("lanczos", 100, 37)
    assert windows("lanczos", 100, 37) is made
    for part in (made.starts, made.weights):
        with pytest.raises(ValueError, match="read-only"):
            part[...] = 0


# By hand


def test_working_image_is_the_image_where_no_resizing_is_needed(native: Native) -> None:
    rgb = rng(64, 512).integers(0, 256, (64, 512, 3), dtype=np.uint8)
    planes = network_input(native, view((64, 512)), rgb)
    np.testing.assert_array_equal(planes[0], rgb.transpose(2, 0, 1) / np.float32(255))


def test_guide_is_averaged_over_boxes_where_it_shrinks(native: Native) -> None:
    guide = rng(768, 1024).normal(size=(768, 1024)).astype(np.float32)
    boxes = guide.astype(np.float64).reshape(192, 4, 256, 4).mean((1, 3))
    np.testing.assert_allclose(guide_on_grid(native, view((768, 1024)), guide), boxes, atol=1e-5)


def test_guide_shrinks_along_one_side_and_grows_along_the_other(native: Native) -> None:
    chosen = view((2, 2560))
    assert chosen.grid == (16, 256)
    guide = np.stack([np.zeros(2560), np.ones(2560)]).astype(np.float32)
    guide += np.arange(2560, dtype=np.float32) % 10  # mean 4.5 in every box of 10
    ramp = np.clip((np.arange(16) + 0.5) / 8 - 0.5, 0, 1)  # bilinear between the two pixel centers
    expected = np.repeat(4.5 + ramp[:, None], 256, axis=1)
    np.testing.assert_allclose(guide_on_grid(native, chosen, guide), expected, atol=1e-5)
