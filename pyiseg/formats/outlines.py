"""Trace the outlines of a mask along the edges of its pixels, exactly.

Regions are 4-connected: pixels that meet at a corner only are two regions. So a hole is 8-connected. Where an outline
would meet itself at a corner it is two outlines there, so none passes a point twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import Mask, bounds_of

Whole = npt.NDArray[np.int64]


class Outlines(NamedTuple):
    """Closed outlines, one after the other; the selected pixels lie to the right of one who walks along.

    Attributes:
        points: Corners x, y, int64, shape (N, 2), on pixel edges; the first of an outline is not repeated at its end.
        offsets: Where each begins in ``points``, and N, int64, shape (R + 1,).
        owners: int64, shape (R,): for an outline around a region its own number, for one around a hole the number
            of the outline around the region that the hole is in.
    """

    points: Whole
    offsets: Whole
    owners: Whole


class _Edges(NamedTuple):
    """Horizontal edges, sorted by y, then x: from ``source`` to ``target`` in row ``y`` of the corners."""

    y: Whole
    source: Whole
    target: Whole
    above: Mask  # whether the selected pixels are above the edge, not below


class _Walls(NamedTuple):
    """Vertical edges: the keys of their upper ends, sorted, and a horizontal edge that each is connected to."""

    keys: Whole
    edges: Whole


def trace(mask: Mask) -> Outlines:
    """Return the outlines of what is selected; see `Outlines`.

    Args:
        mask: bool, shape (H, W).
    """
    bounds = bounds_of(mask)
    if bounds is None:
        return Outlines(np.zeros((0, 2), np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))
    selected = mask[bounds]
    edges = _horizontal_edges(selected)
    following, walls, touching = _linked(edges, selected.shape[0])
    order, offsets = _cycles(following)
    ring_of = np.empty_like(order)
    ring_of[order] = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    owners = _owners(selected, edges, walls, ring_of, order[offsets[:-1]])
    points = np.empty((2 * order.size, 2), np.int64)
    points[0::2, 0], points[1::2, 0] = edges.source[order], edges.target[order]
    points[0::2, 1] = points[1::2, 1] = edges.y[order]
    pairs = ring_of[touching]
    doubled = np.unique(pairs[pairs[:, 0] == pairs[:, 1], 0])
    found = Outlines(points, 2 * offsets, owners)
    if doubled.size:
        found = _without_touching(found, doubled.tolist())
    found.points[:] += (bounds[1].start, bounds[0].start)
    return found


def _horizontal_edges(selected: Mask) -> _Edges:
    height, width = selected.shape
    differs = np.empty((height + 1, width), np.bool_)
    differs[0], differs[height] = selected[0], selected[-1]
    np.not_equal(selected[1:], selected[:-1], out=differs[1:height])
    at = np.flatnonzero(differs)
    y, x = np.divmod(at, width)
    above = (y > 0) & selected[np.maximum(y - 1, 0), x]
    begins = np.ones(at.size, np.bool_)
    begins[1:] = (np.diff(at) != 1) | (above[1:] != above[:-1]) | (x[1:] == 0)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], at.size) - 1
    left, right, y, above = x[first], x[last] + 1, y[first], above[first]
    return _Edges(y, np.where(above, right, left), np.where(above, left, right), above)


def _linked(edges: _Edges, height: int) -> tuple[Whole, _Walls, Whole]:
    """Return which horizontal edge follows which, the vertical edges between, and pairs of edges that touch."""
    count = edges.y.size
    # The ends of edges in a column, from top to bottom, are by twos the ends of the vertical edges in it. Where two
    # ends meet in a corner the one with its pixels above belongs to the vertical edge above: to the same pixels.
    place = np.concatenate((edges.source, edges.target)) * (height + 1) + np.tile(edges.y, 2)
    keys = 2 * place + ~np.tile(edges.above, 2)
    order = np.argsort(keys)
    upper, lower = order[0::2], order[1::2]
    ends_above = upper >= count
    following = np.empty(count, np.int64)
    following[np.where(ends_above, upper, lower) - count] = np.where(ends_above, lower, upper)
    sorted_place = place[order]
    meets = np.flatnonzero(sorted_place[1:] == sorted_place[:-1])
    touching = np.stack((order[meets], order[meets + 1]), axis=1) % count
    return following, _Walls(keys[upper], upper % count), touching


def _cycles(following: Whole) -> tuple[Whole, Whole]:
    """Return all numbers, each followed by what follows it, and where the cycles begin, with the end; least first."""
    links = following.tolist()
    order: list[int] = []
    offsets = [0]
    for at in range(len(links)):
        while (after := links[at]) >= 0:
            order.append(at)
            links[at] = -1
            at = after
        if len(order) > offsets[-1]:
            offsets.append(len(order))
    return np.array(order, np.int64), np.array(offsets, np.int64)


def _owners(selected: Mask, edges: _Edges, walls: _Walls, ring_of: Whole, first: Whole) -> Whole:
    """Return `Outlines.owners`, for outlines by their first edges."""
    owners = np.arange(first.size)
    holes = np.flatnonzero(edges.above[first])
    if not holes.size:
        return owners
    # Above a hole's first edge is the region it is in; leftwards that ends at an outline of the same region. If that
    # is a hole's too, it reaches higher up, so it comes before and has its owner already.
    edge = first[holes]
    row, column = edges.y[edge] - 1, np.minimum(edges.source[edge], edges.target[edge])
    reached = ring_of[_wall_left_of(selected, walls, row, column)]
    found = owners.tolist()
    for hole, other in zip(holes.tolist(), reached.tolist(), strict=True):
        found[hole] = found[other]
    return np.array(found, np.int64)


def _wall_left_of(selected: Mask, walls: _Walls, row: Whole, column: Whole) -> Whole:
    """Return an edge connected to the vertical one at which the selected pixels left of each given one end."""
    height, width = selected.shape
    rows, number = np.unique(row, return_inverse=True)
    begins = selected[rows]
    begins[:, 1:] &= ~selected[rows, :-1]
    starts = np.flatnonzero(begins)
    x = starts[np.searchsorted(starts, number * width + column, "right") - 1] % width
    found: Whole = walls.edges[np.searchsorted(walls.keys, 2 * (x * (height + 1) + row) + 1, "right") - 1]
    return found


def _without_touching(outlines: Outlines, doubled: list[int]) -> Outlines:
    """Return outlines of which those with given numbers, which pass a point twice, are several."""
    rings = np.split(outlines.points, outlines.offsets[1:-1])
    owners = outlines.owners.tolist()
    for number in doubled:
        rest, loops = _loops(list(map(tuple, rings[number].tolist())))
        rings[number] = np.array(rest, np.int64)
        # Behind the others, whose numbers stay. What a region's outline encloses by touching itself is a hole.
        rings += [np.array(loop, np.int64) for loop in loops]
        owners += [owners[number]] * len(loops)
    offsets = np.cumsum([0, *(len(ring) for ring in rings)])
    return Outlines(np.concatenate(rings), offsets.astype(np.int64), np.array(owners, np.int64))


def _loops(ring: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[list[tuple[int, ...]]]]:
    """Return what is left of a ring with its first point, and the loops taken off where it came to a point again."""
    path: list[tuple[int, ...]] = []
    places: dict[tuple[int, ...], int] = {}
    loops = []
    for point in ring:
        place = places.get(point)
        if place is None:
            places[point] = len(path)
            path.append(point)
            continue
        loops.append(path[place:])
        for passed in path[place + 1 :]:
            del places[passed]
        del path[place + 1 :]
    return path, loops
