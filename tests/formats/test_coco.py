"""COCO annotations and data sets, read by pycocotools and, where it is installed, by Datumaro as CVAT does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg import formats
from pyiseg.formats import AnnotatedImage, coco_annotation, coco_dataset
from pyiseg.formats.coco import SEGMENTATIONS

coco = pytest.importorskip("pycocotools.mask")
shapely = pytest.importorskip("shapely")
# Of pycocotools 2.0.11 with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = pytest.mark.parametrize("kind", SEGMENTATIONS)


def filled(outlines: list[list[float]], shape: tuple[int, int]) -> Mask:
    """The mask that pycocotools makes of polygons."""
    if not outlines:
        return np.zeros(shape, np.bool_)
    return np.asarray(coco.decode(coco.merge(coco.frPyObjects(outlines, *shape)))) > 0


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
@KINDS
def test_edge_cases(mask: Mask, kind: str) -> None:
    check(mask, kind)


@given(masks.masks(), st.sampled_from(SEGMENTATIONS))
def test_area_and_box_are_those_of_pycocotools(mask: Mask, kind: str) -> None:
    check(mask, kind)


def check(mask: Mask, kind: str) -> None:
    found = json.loads(json.dumps(coco_annotation(mask, segmentation=kind, tolerance=0)))
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert found["area"] == coco.area(encoded)
    assert found["bbox"] == coco.toBbox(encoded).tolist()
    assert found["iscrowd"] == 0
    shown = found["segmentation"]
    back = filled(shown, mask.shape) if kind == "polygons" else np.asarray(coco.decode(shown)) > 0
    assert np.array_equal(back, mask)


@settings(deadline=None)
@given(masks.masks(), st.sampled_from((0.5, 1.0, 3.0)))
def test_holes_of_simplified_polygons_stay_holes(mask: Mask, tolerance: float) -> None:
    found = formats.polygons(mask, tolerance=tolerance)
    outlines = coco_annotation(mask, segmentation="polygons", tolerance=tolerance)["segmentation"]
    assert len(outlines) == len(found)
    rings = [formats.Polygon(np.array(outline).reshape(-1, 2)) for outline in outlines]
    ours = formats.mask_from_polygons(found, mask.shape)
    lines = shapely.MultiLineString([[*ring.exterior, ring.exterior[0]] for ring in rings])
    # A center on a line may fall to either side of it; and pycocotools rounds corners to fifths of a pixel.
    for other, most in ((formats.mask_from_polygons(rings, mask.shape), 1e-9), (filled(outlines, mask.shape), 0.25)):
        rows, columns = np.nonzero(other != ours)
        assert (shapely.distance(lines, shapely.points(columns + 0.5, rows + 0.5)) <= most).all()


def test_a_hole_is_connected_to_its_left() -> None:
    mask = of("#####", "#####", "##.##", "#####")
    (outline,) = coco_annotation(mask, segmentation="polygons", tolerance=0)["segmentation"]
    points = np.array(outline).reshape(-1, 2).tolist()
    assert [0, 2] in points
    assert points.count([2, 2]) == 2


def two() -> list[AnnotatedImage]:
    first = masks.blob(40, 60)
    pair = [("otter", first), ("grass", ~first), ("otter", np.zeros((40, 60), np.bool_))]
    return [AnnotatedImage("a.png", (40, 60), pair), AnnotatedImage("b.png", (30, 20), [("stone", masks.blob(30, 20))])]


@KINDS
def test_a_data_set_as_pycocotools_reads_it(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = pytest.importorskip("pycocotools.coco")
    formats.save(tmp_path / "instances.json", coco_dataset(two(), segmentation=kind, tolerance=0))
    found = reader.COCO(tmp_path / "instances.json")
    assert [category["name"] for category in found.loadCats(found.getCatIds())] == ["otter", "grass", "stone"]
    assert [image["file_name"] for image in found.loadImgs(found.getImgIds())] == ["a.png", "b.png"]
    wanted = [("otter", 1, masks.blob(40, 60)), ("grass", 1, ~masks.blob(40, 60)), ("stone", 2, masks.blob(30, 20))]
    annotations = found.loadAnns(found.getAnnIds())
    assert len(annotations) == 3  # nothing of an empty mask
    for annotation, (name, image, mask) in zip(annotations, wanted, strict=True):
        assert annotation["image_id"] == image
        assert found.loadCats(annotation["category_id"])[0]["name"] == name
        assert np.array_equal(found.annToMask(annotation) > 0, mask)


@KINDS
def test_a_data_set_as_datumaro_reads_it_for_cvat(tmp_path: Path, kind: str) -> None:
    datumaro = pytest.importorskip(
        "datumaro", reason="Datumaro needs older Pillow and OpenCV: run this file in an environment of its own"
    )
    folder = tmp_path / "images" / "default"
    folder.mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    for image in two():
        Image.fromarray(np.zeros((*image.shape, 3), np.uint8)).save(folder / image.file_name)
    formats.save(
        tmp_path / "annotations" / "instances_default.json", coco_dataset(two(), segmentation=kind, tolerance=0)
    )
    read = datumaro.Dataset.import_from(str(tmp_path), "coco")
    names = [label.name for label in read.categories()[datumaro.AnnotationType.label]]
    assert names == ["otter", "grass", "stone"]
    areas: dict[tuple[str, str], float] = {}
    for item in read:
        for annotation in item.annotations:
            if isinstance(annotation, datumaro.Bbox):
                continue
            assert isinstance(annotation, datumaro.Polygon if kind == "polygons" else datumaro.RleMask)
            assert not annotation.attributes["is_crowd"]
            key = (item.id, names[annotation.label])
            areas[key] = areas.get(key, 0) + float(annotation.get_area())
            if kind == "rle":
                wanted = next(mask for name, mask in two()[item.id == "b"].objects if name == key[1])
                assert np.array_equal(annotation.image > 0, wanted)
    blobs = masks.blob(40, 60), masks.blob(30, 20)
    assert areas == {
        ("a", "otter"): blobs[0].sum(),
        ("a", "grass"): (~blobs[0]).sum(),
        ("b", "stone"): blobs[1].sum(),
    }


def test_categories_of_ones_own() -> None:
    found = coco_dataset(two(), categories=["stone", "grass", "otter", "sky"])
    assert [category["id"] for category in found["categories"]] == [1, 2, 3, 4]
    assert [annotation["category_id"] for annotation in found["annotations"]] == [3, 2, 1]
    assert [annotation["id"] for annotation in found["annotations"]] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"'grass' of 'a.png' is not among the categories otter, stone"):
        coco_dataset(two(), categories=["otter", "stone"])
    with pytest.raises(ValueError, match="pass a list of different names"):
        coco_dataset(two(), categories=["otter", "otter"])


def test_numbers_of_ones_own() -> None:
    found = coco_annotation(of("#"), id=7, image_id=8, category_id=9)
    assert (found["id"], found["image_id"], found["category_id"]) == (7, 8, 9)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["a.png"], r"images\[0\] is a str; pass formats.AnnotatedImage objects"),
        ([AnnotatedImage("a.png", (2, 2), [("x", of("#"))])], r"'x', has shape \(1, 1\), not \(2, 2\)"),
        ([AnnotatedImage("a.png", (2, 2), [of("#")])], r"objects\[0\] is no pair of a name and a mask"),  # type: ignore[list-item]
        ([AnnotatedImage("a.png", (2, 2), [("", of("#"))])], r"the name of objects\[0\] is ''; pass text"),
        ([AnnotatedImage("a.png", (2, 0), [])], r"shape is \(2, 0\)"),
    ],
)
def test_images_that_are_none(images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coco_dataset(images)


def test_a_segmentation_that_is_none() -> None:
    with pytest.raises(ValueError, match="segmentation is 'polygon'; pass one of 'rle', 'polygons'"):
        coco_annotation(of("#"), segmentation="polygon")
