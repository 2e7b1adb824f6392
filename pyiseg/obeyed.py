"""Clicked pixels hold at the image's own resolution, whatever was rendered of the grid.

The grid holds each click too, so this finds something to do only where opposite clicks lie within a few grid pixels of
each other, a click lies outside of the crop that was predicted on, or a learned guide differs between grid and image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pyiseg.crop import Click, Clicks
from pyiseg.geometry import Rect, View
from pyiseg.kept import Alpha

# The grid obeys a click with no opposite one nearer than this, in grid pixels: bilinear rendering reaches one grid
# pixel and pinning one more, from either click; one for a click that was moved away from another.
_APART = 5


def reach(view: View) -> float:
    """Return how far a disobeyed click corrects what is around it: half a grid pixel, in pixels of the image."""
    return max(side / cells for side, cells in zip(view.image, view.grid, strict=True)) / 2


def at_risk(clicks: Clicks, rect: Rect, view: View, form: str, overlaid: Sequence[Rect]) -> list[Click]:
    """Return the clicks in force that rendering may leave disobeyed; of all others it is known that it does not.

    Args:
        clicks: Rows x, y, fg on the image, in the order they were made.
        rect: The crop that was predicted on.
        view: How the model sees that.
        form: The guided filter's.
        overlaid: Where something else than that prediction may be shown.
    """
    rows = last_on_each_pixel(clicks)
    if form != "residual":
        return rows  # it pins on the grid, whose guide is another one
    least = _APART * 2 * reach(view)

    def risky(x: int, y: int, fg: bool) -> bool:
        return (
            (fg and not rect.has(x, y))
            or any(other.has(x, y) for other in overlaid)
            or any(label != fg and max(abs(a - x), abs(b - y)) < least for a, b, label in rows)
        )

    return [row for row in rows if risky(*row)]


def around(clicks: Clicks, reach: float) -> list[Rect]:
    """Return rectangles around what clicks may correct, which may leave the image.

    Args:
        clicks: Rows x, y, fg.
        reach: In pixels.
    """
    wide = math.floor(reach)
    return [Rect(y - wide, x - wide, y + wide + 1, x + wide + 1) for x, y, _ in clicks]


def last_on_each_pixel(clicks: Clicks) -> list[Click]:
    """Return the last click on each pixel, in the order they were made."""
    return list({(x, y): (x, y, fg) for x, y, fg in clicks}.values())


def obey(alpha: Alpha, rect: Rect, clicks: Clicks, reach: float) -> None:
    """Put clicked pixels on their clicks' side where they are not.

    With such a pixel goes what lies within ``reach`` of it, as far as no opposite click is as near.

    Args:
        alpha: uint8, of the rectangle's shape; changed in place.
        rect: A rectangle of the image, which contains what lies within ``reach`` of those clicks that matter.
        clicks: Rows x, y, fg on the image, in the order they were made; of several on one pixel the last counts.
        reach: In pixels.
    """
    rows = last_on_each_pixel(clicks)
    wrong = [(x, y, fg) for x, y, fg in rows if rect.has(x, y) and (alpha[y - rect.top, x - rect.left] >= 128) != fg]
    for (x, y, fg), disc in zip(wrong, around(wrong, reach), strict=True):
        part = disc.common(rect)
        assert part is not None
        ys, xs = np.ogrid[part.top : part.bottom, part.left : part.right]
        own = (xs - x) ** 2 + (ys - y) ** 2
        taken = own <= reach**2
        for a, b, label in rows:
            if label != fg:
                taken &= own < (xs - a) ** 2 + (ys - b) ** 2
        taken[y - part.top, x - part.left] = True
        alpha[part.within(rect).slices][taken] = 255 if fg else 0
