"""Find where a simplified outline has passed over another one, so that what was inside of it would be outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyiseg.formats.outlines import Whole

if TYPE_CHECKING:
    from pyiseg.formats.simplify import Closed, Spans

Flags = npt.NDArray[np.bool_]

# Side of the squares by which points that are near a line are found, pixels.
_SQUARE = 16


def jumping(closed: Closed, spans: Spans, fresh: Flags, kept: Flags) -> Flags:
    """Return which lines have another outline between them and the points that they stand for.

    Args:
        closed: All outlines.
        spans: The lines, those of an outline one after the other; they do not cross.
        fresh: Which ones to look at.
        kept: The points that are their ends. Outlines of which no point tells where they are get all of theirs.

    Returns:
        bool, shape (S,).
    """
    found = np.zeros(fresh.size, np.bool_)
    looked_at = np.flatnonzero(fresh & (spans.last - spans.first > 1))
    if closed.offsets.size <= 2 or not looked_at.size:
        return found
    first, last = spans.first[looked_at], spans.last[looked_at]
    places = _places(closed, kept)
    counts = last - first + 1
    _, at = _ranges(first, counts)
    starts = np.cumsum(counts) - counts
    low = np.minimum.reduceat(closed.points[at], starts)
    high = np.maximum.reduceat(closed.points[at], starts)
    line, place = _near(low, high, places)
    other = np.searchsorted(closed.offsets, first[line], "right") - 1 != place
    line, place = line[other], place[other]
    if line.size:
        inside = _between(closed.points, first[line], counts[line], places[place])
        found[looked_at[line[inside]]] = True
    return found


def _places(closed: Closed, kept: Flags) -> npt.NDArray[np.float64]:
    """Return for every outline a point on it, or inside of it, that is on no other one: float64, shape (R, 2)."""
    starts, ends = closed.offsets[:-1], closed.offsets[1:]
    once = np.ones(kept.size, np.bool_)
    once[ends - 1] = False  # the first point again
    order = np.flatnonzero(once)
    order = order[np.lexsort((closed.points[order, 0], closed.points[order, 1]))]
    same = np.flatnonzero((closed.points[order[1:]] == closed.points[order[:-1]]).all(axis=1))
    own = kept & once
    own[order[same]] = own[order[same + 1]] = False
    candidates = np.append(np.flatnonzero(own), closed.points.shape[0])
    chosen = candidates[np.searchsorted(candidates, starts)]
    lacking = np.flatnonzero(chosen >= ends)
    places: npt.NDArray[np.float64] = closed.points[np.minimum(chosen, closed.points.shape[0] - 1)].astype(np.float64)
    if lacking.size:
        number, at = _ranges(starts[lacking], (ends - starts)[lacking])
        kept[at] = True
        points = closed.points[at]
        order = np.lexsort((points[:, 0], points[:, 1], number))
        topmost = order[np.searchsorted(number[order], np.arange(lacking.size))]
        places[lacking] = points[topmost] + 0.5  # the pixel right of and below the topmost corner is inside
    return places


def _near(low: Whole, high: Whole, places: npt.NDArray[np.float64]) -> tuple[Whole, Whole]:
    """Return pairs of a rectangle and a place in it."""
    squares = np.floor(places / _SQUARE).astype(np.int64)
    columns = int(squares[:, 0].max()) + 2
    keys = squares[:, 1] * columns + squares[:, 0]
    order = np.argsort(keys)
    keys = keys[order]
    top, bottom = low[:, 1] // _SQUARE, high[:, 1] // _SQUARE
    rectangle, row = _ranges(top, bottom - top + 1)
    left = np.minimum(low[:, 0] // _SQUARE, columns - 1)[rectangle]
    right = np.minimum(high[:, 0] // _SQUARE, columns - 1)[rectangle]
    start = np.searchsorted(keys, row * columns + left)
    end = np.searchsorted(keys, row * columns + right, "right")
    band, at = _ranges(start, end - start)
    line, place = rectangle[band], order[at]
    inside = ((low[line] <= places[place]) & (places[place] <= high[line])).all(axis=1)
    return line[inside], place[inside]


def _between(points: Whole, first: Whole, counts: Whole, places: npt.NDArray[np.float64]) -> Flags:
    """Return whether each place is between a line and the points that it stands for, by counting to the right."""
    pair, begin = _ranges(first, counts)
    starts = np.cumsum(counts) - counts
    end = begin + 1
    end[starts + counts - 1] = first  # along the line back
    x, y = places[pair].T
    (x0, y0), (x1, y1) = points[begin].T, points[end].T
    passes = (y0 <= y) != (y1 <= y)
    side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
    crosses = passes & ((side > 0) == (y1 > y0))
    odd: Flags = np.add.reduceat(crosses.astype(np.int64), starts) % 2 == 1
    return odd


def _ranges(first: Whole, counts: Whole) -> tuple[Whole, Whole]:
    """Return whole numbers from each first one on, and the number of the range that each belongs to."""
    number = np.repeat(np.arange(counts.size), counts)
    return number, np.arange(number.size) - (np.cumsum(counts) - counts)[number] + first[number]
