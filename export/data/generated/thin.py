"""Generated training images of thin things: wires, branches, fences, chains, wheels, legs; 1 to 6 pixels wide."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from export.data.generated.objects import thing
from export.data.generated.paint import Material, ground, paint, unlike
from export.data.generated.scene import Floats, Patch, Scene, chance, log_uniform, one_of
from export.data.generated.shapes import Points, any_font, ellipse, filled, letters, outline, spline, stroked, turned
from export.data.io import Masked

WIDEST = 6.0

# Lines (N, 2) and the width of each, in pixels.
Strokes = tuple[list[Points], list[float]]


def thin(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make one thin thing over a ground, alone or with a body, at times crossed by another that is not wanted."""
    surface, away = ground(rng, material, shape, photographs=0.65)
    scene = Scene(surface)
    crossed = chance(rng, 0.25)
    if crossed and chance(rng, 0.5):
        _cross(rng, scene)
    kind = one_of(rng, ("plain", "plain", "gradient", "photograph"))
    name = one_of(rng, (*STROKES, "writing"))
    if name == "writing":
        color = unlike(rng, *away)
        for patch in _writing(rng, shape):
            scene.lay(patch, color, "wanted")
        return scene.render("wanted")
    lines, widths = STROKES[name](rng, shape)
    patch = stroked(shape, lines, widths)
    look = paint(rng, material, *patch.alpha.shape, *away, kind=kind)
    scene.lay(patch, look, "wanted")
    if name in BODIES:
        for other, shown in _body(rng, material, shape, lines):
            scene.lay(other, look if look.ndim == 1 and chance(rng, 0.5) else shown, "wanted")
    elif crossed:
        _cross(rng, scene)
    return scene.render("wanted")


def _writing(rng: np.random.Generator, shape: tuple[int, int]) -> list[Patch]:
    """Return one to three lines of writing, of small letters."""
    font, height = any_font(rng), rng.uniform(14, 44)
    y, left = rng.uniform(0, 0.7) * shape[0], rng.uniform(-0.1, 0.4) * shape[1]
    patches = []
    for i in range(rng.integers(1, 4)):
        characters = [one_of(rng, "abcdefghijklmnopqrstuvwxyzABCDEFGHIKLMNRST   ") for _ in range(rng.integers(3, 16))]
        text = "".join(characters).strip() or "x"
        patches.append(Patch(letters(text, height, font), round(y + 1.3 * i * height), round(left)))
    return patches


def width_of(rng: np.random.Generator) -> float:
    """Return the width of a line in pixels, 1 to `WIDEST`; narrow ones are more frequent."""
    return log_uniform(rng, 1.0, WIDEST)


def wires(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return one to four smooth lines, most of them from one border to another."""
    height, width = shape
    count = one_of(rng, (1, 1, 1, 2, 3, 4))
    across = chance(rng, 0.7)
    start, end = rng.uniform(-0.1, 1.1, 2) * height
    bends, each = int(rng.integers(2, 6)), width_of(rng)
    lines = []
    if across:
        x = np.linspace(-0.05, 1.05, bends) * width
        y = np.linspace(start, end, bends) + rng.normal(0, 0.08 * height, bends)
        gap = rng.uniform(0.04, 0.15) * height
        for i in range(count):
            points = np.column_stack([x, y + gap * i])
            lines.append(spline(points) if chance(rng, 0.95) else points)
    else:
        for _ in range(count):
            lines.append(spline(rng.uniform(0.05, 0.95, (bends + 2, 2)) * (width, height), 80))
    if chance(rng, 0.4):
        lines = [line[:, ::-1] * (width / height, height / width) for line in lines]
    return lines, [each] * count


def branches(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return a tree of lines, each of them thinner than the one it grows from: branches, antlers, roots, cracks."""
    height, width = shape
    lines: list[Points] = []
    widths: list[float] = []
    spread, shrink, forks = rng.uniform(18, 50), rng.uniform(0.6, 0.8), int(rng.integers(2, 4))

    def grow(x: float, y: float, direction: float, length: float, thick: float, depth: int) -> None:
        bend = rng.normal(0, 12)
        middle = (
            x + length / 2 * math.cos(math.radians(direction)),
            y + length / 2 * math.sin(math.radians(direction)),
        )
        end = (
            middle[0] + length / 2 * math.cos(math.radians(direction + bend)),
            middle[1] + length / 2 * math.sin(math.radians(direction + bend)),
        )
        lines.append(np.array([(x, y), middle, end]))
        widths.append(max(1.0, thick))
        if depth == 0 or length < 5:
            return
        for k in range(forks):
            turn = spread * (k / (forks - 1) - 0.5) * 2 + rng.normal(0, 10)
            if chance(rng, 0.9):
                at = end if chance(rng, 0.7) else middle
                grow(*at, direction + bend + turn, length * shrink * rng.uniform(0.7, 1.2), thick * 0.7, depth - 1)

    length, depth = min(shape) * rng.uniform(0.15, 0.3), int(rng.integers(3, 6 if forks == 2 else 5))
    direction = one_of(rng, (-90.0, -90.0, rng.uniform(0, 360)))
    grow(
        rng.uniform(0.3, 0.7) * width,
        rng.uniform(0.5, 0.95) * height,
        direction,
        length,
        rng.uniform(2.5, WIDEST),
        depth,
    )
    if chance(rng, 0.3):  # antlers: the same on both sides
        axis = lines[0][0, 0] + rng.uniform(0, 0.05) * width
        lines += [np.column_stack([2 * axis - line[:, 0], line[:, 1]]) for line in lines]
        widths += widths
    return lines, widths


def fence(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return a grid, fence, net or ladder, seen from the front or askew."""
    height, width = shape
    posts, rails = int(rng.integers(3, 16)), int(rng.integers(2, 10))
    grid = [[(u, -1.0), (u, 1.0)] for u in np.linspace(-1, 1, posts)]
    grid += [[(-1.0, v), (1.0, v)] for v in np.linspace(-rng.uniform(0.5, 1), rng.uniform(0.5, 1), rails)]
    size = np.array([width, height]) * rng.uniform(0.25, 0.65, 2)
    center = rng.uniform(0.3, 0.7, 2) * (width, height)
    angle, tilt = one_of(rng, (0.0, rng.normal(0, 15), 45.0)), one_of(rng, (0.0, rng.uniform(-0.4, 0.4)))
    lines = []
    for line in grid:
        points = np.array(line)
        points = points / (1 + tilt * points[:, :1])
        lines.append(turned(points * size, angle, 1.0, tuple(center)))
    first, second = width_of(rng), width_of(rng)
    return lines, [first] * posts + [second] * rails


def chain(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return the links of a chain, or beads, along a smooth line."""
    height, width = shape
    path = spline(rng.uniform(0.05, 0.95, (int(rng.integers(2, 5)), 2)) * (width, height), 400)
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    link, flat = rng.uniform(6, 16), rng.uniform(0.45, 1.0)
    lines = []
    for i, at in enumerate(np.arange(link, length[-1], 1.6 * link)[:120]):
        x, y = (float(np.interp(at, length, path[:, axis])) for axis in (0, 1))
        ahead = [float(np.interp(at + 1, length, path[:, axis])) for axis in (0, 1)]
        angle = math.degrees(math.atan2(ahead[1] - y, ahead[0] - x))
        thickness = flat if i % 2 == 0 or flat > 0.9 else 0.1  # every other link is seen from its edge
        lines.append(turned(ellipse(0, 0, link, link * thickness), angle, 1.0, (x, y)))
    return (lines or [path]), [log_uniform(rng, 1.2, 4)] * max(1, len(lines))


def rings(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return rings about one middle, or linked ones, or a spiral."""
    height, width = shape
    center = rng.uniform(0.3, 0.7, 2) * (width, height)
    radius, count = rng.uniform(0.12, 0.42) * min(shape), int(rng.integers(1, 6))
    flat, angle = rng.uniform(0.4, 1), rng.uniform(0, 180)
    kind = one_of(rng, ("about", "linked", "spiral"))
    if kind == "spiral":
        t = np.linspace(0, count * 2 * np.pi, 64 * count)
        points = np.column_stack([np.cos(t), np.sin(t) * flat]) * (radius * (0.1 + 0.9 * t / t[-1]))[:, None]
        lines = [points]
    elif kind == "about":
        lines = [ellipse(0, 0, r, r * flat) for r in radius * np.linspace(0.3, 1, count)]
    else:
        lines = [ellipse(1.3 * radius * (i - count / 2) / 2, 0, radius / 2, radius / 2 * flat) for i in range(count)]
    return [turned(line, angle, 1.0, tuple(center)) for line in lines], [width_of(rng)] * len(lines)


def wheels(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return a wheel with spokes, or a bicycle, or an umbrella's ribs."""
    height, width = shape
    radius = rng.uniform(0.15, 0.28) * min(shape)
    spokes, thin_one, thick = int(rng.integers(5, 20)), log_uniform(rng, 1, 2), rng.uniform(2, WIDEST)
    lines: list[Points] = []
    widths: list[float] = []

    def wheel(x: float, y: float, r: float) -> None:
        lines.append(ellipse(x, y, r, r))
        widths.append(thick)
        first = rng.uniform(0, 360)
        for k in range(spokes):
            tip = turned([(r, 0.0)], first + 360 * k / spokes, 1.0, (x, y))[0]
            lines.append(np.array([(x, y), tip]))
            widths.append(thin_one)

    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.4, 0.7) * height
    if chance(rng, 0.5):
        wheel(x, y, radius * rng.uniform(1, 1.6))
        return lines, widths
    gap = 2.5 * radius
    back, front = (x - gap / 2, y), (x + gap / 2, y)
    pedal, seat, fork = (
        (x - 0.2 * radius, y),
        (x - 0.5 * radius, y - 1.2 * radius),
        (x + 0.9 * radius, y - 1.1 * radius),
    )
    wheel(*back, radius)
    wheel(*front, radius)
    bar = [(fork[0], fork[1] - 0.3 * radius), (fork[0] + 0.3 * radius, fork[1] - 0.4 * radius)]
    for line in ([back, pedal, fork, seat, pedal], [back, seat], [front, fork, *bar], [seat, (seat[0], seat[1] - 8)]):
        lines.append(np.array(line))
        widths.append(thick)
    return lines, widths


def legs(rng: np.random.Generator, shape: tuple[int, int]) -> Strokes:
    """Return legs from a middle outward: of a spider, a table, a tripod, a bird; or bristles."""
    height, width = shape
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.25, 0.55) * height
    kind = one_of(rng, ("spider", "spider", "stand", "stand", "bristles"))
    reach, each = rng.uniform(0.2, 0.45) * min(shape), width_of(rng)
    lines: list[Points] = []
    if kind == "spider":
        for k in range(4):
            out, up = rng.uniform(0.4, 0.7) * reach, rng.uniform(0.1, 0.5) * reach
            knee = (x + out, y - up + 0.25 * reach * k)
            foot = (x + reach * rng.uniform(0.8, 1.1), knee[1] + rng.uniform(0.2, 0.8) * reach)
            right = np.array([(x, y), knee, foot])
            lines += [right, np.column_stack([2 * x - right[:, 0], right[:, 1]])]
    elif kind == "stand":
        half, count = rng.uniform(0.3, 0.9) * reach, int(rng.integers(1, 5))
        splay = rng.uniform(-0.2, 0.5) * half
        for u in np.linspace(-1, 1, count) if count > 1 else (0.0,):
            lines.append(np.array([(x + u * half, y), (x + u * (half + splay), y + 1.6 * reach)]))
        if chance(rng, 0.3) and count > 1:
            lines.append(np.array([(x - half, y + 0.9 * reach), (x + half, y + 0.9 * reach)]))
    else:
        each = log_uniform(rng, 1, 2.5)
        for angle in rng.uniform(0, 360, int(rng.integers(15, 60))):
            tip = turned([(reach * rng.uniform(0.5, 0.9), 0.0)], float(angle), 1.0, (x, y))[0]
            middle = (np.array([x, y]) + tip) / 2 + rng.normal(0, 0.05 * reach, 2)
            lines.append(spline([(x, y), middle, tip], 12))
    return lines, [each] * len(lines)


def _body(
    rng: np.random.Generator, material: Material, shape: tuple[int, int], lines: list[Points]
) -> list[tuple[Patch, Floats]]:
    """Return what the lines are attached to; at times nothing."""
    if chance(rng, 0.25):
        return []
    starts: NDArray[np.float64] = np.array([line[0] for line in lines])
    x, y = starts.mean(axis=0)
    half = max(float(np.abs(starts[:, 0] - x).max()) * 1.15, rng.uniform(0.05, 0.13) * min(shape))
    if chance(rng, 0.3):
        return [thing(rng, material, shape)(x, y, half)]
    points = outline(rng, one_of(rng, ("disc", "ellipse", "box", "rounded", "blob"))) * half
    patch = filled(shape, points * (1, rng.uniform(0.4, 1)) + (x, y))
    return [(patch, paint(rng, material, *patch.alpha.shape))]


def _cross(rng: np.random.Generator, scene: Scene) -> None:
    """Lay a line over a scene that is not wanted."""
    lines, widths = wires(rng, scene.shape)
    scene.lay(stroked(scene.shape, lines[:1], widths[:1]), unlike(rng), "beside")


STROKES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Strokes]] = {
    "wires": wires,
    "branches": branches,
    "fence": fence,
    "chain": chain,
    "rings": rings,
    "wheels": wheels,
    "legs": legs,
}
BODIES = frozenset({"legs", "branches"})
