"""What holds for the CUDA ops beyond tests/test_ops*.py. The first half needs a CUDA build but no GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import CpuOps, no_gpu, ops
from op_inputs import blobs, image, random_clicks
from test_ops import PATTERNS, SIGMAS

from pyiseg import _core

needs_build = pytest.mark.skipif(not _core.cuda_built, reason="this build has no CUDA ops")

GOOD: dict[str, dict[str, Any]] = {
    "click_maps": {"clicks": 16, "count": 1, "sigmas": [1.0], "out": 32, "shape": (4, 5)},
    "force_clicks": {"clicks": 16, "count": 1, "alpha": 32, "shape": (4, 5)},
    "pin_clicks": {"guide": 16, "clicks": 32, "count": 1, "lines": 48, "shape": (4, 5)},
    "keep_clicked_regions": {
        "alpha": 16,
        "clicks": 32,
        "count": 1,
        "margin": 1,
        "labels": 48,
        "out": 64,
        "shape": (4, 5),
    },
    "guided_filter_lines": {
        "guide": 16,
        "p": 32,
        "radius": 2,
        "eps": 1e-3,
        "scratch": 48,
        "lines": 64,
        "shape": (4, 5),
    },
    "apply_lines": {"lines": 16, "grid_shape": (4, 5), "guide": 32, "out": 48, "shape": (9, 9)},
    "apply_lines_uint8": {"lines": 16, "grid_shape": (4, 5), "guide": 32, "out": 48, "shape": (9, 9)},
}

BAD = [
    ("click_maps", "clicks", 0, "clicks is 0; it must be the address of device memory"),
    ("click_maps", "clicks", 17, "clicks is 17; it must be the address"),
    ("click_maps", "count", -1, "count is -1; it must lie in"),
    ("click_maps", "sigmas", [0.0], r"sigmas\[0\] is 0"),
    ("click_maps", "shape", (0, 5), r"shape has size \(0, 5\)"),
    ("click_maps", "shape", (2**22 + 1, 1), r"shape has size \(4194305, 1\)"),
    ("click_maps", "shape", (2**16, 2**16), r"shape has size \(65536, 65536\); .* area"),
    ("force_clicks", "alpha", 0, "alpha is 0"),
    ("keep_clicked_regions", "margin", -3, "margin is -3"),
    ("keep_clicked_regions", "out", 16, "alpha and out are both 16"),
    ("guided_filter_lines", "radius", 65, "radius is 65"),
    ("guided_filter_lines", "eps", -1.0, "eps is -1"),
    ("apply_lines", "grid_shape", (4, -5), r"grid_shape has size \(4, -5\)"),
    ("apply_lines_uint8", "out", 0, "out is 0"),
]


@needs_build
@pytest.mark.parametrize(("op", "name", "value", "message"), BAD, ids=[f"{bad[0]}-{bad[1]}" for bad in BAD])
def test_bad_arguments_are_named(op: str, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(_core.cuda, op)(**{**GOOD[op], name: value})


@needs_build
def test_a_buffer_has_at_least_one_byte() -> None:
    with pytest.raises(ValueError, match="nbytes is 0"):
        _core.cuda.Buffer(0)


@needs_build
@pytest.mark.skipif(not no_gpu(), reason="this machine has a CUDA device")
def test_without_a_device_errors_carry_expression_and_place() -> None:
    with pytest.raises(
        _core.cuda.CudaError, match=r"^csrc/\S*cuda/buffer\.h:\d+: cudaMalloc\(.*\): .*\(cudaError\w+\)$"
    ):
        _core.cuda.Buffer(16)
    with pytest.raises(_core.cuda.CudaError, match=r"^csrc/ops_cuda\.cu:\d+: cudaGetLastError\(\): "):
        _core.cuda.force_clicks(**GOOD["force_clicks"])
    assert issubclass(_core.cuda.CudaError, RuntimeError)


@pytest.fixture
def cuda() -> Any:
    return ops("cuda")


def test_both_devices_give_the_same_bits(cuda: Any) -> None:
    cpu, (h, w) = CpuOps(), (144, 251)
    clicks, alpha, guide = random_clicks(12, h, w), blobs(h, w), image(h, w)
    np.testing.assert_array_equal(cuda.click_maps(clicks, SIGMAS, h, w), cpu.click_maps(clicks, SIGMAS, h, w))
    lines = cpu.guided_filter_lines(guide, alpha, 2, 1e-8)
    np.testing.assert_array_equal(cuda.guided_filter_lines(guide, alpha, 2, 1e-8), lines)
    np.testing.assert_array_equal(cuda.pin_clicks(guide, clicks, lines), cpu.pin_clicks(guide, clicks, lines))
    large = image(1001, 1733)
    for dtype in (np.float32, np.uint8):
        np.testing.assert_array_equal(cuda.apply_lines(lines, large, dtype), cpu.apply_lines(lines, large, dtype))


def test_a_negative_label_ends_the_clicks(cuda: Any) -> None:
    alpha = PATTERNS["noise"]
    clicks = random_clicks(5, *alpha.shape)
    longer = np.concatenate([clicks, np.full((11, 3), -1, np.int32), random_clicks(3, *alpha.shape, seed=7)])
    np.testing.assert_array_equal(
        cuda.click_maps(longer, SIGMAS, *alpha.shape), cuda.click_maps(clicks, SIGMAS, *alpha.shape)
    )
    np.testing.assert_array_equal(cuda.force_clicks(longer, alpha), cuda.force_clicks(clicks, alpha))
    lines = np.stack([alpha, alpha])
    np.testing.assert_array_equal(cuda.pin_clicks(alpha, longer, lines), cuda.pin_clicks(alpha, clicks, lines))
    np.testing.assert_array_equal(
        cuda.keep_clicked_regions(alpha, longer, 2), cuda.keep_clicked_regions(alpha, clicks, 2)
    )


def test_copies_must_fit_the_buffer(cuda: Any) -> None:
    buffer = _core.cuda.Buffer(16)
    with pytest.raises(ValueError, match="array has 20 bytes but the buffer only 16"):
        buffer.upload(np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        buffer.download(np.broadcast_to(np.float32(0), (1,)))
