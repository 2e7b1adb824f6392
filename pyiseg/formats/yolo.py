"""Label files of YOLO for segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from pyiseg.formats.arrays import checked_objects
from pyiseg.formats.polygon import joined, polygons


def yolo_segmentation(
    objects: Iterable[tuple[str, npt.NDArray[Any]]],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1.0,
) -> str:
    """Return the content of a YOLO label file for segmentation, one line an outline.

    Args:
        objects: Pairs of a class name and a mask, bool or alpha as uint8 of which 128 and more is selected, all of
            one shape (H, W).
        names: Of all classes, in the order of their numbers, as in the data set's YAML file; None for the order in
            which they come here, which is right for one image only.
        tolerance: In pixels, as `pyiseg.formats.polygons` has it.

    Returns:
        Lines ``class x1 y1 x2 y2 ...``, each ended: the class's number from 0 on, and x / W and y / H, six decimals. A
        mask of several regions has a line for each, which Ultralytics takes for objects of their own; `keep_largest`
        leaves one. YOLO knows no holes: one is connected to the outline around it by a line that goes there and back.
        Empty where nothing is selected.

    Raises:
        ValueError: A mask or name is none, masks differ in shape, or a name is not among ``names``.
    """
    if isinstance(names, str):
        raise ValueError(f"names is {names!r}; pass a list of names")
    numbers = {name: number for number, name in reversed(list(enumerate(names or ())))}
    lines = []
    for name, mask in checked_objects(objects):
        if names is None:
            numbers.setdefault(name, len(numbers))
        elif name not in numbers:
            raise ValueError(f"'{name}' is not among the names {', '.join(names)}; add it there, at the end")
        height, width = mask.shape
        for polygon in polygons(mask, tolerance=tolerance):
            shares = joined(polygon) / (width, height)
            lines.append(f"{numbers[name]} " + " ".join(f"{share:.6f}" for share in shares.ravel().tolist()) + "\n")
    return "".join(lines)
