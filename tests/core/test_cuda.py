"""What holds for the CUDA ops beyond tests/test_ops*.py and tests/core/test_streams.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.devices import CpuOps, ops
from support.native import Native
from support.op_inputs import SIGMAS, blobs, image, random_clicks

from pyiseg import _core


@pytest.mark.skipif(not _core.cuda_built, reason="this build has no CUDA ops")
@pytest.mark.skipif(_core.cuda_built and _core.cuda.device_count() > 0, reason="this build has a CUDA device")
def test_without_a_device_errors_carry_expression_and_place() -> None:
    assert _core.cuda.device_count() == 0
    assert _core.cuda.runtime_version() >= 12000
    with pytest.raises(
        _core.DeviceRuntimeError, match=r"^csrc/\S*cuda_stream\.h:\d+: cudaGetDevice\(.*\): .*\(cudaError\w+\)$"
    ):
        _core.cuda.Stream()
    with pytest.raises(_core.DeviceRuntimeError, match=r"^csrc/bind/cuda\.cpp:\d+: "):
        _core.cuda.device_info()


@pytest.fixture
def cuda() -> Any:
    return ops("cuda")


def test_both_devices_give_the_same_bits(cuda: Any) -> None:
    cpu, (h, w) = CpuOps(), (144, 251)
    clicks, alpha, guide = random_clicks(12, h, w), blobs(h, w), image(h, w)
    for dtype in (np.float32, np.float16):
        np.testing.assert_array_equal(
            cuda.click_maps(clicks, SIGMAS, h, w, dtype), cpu.click_maps(clicks, SIGMAS, h, w, dtype)
        )
    lines = cpu.guided_filter_coefficients(guide, alpha, 2, 1e-8)
    np.testing.assert_array_equal(cuda.guided_filter_coefficients(guide, alpha, 2, 1e-8), lines)
    np.testing.assert_array_equal(cuda.pin_clicks(guide, clicks, lines), cpu.pin_clicks(guide, clicks, lines))
    large = image(1001, 1733)
    for dtype in (np.float32, np.uint8):
        np.testing.assert_array_equal(
            cuda.apply_coefficients(lines, large, dtype), cpu.apply_coefficients(lines, large, dtype)
        )


def test_both_devices_give_the_same_bits_with_the_color_guide(cuda: Any) -> None:
    results = []
    for native in (Native("cuda"), Native("cpu")):
        planes, p, rgb = np.stack([blobs(144, 251, seed) for seed in range(3)]), blobs(144, 251), u8(1001, 1733)
        found = [native.run("color_guide_statistics", planes, 1, 3e-4, shape=(6, 144, 251), dtype=np.float32)]
        scratch = native.there(np.zeros((3, 144, 251), np.float32))
        arguments = (planes, found[0], p, 1, scratch)
        shape = (4, 144, 251)
        found.append(native.run("color_guided_filter_coefficients", *arguments, shape=shape, dtype=np.float32))
        for dtype in (np.float32, np.uint8):
            found.append(native.run("apply_coefficients", found[1], rgb, shape=(1001, 1733), dtype=dtype))
        results.append(found)
    for there, here in zip(*results, strict=True):
        np.testing.assert_array_equal(there, here)


def u8(h: int, w: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8)
