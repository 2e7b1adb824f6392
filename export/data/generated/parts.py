"""Generated training images of things made of parts: a part or all of it is wanted, and both begin alike."""

from __future__ import annotations

import math

import cv2
import numpy as np

from export.data.generated.paint import Material, ground, paint, placed_cutout, unlike
from export.data.generated.scene import Floats, Scene, chance, one_of
from export.data.generated.shapes import filled, outline, turned
from export.data.io import Masked


def parts(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Masked:
    """Make a thing of several parts; either one of them is wanted or all of it, which only later clicks can tell."""
    surface, away = ground(rng, material, shape, photographs=0.6)
    scene = Scene(surface)
    short = min(shape)
    radius = short * rng.uniform(0.15, 0.5)
    x, y = rng.uniform(0.2, 0.8) * shape[1], rng.uniform(0.2, 0.8) * shape[0]
    if chance(rng, 0.45):
        tags = _figure(rng, material, scene, (x, y), radius, away)
    else:
        tags = _divided(rng, material, scene, (x, y), radius, away)
    return scene.render("whole" if chance(rng, 0.45) else one_of(rng, tags))


def _figure(
    rng: np.random.Generator,
    material: Material,
    scene: Scene,
    center: tuple[float, float],
    radius: float,
    away: tuple[Floats, ...],
) -> list[str]:
    """Lay a trunk with shapes attached to it, at times the same on both sides; return the tags of the parts."""
    shapes = ("disc", "ellipse", "box", "rounded", "polygon", "blob")
    lean = rng.normal(0, 15)
    trunk = outline(rng, one_of(rng, shapes)) * (rng.uniform(0.4, 1), rng.uniform(0.5, 1)) * 0.6
    pieces = [("part 0", trunk)]
    for k in range(1, int(rng.integers(2, 6))):
        # A limb points away from the trunk and reaches into it, so that they touch.
        root, long = one_of(rng, list(trunk)), rng.uniform(0.15, 0.4)
        limb = outline(rng, one_of(rng, shapes)) * (long, long * rng.uniform(0.25, 1))
        limb = (
            turned(limb + np.array([0.6 * long, 0]), math.degrees(math.atan2(root[1], root[0])) + rng.normal(0, 25))
            + root
        )
        pieces.append((f"part {k}", limb))
        if chance(rng, 0.4):
            pieces.append((f"part {k}", limb * (-1, 1)))
    looks: dict[str, Floats] = {}
    order = rng.permutation(len(pieces)) if chance(rng, 0.6) else range(len(pieces))
    shared = paint(rng, material, 96, 96, *away)
    for i in order:
        tag, points = pieces[i]
        patch = filled(scene.shape, turned(points, lean, radius, center))
        if patch.alpha.size == 0:
            continue
        if tag not in looks:
            # At times all parts look the same, and only their outlines tell them apart.
            looks[tag] = shared if chance(rng, 0.2) else paint(rng, material, 96, 96, *away)
        look = looks[tag]
        if look.ndim == 3:
            look = cv2.resize(look, patch.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        if chance(rng, 0.3):
            look = look * np.linspace(1, rng.uniform(0.6, 1), patch.alpha.shape[0], dtype=np.float32)[:, None, None]
        scene.lay(patch, look, "whole", tag)
    return sorted(looks)


def _divided(
    rng: np.random.Generator,
    material: Material,
    scene: Scene,
    center: tuple[float, float],
    radius: float,
    away: tuple[Floats, ...],
) -> list[str]:
    """Lay an object or a shape that is painted in several colors; return the tags of the colors."""
    if chance(rng, 0.55):
        turn = rng.normal(0, 15)
        patch, look = placed_cutout(material.cutout(rng), *center, turn, longest=2 * radius, flip=chance(rng, 0.5))
    else:
        points = outline(rng, one_of(rng, ("disc", "ellipse", "box", "rounded", "polygon", "star", "blob", "heart")))
        patch = filled(scene.shape, turned(points, rng.uniform(0, 360), radius, center))
        look = paint(rng, material, *patch.alpha.shape, *away)
    if patch.alpha.size == 0:
        return ["whole"]
    shares = _cut(rng, patch.alpha.shape)
    shown = np.broadcast_to(look, (*patch.alpha.shape, 3))
    gray = shown.mean(axis=2, keepdims=True)
    painted = np.zeros_like(shown)
    plain = chance(rng, 0.5)
    taken: list[Floats] = []
    for k, share in enumerate(shares):
        tone = unlike(rng, *taken, least=50)
        taken.append(tone)
        # Paint keeps some of what is under it, as a colored shirt keeps its folds.
        own = shown if k == 0 else tone + (gray - 128) * (0.15 if plain else 0.6)
        painted = painted + share[:, :, None] * own
    names = {f"part {k}": share for k, share in enumerate(shares)}
    scene.lay(patch, np.clip(painted, 0, 255), "whole", parts=names)
    return sorted(names)


def _cut(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Floats]:
    """Divide a patch: halves, bands, rings, sectors, cells or spots; the shares of a pixel sum to 1."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kind = one_of(rng, ("halves", "bands", "rings", "sectors", "spot"))
    count, angle = int(rng.integers(2, 5)), rng.uniform(0, 2 * math.pi)
    short = min(height, width)
    if kind in ("halves", "bands"):
        bend = rng.uniform(0, 0.1) * short * np.sin((x * math.sin(angle) - y * math.cos(angle)) * 6 / short)
        along = x * math.cos(angle) + y * math.sin(angle) + bend
        low, high = float(along.min()), float(along.max())
        edges = np.linspace(low, high, (2 if kind == "halves" else 2 * count) + 1)[1:-1]
        edges = edges + rng.uniform(-0.3, 0.3, len(edges)) * (high - low) / (len(edges) + 1)
    elif kind == "rings":
        along = np.hypot(x - width / 2, y - height / 2)
        edges = np.linspace(0, short / 2, count + 1)[1:]
    elif kind == "spot":
        along = np.hypot(x - rng.uniform(0.3, 0.7) * width, (y - rng.uniform(0.3, 0.7) * height) * rng.uniform(0.5, 2))
        edges = np.array([rng.uniform(0.15, 0.35) * short])
    else:
        middle = (rng.uniform(0.4, 0.6) * width, rng.uniform(0.4, 0.6) * height)
        direction = (np.arctan2(y - middle[1], x - middle[0]) + angle) % (2 * math.pi)
        along = direction * np.maximum(1, np.hypot(x - middle[0], y - middle[1]))
        sector = np.floor(direction / (2 * math.pi) * 2 * count).astype(int) % 2
        return [np.asarray(sector == k, np.float32) for k in (0, 1)]
    # One pixel wide from one to the next; every other band has the same color, as stripes of a shirt have.
    steps = [np.clip(along - edge + 0.5, 0, 1) for edge in edges]
    bounds = [np.ones(shape, np.float32), *steps, np.zeros(shape, np.float32)]
    bands = [np.asarray(bounds[k] - bounds[k + 1], np.float32) for k in range(len(bounds) - 1)]
    if kind == "bands":
        return [np.sum(bands[k::2], axis=0) for k in (0, 1)]
    return bands
