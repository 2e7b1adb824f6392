"""COCO annotations and data sets, which CVAT and most training code read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg.formats.arrays import as_mask, bounds_of, checked_objects, checked_shape
from pyiseg.formats.polygon import joined, polygons
from pyiseg.formats.run_lengths import rle

SEGMENTATIONS = ("rle", "polygons")
"""How the segmentation of an annotation can be written."""


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image of a data set, and the objects in it.

    Attributes:
        file_name: Of the image, as the data set is to name it.
        shape: Height and width.
        objects: Pairs of a category's name and a mask, which is bool or alpha as uint8, of that shape.
    """

    file_name: str
    shape: tuple[int, int]
    objects: Sequence[tuple[str, npt.NDArray[Any]]]


def coco_annotation(
    mask: npt.NDArray[Any],
    *,
    id: int = 1,
    image_id: int = 1,
    category_id: int = 1,
    segmentation: str = "rle",
    tolerance: float = 1.0,
) -> dict[str, Any]:
    """Return the COCO annotation of an object.

    Args:
        mask: bool, or alpha as uint8 of which 128 and more is selected, shape (H, W).
        id, image_id, category_id: Numbers of the annotation, its image and its category.
        segmentation: ``"rle"`` is exact, compressed. ``"polygons"`` is a list of outlines, which more tools can edit;
            COCO's know no holes, so a hole is connected to the outline around it by a line that goes there and back.
        tolerance: Of polygons, in pixels, as `pyiseg.formats.polygons` has it.

    Returns:
        A dict that JSON can hold. ``area`` is the number of selected pixels, ``bbox`` [x, y, width, height] the
        smallest box around them (all 0 where there are none), both of the mask whatever the tolerance; ``iscrowd`` is
        0, also with RLE: with 1 evaluations would leave the object out.

    Raises:
        ValueError: The mask has another dtype or shape, or ``segmentation`` or ``tolerance`` is something else.
    """
    selected = as_mask(mask)
    if segmentation == "rle":
        shown: Any = rle(selected)
    elif segmentation == "polygons":
        found = polygons(selected, tolerance=tolerance)
        shown = [joined(polygon).ravel().tolist() for polygon in found]
    else:
        raise ValueError(f"segmentation is {segmentation!r}; pass one of {', '.join(map(repr, SEGMENTATIONS))}")
    bounds = bounds_of(selected)
    rows, columns = bounds or (slice(0, 0), slice(0, 0))
    box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    return {
        "id": int(id),
        "image_id": int(image_id),
        "category_id": int(category_id),
        "segmentation": shown,
        "area": float(np.count_nonzero(selected)),
        "bbox": [float(value) for value in box],
        "iscrowd": 0,
    }


def coco_dataset(
    images: Iterable[AnnotatedImage],
    *,
    categories: Sequence[str] | None = None,
    segmentation: str = "rle",
    tolerance: float = 1.0,
) -> dict[str, Any]:
    """Return a COCO data set, the content of an annotation file such as ``instances_default.json``.

    Args:
        images: The images and their objects; one image is held at a time.
        categories: Names in the order of their numbers, from 1 on; None for the order in which the names come.
        segmentation, tolerance: As for `coco_annotation`.

    Returns:
        A dict that JSON can hold, with images, annotations and categories numbered from 1 on. An object of which
        nothing is selected has no annotation.

    Raises:
        ValueError: An image, name or mask is none, or a name is not among ``categories``.
    """
    numbers = _category_numbers(categories)
    described: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, 1):
        if not isinstance(image, AnnotatedImage):
            raise ValueError(f"images[{image_id - 1}] is a {type(image).__name__}; pass formats.AnnotatedImage objects")
        height, width = checked_shape(image.shape)
        described.append({"id": image_id, "file_name": str(image.file_name), "height": height, "width": width})
        for name, mask in checked_objects(image.objects, (height, width)):
            if categories is None:
                numbers.setdefault(name, len(numbers) + 1)
            elif name not in numbers:
                raise ValueError(f"'{name}' of '{image.file_name}' is not among the categories {', '.join(numbers)}")
            if mask.any():
                annotations.append(
                    coco_annotation(
                        mask,
                        id=len(annotations) + 1,
                        image_id=image_id,
                        category_id=numbers[name],
                        segmentation=segmentation,
                        tolerance=tolerance,
                    )
                )
    named = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    # CVAT and Datumaro ask for these two as well.
    return {"info": {}, "licenses": [], "images": described, "annotations": annotations, "categories": named}


def _category_numbers(categories: Sequence[str] | None) -> dict[str, int]:
    if categories is None:
        return {}
    if isinstance(categories, str) or len(set(categories)) != len(categories):
        raise ValueError(f"categories is {categories!r}; pass a list of different names")
    return {name: number for number, name in enumerate(categories, 1)}
