"""Find where simplified outlines cross or run into one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyiseg.formats.outlines import Whole

if TYPE_CHECKING:
    from pyiseg.formats.simplify import Closed, Spans

Flags = npt.NDArray[np.bool_]

# Side of the squares by which lines that are near one another are found, pixels.
_SQUARE = 16


def crossing(closed: Closed, spans: Spans, fresh: Flags) -> Flags:
    """Return which lines have a point in common with another, other than corners in which outlines merely touch.

    Args:
        closed: All outlines.
        spans: The lines, those of an outline one after the other.
        fresh: Which ones were not looked at before; the others do not cross each other.

    Returns:
        bool, shape (S,).
    """
    begin, end = closed.points[spans.first], closed.points[spans.last]
    # As they are in the mask outlines do not cross.
    simpler = spans.last - spans.first > 1
    found = np.zeros(simpler.size, np.bool_)
    for one, other in _near(begin, end):
        worth = (fresh[one] | fresh[other]) & (simpler[one] | simpler[other])
        one, other = one[worth], other[worth]
        crossed = _meet(begin[one], end[one], begin[other], end[other])
        found[one[crossed]] = found[other[crossed]] = True
    _mark_corners(closed, spans, begin, end, found)
    return found


def _near(begin: Whole, end: Whole) -> Iterator[tuple[Whole, Whole]]:
    """Yield pairs of lines, some of them again, among them all that have a point in common."""
    steps = np.maximum(np.abs(end - begin).max(axis=1) // _SQUARE + 1, 1)
    line = np.repeat(np.arange(steps.size), steps)
    step = np.arange(line.size) - np.repeat(np.cumsum(steps) - steps, steps)
    pace = (end - begin) / steps[:, None]
    start = begin[line] + step[:, None] * pace[line]
    corners = np.stack((start, start + pace[line]))
    low = np.floor((corners.min(axis=0) - 1e-3) / _SQUARE).astype(np.int64)
    high = np.floor((corners.max(axis=0) + 1e-3) / _SQUARE).astype(np.int64)
    columns = int(high[:, 0].max()) + 2
    squares, lines = [], []
    for x in (low[:, 0], high[:, 0]):
        for y in (low[:, 1], high[:, 1]):
            squares.append((y + 1) * columns + x + 1)
            lines.append(line)
    keys = np.unique(np.concatenate(squares) * steps.size + np.concatenate(lines))
    square, member = np.divmod(keys, steps.size)
    for apart in range(1, square.size):
        pairs = np.flatnonzero(square[apart:] == square[:-apart])
        if not pairs.size:
            return
        yield member[pairs], member[pairs + apart]


def _meet(a: Whole, b: Whole, c: Whole, d: Whole) -> Flags:
    """Return where the line from a to b and that from c to d have a point in common, but for a common end."""
    boxes = (np.maximum(np.minimum(a, b), np.minimum(c, d)) <= np.minimum(np.maximum(a, b), np.maximum(c, d))).all(
        axis=1
    )
    found = np.zeros(boxes.size, np.bool_)
    at = np.flatnonzero(boxes)
    a, b, c, d = a[at], b[at], c[at], d[at]
    sides = np.sign(np.stack((_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b))))
    meets = (sides[0] * sides[1] <= 0) & (sides[2] * sides[3] <= 0)
    # Two lines from one end meet elsewhere only if they lie on each other; whether they do, the corner tells.
    ends = (a == c).all(axis=1) | (a == d).all(axis=1) | (b == c).all(axis=1) | (b == d).all(axis=1)
    found[at] = meets & ~ends
    return found


def _mark_corners(closed: Closed, spans: Spans, begin: Whole, end: Whole, found: Flags) -> None:
    """Mark the lines of corners in which an outline turns back upon itself, or two outlines cross each other."""
    count = begin.shape[0]
    first = np.searchsorted(spans.first, closed.offsets[:-1])
    before = np.arange(count) - 1
    before[first] = np.append(first[1:], count) - 1
    # Of the corner in which each line begins: where the outline comes from, and goes to.
    source, target = begin[before] - begin, end - begin
    back = (_cross(source, target) == 0) & ((source * target).sum(axis=1) > 0)
    found[back] = found[before[back]] = True
    order = np.lexsort((begin[:, 0], begin[:, 1]))
    same = np.flatnonzero((begin[order[1:]] == begin[order[:-1]]).all(axis=1))
    one, other = order[same], order[same + 1]
    inside = [_within(source[one], target[one], direction[other]) for direction in (source, target)]
    wrong = (inside[0] != inside[1]) | (inside[0] == 0)
    for corner in (one[wrong], other[wrong]):
        found[corner] = found[before[corner]] = True


def _within(source: Whole, target: Whole, direction: Whole) -> Whole:
    """Return 1 where one turns from source to target past the direction, 0 where it is one of them, else -1."""
    from_source, to_target = _cross(source, direction), _cross(direction, target)
    wide = _cross(source, target)
    convex = (from_source > 0) & (to_target > 0)
    reflex = (from_source > 0) | (to_target > 0)
    past = np.where(wide > 0, convex, reflex)
    past = np.where((wide == 0), from_source > 0, past)
    on = ((from_source == 0) & ((source * direction).sum(axis=1) > 0)) | (
        (to_target == 0) & ((target * direction).sum(axis=1) > 0)
    )
    return np.where(on, 0, np.where(past, 1, -1))


def _turn(a: Whole, b: Whole, c: Whole) -> Whole:
    return _cross(b - a, c - a)


def _cross(a: Whole, b: Whole) -> Whole:
    product: Whole = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product
