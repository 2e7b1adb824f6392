"""What a user says of an image: clicks, boxes, scribbles and masks, checked."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import images
from pyiseg.geometry import Rect
from pyiseg.kept import nonzero_bounds

Number: TypeAlias = "float | np.integer[Any] | np.floating[Any]"


class Click(NamedTuple):
    """A click as it was made: the pixel, and whether it selects (fg) or removes."""

    x: int
    y: int
    fg: bool = True


class LocalClick(NamedTuple):
    """A click that changes only what is connected to it."""

    x: int
    y: int
    fg: bool = True


class Box(NamedTuple):
    """A box around what is wanted: columns x0 to x1 and rows y0 to y1, both ends included."""

    x0: int
    y0: int
    x1: int
    y1: int


class Scribble(NamedTuple):
    """A line drawn over what is wanted (fg) or not: its corners, in the order they were drawn."""

    points: tuple[tuple[int, int], ...]
    fg: bool = True


class Mask:
    """A mask or matte that a selection begins with.

    Attributes:
        alpha: uint8, shape (H, W), 255 where selected. Read-only.
    """

    def __init__(self, alpha: npt.NDArray[np.uint8]) -> None:
        self.alpha = np.array(alpha, dtype=np.uint8)
        self.alpha.flags.writeable = False

    @property
    def bounds(self) -> Rect | None:
        """The smallest rectangle around what is not 0; None where all is."""
        return nonzero_bounds(self.alpha, Rect(0, 0, *self.alpha.shape))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and np.array_equal(self.alpha, other.alpha)

    def __hash__(self) -> int:
        return hash((self.alpha.shape, self.alpha.tobytes()))

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        return f"Mask(<alpha of {width} x {height} pixels>)"


# So much may a floating-point mask leave 0 to 1: resizing does that.
_ROUNDING = 0.01

Prompt: TypeAlias = "Click | LocalClick | Box | Scribble | Mask"


def checked(prompt: Any, shape: tuple[int, int]) -> Prompt:
    """Return a prompt on an image of a shape (H, W), as if its values had been given one by one.

    Raises:
        ValueError: It is no prompt, or a mask, which a session can only begin with; or one of its values is wrong.
    """
    if isinstance(prompt, (Click, LocalClick)):
        return type(prompt)(*checked_click(prompt.x, prompt.y, prompt.fg, shape))
    if isinstance(prompt, Box):
        return checked_box(*prompt, shape)
    if isinstance(prompt, Scribble):
        return checked_scribble(prompt.points, prompt.fg, shape)
    if isinstance(prompt, Mask):
        raise ValueError("a session begins with a mask, pyiseg.Session(image, mask=mask); it cannot be added later")
    raise ValueError(
        f"prompt is {shortened(prompt)}; pass a pyiseg.Click, pyiseg.LocalClick, pyiseg.Box or pyiseg.Scribble"
    )


def checked_rect(rect: Any, shape: tuple[int, int]) -> Rect:
    """Return a rectangle of an image of a shape (H, W).

    Raises:
        ValueError: It is not four whole numbers, top, left, bottom and right in order, inside the image.
    """
    try:
        top, left, bottom, right = (operator.index(value) for value in rect)
    except (TypeError, ValueError):
        raise ValueError(f"rect is {shortened(rect)}; pass (top, left, bottom, right) in whole numbers") from None
    if not (0 <= top <= bottom <= shape[0] and 0 <= left <= right <= shape[1]):
        raise ValueError(
            f"rect is {shortened(tuple(rect))}; pass (top, left, bottom, right) with rows from 0 to {shape[0]} and "
            f"columns from 0 to {shape[1]}, top and left first"
        )
    return Rect(top, left, bottom, right)


def checked_click(x: Number, y: Number, fg: bool | np.bool_, shape: tuple[int, int]) -> Click:
    """Return a click on an image of a shape (H, W).

    Raises:
        ValueError: It lies outside, or is not a pair of finite numbers and a truth value.
    """
    return Click(_pixel("x", x, shape[1]), _pixel("y", y, shape[0]), checked_fg(fg))


def checked_box(x0: Number, y0: Number, x1: Number, y1: Number, shape: tuple[int, int]) -> Box:
    """Return a box on an image of a shape (H, W), its corners in order; what lies outside of the image is cut off.

    Raises:
        ValueError: A value is not a finite number, or no pixel of the image is in the box.
    """
    (left, right), (top, bottom) = (
        sorted((_whole("x0", x0), _whole("x1", x1))),
        sorted((_whole("y0", y0), _whole("y1", y1))),
    )
    height, width = shape
    if right < 0 or bottom < 0 or left >= width or top >= height:
        raise ValueError(
            f"the box ({x0}, {y0}, {x1}, {y1}) holds nothing of the image: x must be from 0 to {width - 1}, "
            f"y from 0 to {height - 1}; pass x0, y0, x1, y1 (corners), not a width and height"
        )
    return Box(max(0, left), max(0, top), min(width - 1, right), min(height - 1, bottom))


def checked_scribble(points: Iterable[Any], fg: bool | np.bool_, shape: tuple[int, int]) -> Scribble:
    """Return a scribble on an image of a shape (H, W).

    Raises:
        ValueError: There is no point, or one is not a pair of finite numbers inside the image.
    """
    if isinstance(points, (str, bytes)):
        raise ValueError(f"points is {shortened(points)}; pass pairs of numbers, as in [(10, 20), (30, 25)]")
    try:
        listed = [tuple(point) for point in points]
    except TypeError:
        raise ValueError(f"points is {shortened(points)}; pass pairs of numbers, as in [(10, 20), (30, 25)]") from None
    if not listed:
        raise ValueError("points is empty; pass at least one pair of numbers, as in [(10, 20), (30, 25)]")
    found = []
    for number, point in enumerate(listed):
        if len(point) != 2:
            raise ValueError(f"points[{number}] is {shortened(point)}; pass a pair of numbers (x, y)")
        x, y = point
        found.append((_pixel(f"points[{number}] x", x, shape[1]), _pixel(f"points[{number}] y", y, shape[0])))
    return Scribble(tuple(found), checked_fg(fg))


def checked_mask(mask: Any, shape: tuple[int, int]) -> Mask:
    """Return a mask for an image of a shape (H, W).

    Args:
        mask: bool, uint8 (0 to 255) or floating point (0 to 1, up to what rounding adds), shape (H, W); or the path of
            an image file, see `pyiseg.images.load_mask`.

    Raises:
        ValueError: It is of another shape or kind, or has other values.
        FileNotFoundError: It is a path at which there is no file.
    """
    if isinstance(mask, (str, os.PathLike)):
        mask = images.load_mask(mask, shape)
    values = np.asarray(mask)
    if values.shape != shape:
        raise ValueError(f"mask has shape {values.shape}, and the image {shape}; {_shape_hint(values.shape, shape)}")
    if values.dtype == np.bool_:
        return Mask(np.where(values, np.uint8(255), np.uint8(0)))
    if values.dtype == np.uint8:
        if values.max() == 1:
            raise ValueError("mask is uint8 and its largest value is 1, of 255; pass mask.astype(bool)")
        return Mask(values)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError(f"mask is {values.dtype} and holds NaN or infinity; pass numpy.nan_to_num(mask)")
        if not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):
            raise ValueError(
                f"mask is {values.dtype} with values {values.min():g} to {values.max():g}; floating point goes from 0 "
                "to 1, so divide it by its range, or pass uint8 from 0 to 255"
            )
        return Mask(np.floor(values.astype(np.float64).clip(0, 1) * 255 + 0.5).astype(np.uint8))
    way = "mask / 65535 for a 16-bit matte" if values.dtype == np.uint16 else "mask.astype(numpy.uint8) for 0 to 255"
    raise ValueError(
        f"mask has dtype {values.dtype}; pass bool, uint8 from 0 to 255 or floating point from 0 to 1: {way}, or "
        "mask > 0 if all but 0 is selected"
    )


def _shape_hint(shape: tuple[int, ...], wanted: tuple[int, int]) -> str:
    if not shape:
        return "pass an array, or the path of an image file"
    if len(shape) == 3 and shape[:2] == wanted:
        return "pass one channel, mask[..., 0]"
    if shape == wanted[::-1]:
        return "is it transposed?"
    return f"resize it to {wanted[1]} x {wanted[0]} pixels first"


def checked_fg(fg: Any) -> bool:
    """Return whether something selects.

    Raises:
        ValueError: It is no truth value.
    """
    # Not bool(fg): that would make a selecting click of the text "bg".
    if isinstance(fg, (bool, np.bool_)) or (isinstance(fg, (int, np.integer)) and fg in (0, 1)):
        return bool(fg)
    raise ValueError(f"fg is {shortened(fg)}; pass True to select or False to remove")


def _whole(name: str, value: Number) -> int:
    """A coordinate as the index of a pixel, wherever it lies."""
    pixel = _nearest(value)
    if pixel is None:
        raise ValueError(f"{name} is {shortened(value)}; pass a finite number")
    return pixel


def _pixel(name: str, value: Number, length: int) -> int:
    """A coordinate as the index of a pixel, checked."""
    pixel = _nearest(value)
    if pixel is None:
        raise ValueError(f"{name} is {shortened(value)}; pass a finite number, from 0 to {length - 1} in this image")
    if not 0 <= pixel < length:
        raise ValueError(f"{name} is {shortened(value)}, outside the image: it must be from 0 to {length - 1}")
    return pixel


def _nearest(value: Number) -> int | None:
    # To Python bool is a number too, but True is no coordinate.
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return math.floor(value + 0.5)
    return None


def shortened(value: Any) -> str:
    """Return a value as Python shows it, cut where it is long: for messages."""
    try:
        text = repr(value)
    except ValueError:  # of a number of thousands of digits
        text = f"a {type(value).__name__} of very many digits"
    return text if len(text) <= 80 else f"{text[:80]}…"
