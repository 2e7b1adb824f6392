"""Simplify closed outlines together: fewer points, none farther off than a tolerance, and no crossings.

The points to keep are found by Douglas and Peucker's rule (1973), for all outlines at once. Where the simpler outlines
would cross or run into one another, more points are kept there until they do not: with all of them they do not cross.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg.formats.crossings import crossing
from pyiseg.formats.jumps import jumping
from pyiseg.formats.outlines import Outlines, Whole

Flags = npt.NDArray[np.bool_]

# After so many rounds outlines that still cross are kept whole between the points in question.
_ROUNDS = 12


class Spans(NamedTuple):
    """Pieces of outlines, one after the other: from point ``first`` to point ``last`` of a `Closed`."""

    first: Whole
    last: Whole


class Closed(NamedTuple):
    """Outlines each of which ends with its first point.

    Attributes:
        points: Corners x, y, int64, shape (N + R, 2).
        offsets: Where each begins in ``points``, and N + R, int64, shape (R + 1,).
    """

    points: Whole
    offsets: Whole


def simplified(outlines: Outlines, tolerance: float) -> Outlines:
    """Return outlines of fewer points.

    Args:
        outlines: As `pyiseg.formats.outlines.trace` returns them.
        tolerance: Pixels, above 0.

    Returns:
        As many outlines, each of some of the same points: no point that was left out is farther than ``tolerance``
        from the line in its place. An outline of which less than a triangle would be left has all of its points.
        They touch in common corners at most, and where those around a region go clockwise they still do.
    """
    closed = _closed(outlines)
    kept = np.zeros(closed.points.shape[0], np.bool_)
    kept[closed.offsets[:-1]] = kept[closed.offsets[1:] - 1] = True
    signs = np.sign(_doubled_areas(closed, np.ones_like(kept)))
    spans, uncrossed, unjumped = spans_of(closed, kept), np.zeros_like(kept), np.zeros_like(kept)
    for number in range(len(closed.points)):
        _keep_farthest(closed.points, kept, spans, tolerance)
        _keep_whole(closed, kept, np.sign(_doubled_areas(closed, kept)) != signs)
        every = spans_of(closed, kept)
        wrong = crossing(closed, every, _fresh(every, uncrossed))
        uncrossed = kept.copy()
        if not wrong.any():
            wrong = jumping(closed, every, _fresh(every, unjumped), kept)
            unjumped = uncrossed
        wrong &= every.last - every.first > 1
        if not wrong.any() and np.array_equal(kept, uncrossed):
            break
        found = Spans(every.first[wrong], every.last[wrong])
        if number < _ROUNDS and found.first.size:
            spans = _halved(closed.points, kept, found)
        else:
            kept[_inside(found)[0]] = True
            spans = Spans(found.first[:0], found.last[:0])
    kept[closed.offsets[1:] - 1] = False
    counts = np.add.reduceat(kept.astype(np.int64), closed.offsets[:-1])
    return Outlines(closed.points[kept], np.concatenate(([0], np.cumsum(counts))), outlines.owners)


def spans_of(closed: Closed, kept: Flags) -> Spans:
    """Return the spans between neighboring points that are kept; the ends of every outline are."""
    at = np.flatnonzero(kept)
    ring = np.searchsorted(closed.offsets, at, "right")
    same = ring[1:] == ring[:-1]
    return Spans(at[:-1][same], at[1:][same])


def _fresh(spans: Spans, kept_before: Flags) -> Flags:
    """Return which spans are new; between two points that were kept before they are as they were."""
    return ~(kept_before[spans.first] & kept_before[spans.last])


def _closed(outlines: Outlines) -> Closed:
    starts, ends = outlines.offsets[:-1], outlines.offsets[1:]
    return Closed(
        np.insert(outlines.points, ends, outlines.points[starts], axis=0),
        outlines.offsets + np.arange(outlines.offsets.size),
    )


def _keep_farthest(points: Whole, kept: Flags, spans: Spans, tolerance: float) -> None:
    """Keep more points of spans, until no other is farther than the tolerance from the line in its place."""
    while spans.first.size:
        farthest, squared = _farthest(points, spans)
        far = squared > tolerance * tolerance
        kept[farthest[far]] = True
        spans = _parts(spans, farthest, far)


def _halved(points: Whole, kept: Flags, spans: Spans) -> Spans:
    """Keep the farthest point of every span; return the parts."""
    farthest, _ = _farthest(points, spans)
    kept[farthest] = True
    return _parts(spans, farthest, np.ones(farthest.size, np.bool_))


def _parts(spans: Spans, middle: Whole, which: Flags) -> Spans:
    first = np.concatenate((spans.first[which], middle[which]))
    last = np.concatenate((middle[which], spans.last[which]))
    longer = last - first > 1
    return Spans(first[longer], last[longer])


def _inside(spans: Spans) -> tuple[Whole, Whole, Whole]:
    """Return the points between the ends of spans, the number of each's span, and where each span's begin."""
    counts = spans.last - spans.first - 1
    starts = np.cumsum(counts) - counts
    number = np.repeat(np.arange(counts.size), counts)
    return np.arange(number.size) - starts[number] + spans.first[number] + 1, number, starts


def _farthest(points: Whole, spans: Spans) -> tuple[Whole, npt.NDArray[np.float64]]:
    """Return of spans with points inside the one that is farthest from the line between the ends, and its distance.

    That is a line with ends: a span may reach beyond them.

    Returns:
        The point, the first of equal ones; its squared distance.
    """
    inside, number, starts = _inside(spans)
    begin = points[spans.first]
    along = points[spans.last] - begin
    squared_length = np.maximum((along * along).sum(axis=1), 1)
    offset = points[inside] - begin[number]
    direction = along[number]
    share = np.clip((offset * direction).sum(axis=1) / squared_length[number], 0, 1)
    away = offset - share[:, None] * direction
    squared = (away * away).sum(axis=1)
    largest = np.maximum.reduceat(squared, starts)
    candidates = np.flatnonzero(squared == largest[number])
    return inside[candidates[np.searchsorted(candidates, starts)]], largest


def _doubled_areas(closed: Closed, kept: Flags) -> Whole:
    """Return twice the area of every outline, of the points that are kept; positive where it goes clockwise."""
    spans = spans_of(closed, kept)
    begin, end = closed.points[spans.first], closed.points[spans.last]
    pieces = begin[:, 0] * end[:, 1] - begin[:, 1] * end[:, 0]
    found: Whole = np.add.reduceat(pieces, np.searchsorted(spans.first, closed.offsets[:-1]))
    return found


def _keep_whole(closed: Closed, kept: Flags, rings: Flags) -> None:
    kept |= np.repeat(rings, np.diff(closed.offsets))
