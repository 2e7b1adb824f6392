"""Colors of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Color = tuple[int, int, int]


def palette(count: int) -> list[Color]:
    """Return colors that tell labels apart: those of PASCAL VOC, of which the first, of the background, is black.

    The bits of a label, three at a time and the lowest first, are the bits of red, green and blue, the highest first.

    Args:
        count: At most 256.
    """
    found = []
    for label in range(count):
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
        found.append((color[0], color[1], color[2]))
    return found


def checked_colors(colors: Sequence[Any], count: int) -> list[Color]:
    """Return colors, of which there must be enough.

    Raises:
        ValueError: There are fewer than ``count``, or one is not three whole numbers from 0 to 255.
    """
    found = []
    for number, color in enumerate(colors):
        try:
            red, green, blue = (int(value) for value in color)
            right = [red, green, blue] == list(color) and all(0 <= value <= 255 for value in (red, green, blue))
        except (TypeError, ValueError):
            right = False
        if not right:
            raise ValueError(f"colors[{number}] is {color!r}; pass red, green and blue from 0 to 255, as (255, 0, 0)")
        found.append((red, green, blue))
    if len(found) < count:
        raise ValueError(
            f"there are {len(found)} colors for {count} labels; pass more, or none for those of PASCAL VOC"
        )
    return found
