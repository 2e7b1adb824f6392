"""Which clicks stand for a box, a scribble or a mask: the network is trained with clicks, and knows nothing else.

docs/decisions/0015-prompts.md has the rules that were tried, and what they gave.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import Rect, View
from pyiseg.prompts import Box, Click, Scribble

# The clicks around a box lie so many grid pixels outside of its corners.
BOX_DISTANCE = 3
# A scribble is at most so many clicks.
SCRIBBLE_CLICKS = 4
# Of so many pixels along a scribble it is seen whether they are as wanted.
PATH_PIXELS = 4096
# So many parts of a mask get a click, the largest ones; parts that are smaller than this share of the largest get none.
MASK_PARTS, MASK_LEAST = 8, 0.02


def clicks_of_box(box: Box, window: Rect, view: View) -> tuple[Click, list[Click]]:
    """Return the clicks that stand for a box: one in its middle, which selects, and those outside of its corners.

    Args:
        box: On the image.
        window: What the network looks at, the whole image or a part of it that holds the box.
        view: How the model sees that.

    Returns:
        The one that selects, and up to four that remove: where a corner lies at the window's border, there is none.
    """
    (height, width), (rows, columns) = view.image, view.grid
    away_x, away_y = (1 + BOX_DISTANCE * side // pixels for side, pixels in ((width, columns), (height, rows)))
    corners = [(x, y) for y in (box.y0 - away_y, box.y1 + away_y) for x in (box.x0 - away_x, box.x1 + away_x)]
    around = [Click(x, y, False) for x, y in corners if window.has(x, y)]
    return Click((box.x0 + box.x1) // 2, (box.y0 + box.y1) // 2, True), around


def rect_of_box(box: Box) -> Rect:
    """Return the rectangle that a box covers."""
    return Rect(box.y0, box.x0, box.y1 + 1, box.x1 + 1)


def path_of_scribble(scribble: Scribble, window: Rect, view: View) -> list[tuple[int, int]]:
    """Return the pixels (x, y) along a scribble, two to a grid pixel that it goes through, its ends included.

    Args:
        scribble: On the image.
        window: What the network looks at, the whole image or a part of it.
        view: How the model sees that; it gives the size of a grid pixel.

    Returns:
        At most `PATH_PIXELS`: of a longer scribble fewer to a grid pixel.
    """
    points = np.array(scribble.points, dtype=np.float64)
    scale = np.array([view.grid[1] / window.shape[1], view.grid[0] / window.shape[0]])
    steps = np.abs(np.diff(points, axis=0) * scale).max(axis=1) if len(points) > 1 else np.zeros(0)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(0, along[-1], min(PATH_PIXELS, 1 + int(np.ceil(2 * along[-1]))))
    xs, ys = (np.floor(np.interp(places, along, points[:, axis]) + 0.5).astype(int) for axis in (0, 1))
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def next_on_path(wrong: npt.NDArray[np.bool_]) -> int | None:
    """Return the middle of the longest run of what is wrong along a path; None where nothing is.

    Args:
        wrong: bool, shape (N,).
    """
    ends = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    if len(ends) == 0:
        return None
    starts, stops = ends[::2], ends[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest] + stops[longest] - 1) // 2


def clicks_of_mask(alpha: npt.NDArray[np.float32], view: View) -> list[Click]:
    """Return a click in each part of a mask, where it is deepest.

    What is fed back to the network is what its clicks are connected to. Parts without a click stay as they were given,
    as `pyiseg.kept` keeps what no click is on; only the largest ones are refined.

    Args:
        alpha: The mask on the grid, float32, shape (h, w), 0..1; pixels above 0.5 are selected.
        view: How the model sees the image.

    Returns:
        The clicks, on the image, the largest parts first; none where nothing is selected.
    """
    from pyiseg import _core

    (height, width), (rows, columns) = view.image, view.grid
    left = np.ascontiguousarray(alpha, dtype=np.float32)
    depth, found = _depth(left > 0.5), list[tuple[int, Click]]()
    labels, part = np.empty((rows, columns), np.int32), np.empty((rows, columns), np.float32)
    while depth.max() > 0 and len(found) < 4 * MASK_PARTS:
        y, x = divmod(int(np.argmax(depth)), columns)
        _core.keep_clicked_components(left, np.array([[x, y, 1]], np.int32), 0, labels, part)
        inside = part > 0.5
        # The center of a grid pixel, as a pixel of the image.
        click = Click((2 * x + 1) * width // (2 * columns), (2 * y + 1) * height // (2 * rows), True)
        found.append((int(inside.sum()), click))
        depth[inside] = 0
    found.sort(key=lambda part: -part[0])
    return [click for area, click in found[:MASK_PARTS] if area >= MASK_LEAST * found[0][0]]


def _depth(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return how many times a mask can be eroded by a square of 3 before a pixel goes; outside the image is outside."""
    depth, left = np.zeros(mask.shape, np.int32), mask
    while left.any():
        depth += left
        padded = np.pad(left, 1)
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        left = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return depth
