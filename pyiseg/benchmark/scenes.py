"""The images that are measured on: a photograph resized to any size, with clicks that follow it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pyiseg import demo, images
from pyiseg.benchmark.peers import Mask, Pixels
from pyiseg.prompts import Click

SMALLEST, LARGEST = 64, 40_000
"""Sides of an image that can be measured."""

ZOOMING_CLICKS = (*demo.CLICKS, Click(300, 300, True), Click(1250, 520, True), Click(1100, 450, True))
"""On the bundled photograph at a third of an image's sides the fourth zooms in, and the fifth is behind it."""

OUTLINE = (
    *((29, 98), (40, 86), (75, 80), (120, 82), (155, 92), (185, 108), (205, 135), (240, 162), (275, 180)),
    *((330, 182), (400, 175), (450, 173), (490, 178), (525, 195), (555, 225), (580, 256), (625, 242), (665, 236)),
    *((683, 252), (672, 280), (640, 310), (600, 335), (560, 345), (520, 352), (480, 360), (430, 352), (370, 345)),
    *((300, 340), (262, 328), (235, 312), (200, 320), (182, 305), (160, 295), (150, 275), (125, 250), (110, 220)),
    *((103, 175), (80, 150), (45, 135), (30, 115)),
)
"""The otter of the bundled photograph, drawn around by hand at 750 x 500, to a few pixels."""
OUTLINED_AT = (750, 500)


@dataclass(frozen=True)
class Scene:
    """An image and clicks on it.

    Attributes:
        rgb: uint8, shape (H, W, 3).
        clicks: In the image's coordinates.
    """

    rgb: Pixels
    clicks: tuple[Click, ...]


def scene(photo: Path, clicks: Sequence[Click], size: tuple[int, int], share: int = 1) -> Scene:
    """A photograph at a fraction of an image's sides, on gray, and clicks on it.

    Args:
        photo: Path of the photograph. It is stretched where its aspect ratio is another, and enlarged where it is
            smaller: it has no finer detail then.
        clicks: In the photograph's coordinates.
        size: Width and height of the image.
        share: 1 fills the image; 3 is a third of its sides, one third from the left and from the top.
    """
    width, height = size[0] // share, size[1] // share
    left, top = (width, height) if share > 1 else (0, 0)
    image = Image.fromarray(images.to_rgb(photo))
    scale = width / image.width, height / image.height
    inner = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    canvas = np.full((size[1], size[0], 3), 128, np.uint8)
    canvas[top : top + height, left : left + width] = inner
    return Scene(canvas, tuple(Click(left + int(c.x * scale[0]), top + int(c.y * scale[1]), c.fg) for c in clicks))


def expected(size: tuple[int, int]) -> Mask:
    """Where the otter is in the bundled photograph at a size: bool, shape (height, width)."""
    mask = Image.new("L", size)
    scale = size[0] / OUTLINED_AT[0], size[1] / OUTLINED_AT[1]
    ImageDraw.Draw(mask).polygon([(x * scale[0], y * scale[1]) for x, y in OUTLINE], fill=1)
    return np.asarray(mask) > 0


def parse_size(text: str) -> tuple[int, int]:
    """Read a size: "640x480", width first, or megapixels at an aspect ratio of 4:3, as "12" and "0.5MP".

    Returns:
        Width and height.

    Raises:
        ValueError: It is neither, or a side is not from 64 to 40,000.
    """
    if sides := re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text.strip()):
        size = int(sides[1]), int(sides[2])
    elif number := re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(?:MP)?", text.strip(), re.IGNORECASE):
        pixels = 1e6 * float(number[1])
        size = round((pixels * 4 / 3) ** 0.5), round((pixels * 3 / 4) ** 0.5)
    else:
        raise ValueError(f"size '{text}' is neither WIDTHxHEIGHT, as 640x480, nor megapixels, as 12 or 0.5")
    if not all(SMALLEST <= side <= LARGEST for side in size):
        raise ValueError(
            f"size '{text}' is {size[0]} x {size[1]} pixels; a side may have from {SMALLEST} to {LARGEST} pixels"
        )
    return size
