"""Masks as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy.typing as npt

from pyiseg.formats.arrays import checked_objects, checked_shape
from pyiseg.formats.colors import Color, checked_colors, palette
from pyiseg.formats.polygon import Points, polygons


def svg_path(mask: npt.NDArray[Any], *, tolerance: float = 1.0) -> str:
    """Return the outlines of a mask as the ``d`` attribute of an SVG path, in pixels.

    Args:
        mask: bool, or alpha as uint8 of which 128 and more is selected, shape (H, W).
        tolerance: In pixels, as `pyiseg.formats.polygons` has it.

    Returns:
        Such as ``M1 1 4 1 4 3 1 3Z``, to be filled with ``fill-rule="evenodd"`` (or the default: holes go the other
        way around). Empty where nothing is selected.

    Raises:
        ValueError: The mask has another dtype or shape, or the tolerance is below 0 or not finite.
    """
    found = polygons(mask, tolerance=tolerance)
    return "".join(_closed(ring) for polygon in found for ring in (polygon.exterior, *polygon.holes))


def svg(
    objects: Iterable[tuple[str, npt.NDArray[Any]]],
    shape: tuple[int, int],
    *,
    colors: Sequence[Color] | None = None,
    tolerance: float = 1.0,
) -> str:
    """Return an SVG document of objects, each a path with a title.

    Args:
        objects: Pairs of a name and a mask, bool or alpha as uint8 of which 128 and more is selected.
        shape: Height and width of the image; a unit of the document is a pixel of it.
        colors: Of the objects, red, green and blue from 0 to 255; None for those of `label_map_png`.
        tolerance: In pixels, as `pyiseg.formats.polygons` has it.

    Raises:
        ValueError: A mask or name is none, or a mask is not of the shape, or there are too few colors.
    """
    height, width = checked_shape(shape)
    named = checked_objects(objects, (height, width))
    chosen = palette(len(named) + 1)[1:] if colors is None else checked_colors(colors, len(named))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    ]
    for (name, mask), (red, green, blue) in zip(named, chosen, strict=False):
        path = svg_path(mask, tolerance=tolerance)
        title = escape(_printable(name))
        lines.append(
            f'<path fill="#{red:02x}{green:02x}{blue:02x}" fill-rule="evenodd" d="{path}"><title>{title}</title></path>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _closed(ring: Points) -> str:
    return "M" + " ".join(f"{value:g}" if value % 1 else str(int(value)) for value in ring.ravel().tolist()) + "Z"


def _printable(name: str) -> str:
    """Return a name without the characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in name)
