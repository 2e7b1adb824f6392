"""Generated training images of flat graphics and screenshots: cards, windows, tables, charts, icons, text, logos."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from export.data.generated.charts import bars, lines, pie, table
from export.data.generated.page import Area, Page, new_page, words
from export.data.generated.paint import Material, near, shadow, unlike
from export.data.generated.scene import Patch, chance, one_of
from export.data.generated.shapes import any_font, box, ellipse, filled, letters, outline, stroked, turned
from export.data.io import Masked


def graphics(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make a screen or drawing and want one thing of it: a card, a button, an icon, a bar, all bars or letters."""
    page = new_page(rng, material, shape)
    height, width = shape
    margin = rng.uniform(0.02, 0.12) * min(shape)
    area = (margin, margin, width - 2 * margin, height - 2 * margin)
    LAYOUTS[one_of(rng, tuple(LAYOUTS))](page, area)
    # First the kind, then which of it: else the many letters would crowd out the few windows.
    kinds = sorted({name.split(" ")[0] for name in page.names})
    kind = one_of(rng, kinds)
    wanted = one_of(rng, [name for name in page.names if name.split(" ")[0] == kind])
    # At times the screen is scrolled, and things leave it.
    moved = tuple(int(step) for step in rng.normal(0, 0.2, 2) * shape) if chance(rng, 0.25) else (0, 0)
    return page.scene.render(wanted, (moved[0], moved[1]))


def cards(page: Page, area: Area, *tags: str) -> None:
    """Lay one to twelve cards in a grid, each with an image, text, an avatar, a button."""
    rng = page.rng
    rows, columns = one_of(rng, ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (2, 3), (4, 3)))
    x, y, width, height = area
    gap = rng.uniform(0.01, 0.05) * min(width, height)
    wide, high = (width - (columns - 1) * gap) / columns, (height - (rows - 1) * gap) / rows
    if chance(rng, 0.3):
        high *= rng.uniform(0.5, 0.9)
    kind = one_of(rng, ("post", "post", "tile", "row", "inner"))
    for i in range(rows):
        for j in range(columns):
            cell = (x + j * (wide + gap), y + i * (high + gap), wide, high)
            fill = page.accent() if kind == "tile" and chance(rng, 0.7) else None
            tag = page.card(cell, *tags, fill=fill)
            _inside(page, cell, kind if rows * columns < 9 else "tile", *tags, tag)


def _inside(page: Page, cell: Area, kind: str, *tags: str) -> None:
    rng, unit = page.rng, page.unit
    x, y, width, height = cell
    pad = min(0.08 * min(width, height), 12)
    left, top, right, bottom = x + pad, y + pad, x + width - pad, y + height - pad
    if kind == "tile":
        page.icon(x + width / 2, y + height / 2, 0.3 * min(width, height), unlike(rng, page.surface), *tags)
        return
    if kind == "inner" and min(width, height) > 90:
        one_of(rng, (bars, lines, pie, table))(page, (left, top, right - left, bottom - top), *tags)
        return
    if kind == "row" or height < 5 * unit:
        radius = min(0.4 * height, 0.12 * width)
        page.avatar(left + radius, y + height / 2, radius, *tags)
        left += 2 * radius + pad
    elif chance(rng, 0.7):
        high = (bottom - top) * rng.uniform(0.3, 0.6)
        page.picture((left, top, right - left, high) if chance(rng, 0.6) else (x, y, width, high), *tags)
        top += high + pad
    if chance(rng, 0.3) and bottom - top > 4 * unit:
        page.avatar(left + unit, top + unit, unit, *tags)
        page.text(left + 2.5 * unit, top + unit / 2, words(rng, 2).title(), unit, page.ink, *tags, widest=right - left)
        top += 2.5 * unit
    title = page.new("letters")
    _, used = page.text(left, top, words(rng, 2).title(), 1.3 * unit, page.ink, *tags, title, widest=right - left)
    top += used + 0.7 * unit
    button = chance(rng, 0.5) and bottom - top > 3.5 * unit
    page.paragraph((left, top, right - left, bottom - top - (2.6 * unit if button else 0)), page.ink, *tags)
    if button:
        page.button(left, bottom - 2.1 * unit, *tags, widest=right - left)


def window(page: Page, area: Area, *tags: str) -> None:
    """Lay one or two windows with a title bar, at times a side bar, and something in them."""
    rng, unit = page.rng, page.unit
    x, y, width, height = area
    for _ in range(one_of(rng, (1, 1, 2))):
        wide, high = width * rng.uniform(0.55, 1), height * rng.uniform(0.5, 1)
        left, top = x + (width - wide) * rng.uniform(), y + (height - high) * rng.uniform()
        tag = page.card((left, top, wide, high), *tags, kind="window")
        bar, tone = 2.2 * unit, near(rng, page.surface, 8, 50)
        head = page.new("titlebar")
        page.box((left, top, wide, bar), tone, *tags, tag, head)
        for k in range(3):
            dot = filled(page.scene.shape, ellipse(left + unit * (1 + 1.3 * k), top + bar / 2, unit * 0.4, unit * 0.4))
            page.scene.lay(dot, page.accent(), *tags, tag, head)
        ink = unlike(rng, tone, least=80)
        page.text(
            left + wide / 2, top + 0.6 * unit, words(rng, 1).title(), unit, ink, *tags, tag, head, widest=0.4 * wide
        )
        inner = (left + unit, top + bar + unit, wide - 2 * unit, high - bar - 2 * unit)
        if chance(rng, 0.5):
            side = rng.uniform(0.2, 0.35) * wide
            tone = near(rng, page.surface, 6, 40)
            own = (*tags, tag, page.new("sidebar"))
            page.box((left, top + bar, side, high - bar), tone, *own)
            for k in range(int((high - bar) / (2.2 * unit))):
                line = top + bar + unit * (0.7 + 2.2 * k)
                page.text(left + unit, line, words(rng, 1), unit, page.ink, *own, widest=side - 1.5 * unit)
            inner = (left + side + unit, inner[1], wide - side - 2 * unit, inner[3])
        if min(inner[2:]) > 40:
            one_of(rng, (bars, lines, pie, table, document, icons, sketch))(page, inner, *tags, tag)


def document(page: Page, area: Area, *tags: str) -> None:
    """Write a heading and paragraphs, some on a panel, with an image or a button between."""
    rng, unit = page.rng, page.unit
    x, y, width, height = area
    ink = page.ink if tags else page.muted
    bottom = y + height
    _, used = page.text(x, y, words(rng, 3).title(), 2 * unit, ink, *tags, page.new("letters"), widest=width)
    y += used + unit
    while y + 3 * unit < bottom:
        high = min(bottom - y, rng.uniform(3, 9) * unit)
        kind = one_of(rng, ("text", "text", "panel", "picture", "button", "word"))
        if kind == "panel":
            fill = near(rng, page.surface, 8, 60)
            tag = page.card((x, y, width, high), *tags, kind="panel", fill=fill)
            tone, inner = unlike(rng, fill, least=90), (x + unit, y + unit, width - 2 * unit, high - 1.5 * unit)
            page.paragraph(inner, tone, *tags, tag)
        elif kind == "picture":
            page.picture((x, y, width * rng.uniform(0.4, 1), high), *tags)
        elif kind == "button":
            page.button(x, y, *tags, widest=width)
            high = 2.2 * unit
        elif kind == "word":
            size = rng.uniform(2, 5) * unit
            tone = page.accent() if chance(rng, 0.6) else ink
            text = words(rng, 1)[: int(rng.integers(1, 7))]
            _, high = page.text(x, y, text, size, tone, *tags, page.new("letters"), widest=width)
        else:
            page.paragraph((x, y, width, high), ink, *tags, page.new("paragraph"))
        y += high + 0.8 * unit


def icons(page: Page, area: Area, *tags: str) -> None:
    """Lay a grid of icons, plain or each on a tile, at times with captions."""
    rng, shape = page.rng, page.scene.shape
    x, y, width, height = area
    columns = int(rng.integers(1, 6))
    step = width / columns
    rows = max(1, int(height / step))
    tiles, captions, one_ink = chance(rng, 0.5), chance(rng, 0.4), page.accent()
    for i in range(rows):
        for j in range(columns):
            cx, cy = x + (j + 0.5) * step, y + (i + 0.5) * step
            ink, own = (one_ink if chance(rng, 0.6) else page.accent()), list(tags)
            if tiles:
                own.append(page.new("tile"))
                patch = box(shape, cx - 0.38 * step, cy - 0.38 * step, 0.76 * step, 0.76 * step, page.radius)
                fill = page.accent()
                if chance(rng, 0.3) and patch.alpha.size:
                    page.scene.lay(shadow(patch, 3, 2, 0.3), (0, 0, 0), covers=False)
                page.scene.lay(patch, fill, *own)
                ink = unlike(rng, fill, least=60)
            page.icon(cx, cy, 0.26 * step, ink, *own)
            if captions:
                page.text(cx - 0.3 * step, cy + 0.39 * step, words(rng, 1), min(page.unit, 0.12 * step), page.muted)


def logo(page: Page, area: Area, *tags: str) -> None:
    """Draw a mark with or without a name; the mark, the letters or both are wanted."""
    rng, shape = page.rng, page.scene.shape
    x, y, width, height = area
    cx, cy = x + width * rng.uniform(0.25, 0.75), y + height * rng.uniform(0.25, 0.6)
    radius, whole = rng.uniform(0.12, 0.3) * min(width, height), page.new("logo")
    page.icon(cx, cy, radius, page.accent(), *tags, whole, kind="mark")
    if chance(rng, 0.5):
        points = turned(outline(rng, one_of(rng, ("disc", "rounded", "polygon", "star"))), 0, radius, (cx, cy))
        rim = stroked(shape, [np.concatenate([points, points[:1]])], rng.uniform(1, 6))
        page.scene.lay(rim, page.accent(), *tags, whole)
    if chance(rng, 0.8):
        text = words(rng, 1)[: int(rng.integers(2, 8))]
        text = text.upper() if chance(rng, 0.5) else text.title()
        alpha = letters(text, radius * rng.uniform(0.5, 1.2), any_font(rng))
        at = Patch(alpha, round(cy + 1.2 * radius), round(cx - alpha.shape[1] / 2))
        page.scene.lay(at, page.accent(), *tags, whole, page.new("letters"))


def sketch(page: Page, area: Area, *tags: str) -> None:
    """Draw line art."""
    page.sketch(area, page.ink if tags else page.muted, *tags)


def diagram(page: Page, area: Area, *tags: str) -> None:
    """Lay boxes and discs with a word each, and arrows between them."""
    rng, shape = page.rng, page.scene.shape
    x, y, width, height = area
    count = int(rng.integers(3, 8))
    columns = math.ceil(math.sqrt(count))
    wide, high = width / columns, height / math.ceil(count / columns)
    centers = [(x + (k % columns + 0.5) * wide, y + (k // columns + 0.5) * high) for k in range(count)]
    links, thick = page.new("links"), rng.uniform(1, 4)
    for first, last in pairwise(centers):
        path = [first, last] if chance(rng, 0.5) else [first, (last[0], first[1]), last]
        page.scene.lay(stroked(shape, [path], thick), page.muted, *tags, links)
    for cx, cy in centers:
        tag, fill = page.new("node"), page.accent() if chance(rng, 0.6) else page.surface
        points = outline(rng, one_of(rng, ("box", "rounded", "disc", "polygon"))) * 0.42 * min(wide, high)
        page.scene.lay(filled(shape, points * 1.05 + np.array([cx, cy])), page.muted, *tags, tag)
        page.scene.lay(filled(shape, points + np.array([cx, cy])), fill, *tags, tag)
        alpha = letters(words(rng, 1)[:6], page.unit, page.font)
        at = Patch(alpha, round(cy - alpha.shape[0] / 2), round(cx - alpha.shape[1] / 2))
        page.scene.lay(at, unlike(rng, fill, least=90), *tags, tag)


LAYOUTS: dict[str, Callable[[Page, Area], None]] = {
    "cards": cards,
    "window": window,
    "bars": bars,
    "lines": lines,
    "pie": pie,
    "table": table,
    "document": document,
    "icons": icons,
    "logo": logo,
    "sketch": sketch,
    "diagram": diagram,
}
