"""Annotation files of Labelme."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import Mask, bounds_of, checked_objects, checked_shape
from pyiseg.formats.polygon import joined, polygons
from pyiseg.formats.rasters import png

# The oldest version that knows masks.
_VERSION = "5.3.0"

SHAPES = ("polygon", "mask")
"""What kinds of shapes `labelme` can write."""


def labelme(
    objects: Iterable[tuple[str, npt.NDArray[Any]]],
    *,
    file_name: str,
    shape: tuple[int, int],
    tolerance: float = 1.0,
    shape_type: str = "polygon",
) -> dict[str, Any]:
    """Return the content of a Labelme annotation file.

    Args:
        objects: Pairs of a label and a mask, bool or alpha as uint8 of which 128 and more is selected.
        file_name: Of the image, as seen from where the annotation file will be.
        shape: Height and width of the image.
        tolerance: Of polygons, in pixels, as `pyiseg.formats.polygons` has it.
        shape_type: ``"polygon"`` can be edited; Labelme's know no holes, so a hole is connected to the outline around
            it by a line that goes there and back, and where Labelme itself fills a polygon, it fills the pixels under
            the line too. ``"mask"`` is exact (Labelme 5.3 and newer).

    Returns:
        A dict that JSON can hold. The shapes of one object, one for each region, have a ``group_id`` in common. The
        image itself is not in it; Labelme reads it from ``file_name``.

    Raises:
        ValueError: A mask or label is none, or a mask is not of the shape, or another argument is something else.
    """
    height, width = checked_shape(shape)
    if shape_type not in SHAPES:
        raise ValueError(f"shape_type is {shape_type!r}; pass one of {', '.join(map(repr, SHAPES))}")
    shapes = []
    for group, (label, mask) in enumerate(checked_objects(objects, (height, width))):
        if shape_type == "mask":
            shapes += [_shape(label, group, "mask", *found) for found in _mask(mask)]
        else:
            for polygon in polygons(mask, tolerance=tolerance):
                shapes.append(_shape(label, group, "polygon", joined(polygon).tolist(), None))
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": str(file_name),
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _mask(mask: Mask) -> list[tuple[list[list[float]], str]]:
    """Return the first and last pixel of the box around the selection, and a PNG of that; nothing of an empty one."""
    bounds = bounds_of(mask)
    if bounds is None:
        return []
    rows, columns = bounds
    corners = [[float(columns.start), float(rows.start)], [float(columns.stop - 1), float(rows.stop - 1)]]
    return [(corners, base64.b64encode(png(mask[bounds].astype(np.uint8))).decode("ascii"))]


def _shape(label: str, group: int, kind: str, points: list[list[float]], mask: str | None) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }
