"""Formats by the names that users say: of the command `pyiseg batch`, and of the server's downloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.colors import Color
from pyiseg.formats.labelme_file import labelme
from pyiseg.formats.rasters import cutout_png, cutout_webp, matte_png
from pyiseg.formats.saving import encoded
from pyiseg.formats.svg_file import svg
from pyiseg.formats.yolo import yolo_segmentation

CUTOUTS = {"cutout-png": ".png", "cutout-webp": ".webp"}
MATTES = {"matte-png": ".png", "matte16-png": ".png"}
"""Names and suffixes of formats of one object's pixels."""

OUTLINES = {"labelme": ".json", "yolo": ".txt", "svg": ".svg"}
"""Those of formats with the outlines of all objects on an image."""


def cutout(kind: str, rgba: npt.NDArray[np.uint8]) -> bytes:
    """Return a file of a format of `CUTOUTS`, from what `pyiseg.Session.cutout` returns."""
    return cutout_webp(rgba) if kind == "cutout-webp" else cutout_png(rgba)


def matte(kind: str, alpha: npt.NDArray[np.uint8]) -> bytes:
    """Return a file of a format of `MATTES`, from what `pyiseg.Session.alpha` is."""
    return matte_png(alpha, bits=16 if kind == "matte16-png" else 8)


def outlines(
    kind: str,
    objects: Iterable[tuple[str, npt.NDArray[Any]]],
    shape: tuple[int, int],
    *,
    file_name: str = "",
    names: Sequence[str] | None = None,
    colors: Sequence[Color] | None = None,
    tolerance: float = 1.0,
) -> bytes:
    """Return a file of a format of `OUTLINES`.

    Args:
        kind: The format.
        objects: Pairs of a name and a mask.
        shape: Height and width of the image.
        file_name: Of the image, for "labelme".
        names: Of all classes, for "yolo".
        colors: Of the objects, for "svg".
        tolerance: In pixels, as `pyiseg.formats.polygons` has it.

    Raises:
        ValueError: As from the format's own function.
    """
    if kind == "labelme":
        return encoded(labelme(objects, file_name=file_name, shape=shape, tolerance=tolerance))
    if kind == "yolo":
        return encoded(yolo_segmentation(objects, names=names, tolerance=tolerance))
    return encoded(svg(objects, shape, colors=colors, tolerance=tolerance))
