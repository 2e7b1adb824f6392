"""Labelme's annotation files, read by Labelme itself where it is installed."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg import formats
from pyiseg.formats import Polygon, labelme, mask_from_polygons
from pyiseg.formats.labelme_file import SHAPES


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_polygons(mask: Mask) -> None:
    content = labelme([("thing", mask)], file_name="photo.jpg", shape=mask.shape, tolerance=0)
    content = json.loads(json.dumps(content))
    assert (content["imageHeight"], content["imageWidth"]) == mask.shape
    assert content["imagePath"] == "photo.jpg"
    assert content["imageData"] is None
    outlines = [Polygon(np.array(shape["points"])) for shape in content["shapes"]]
    assert np.array_equal(mask_from_polygons(outlines, mask.shape), mask)
    assert {shape["group_id"] for shape in content["shapes"]} <= {0}


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_masks(mask: Mask) -> None:
    content = labelme([("thing", mask)], file_name="photo.jpg", shape=mask.shape, shape_type="mask")
    back = np.zeros_like(mask)
    for shape in content["shapes"]:
        (left, top), (right, bottom) = np.array(shape["points"], int)
        part = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
        back[top : bottom + 1, left : right + 1] = part > 0
    assert np.array_equal(back, mask)
    assert len(content["shapes"]) == mask.any()


@pytest.mark.parametrize("shape_type", SHAPES)
def test_a_file_as_labelme_reads_it(tmp_path: Path, shape_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    program = pytest.importorskip("labelme", reason="Labelme needs Qt: run this file in an environment of its own")
    mask = masks.blob(60, 80)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "photo.png")
    objects = [("otter", mask), ("stone", np.roll(mask[::-1], 3) & ~mask)]
    content = labelme(objects, file_name="photo.png", shape=(60, 80), tolerance=0, shape_type=shape_type)
    formats.save(tmp_path / "photo.json", content)
    read = program.LabelFile(str(tmp_path / "photo.json"))
    classes, instances = program.utils.shapes_to_label((60, 80), read.shapes, {"otter": 1, "stone": 2})
    if shape_type == "mask":
        assert np.array_equal(classes == 1, mask)
        assert np.array_equal(classes == 2, objects[1][1])
        assert np.array_equal(classes, instances)
    else:
        # Labelme fills the pixels under a polygon's line too, and where two overlap the later one has them.
        selected = classes > 0
        wanted = mask | objects[1][1]
        assert not (wanted & ~selected).any()
        assert not (selected & (formats.grow(wanted, 1.5) == 0)).any()


def test_objects_are_groups() -> None:
    content = labelme([("a", of("#.#")), ("b", of(".#."))], file_name="x.png", shape=(1, 3))
    assert [(shape["label"], shape["group_id"]) for shape in content["shapes"]] == [("a", 0), ("a", 0), ("b", 1)]


def test_what_is_none() -> None:
    with pytest.raises(ValueError, match="shape_type is 'circle'; pass one of 'polygon', 'mask'"):
        labelme([], file_name="x.png", shape=(2, 2), shape_type="circle")
    with pytest.raises(ValueError, match=r"'a', has shape \(1, 3\), not \(2, 2\)"):
        labelme([("a", of("#.#"))], file_name="x.png", shape=(2, 2))
    with pytest.raises(ValueError, match=r"the name of objects\[0\] is ''; pass text"):
        labelme([("", of("#"))], file_name="x.png", shape=(1, 1))
