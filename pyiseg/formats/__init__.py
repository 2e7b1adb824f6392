"""Masks and mattes in the formats of other tools, and changes of their edges: pure functions of arrays.

A mask is bool, or alpha as uint8 of which 128 and more is selected, shape (H, W). Outlines run along pixel edges:
pixel (x, y) covers [x, x + 1] x [y, y + 1].

Example:
    >>> from pyiseg import formats
    >>> formats.polygons(session.mask, tolerance=1)  # outlines with holes
    >>> formats.save("photo.svg", formats.svg([("otter", session.mask)], session.shape))
"""

from pyiseg.formats.coco import AnnotatedImage, coco_annotation, coco_dataset
from pyiseg.formats.labelme_file import labelme
from pyiseg.formats.polygon import Polygon, mask_from_polygons, polygons
from pyiseg.formats.rasters import cutout_png, cutout_webp, label_map_png, matte_png
from pyiseg.formats.regions import feather, fill_holes, grow, keep_largest, shrink
from pyiseg.formats.run_lengths import mask_from_rle, rle
from pyiseg.formats.saving import save
from pyiseg.formats.svg_file import svg, svg_path
from pyiseg.formats.yolo import yolo_segmentation

__all__ = [
    "AnnotatedImage",
    "Polygon",
    "coco_annotation",
    "coco_dataset",
    "cutout_png",
    "cutout_webp",
    "feather",
    "fill_holes",
    "grow",
    "keep_largest",
    "label_map_png",
    "labelme",
    "mask_from_polygons",
    "mask_from_rle",
    "matte_png",
    "polygons",
    "rle",
    "save",
    "shrink",
    "svg",
    "svg_path",
    "yolo_segmentation",
]
