"""Good arguments of every op of `pyiseg._core`, of random sizes and values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyiseg import _core
from pyiseg.runtime.resample import fixed_windows, windows
from support.native import MEAN_SCRATCH

Generator = np.random.Generator


def random_arguments(op: str, r: Generator) -> dict[str, Any]:
    """Keyword arguments that an op takes.

    Args:
        op: A name in `support.op_arguments.ALL_OPS`.
        r: Where the chance comes from.
    """
    return _MAKERS[op](r)


def _side(r: Generator) -> int:
    return int(r.integers(1, 6)) if r.random() < 0.3 else int(r.integers(1, 40))


def _bytes(r: Generator, *shape: int) -> NDArray[np.uint8]:
    return r.integers(0, 256, shape, dtype=np.uint8)


def _floats(r: Generator, *shape: int) -> NDArray[np.float32]:
    return r.random(shape, dtype=np.float32)


def _clicks(r: Generator, h: int, w: int, n: int | None = None) -> NDArray[np.int32]:
    n = int(r.integers(0, 6)) if n is None else n
    return np.stack([r.integers(0, w, n), r.integers(0, h, n), r.integers(0, 2, n)], 1).astype(np.int32)


def _out(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def _click_maps(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    sigmas = [float(s) for s in r.uniform(0.01, 50, int(r.integers(1, 4)))]
    dtype = np.float16 if r.random() < 0.3 else np.float32
    return {"clicks": _clicks(r, h, w), "sigmas": sigmas, "out": np.zeros((2 * len(sigmas), h, w), dtype)}


def _force_clicks(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {"clicks": _clicks(r, h, w), "alpha": _floats(r, h, w)}


def _pin_clicks(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {"guide": _floats(r, h, w), "clicks": _clicks(r, h, w), "coefficients": _floats(r, 2, h, w)}


def _guide(r: Generator, h: int, w: int) -> tuple[NDArray[Any], int]:
    """A guide of either kind, and how many planes of coefficients go with it."""
    return (_bytes(r, h, w, 3), 4) if r.random() < 0.5 else (_floats(r, h, w), 2)


def _pin_image_clicks(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    guide, planes = _guide(r, *(image := (_side(r), _side(r))))
    on_grid = _clicks(r, h, w)
    return {
        "guide": guide,
        "image_clicks": _clicks(r, *image, n=len(on_grid)),
        "clicks": on_grid,
        "flags": _out(h, w),
        "coefficients": _floats(r, planes, h, w),
    }


def _keep_clicked_components(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {
        "alpha": _floats(r, h, w),
        "clicks": _clicks(r, h, w),
        "margin": int(r.integers(0, 5)),
        "labels": np.zeros((h, w), np.int32),
        "out": _out(h, w),
    }


def _zero_coefficients(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {"alpha": _floats(r, h, w), "kept": _floats(r, h, w), "coefficients": _floats(r, 2, h, w)}


def _guided_filter_coefficients(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {
        "guide": _floats(r, h, w),
        "p": _floats(r, h, w),
        "radius": int(r.integers(0, 65)),
        "eps": float(10 ** r.uniform(-6, 1)),
        "residual": bool(r.integers(2)),
        "scratch": _out(2, h, w),
        "coefficients": _out(2, h, w),
    }


def _color_guide_statistics(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {
        "image": _floats(r, 3, h, w),
        "radius": int(r.integers(0, 65)),
        "eps": float(10 ** r.uniform(-5, 1)),
        "statistics": _out(6, h, w),
    }


def _color_guided_filter_coefficients(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {
        "image": _floats(r, 3, h, w),
        "statistics": _floats(r, 6, h, w),
        "p": _floats(r, h, w),
        "radius": int(r.integers(0, 65)),
        "scratch": _out(3, h, w),
        "coefficients": _out(4, h, w),
    }


def _apply_coefficients(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    guide, planes = _guide(r, h, w)
    out = np.zeros((h, w), np.uint8 if r.random() < 0.5 else np.float32)
    return {"coefficients": _floats(r, planes, _side(r), _side(r)), "guide": guide, "out": out}


def _apply_coefficients_in(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    guide, planes = _guide(r, h, w)
    top, left = int(r.integers(h)), int(r.integers(w))
    return {
        "coefficients": _floats(r, planes, _side(r), _side(r)),
        "guide": guide,
        "top": top,
        "left": left,
        "out": np.zeros((int(r.integers(1, h - top + 1)), int(r.integers(1, w - left + 1))), np.uint8),
    }


def _estimate_foreground(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {
        "rgb": _bytes(r, h, w, 3),
        "alpha": _bytes(r, h, w),
        "scratch": np.zeros(_core.foreground_scratch(h, w), np.uint8),
        "out": np.zeros((h, w, 3), np.uint8),
    }


def _strip(r: Generator, planes: int) -> NDArray[np.float32]:
    return _out(1, planes, int(r.integers(1, 4)), int(r.integers(1, 60)))


def _hwc_to_chw(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {"rgb": _bytes(r, h, w, 3), "first": int(r.integers(h * w)), "out": _strip(r, 3)}


def _reduce_rgb(r: Generator) -> dict[str, Any]:
    h, w, fx, fy = _side(r), _side(r), int(r.integers(1, 9)), int(r.integers(1, 9))
    return {"rgb": _bytes(r, h, w, 3), "fx": fx, "fy": fy, "out": np.zeros((-(-h // fy), -(-w // fx), 3), np.uint8)}


def _fixed(r: Generator, size: int, to: int) -> dict[str, NDArray[Any]]:
    return dict(vars(fixed_windows("lanczos" if r.random() < 0.5 else "bilinear", size, to)))


def _resample_rgb_x(r: Generator) -> dict[str, Any]:
    h, w, to = _side(r), _side(r), _side(r)
    return {"rgb": _bytes(r, h, w, 3), **_fixed(r, w, to), "out": np.zeros((h, to, 3), np.uint8)}


def _resample_rgb_y(r: Generator) -> dict[str, Any]:
    h, w, to = _side(r), _side(r), _side(r)
    return {"rgb": _bytes(r, h, w, 3), **_fixed(r, h, to), "out": np.zeros((to, w, 3), np.uint8)}


def _smooth(size: int, to: int) -> dict[str, NDArray[Any]]:
    return dict(vars(windows("bilinear", size, to)))


def _rgb_on_grid(r: Generator) -> dict[str, Any]:
    h, w, grid_h, grid_w = _side(r), _side(r), _side(r), _side(r)
    rows, columns = _smooth(h, grid_h), _smooth(w, grid_w)
    return {
        "rgb": _bytes(r, h, w, 3),
        "row_starts": rows["starts"],
        "row_weights": rows["weights"],
        "column_starts": columns["starts"],
        "column_weights": columns["weights"],
        "out": _out(3, grid_h, grid_w),
    }


def _resample_x(r: Generator) -> dict[str, Any]:
    n, h, w, to = int(r.integers(1, 4)), _side(r), _side(r), _side(r)
    return {"planes": _floats(r, n, h, w), **_smooth(w, to), "out": _out(n, h, to)}


def _resample_y(r: Generator) -> dict[str, Any]:
    n, h, w, to = int(r.integers(1, 4)), _side(r), _side(r), _side(r)
    return {"planes": _floats(r, n, h, w), **_smooth(h, to), "out": _out(n, to, w)}


def _resample_strip(r: Generator) -> dict[str, Any]:
    n, h, w, to = int(r.integers(1, 4)), _side(r), _side(r), _side(r)
    first = int(r.integers(to * w))
    return {"planes": _floats(r, n, h, w), **_smooth(h, to), "first": first, "out": _strip(r, n)}


def _copy_strip(r: Generator) -> dict[str, Any]:
    n, h, w = int(r.integers(1, 4)), _side(r), _side(r)
    return {"planes": _floats(r, n, h, w), "first": int(r.integers(h * w)), "out": _strip(r, n)}


def _noise_samples(r: Generator) -> dict[str, Any]:
    h, w = 2 + _side(r), 2 + _side(r)
    out = np.zeros((int(r.integers(1, h - 1)), int(r.integers(1, w - 1)), 3), np.int32)
    return {"rgb": _bytes(r, h, w, 3), "out": out}


def _reduce_noise(r: Generator) -> dict[str, Any]:
    h, w = _side(r), _side(r)
    return {"rgb": _bytes(r, h, w, 3), "limit": float(10 ** r.uniform(-3, 5)), "out": np.zeros((h, w, 3), np.uint8)}


def _mean(r: Generator) -> dict[str, Any]:
    return {"values": _floats(r, _side(r), _side(r)), "scratch": np.zeros(MEAN_SCRATCH), "out": _out(1)}


def _subtract(r: Generator) -> dict[str, Any]:
    return {"mean": _floats(r, 1), "values": _floats(r, _side(r), _side(r))}


_MAKERS = {
    name.removeprefix("_"): maker
    for name, maker in dict(globals()).items()
    if name.removeprefix("_") in dir(_core) and callable(maker)
}
