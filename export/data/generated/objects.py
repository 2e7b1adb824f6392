"""Generated training images of things on a ground: several wanted as one, small ones, ones with holes."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from export.data.generated.paint import Material, color, ground, near, paint, placed_cutout, shadow
from export.data.generated.scene import Floats, Patch, Scene, chance, log_uniform, one_of
from export.data.generated.shapes import SHAPES, any_font, filled, letters, outline, turned
from export.data.io import Masked

# Draws one example of a thing: where its middle lies (x, y), and its largest distance from there, in pixels.
Thing = Callable[[float, float, float], tuple[Patch, Floats]]
GLYPHS = "ABCDEFGHJKLMNPQRSTUVXYZabdeghkmnpqrst2345678&@#%?"


def several(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make 2 to 20 separate things that are wanted as one, at times among look-alikes that are not."""
    surface, away = ground(rng, material, shape)
    scene = Scene(surface)
    count = round(log_uniform(rng, 2, 20))
    mode = one_of(rng, ("all", "all", "kinds", "kinds", "some"))
    beside = 0 if mode == "all" else round(log_uniform(rng, 1, max(2, count)))
    things = [thing(rng, material, shape, *away) for _ in range(one_of(rng, (1, 1, 1, 2, 3)))]
    unwanted = [thing(rng, material, shape, *away)] if mode == "kinds" else things
    places, cell = layout(rng, shape, count + beside)
    radius = cell * rng.uniform(0.25, 0.5)
    if mode == "some" and chance(rng, 0.5):
        # What is wanted lies together, on one side.
        places = sorted(places)
    else:
        places = [places[i] for i in rng.permutation(len(places))]
    shaded = chance(rng, 0.2)
    for i in rng.permutation(len(places)):
        render = one_of(rng, things if i < count else unwanted)
        patch, look = render(*places[i], radius * rng.uniform(0.75, 1.1))
        if shaded:
            scene.lay(shadow(patch, radius * 0.15, radius * 0.1, 0.4), (0, 0, 0), covers=False)
        scene.lay(patch, look, "wanted" if i < count else "beside")
    return scene.render("wanted")


def small(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make a thing of 0.1 to 1 % of the image, at times among others like it."""
    surface, _ = ground(rng, material, shape, photographs=0.75)
    scene = Scene(surface)
    height, width = shape
    area = height * width * log_uniform(rng, 0.001, 0.01)
    x, y = rng.uniform(0.03, 0.97) * width, rng.uniform(0.03, 0.97) * height
    around = surface[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].mean(axis=(0, 1))
    render = thing(rng, material, shape, around)
    # A thing covers some share of the square about it: a first one tells how much, the second is of the wanted area.
    radius = math.sqrt(area)
    covered = float(render(width / 2, height / 2, radius)[0].alpha.sum())
    radius *= math.sqrt(area / max(covered, 1.0))
    others = int(rng.integers(1, 9)) if chance(rng, 0.5) else 0
    other = render if chance(rng, 0.5) else thing(rng, material, shape, around)
    for _ in range(others):
        at = rng.uniform(0, 1, 2) * (width, height)
        if math.dist(at, (x, y)) > 2.2 * radius:
            scene.lay(*other(*at, radius * rng.uniform(0.6, 1.6)), "beside")
    patch, look = render(x, y, radius)
    if chance(rng, 0.3):
        scene.lay(shadow(patch, radius * 0.2, radius * 0.2, 0.5), (0, 0, 0), covers=False)
    scene.lay(patch, look, "wanted")
    return scene.render("wanted")


def holes(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make a thing with holes through which the ground is seen: frames, rings, letters, perforated things."""
    surface, away = ground(rng, material, shape, photographs=0.7)
    scene = Scene(surface)
    short = min(shape)
    radius = short * rng.uniform(0.18, 0.5)
    x, y = (rng.uniform(0.25, 0.75) * side for side in shape[::-1])
    if chance(rng, 0.15):
        x, y = one_of(rng, ((0.0, y), (shape[1], y), (x, 0.0), (x, shape[0])))
    kind = one_of(rng, ("ring", "ring", "letters", "pierced", "pierced", "cutout", "cutout", "sieve"))
    if kind == "cutout":
        patch, look = _cutout_thing(rng, material)(x, y, radius)
        patch = pierced(rng, patch, int(rng.integers(1, 7)))
    elif kind == "letters":
        text = "".join(one_of(rng, "OQDB8RAPgaeo%@&06469#") for _ in range(rng.integers(1, 4)))
        alpha = letters(text, 2 * radius / len(text) ** 0.5, any_font(rng))
        patch = Patch(alpha, round(y - alpha.shape[0] / 2), round(x - alpha.shape[1] / 2))
        look = paint(rng, material, *alpha.shape, *away)
    else:
        angle = rng.uniform(0, 360)
        points = outline(rng, one_of(rng, ("disc", "ellipse", "box", "rounded", "polygon", "blob", "heart", "star")))
        outer = turned(points, angle, radius, (x, y))
        if kind == "ring":
            inner = turned(points * rng.uniform(0.3, 0.9) + rng.uniform(-0.05, 0.05, 2), angle, radius, (x, y))
            patch = filled(shape, outer, inner)
        else:
            patch = filled(shape, outer)
            patch = sieve(rng, patch, angle) if kind == "sieve" else pierced(rng, patch, int(rng.integers(1, 9)))
        look = paint(rng, material, *patch.alpha.shape, *away)
    if chance(rng, 0.3):
        scene.lay(shadow(patch, radius * 0.06, radius * 0.06, 0.5), (0, 0, 0), covers=False)
    scene.lay(patch, look, "wanted")
    if chance(rng, 0.25):
        # Something behind a hole or before it all.
        other = thing(rng, material, shape, *away)(x + rng.normal(0, radius / 2), y, radius * rng.uniform(0.1, 0.4))
        scene.lay(*other, "beside")
        if chance(rng, 0.7):
            scene.layers.insert(0, scene.layers.pop())
    return scene.render("wanted")


def pierced(rng: np.random.Generator, patch: Patch, count: int) -> Patch:
    """Cut holes into a patch, none of them through its edge, where there is room for them."""
    alpha = patch.alpha.copy()
    for _ in range(count):
        inside = np.pad((alpha > 0.9).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        ys, xs = np.nonzero(depth > max(4.0, 0.4 * float(depth.max(initial=0))))
        if len(ys) == 0:
            break
        k = int(rng.integers(len(ys)))
        size = float(depth[ys[k], xs[k]]) * rng.uniform(0.5, 0.9)
        hole = outline(rng, one_of(rng, ("disc", "ellipse", "box", "rounded", "polygon", "blob")))
        cut = filled(alpha.shape, turned(hole, rng.uniform(0, 360), size, (xs[k] + 0.5, ys[k] + 0.5)))
        window = np.s_[cut.top : cut.top + cut.alpha.shape[0], cut.left : cut.left + cut.alpha.shape[1]]
        alpha[window] *= 1 - cut.alpha
    return patch._replace(alpha=alpha)


def sieve(rng: np.random.Generator, patch: Patch, degrees: float) -> Patch:
    """Cut a regular grid of equal holes into a patch, leaving a rim."""
    height, width = patch.alpha.shape
    if min(height, width) < 24:
        return pierced(rng, patch, 3)
    step = min(height, width) / rng.uniform(3, 8)
    hole = outline(rng, one_of(rng, ("disc", "box", "rounded", "polygon"))) * step * rng.uniform(0.25, 0.42)
    reach = int(max(height, width) / step) + 1
    grid = [(i * step, j * step) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    inside = np.pad((patch.alpha > 0.9).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
    alpha = patch.alpha.copy()
    for x, y in turned(grid, degrees, 1.0, (width / 2, height / 2)):
        if 0 <= x < width and 0 <= y < height and depth[int(y), int(x)] > step * 0.5:
            cut = filled(alpha.shape, turned(hole, degrees, 1.0, (x, y)))
            window = np.s_[cut.top : cut.top + cut.alpha.shape[0], cut.left : cut.left + cut.alpha.shape[1]]
            alpha[window] *= 1 - cut.alpha
    return patch._replace(alpha=alpha)


def layout(rng: np.random.Generator, shape: tuple[int, int], count: int) -> tuple[list[tuple[float, float]], float]:
    """Return places (x, y) for so many things, and the side of the square that each may fill."""
    height, width = shape
    kind = one_of(rng, ("grid", "loose", "loose", "heap"))
    # A heap is closer than the frame would allow: its things touch.
    spread = rng.uniform(0.35, 0.8) if kind == "heap" else rng.uniform(0.6, 1.15)
    high, wide = height * spread, width * spread
    rows = max(1, round(math.sqrt(count * high / wide)))
    columns = math.ceil(count / rows)
    cell = min(high / rows, wide / columns)
    jitter = {"grid": 0.0, "loose": 0.25, "heap": 0.35}[kind]
    left, top = (width - wide) * rng.uniform(), (height - high) * rng.uniform()
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    chosen = [cells[k] for k in rng.permutation(len(cells))[:count]]
    places = [
        (
            float(left + (j + 0.5 + rng.uniform(-jitter, jitter)) * wide / columns),
            float(top + (i + 0.5 + rng.uniform(-jitter, jitter)) * high / rows),
        )
        for i, j in chosen
    ]
    return places, cell * (1.2 if kind == "heap" else 0.9)


def thing(rng: np.random.Generator, material: Material, frame: tuple[int, int], *away: ArrayLike) -> Thing:
    """Return what renders examples of one kind of thing: an object cut out, a shape, or a letter."""
    kind = one_of(rng, ("cutout", "cutout", "shape", "shape", "glyph"))
    if kind == "cutout":
        return _cutout_thing(rng, material)
    tile = paint(rng, material, 64, 64, *away)
    varied = chance(rng, 0.3)

    def look(patch: Patch) -> Floats:
        shown = tile
        if tile.ndim == 3 and patch.alpha.size:
            shown = cv2.resize(tile, patch.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.clip(shown + rng.normal(0, 20, 3), 0, 255) if varied else shown

    if kind == "glyph":
        character, font = one_of(rng, GLYPHS), any_font(rng)

        def glyph(x: float, y: float, radius: float) -> tuple[Patch, Floats]:
            alpha = letters(character, max(8.0, 1.9 * radius), font)
            patch = Patch(alpha, round(y - alpha.shape[0] / 2), round(x - alpha.shape[1] / 2))
            return patch, look(patch)

        return glyph
    points, upright = outline(rng, one_of(rng, SHAPES)), chance(rng, 0.4)
    rim = near(rng, tile if tile.ndim == 1 else color(rng), 30, 120) if chance(rng, 0.3) else None

    def rendered(x: float, y: float, radius: float) -> tuple[Patch, Floats]:
        angle = 0.0 if upright else rng.uniform(0, 360)
        patch = filled(frame, turned(points, angle, radius, (x, y)))
        shown = look(patch)
        if rim is not None and patch.alpha.size:
            inner = filled(frame, turned(points * 0.8, angle, radius, (x, y)))
            share = np.zeros_like(patch.alpha)
            top, left = inner.top - patch.top, inner.left - patch.left
            share[top : top + inner.alpha.shape[0], left : left + inner.alpha.shape[1]] = inner.alpha
            shown = rim + (shown - rim) * share[:, :, None]
        return patch, shown

    return rendered


def _cutout_thing(rng: np.random.Generator, material: Material) -> Thing:
    rgba = material.cutout(rng)
    spread = one_of(rng, (0, 10, 180))

    def rendered(x: float, y: float, radius: float) -> tuple[Patch, Floats]:
        flip, light = chance(rng, 0.5), np.exp(rng.uniform(-0.15, 0.15))
        patch, look = placed_cutout(rgba, x, y, rng.uniform(-spread, spread), longest=2 * radius, flip=flip)
        return patch, np.clip(look * light, 0, 255)

    return rendered
