"""Prompts as JSON, as a saved session has them, and back; checked by the library as if they had been passed to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyiseg import saving
from pyiseg.prompts import (
    Box,
    Click,
    LocalClick,
    Mask,
    Prompt,
    Scribble,
    checked_box,
    checked_click,
    checked_scribble,
    shortened,
)

_FORMS = (
    'pass {"click": [x, y, true]}, {"local": [x, y, true]}, {"box": [x0, y0, x1, y1]} or '
    '{"scribble": [[x, y], …], "fg": true}'
)


def prompt_of(value: Any, shape: tuple[int, int]) -> Prompt:
    """Return the prompt that a client made.

    Args:
        value: Parsed JSON.
        shape: Height and width of the image.

    Raises:
        ValueError: It is none, or lies outside of the image.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"prompt is {shortened(value)}; {_FORMS}")
    for name, read in _READERS.items():
        if name in value:
            unknown = set(value) - ({name, "fg"} if name == "scribble" else {name})
            if unknown:
                raise ValueError(f"prompt has the unknown key {shortened(min(unknown))}; {_FORMS}")
            return read(value, shape)
    if "mask" in value:
        raise ValueError("an object begins with a mask, and none can be added later: make another object from the mask")
    raise ValueError(f"prompt is {shortened(dict(value))}; {_FORMS}")


def json_of(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as clients get it; of a mask only that it is one."""
    if isinstance(prompt, Mask):
        return {"mask": True}
    if isinstance(prompt, Scribble):
        return {"scribble": [list(point) for point in prompt.points], "fg": prompt.fg}
    return {{Click: "click", LocalClick: "local", Box: "box"}[type(prompt)]: list(prompt)}


def _click(value: Mapping[str, Any], shape: tuple[int, int]) -> Click:
    x, y, fg = _numbers(value, "click", 3)
    return checked_click(x, y, fg, shape)


def _local(value: Mapping[str, Any], shape: tuple[int, int]) -> LocalClick:
    x, y, fg = _numbers(value, "local", 3)
    return LocalClick(*checked_click(x, y, fg, shape))


def _box(value: Mapping[str, Any], shape: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = _numbers(value, "box", 4)
    return checked_box(x0, y0, x1, y1, shape)


def _scribble(value: Mapping[str, Any], shape: tuple[int, int]) -> Scribble:
    points = value["scribble"]
    if not isinstance(points, list):
        raise ValueError(f"scribble is {shortened(points)}; pass pairs of numbers, as in [[10, 20], [30, 25]]")
    if len(points) > saving.MOST_POINTS:
        raise ValueError(f"the scribble has {len(points)} points; pass at most {saving.MOST_POINTS}")
    return checked_scribble(points, value.get("fg", True), shape)


_READERS: dict[str, Callable[[Mapping[str, Any], tuple[int, int]], Prompt]] = {
    "click": _click,
    "local": _local,
    "box": _box,
    "scribble": _scribble,
}


def _numbers(value: Mapping[str, Any], name: str, count: int) -> list[Any]:
    numbers = value[name]
    if isinstance(numbers, list) and count == 3 and len(numbers) == 2:
        numbers = [*numbers, True]
    if not isinstance(numbers, list) or len(numbers) != count:
        raise ValueError(f"{name} is {shortened(numbers)}; {_FORMS}")
    return numbers
