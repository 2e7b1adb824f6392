"""Charts and tables on the pages of generated training images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from export.data.generated.page import Area, Page, words
from export.data.generated.paint import near, unlike
from export.data.generated.scene import chance, one_of
from export.data.generated.shapes import ellipse, filled, stroked, turned


def bars(page: Page, area: Area, *tags: str) -> None:
    """Draw a bar chart, upright or lying; one bar, or all of one color, may be wanted."""
    rng = page.rng
    x, y, width, height = area
    count, series = int(rng.integers(3, 11)), one_of(rng, (1, 1, 2))
    colors = [page.accent() for _ in range(series)]
    if series == 2:
        colors[1] = unlike(rng, colors[0], page.surface, least=35)
    alls = [page.new("bars") for _ in range(series)]
    lying, gap, radius = chance(rng, 0.3), rng.uniform(0.1, 0.6), one_of(rng, (0.0, 0.0, 3.0))
    if chance(rng, 0.5):
        for k in range(5):
            level = y + height * k / 4
            rule = stroked(page.scene.shape, [[(x, level), (x + width, level)]], 1)
            page.scene.lay(rule, near(rng, page.surface, 10, 40))
    step = (height if lying else width) / count
    for i in range(count):
        for s in range(series):
            thick = step * (1 - gap) / series
            at = i * step + s * thick
            value = rng.uniform(0.1, 1) * (width if lying else height)
            bar = (x, y + at, value, thick) if lying else (x + at, y + height - value, thick, value)
            page.box(bar, colors[s], *tags, alls[s], page.new("bar"), radius=radius)
    if chance(rng, 0.7):
        axis = [(x, y), (x, y + height), (x + width, y + height)]
        page.scene.lay(stroked(page.scene.shape, [axis], one_of(rng, (1, 2))), page.ink, *tags)


def lines(page: Page, area: Area, *tags: str) -> None:
    """Draw one to three curves over a grid, at times with markers or filled below."""
    rng, shape = page.rng, page.scene.shape
    x, y, width, height = area
    for k in range(one_of(rng, (0, 5))):
        level = y + height * k / 4
        page.scene.lay(stroked(shape, [[(x, level), (x + width, level)]], 1), near(rng, page.surface, 10, 40))
    used = [page.surface]
    for _ in range(rng.integers(1, 4)):
        tag, ink = page.new("line"), unlike(rng, *used, least=40)
        used.append(ink)
        values = np.cumsum(rng.normal(0, 1, int(rng.integers(5, 30))))
        values = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
        span = rng.uniform(0.3, 0.9)
        points = np.column_stack(
            [np.linspace(x, x + width, len(values)), y + height * (1 - span * values - rng.uniform(0, 1 - span))]
        )
        if chance(rng, 0.25):
            below = np.concatenate([points, [(x + width, y + height), (x, y + height)]])
            page.scene.lay(filled(shape, below), near(rng, ink, 20, 60), *tags, page.new("under"))
        page.scene.lay(stroked(shape, [points], rng.uniform(1, 4)), ink, *tags, tag)
        if chance(rng, 0.4):
            for px, py in points:
                page.scene.lay(filled(shape, ellipse(px, py, 3.5, 3.5)), ink, *tags, tag)


def pie(page: Page, area: Area, *tags: str) -> None:
    """Draw a pie or ring chart; one slice or all of it may be wanted."""
    rng, shape = page.rng, page.scene.shape
    x, y = area[0] + area[2] / 2, area[1] + area[3] / 2
    radius = 0.48 * min(area[2:])
    whole = page.new("pie")
    apart, hollow = chance(rng, 0.2), rng.uniform(0.4, 0.75) if chance(rng, 0.4) else 0.0
    ends = np.cumsum(rng.uniform(0.2, 1, int(rng.integers(2, 8))))
    ends = np.concatenate([[0], ends / ends[-1] * 360]) + rng.uniform(0, 360)
    tone = page.accent()
    if not apart:
        # Below the slices: else the ground would shine through where two of them meet.
        disc = ellipse(x, y, radius, radius)
        under = (disc, ellipse(x, y, radius * hollow, radius * hollow)) if hollow else (disc,)
        page.scene.lay(filled(shape, *under), tone, *tags, whole)
    for start, end in pairwise(ends):
        tone = unlike(rng, tone, page.surface, least=30)
        outer = ellipse(x, y, radius, radius, start, end)
        inner = ellipse(x, y, radius * hollow, radius * hollow, end, start)
        out = turned([(radius * 0.06, 0)], (start + end) / 2)[0] if apart and chance(rng, 0.5) else np.zeros(2)
        page.scene.lay(filled(shape, np.concatenate([outer, inner]) + out), tone, *tags, whole, page.new("slice"))


def table(page: Page, area: Area, *tags: str) -> None:
    """Lay a table with a head, stripes or lines; a row, the head, a marked cell or all of it may be wanted."""
    rng, unit = page.rng, page.unit
    x, y, width, height = area
    rows, columns = int(np.clip(height / (2.2 * unit), 2, 9)), int(rng.integers(2, 6))
    high, wide = min(height / rows, 3 * unit), width / columns
    whole, striped = page.new("table"), chance(rng, 0.6)
    fill = page.accent() if chance(rng, 0.6) else near(rng, page.surface, 20, 80)
    second = near(rng, page.surface, 6, 25)
    marked = int(rng.integers(rows * columns)) if chance(rng, 0.5) else -1
    for i in range(rows):
        tone = fill if i == 0 else (second if striped and i % 2 else page.surface)
        row = page.new("head" if i == 0 else "row") if i == 0 or striped else ""
        own = [*tags, whole, row] if row else [*tags, whole]
        top = round(y + i * high)
        page.box((round(x), top, round(width), round(y + (i + 1) * high) - top), tone, *own)
        ink = unlike(rng, tone, least=90)
        for j in range(columns):
            cell = own
            if i * columns + j == marked:
                cell = [*own, page.new("cell")]
                page.box((x + j * wide, top, wide, high), unlike(rng, tone, least=25), *cell)
            text = words(rng, 1) if chance(rng, 0.5) else str(rng.integers(10000))
            page.text(x + j * wide + 4, top + 0.5 * (high - unit), text, unit, ink, *cell, widest=wide - 8)
        if not striped:
            page.box((x, top + high - 1, width, 1), near(rng, tone, 20, 60), *own)
