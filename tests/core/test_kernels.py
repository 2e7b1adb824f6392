"""How kernels do their work, counted on the stand-in for a GPU: what a GPU would only be slow at, or refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.devices import CpuOps, StreamOps, standin
from support.native import Native
from support.op_inputs import rng

from pyiseg import _core
from pyiseg.runtime.resample import fixed_windows, windows

WIDE = 65_535 * 32 + 5  # one launch has room for 65,535 blocks of 32 columns


@pytest.fixture
def device() -> Any:
    """The counters of the stand-in."""
    return standin()


@pytest.mark.parametrize("size", [(384, 512), (1024, 1024)])
def test_roots_are_near(device: Any, size: tuple[int, int]) -> None:
    """Each access to a label waits for the one before: walks as long as a disc is high took 186 and 560 of them."""
    h, w = size
    y, x = np.mgrid[:h, :w]
    alpha = (np.hypot(y - h / 2, x - w / 2) < 0.48 * h).astype(np.float32)
    clicks, most = np.array([[w // 2, h // 2, 1]], np.int32), list[int]()
    for _ in range(5):  # threads run in another order each time, and some orders are worse
        device.most_label_accesses()
        np.testing.assert_array_equal(StreamOps(_core.cuda).keep_clicked_components(alpha, clicks, 0), alpha)
        most.append(device.most_label_accesses())
    assert np.median(most) < 120


@pytest.mark.parametrize(
    "op", ["reduce_rgb", "resample_rgb_x", "resample_rgb_y", "resample_x", "reduce_noise", "noise_samples"]
)
def test_images_wider_than_one_launch(op: str) -> None:
    images, made = rng(1).integers(0, 256, (1, WIDE, 3), np.uint8), fixed_windows("bilinear", 100, WIDE)
    values, exact = rng(1).random((1, 1, 100)).astype(np.float32), windows("bilinear", 100, WIDE)
    twice, tall = np.concatenate([images, images], axis=1), fixed_windows("bilinear", 1, 2)
    call: dict[str, tuple[Any, ...]] = {
        "reduce_rgb": (images, 1, 1),
        "resample_rgb_x": (images[:, :100].copy(), made.starts, made.weights),
        "resample_rgb_y": (twice, tall.starts, tall.weights),
        "resample_x": (values, exact.starts, exact.weights),
        "reduce_noise": (images, 2e4),
        "noise_samples": (np.concatenate([images, images[:, ::-1], images]),),
    }
    shapes = {"resample_rgb_y": (2, 2 * WIDE, 3), "resample_x": (1, 1, WIDE), "noise_samples": (1, WIDE - 2, 3)}
    dtypes = {"resample_x": np.float32, "noise_samples": np.int32}
    found = [
        Native(name).run(op, *call[op], shape=shapes.get(op, (1, WIDE, 3)), dtype=dtypes.get(op, np.uint8))
        for name in ("cpu", "cuda")
    ]
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("width", [256, 257, 258, 259])
def test_rows_of_any_width_are_written_in_words(device: Any, width: int) -> None:
    """Rows of an odd width begin in the midst of a word; all but the ends of each are written word by word even so."""
    height, coefficients = 40, rng(2).random((2, 8, 8)).astype(np.float32)
    guide = rng(3).random((height, width)).astype(np.float32)
    cuda = StreamOps(_core.cuda)
    for dtype, values in ((np.float32, 4), (np.uint8, 8)):
        device.wide_stores()
        found = cuda.apply_coefficients(coefficients, guide, dtype)
        assert device.wide_stores() >= height * (width - 2 * 8) // values
        np.testing.assert_array_equal(found, CpuOps().apply_coefficients(coefficients, guide, dtype))


@pytest.mark.parametrize("width", [256, 257, 258, 259])
def test_colors_are_read_in_words(device: Any, width: int) -> None:
    height, coefficients = 33, rng(5).random((4, 8, 8)).astype(np.float32)
    rgb = rng(6).integers(0, 256, (height, width, 3), np.uint8)
    matte = np.empty((height, width), np.uint8)
    stream = _core.cuda.Stream()
    there = stream.empty(coefficients.shape, np.float32), stream.empty(rgb.shape, np.uint8)
    out = stream.empty(matte.shape, np.uint8)
    stream.upload(coefficients, there[0])
    stream.upload(rgb, there[1])
    device.wide_reads(), device.wide_stores()
    stream.apply_coefficients(*there, out)
    stream.download(out, matte)
    runs = height * (width - 2 * 16) // 16  # of 16 pixels, whose colors are three words
    assert device.wide_reads() >= 3 * runs
    assert device.wide_stores() >= runs
    expected = Native("cpu").run("apply_coefficients", coefficients, rgb, shape=matte.shape, dtype=np.uint8)
    np.testing.assert_array_equal(matte, expected)


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("width", [128, 129])
def test_the_filter_reads_and_writes_in_words(device: Any, width: int, radius: int) -> None:
    height = 21  # with an odd width the second of two planes begins inside of a word
    guide, p = rng(4).random((2, height, width)).astype(np.float32)
    device.wide_reads(), device.wide_stores()
    StreamOps(_core.cuda).guided_filter_coefficients(guide, p, radius, 1e-4)
    runs = height * (width - 4 * 4) // 4
    if width % 4 == 0:  # else the rows of a window begin at different places in their words
        assert device.wide_reads() >= 2 * 2 * 3 * (2 * radius + 1) * (height - 2 * radius) * (width - 4 * 4) // 4
    assert device.wide_stores() >= 2 * runs


def test_an_older_error_of_another_library_is_not_a_launchs(device: Any) -> None:
    cuda, alpha = StreamOps(_core.cuda), np.zeros((4, 4), np.float32)
    device.leave_error()
    cuda.force_clicks(np.array([[1, 1, 1]], np.int32), alpha)
