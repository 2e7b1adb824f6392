"""What holds for the CUDA ops beyond tests/test_ops*.py and tests/test_streams.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import CpuOps, no_gpu, ops
from op_inputs import blobs, image, random_clicks
from test_ops import SIGMAS

from pyiseg import _core


@pytest.mark.skipif(not _core.cuda_built, reason="this build has no CUDA ops")
@pytest.mark.skipif(not no_gpu(), reason="this machine has a CUDA device")
def test_without_a_device_errors_carry_expression_and_place() -> None:
    assert _core.cuda.device_count() == 0
    assert _core.cuda.runtime_version() >= 12000
    with pytest.raises(
        _core.DeviceRuntimeError, match=r"^csrc/\S*cuda/stream\.h:\d+: cudaGetDevice\(.*\): .*\(cudaError\w+\)$"
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
