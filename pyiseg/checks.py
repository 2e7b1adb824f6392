"""Checks of the values of a model, and the error for one that does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


class MisfitError(ValueError):
    """A value that a model cannot have.

    Attributes:
        way_out: What to do where the value was read from a file.
    """

    def __init__(self, reason: str, way_out: str = "export the model again") -> None:
        super().__init__(reason)
        self.way_out = way_out


def whole(low: int, high: float = math.inf) -> Check:
    """Return a check for whole numbers in a range; True and False are none."""
    return lambda value: isinstance(value, int) and within(low, high)(value)


def within(low: float, high: float) -> Check:
    """Return a check for numbers in a range; True, False and NaN are none."""
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def one_of(*known: str) -> Check:
    """Return a check for some words."""
    return lambda value: value in known


def optional(kind: type) -> Check:
    """Return a check for None and what is of a type."""
    return lambda value: value is None or isinstance(value, kind)


def text(value: Any) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def table(value: Any) -> bool:
    """Whether it has values by key."""
    return isinstance(value, Mapping)
