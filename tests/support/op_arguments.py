"""Arguments that every op of `pyiseg._core` takes, small ones, and which of them it writes into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyiseg import _core
from pyiseg.runtime.resample import fixed_windows, windows
from support.native import MEAN_SCRATCH

H, W = 6, 8
CLICKS = np.array([[1, 2, 1], [7, 5, 0]], np.int32)
WINDOWS = fixed_windows("lanczos", 8, 5)
SMOOTH = windows("bilinear", 8, 5)


def u8(*shape: int) -> NDArray[np.uint8]:
    return np.zeros(shape, np.uint8)


def f32(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


FILTER_OPS: dict[str, Callable[[], dict[str, Any]]] = {
    "click_maps": lambda: {"clicks": CLICKS, "sigmas": [1.0, 2.0], "out": f32(4, H, W)},
    "force_clicks": lambda: {"clicks": CLICKS, "alpha": f32(H, W)},
    "pin_clicks": lambda: {"guide": f32(H, W), "clicks": CLICKS, "coefficients": f32(2, H, W)},
    "keep_clicked_components": lambda: {
        "alpha": f32(H, W),
        "clicks": CLICKS,
        "margin": 1,
        "labels": np.zeros((H, W), np.int32),
        "out": f32(H, W),
    },
    "zero_coefficients": lambda: {"alpha": f32(H, W), "kept": f32(H, W), "coefficients": f32(2, H, W)},
    "guided_filter_coefficients": lambda: {
        "guide": f32(H, W),
        "p": f32(H, W),
        "radius": 2,
        "eps": 1e-3,
        "residual": False,
        "scratch": f32(2, H, W),
        "coefficients": f32(2, H, W),
    },
    "color_guide_statistics": lambda: {"image": f32(3, H, W), "radius": 1, "eps": 1e-3, "statistics": f32(6, H, W)},
    "color_guided_filter_coefficients": lambda: {
        "image": f32(3, H, W),
        "statistics": f32(6, H, W),
        "p": f32(H, W),
        "radius": 1,
        "scratch": f32(3, H, W),
        "coefficients": f32(4, H, W),
    },
    "pin_image_clicks": lambda: {
        "guide": u8(9, 10, 3),
        "image_clicks": np.array([[9, 8, 1], [0, 0, 0]], np.int32),
        "clicks": CLICKS,
        "flags": f32(H, W),
        "coefficients": f32(4, H, W),
    },
    "apply_coefficients": lambda: {"coefficients": f32(2, H, W), "guide": f32(9, 9), "out": f32(9, 9)},
    "apply_coefficients_in": lambda: {
        "coefficients": f32(4, H, W),
        "guide": u8(9, 10, 3),
        "top": 2,
        "left": 3,
        "out": u8(4, 5),
    },
    "estimate_foreground": lambda: {
        "rgb": u8(H, W, 3),
        "alpha": u8(H, W),
        "scratch": u8(_core.foreground_scratch(H, W)),
        "out": u8(H, W, 3),
    },
}

IMAGE_OPS: dict[str, Callable[[], dict[str, Any]]] = {
    "hwc_to_chw": lambda: {"rgb": u8(6, 8, 3), "first": 0, "out": f32(1, 3, 6, 8)},
    "reduce_rgb": lambda: {"rgb": u8(6, 8, 3), "fx": 3, "fy": 2, "out": u8(3, 3, 3)},
    "resample_rgb_x": lambda: {"rgb": u8(6, 8, 3), **vars(WINDOWS), "out": u8(6, 5, 3)},
    "resample_rgb_y": lambda: {"rgb": u8(8, 6, 3), **vars(WINDOWS), "out": u8(5, 6, 3)},
    "rgb_on_grid": lambda: {
        "rgb": u8(8, 8, 3),
        "row_starts": SMOOTH.starts,
        "row_weights": SMOOTH.weights,
        "column_starts": SMOOTH.starts,
        "column_weights": SMOOTH.weights,
        "out": f32(3, 5, 5),
    },
    "resample_x": lambda: {"planes": f32(2, 6, 8), **vars(SMOOTH), "out": f32(2, 6, 5)},
    "resample_y": lambda: {"planes": f32(2, 8, 6), **vars(SMOOTH), "out": f32(2, 5, 6)},
    "resample_strip": lambda: {"planes": f32(2, 8, 6), **vars(SMOOTH), "first": 0, "out": f32(1, 2, 1, 9)},
    "copy_strip": lambda: {"planes": f32(2, 8, 6), "first": 0, "out": f32(1, 2, 1, 9)},
    "noise_samples": lambda: {"rgb": u8(6, 8, 3), "out": np.zeros((4, 6, 3), np.int32)},
    "reduce_noise": lambda: {"rgb": u8(6, 8, 3), "limit": 100.0, "out": u8(6, 8, 3)},
    "mean": lambda: {"values": f32(6, 8), "scratch": np.zeros(MEAN_SCRATCH), "out": f32(1)},
    "subtract": lambda: {"mean": f32(1), "values": f32(6, 8)},
}

ALL_OPS = {**FILTER_OPS, **IMAGE_OPS}

# What each op writes into, besides `out`.
_WRITTEN = {
    "force_clicks": ("alpha",),
    "pin_clicks": ("coefficients",),
    "pin_image_clicks": ("flags", "coefficients"),
    "keep_clicked_components": ("labels",),
    "zero_coefficients": ("coefficients",),
    "guided_filter_coefficients": ("scratch", "coefficients"),
    "color_guide_statistics": ("statistics",),
    "color_guided_filter_coefficients": ("scratch", "coefficients"),
    "estimate_foreground": ("scratch",),
    "mean": ("scratch",),
    "subtract": ("values",),
}


def written_by(op: str) -> tuple[str, ...]:
    """Names of the arrays that an op writes into."""
    out = ("out",) if "out" in ALL_OPS[op]() else ()
    return (*_WRITTEN.get(op, ()), *out)
