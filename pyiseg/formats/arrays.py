"""Checks of the arrays that `pyiseg.formats` takes, and what they mean."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Alpha = npt.NDArray[np.uint8]

SELECTED = 128
"""Least alpha that counts as selected."""


def as_mask(mask: Any, name: str = "mask") -> Mask:
    """Return what is selected.

    Args:
        mask: bool, or alpha as uint8, shape (H, W), neither 0.
        name: Of the argument, for errors.

    Returns:
        bool, shape (H, W): ``mask`` itself, or a fresh array.

    Raises:
        ValueError: It has another dtype or shape.
    """
    array = _plane(mask, name)
    return array if array.dtype == np.bool_ else array >= SELECTED


def as_alpha(alpha: Any, name: str = "alpha") -> Alpha:
    """Return alpha.

    Args:
        alpha: As for `as_mask`.
        name: Of the argument, for errors.

    Returns:
        uint8, shape (H, W), 255 where selected, C-contiguous: ``alpha`` itself, or a fresh array.

    Raises:
        ValueError: It has another dtype or shape.
    """
    array = _plane(alpha, name)
    return np.ascontiguousarray(array if array.dtype == np.uint8 else array * np.uint8(255))


def checked_tolerance(tolerance: Any) -> float:
    """Return a distance in pixels, at least 0 and finite.

    Raises:
        ValueError: It is none.
    """
    return _distance(tolerance, "tolerance", "0 for the exact outline, or 1 for a simpler one")


def checked_radius(radius: Any) -> float:
    """Return a radius in pixels, at least 0 and finite.

    Raises:
        ValueError: It is none.
    """
    return _distance(radius, "radius", "a number of pixels")


def checked_shape(shape: Any) -> tuple[int, int]:
    """Return height and width of an image, each at least 1.

    Raises:
        ValueError: They are no such numbers.
    """
    try:
        height, width = (int(side) for side in shape)
        right = (height, width) == tuple(shape) and min(height, width) >= 1
    except (TypeError, ValueError, OverflowError):  # the last of infinity
        right = False
    if not right:
        raise ValueError(f"shape is {shape!r}; pass height and width of the image, (H, W), at least 1 each")
    return height, width


def checked_objects(objects: Iterable[Any], shape: tuple[int, int] | None = None) -> list[tuple[str, Mask]]:
    """Return named masks.

    Args:
        objects: Pairs (name, mask).
        shape: That all masks must have; None for that of the first.

    Raises:
        ValueError: One is no such pair, or of another shape.
    """
    found: list[tuple[str, Mask]] = []
    for number, given in enumerate(objects):
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise ValueError(f"objects[{number}] is no pair of a name and a mask; pass [('dog', mask), ...]")
        if not isinstance(given[0], str) or not given[0]:
            raise ValueError(f"the name of objects[{number}] is {given[0]!r:.60}; pass text, as in ('dog', mask)")
        name, mask = given[0], as_mask(given[1], f"the mask of objects[{number}]")
        shape = shape or (mask.shape[0], mask.shape[1])
        if mask.shape != shape:
            raise ValueError(
                f"the mask of objects[{number}], '{name}', has shape {mask.shape}, not {shape}; pass masks of one image"
            )
        found.append((name, mask))
    return found


def bounds_of(mask: Mask) -> tuple[slice, slice] | None:
    """Return the rows and columns of the smallest rectangle that holds all that is selected; None if nothing is."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    inside = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[inside].any(axis=0))
    return inside, slice(int(columns[0]), int(columns[-1]) + 1)


def _plane(array: Any, name: str) -> npt.NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is a {type(array).__name__}; pass a numpy array, as session.mask or session.alpha")
    if array.dtype not in (np.bool_, np.uint8):
        raise ValueError(
            f"{name} has dtype {array.dtype}; pass bool, or alpha as uint8 from 0 to 255 (128 and more is selected), "
            "such as mask > 0.5 of floating point from 0 to 1"
        )
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; pass one of shape (H, W), of at least a pixel")
    return array


def _distance(value: Any, name: str, way_out: str) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    # Not math.isfinite alone, which fails with whole numbers beyond floating point.
    if not number or not 0 <= value <= sys.float_info.max or math.isnan(value):
        raise ValueError(f"{name} is {value!r}; pass {way_out}, not below 0")
    return float(value)
