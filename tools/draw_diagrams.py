"""Diagrams of the pipeline and of the default network, as SVG; `tools.draw_figures` writes them."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, GRAY = "#22313a", "#6b7a83"
IMAGE, CLICK, OUT = "#dceaf5", "#fbe3d6", "#d9efe4"
_OPTIONS: Any = {"svg.hashsalt": "pyiseg", "svg.fonttype": "path", "font.size": 10, "path.simplify": True}


class Canvas:
    """A sheet of boxes and arrows, in units of a tenth of an inch, y downwards.

    Args:
        width, height: Of the sheet.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width / 10, height / 10))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def box(self, x: float, y: float, width: float, height: float, text: str, color: str, size: float = 9.5) -> None:
        """Draw a box; the first line of its text is bold."""
        patch = FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.8",
            facecolor=color,
            edgecolor=GRAY,
            linewidth=0.8,
        )
        self.axes.add_patch(patch)
        title, *lines = text.split("\n")
        step = 1.75
        first = y + height / 2 - step * len(lines) / 2
        for index, line in enumerate((title, *lines)):
            weight = "bold" if index == 0 else "normal"
            self.text(x + width / 2, first + index * step, line, size=size if index == 0 else size - 1, weight=weight)

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """Write a line around a point."""
        given = {"ha": "center", "va": "center", "color": INK, "size": 9, **options}
        self.axes.text(x, y, text, **given)

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line through points with an arrow's head at its end."""
        for start, end in itertools.pairwise(points[:-1]):
            self.axes.plot(*zip(start, end, strict=True), color=GRAY, linewidth=1.1, solid_capstyle="round")
        patch = FancyArrowPatch(
            points[-2], points[-1], arrowstyle="-|>", mutation_scale=9, shrinkA=0, shrinkB=0, color=GRAY, linewidth=1.1
        )
        self.axes.add_patch(patch)

    def save(self, path: Path) -> None:
        """Write it as SVG, the same bytes each time."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
        lines = [line.rstrip() for line in buffer.getvalue().splitlines()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_pipeline(path: Path) -> None:
    """What runs once an image, and what runs at each click."""
    with rc_context(_OPTIONS):
        canvas = Canvas(96, 44)
        canvas.text(3, 2.4, "once an image", ha="left", size=10.5, weight="bold", color="#2c6c9f")
        canvas.box(3, 5, 15, 8, "image\nH × W, uint8", IMAGE)
        canvas.box(24, 5, 18, 8, "resize\nlong side 512", IMAGE)
        canvas.box(48, 5, 20, 8, "image encoder\nimage.onnx", IMAGE)
        canvas.box(74, 5, 20, 8, "features\nfive scales, embedding", IMAGE)
        canvas.text(3, 19, "at each click", ha="left", size=10.5, weight="bold", color="#b0572a")
        canvas.box(3, 21.5, 15, 8, "clicks\nx, y, fg or bg", CLICK)
        canvas.box(24, 21.5, 18, 8, "click maps\n3 Gaussians a label", CLICK)
        canvas.box(48, 21.5, 20, 8, "click network\nclick.onnx", CLICK)
        canvas.box(74, 21.5, 20, 8, "prediction\non the grid, 256 long", CLICK)
        for y in (9, 25.5):
            for start, end in ((18, 24), (42, 48), (68, 74)):
                canvas.arrow((start, y), (end, y))
        canvas.arrow((84, 13), (84, 17), (58, 17), (58, 21.5))
        canvas.arrow((79, 29.5), (79, 33.6), (58, 33.6), (58, 29.5))
        canvas.text(68.5, 32.2, "previous alpha", size=8, color=GRAY)
        canvas.box(24, 33, 26, 8, "guided filter\nedges from the image's colors", OUT)
        canvas.box(3, 33, 15, 8, "alpha\nH × W, uint8", OUT)
        canvas.arrow((89, 29.5), (89, 37), (50, 37))
        canvas.arrow((24, 37), (18, 37))
        canvas.arrow((3, 9), (1, 9), (1, 43), (37, 43), (37, 41))
        canvas.save(path)


def draw_network(path: Path) -> None:
    """The two streams of the default network, with the channels of its configuration, scale by scale."""
    neck = ((2, 8), (4, 32), (8, 64), (16, 96), (32, 128))
    interaction = {2: 16, 4: 24, 8: 48, 16: 96, 32: 128}
    decoder = {2: "16", 4: "32", 8: "64", 16: "96, 96", 32: "pooling, 128, 128, 128"}
    with rc_context(_OPTIONS):
        canvas = Canvas(96, 69)
        canvas.text(3, 2.2, "image stream: once an image", ha="left", size=10.5, weight="bold", color="#2c6c9f")
        canvas.text(94, 2.2, "click network: at each click", ha="right", size=10.5, weight="bold", color="#b0572a")
        canvas.box(3, 5, 15, 5.5, "image\nRGB", IMAGE)
        canvas.box(79, 5, 15, 5.5, "6 click maps,\nprevious alpha", CLICK, size=9)
        canvas.box(50, 5, 18, 5.5, "alpha\non the grid", OUT)
        for row, (stride, channels) in enumerate(neck):
            y = 14 + 9 * row
            canvas.box(3, y, 15, 5.5, f"encoder\n1/{stride} of the side", IMAGE, size=9)
            canvas.box(27, y, 14, 5.5, f"neck\n{channels} channels", IMAGE, size=9)
            canvas.box(50, y, 18, 5.5, f"decoder\n{decoder[stride]}", CLICK, size=9)
            canvas.box(79, y, 15, 5.5, f"interaction\n{interaction[stride]} channels", CLICK, size=9)
            canvas.arrow((18, y + 2.75), (27, y + 2.75))
            canvas.arrow((41, y + 2.75), (50, y + 2.75))
            canvas.arrow((79, y + 2.75), (68, y + 2.75))
            canvas.arrow((10.5, y - 3.5), (10.5, y))
            canvas.arrow((86.5, y - 3.5), (86.5, y))
            canvas.arrow((59, y), (59, y - 3.5))
            if row > 1:  # the finest level of the neck gets no context
                canvas.arrow((34, y), (34, y - 3.5))
        canvas.box(
            44,
            60,
            30,
            7.5,
            "comparison\nhow like the clicked places each place is\n(also enters at 1/8 and 1/16)",
            CLICK,
        )
        canvas.arrow((59, 60), (59, 55.5))
        canvas.arrow((27, 35.5), (23, 35.5), (23, 63.75), (44, 63.75))
        canvas.text(33, 62.4, "embedding, 64 channels", size=8, color=GRAY)
        canvas.arrow((94, 7.75), (95.3, 7.75), (95.3, 63.75), (74, 63.75))
        canvas.save(path)
