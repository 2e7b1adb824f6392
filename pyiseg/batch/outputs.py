"""Which files a run over a folder writes, and how selections are refined before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg import foreground, formats
from pyiseg.batch.names import OutputNames
from pyiseg.formats.by_name import CUTOUTS, MATTES, OUTLINES
from pyiseg.prompts import shortened

Alpha = npt.NDArray[np.uint8]

OF_OBJECTS = {**CUTOUTS, **MATTES}
"""Formats with a file for each object, and their suffixes."""

OF_IMAGES = {"label-map": ".png", **OUTLINES}
"""Formats with a file for each image."""

FORMATS = (*OF_OBJECTS, *OF_IMAGES, "coco")
"""All of them; "coco" is one file for all images."""

LARGEST_RADIUS = 1000
"""Pixels that a selection may be grown, shrunk or feathered by."""


@dataclass(frozen=True)
class OutputOptions:
    """What is written of a selection.

    Attributes:
        formats: Names of `FORMATS`, each once; one is written straight into the output folder, several into a folder
            of it each.
        foreground: The colors of cut-outs, as for `pyiseg.Session.cutout`.
        tolerance: Of outlines, in pixels; 0 for exact ones.
        keep_largest: Whether only the largest connected part of a selection is kept.
        fill_holes: Whether holes in it are filled.
        grow, shrink: Pixels that it is made larger or smaller by, after those.
        feather: Pixels that its edge is softened by, last.

    Raises:
        ValueError: A value that cannot be.
    """

    formats: Sequence[str] = ("cutout-png",)
    foreground: str = "image"
    tolerance: float = 1.0
    keep_largest: bool = False
    fill_holes: bool = False
    grow: float = 0
    shrink: float = 0
    feather: float = 0

    def __post_init__(self) -> None:
        if isinstance(self.formats, str):
            raise ValueError(f"formats is {self.formats!r}; pass a list of them, [{self.formats!r}]")
        object.__setattr__(self, "formats", tuple(self.formats))
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise ValueError(f"formats is {shortened(self.formats)}; the known ones are {', '.join(FORMATS)}")
        if len(set(self.formats)) < len(self.formats):
            raise ValueError(f"formats is {shortened(self.formats)}; name each once")
        foreground.check(self.foreground)
        for name, most in (("tolerance", 1e6), *((name, LARGEST_RADIUS) for name in ("grow", "shrink", "feather"))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise ValueError(f"{name} is {shortened(value)}; pass a number of pixels from 0 to {most:g}")

    @property
    def needs_outlines(self) -> bool:
        """Whether a format needs all the selections of an image at once."""
        return any(name in self.formats for name in OUTLINES)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return asdict(self) | {"formats": list(self.formats)}


def files_of(options: OutputOptions, names: OutputNames) -> list[str]:
    """Return the files of an image, by their names within the output folder."""
    files = []
    for made in options.formats:
        if made in OF_OBJECTS:
            files += [path_of(options, made, name) for name in names.objects]
        elif made in OF_IMAGES:
            files.append(path_of(options, made, names.image))
    return files


def path_of(options: OutputOptions, made: str, name: str) -> str:
    """Return the path of a file within the output folder, from the format and the name without suffix."""
    # Ultralytics looks for the labels of images/NAME.jpg in labels/NAME.txt.
    folder = "labels/" if made == "yolo" else ""
    return f"{folder_of(options, made)}{folder}{name}{(OF_OBJECTS | OF_IMAGES)[made]}"


def folder_of(options: OutputOptions, made: str) -> str:
    """Return the folder of a format within the output folder: nothing for that itself, or a name with a slash."""
    return f"{made}/" if len(options.formats) > 1 else ""


def refine(alpha: Alpha, options: OutputOptions) -> Alpha:
    """Return a selection as it is to be written."""
    if options.keep_largest:
        alpha = formats.keep_largest(alpha)
    if options.fill_holes:
        alpha = formats.fill_holes(alpha)
    if options.grow:
        alpha = formats.grow(alpha, options.grow)
    if options.shrink:
        alpha = formats.shrink(alpha, options.shrink)
    if options.feather:
        alpha = formats.feather(alpha, options.feather)
    return alpha
