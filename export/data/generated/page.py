"""What flat graphics and screenshots are made of: a palette, text, cards, buttons, avatars, icons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from export.data.generated.paint import Material, color, gradient, near, shadow, unlike
from export.data.generated.scene import Floats, Patch, Scene, chance, one_of
from export.data.generated.shapes import (
    SHAPES,
    any_font,
    box,
    ellipse,
    filled,
    letters,
    outline,
    spline,
    stroked,
    turned,
)

SYLLABLES = tuple(a + b for a in ("b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v") for b in "aeiou")

# Left, top, width and height in pixels.
Area = tuple[float, float, float, float]


@dataclass
class Page:
    """A scene under construction, with one palette and font.

    Attributes:
        rng: Source of all that is random.
        material: For images on the page.
        scene: What is laid so far.
        surface: Color of cards and windows; may be close to the ground's.
        ink, muted: Colors of text, on ``surface`` and on the ground.
        accents: Colors of what stands out.
        font: For `letters`.
        radius: Of corners, in pixels.
        unit: Size of text, in pixels.
        names: Tags of what may be wanted: a kind, a space, and a number.
    """

    rng: np.random.Generator
    material: Material
    scene: Scene
    surface: Floats
    ink: Floats
    muted: Floats
    accents: Sequence[Floats]
    font: str
    radius: float
    unit: float
    names: list[str] = field(default_factory=list)

    def new(self, kind: str) -> str:
        """Return a tag for one more thing that may be wanted."""
        self.names.append(f"{kind} {len(self.names)}")
        return self.names[-1]

    def accent(self) -> Floats:
        return one_of(self.rng, self.accents)

    def box(self, area: Area, fill: ArrayLike, *tags: str, radius: float = 0.0) -> Patch:
        patch = box(self.scene.shape, *area, radius=radius)
        self.scene.lay(patch, fill, *tags)
        return patch

    def card(self, area: Area, *tags: str, kind: str = "card", fill: ArrayLike | None = None) -> str:
        """Lay a card, with a shadow, a border line or neither, and return its tag."""
        rng, tag = self.rng, self.new(kind)
        patch = box(self.scene.shape, *area, radius=self.radius)
        fill = self.surface if fill is None else np.asarray(fill, np.float32)
        style = one_of(rng, ("shadow", "shadow", "line", "plain"))
        if style == "shadow" and patch.alpha.size:
            blur = rng.uniform(1, 9)
            dark = shadow(patch, blur, rng.uniform(0, blur), rng.uniform(0.1, 0.55))
            self.scene.lay(dark, (0, 0, 0), covers=False)
        self.scene.lay(patch, near(rng, fill, 15, 60) if style == "line" else fill, *tags, tag)
        if style == "line":
            thick = one_of(rng, (1, 1, 2, 3))
            x, y, width, height = area
            inner = (x + thick, y + thick, max(1, width - 2 * thick), max(1, height - 2 * thick))
            self.box(inner, fill, *tags, tag, radius=max(0, self.radius - thick))
        return tag

    def text(
        self, x: float, y: float, words: str, size: float, ink: ArrayLike, *tags: str, widest: float = 1e9
    ) -> tuple[float, float]:
        """Write one line from the left and top, and return its width and height; what is too wide is left out."""
        alpha = letters(words, size, self.font)
        while alpha.shape[1] > widest and len(words) > 1:
            words = words[: max(1, int(len(words) * widest / alpha.shape[1]))].strip() or "i"
            alpha = letters(words, size, self.font)
            widest += 1
        self.scene.lay(Patch(alpha, round(y), round(x)), ink, *tags)
        return float(alpha.shape[1]), float(alpha.shape[0])

    def paragraph(self, area: Area, ink: ArrayLike, *tags: str, size: float = 0.0) -> float:
        """Write lines of text into an area and return where they end."""
        x, y, width, height = area
        size = size or self.unit
        bottom = y + height
        while y + size < bottom:
            self.text(x, y, words(self.rng, 12), size, ink, *tags, widest=width * self.rng.uniform(0.75, 1.0))
            y += 1.45 * size
        return y

    def button(self, x: float, y: float, *tags: str, widest: float = 1e9) -> None:
        """Lay a button with a word or an icon on it."""
        rng, tag, size = self.rng, self.new("button"), self.unit
        fill = self.accent() if chance(rng, 0.7) else near(rng, self.surface, 8, 40)
        label = letters(words(rng, 1).title(), size, self.font)
        width = min(widest, label.shape[1] + 2 * size)
        patch = self.box((x, y, width, 2.1 * size), fill, *tags, tag, radius=one_of(rng, (0.0, self.radius, 99.0)))
        ink = unlike(rng, fill, least=90)
        if label.shape[1] + 4 < width and patch.alpha.size:
            at = Patch(label, round(y + 1.05 * size - label.shape[0] / 2), round(x + width / 2 - label.shape[1] / 2))
            self.scene.lay(at, ink, *tags, tag)

    def avatar(self, x: float, y: float, radius: float, *tags: str) -> None:
        """Lay a round image of a person or thing, or a disc with initials, at times with a ring or badge."""
        rng, tag = self.rng, self.new("avatar")
        if chance(rng, 0.3):
            self.scene.lay(filled(self.scene.shape, ellipse(x, y, radius + 2, radius + 2)), self.accent(), *tags, tag)
        patch = filled(self.scene.shape, ellipse(x, y, radius, radius))
        if patch.alpha.size == 0:
            return
        if chance(rng, 0.65):
            look = self.material.photograph(rng, *patch.alpha.shape).astype(np.float32)
            self.scene.lay(patch, look, *tags, tag)
        else:
            fill = self.accent()
            self.scene.lay(patch, fill, *tags, tag)
            initials = letters(words(rng, 1)[:2].upper(), radius, self.font)
            at = Patch(initials, round(y - initials.shape[0] / 2), round(x - initials.shape[1] / 2))
            self.scene.lay(at, unlike(rng, fill, least=90), *tags, tag)
        if chance(rng, 0.2):
            badge = filled(self.scene.shape, ellipse(x + 0.7 * radius, y + 0.7 * radius, radius / 3.5, radius / 3.5))
            self.scene.lay(badge, self.accent(), *tags, self.new("badge"))

    def picture(self, area: Area, *tags: str) -> None:
        """Lay a photograph, at times with round corners."""
        patch = box(self.scene.shape, *area, radius=self.radius if chance(self.rng, 0.5) else 0)
        if patch.alpha.size:
            look = self.material.photograph(self.rng, *patch.alpha.shape).astype(np.float32)
            self.scene.lay(patch, look, *tags, self.new("picture"))

    def icon(self, x: float, y: float, radius: float, ink: ArrayLike, *tags: str, kind: str = "icon") -> None:
        """Draw a pictogram of a few shapes and strokes, wanted as one."""
        rng, tag, shape = self.rng, self.new(kind), self.scene.shape
        style = one_of(rng, ("filled", "lines", "mixed", "pierced"))
        width = max(1.0, radius * rng.uniform(0.1, 0.25))
        for _ in range(rng.integers(1, 4)):
            points = outline(rng, one_of(rng, SHAPES)) * rng.uniform(0.45, 0.95)
            points = turned(points + rng.uniform(-0.25, 0.25, 2), one_of(rng, (0, 0, 45, 90)), radius, (x, y))
            if style == "filled" or (style == "mixed" and chance(rng, 0.4)):
                patch = filled(shape, points)
            elif style == "pierced":
                middle = points.mean(axis=0)
                patch = filled(shape, points, (points - middle) * rng.uniform(0.3, 0.7) + middle)
            else:
                patch = stroked(shape, [np.concatenate([points, points[:1]])], width)
            self.scene.lay(patch, ink, *tags, tag)
        if style in ("lines", "mixed"):
            for _ in range(rng.integers(0, 3)):
                line = turned(rng.uniform(-0.8, 0.8, (one_of(rng, (2, 2, 3)), 2)), 0, radius, (x, y))
                self.scene.lay(stroked(shape, [line], width), ink, *tags, tag)

    def sketch(self, area: Area, ink: ArrayLike, *tags: str) -> None:
        """Draw line art: outlines and curves, each wanted alone or all of them as one."""
        rng, shape = self.rng, self.scene.shape
        x, y, width, height = area
        whole, thick = self.new("sketch"), rng.uniform(1, 4)
        for _ in range(rng.integers(2, 7)):
            tag = self.new("stroke")
            if chance(rng, 0.6):
                size = rng.uniform(0.1, 0.35) * min(width, height)
                points = turned(outline(rng, one_of(rng, SHAPES)), rng.uniform(0, 360), size)
                points = np.concatenate([points, points[:1]]) + rng.uniform(0.2, 0.8, 2) * (width, height) + (x, y)
                if chance(rng, 0.3):
                    self.scene.lay(filled(shape, points), self.accent(), *tags, whole, tag)
            else:
                points = spline(rng.uniform(0.05, 0.95, (int(rng.integers(3, 6)), 2)) * (width, height) + (x, y))
            self.scene.lay(stroked(shape, [points], thick), ink, *tags, whole, tag)


def words(rng: np.random.Generator, count: int) -> str:
    """Return so many invented words."""
    return " ".join("".join(one_of(rng, SYLLABLES) for _ in range(rng.integers(1, 5))) for _ in range(count))


def new_page(rng: np.random.Generator, material: Material, shape: tuple[int, int]) -> Page:
    """Return an empty page with a palette of its own: light, dark or colored, at times with little contrast."""
    height, width = shape
    mode = one_of(rng, ("light", "light", "dark", "dark", "colored"))
    if mode == "light":
        base = np.full(3, rng.uniform(225, 255)) + rng.uniform(-8, 4, 3)
    elif mode == "dark":
        base = np.full(3, rng.uniform(8, 50)) + rng.uniform(-6, 12, 3)
    else:
        base = color(rng)
    base = np.clip(base, 0, 255).astype(np.float32)
    surface = near(rng, base, 5, 18) if chance(rng, 0.5) else near(rng, base, 12, 90)
    least = 60.0 if chance(rng, 0.3) else 110.0
    ink, muted = unlike(rng, surface, least=least), unlike(rng, base, least=least)
    if chance(rng, 0.6):  # gray text, as most pages have
        ink = np.full(3, 255.0 - float(surface.mean()) if abs(float(surface.mean()) - 128) > 50 else 0.0, np.float32)
    accents = [unlike(rng, surface, base, least=35) for _ in range(rng.integers(2, 6))]
    backdrop = one_of(rng, ("plain", "plain", "plain", "gradient", "photograph"))
    if backdrop == "photograph":
        ground = material.photograph(rng, height, width).astype(np.float32)
    elif backdrop == "gradient":
        ground = gradient(rng, height, width, base, near(rng, base, 15, 80))
    else:
        ground = np.tile(base, (height, width, 1))
    radius = one_of(rng, (0.0, rng.uniform(2, 6), rng.uniform(6, 20)))
    unit = rng.uniform(0.025, 0.05) * min(shape)
    return Page(rng, material, Scene(ground), surface, ink, muted, accents, any_font(rng), radius, max(7, unit))
