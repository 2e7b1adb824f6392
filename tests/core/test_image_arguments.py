"""What the ops of images say about arguments that are wrong; tests/core/test_core.py has the other ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.op_arguments import IMAGE_OPS, SMOOTH, WINDOWS, f32, u8

from pyiseg import _core

BAD = [
    ("noise_samples", "rgb", u8(2, 8, 3), r"rgb has shape \(2, 8, 3\); both sides must be at least 3"),
    ("noise_samples", "out", f32(4, 6, 3), "out has dtype float32; it must be int32"),
    (
        "noise_samples",
        "out",
        np.zeros((5, 6, 3), np.int32),
        r"must be \(m, n, 3\), with m in 1\.\.4 and n in 1\.\.6",
    ),
    ("noise_samples", "out", np.zeros((4, 7, 3), np.int32), r"out has shape \(4, 7, 3\)"),
    ("noise_samples", "out", np.zeros((0, 6, 3), np.int32), r"out has shape \(0, 6, 3\)"),
    ("noise_samples", "out", np.zeros((4, 6, 1), np.int32), r"out has shape \(4, 6, 1\)"),
    ("reduce_noise", "rgb", u8(6, 8, 4), r"rgb has shape \(6, 8, 4\); it must be \(h, w, 3\)"),
    ("reduce_noise", "limit", 0.0, r"limit is 0; it must lie in 1e-3\.\.1e9"),
    ("reduce_noise", "limit", float("nan"), "limit is -?nan"),
    ("reduce_noise", "limit", float("inf"), "limit is inf"),
    ("reduce_noise", "out", u8(6, 9, 3), r"out has size \(6, 9\) but rgb has \(6, 8\)"),
    ("hwc_to_chw", "rgb", u8(6, 8, 4), r"rgb has shape \(6, 8, 4\); it must be \(h, w, 3\)"),
    ("hwc_to_chw", "rgb", f32(6, 8, 3), "rgb has dtype float32; it must be uint8"),
    ("hwc_to_chw", "rgb", u8(0, 8, 3), r"rgb has size \(0, 8\)"),
    ("hwc_to_chw", "first", -1, r"first is -1; it must lie in 0\.\.47"),
    ("hwc_to_chw", "first", 48, r"first is 48; it must lie in 0\.\.47"),
    ("hwc_to_chw", "out", f32(3, 6, 8), r"out has shape \(3, 6, 8\); it must have 4 axes"),
    ("hwc_to_chw", "out", f32(1, 2, 6, 8), r"out has shape \(1, 2, 6, 8\); it must be \(1, 3, h, w\)"),
    ("reduce_rgb", "fx", 0, r"\(fx, fy\) is \(0, 2\); both must be at least 1"),
    ("reduce_rgb", "fy", 65536, r"\(3, 65536\); .* product at most 65536"),
    ("reduce_rgb", "out", u8(2, 3, 3), "its axis 0 must be 3, after rgb and fy"),
    ("reduce_rgb", "out", u8(3, 2, 3), "its axis 1 must be 3, after rgb and fx"),
    ("resample_rgb_x", "out", u8(7, 5, 3), "its axis 0 must be 6, after rgb"),
    ("resample_rgb_x", "out", u8(6, 4, 3), r"starts has shape \(5,\) .* for 4 pixels they must be \(4,\)"),
    ("resample_rgb_x", "weights", SMOOTH.weights, "weights has dtype float64; it must be int32"),
    ("resample_rgb_x", "starts", WINDOWS.starts + 1, r"starts\[[0-4]\] is \d; it must lie in 0\.\."),
    ("resample_rgb_x", "starts", WINDOWS.starts - 1, r"starts\[0\] is -1"),
    ("resample_rgb_y", "rgb", u8(3, 6, 3), r"its first axis, taps, must lie in 1\.\.3"),
    ("rgb_on_grid", "rgb", u8(8, 8, 4), r"rgb has shape \(8, 8, 4\); it must be \(h, w, 3\)"),
    ("rgb_on_grid", "out", f32(2, 5, 5), r"out has shape \(2, 5, 5\); its first axis must be 3"),
    ("rgb_on_grid", "out", f32(3, 5, 6), r"starts has shape \(5,\) .* for 6 pixels they must be \(6,\)"),
    ("rgb_on_grid", "row_starts", SMOOTH.starts + 1, r"starts\[[0-4]\] is \d; it must lie in 0\.\."),
    ("rgb_on_grid", "column_weights", WINDOWS.weights, "weights has dtype int32; it must be float64"),
    ("resample_x", "weights", WINDOWS.weights, "weights has dtype int32; it must be float64"),
    ("resample_x", "out", f32(1, 6, 5), r"out has shape \(1, 6, 5\); its first axis must be 2"),
    ("resample_y", "out", f32(2, 5, 7), "its axis 2 must be 6, after planes"),
    ("resample_strip", "first", 30, r"first is 30; it must lie in 0\.\.29"),
    ("resample_strip", "out", f32(1, 3, 1, 9), r"it must be \(1, 2, h, w\)"),
    ("copy_strip", "first", 48, r"first is 48; it must lie in 0\.\.47"),
    ("mean", "scratch", np.zeros(9), r"scratch has shape \(9,\); it must be \(4160,\)"),
    ("mean", "out", f32(2), r"out has shape \(2,\); it must be \(1,\)"),
    ("subtract", "mean", f32(2), r"mean has shape \(2,\); it must be \(1,\)"),
]


@pytest.mark.parametrize("op", IMAGE_OPS)
def test_good_arguments_are_taken(op: str) -> None:
    assert getattr(_core, op)(**IMAGE_OPS[op]()) is None


@pytest.mark.parametrize(
    ("op", "name", "value", "message"), BAD, ids=[f"{op}-{name}-{i}" for i, (op, name, *_) in enumerate(BAD)]
)
def test_bad_arguments_are_named(op: str, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(_core, op)(**{**IMAGE_OPS[op](), name: value})


@pytest.mark.parametrize("op", [op for op in IMAGE_OPS if op != "subtract"])
def test_results_must_be_writeable(op: str) -> None:
    arguments = IMAGE_OPS[op]()
    arguments["out"].flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        getattr(_core, op)(**arguments)
