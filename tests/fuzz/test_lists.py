"""Lists of prompts for `pyiseg batch`, and masks in other tools' formats, given anything."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import ANY, LEAVES, altered, changed, damaged, examples
from support.toy_batch import PROMPTS

from pyiseg import formats
from pyiseg.batch.names import image_name, outside
from pyiseg.batch.prompt_list import read_prompts
from pyiseg.formats import Polygon

COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "day 1/c.png"}],
    "categories": [{"id": 3, "name": "car"}],
    "annotations": [
        {"id": 7, "image_id": 1, "category_id": 3, "bbox": [20, 310, 171, 111]},
        {"id": 8, "image_id": 2, "bbox": [0.5, 0, 1, 1], "iscrowd": 0},
    ],
}
CELLS = st.sampled_from(
    [
        *("a.png", "", "1", "0", "-1", "1e999", "nan", "inf", "9" * 5000, "1,5", "../a.png", "/etc/passwd", "a\0b"),
        *("=1+1", '"', "\ud7ff", "fg", "local", "box", "C:\\a.png", "CON", "a.png/", "x" * 300),
    ]
) | st.text(max_size=5)
HEADER = "image,x,y,fg,x0,y0,x1,y1,object,category,kind"


@st.composite
def table(draw: st.DrawFn) -> bytes:
    """A table of any cells."""
    rows = draw(st.lists(st.lists(CELLS, min_size=9, max_size=12), min_size=1, max_size=3))
    rows = [row if draw(st.booleans()) else ["a.png", "1", "2", *row[3:]] for row in rows]
    lines = [HEADER, *(draw(st.sampled_from(",;\t")).join(row) for row in rows)]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def read(content: bytes, path: Path) -> None:
    """What a list holds: of what is taken, each name lies within the folder, and each coordinate is a number."""
    path.write_bytes(content)
    try:
        found = read_prompts(path)
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert all(line.isprintable() for line in said.splitlines()), said
        return
    for image in found.images:
        assert not outside(path.parent, image.image)
        assert image_name(image.image) == image.image, image.image
        assert not {"..", "."} & set(image.image.split("/")), image.image
        assert not any(ord(char) < 32 or char in "\x7f\\" for char in image.image), image.image
        for thing in image.objects:
            for placed in thing.prompts:
                assert all(isinstance(value, int) for value in placed.prompt)


@given(data=st.data())
@examples(150)
def test_tables(data: st.DataObject, tmp_path: Path) -> None:
    read(data.draw(damaged(PROMPTS.encode()) | damaged(PROMPTS.encode("utf-16")) | table()), tmp_path / "a.csv")


@given(data=st.data())
@examples(150)
def test_data_sets(data: st.DataObject, tmp_path: Path) -> None:
    read(data.draw(damaged(json.dumps(COCO).encode()) | altered(COCO)), tmp_path / "a.json")


MASK = np.zeros((9, 7), np.bool_)
MASK[2:6, 1:5] = MASK[7, 6] = True


@pytest.mark.parametrize("compressed", [True, False])
@given(data=st.data())
@examples(60)
def test_run_lengths(compressed: bool, data: st.DataObject) -> None:
    """Whatever the counts say, no more is made than the size has, and a huge size costs no memory."""
    whole = formats.rle(MASK, compressed=compressed)
    given = data.draw(
        changed(whole)
        | ANY
        | st.fixed_dictionaries(
            {"size": st.lists(st.integers(-3, 10**9), min_size=2, max_size=2), "counts": st.text() | st.binary()}
        )
        | st.fixed_dictionaries({"size": st.just([9, 7]), "counts": st.lists(st.integers(-5, 70) | LEAVES, max_size=5)})
    )
    with suppress(ValueError):
        assert formats.mask_from_rle(given).shape == tuple(given["size"])


@given(data=st.data())
@examples(60)
def test_polygons(data: st.DataObject) -> None:
    number = st.floats(width=64) | st.integers(-(2**70), 2**70) | st.floats(-20, 20)
    ring = st.lists(st.lists(number, min_size=2, max_size=2), max_size=6) | st.lists(LEAVES, max_size=3)
    given = data.draw(st.lists(st.builds(Polygon, ring, st.lists(ring, max_size=2).map(tuple)), max_size=3))
    with suppress(ValueError):
        assert formats.mask_from_polygons(given, (9, 7)).shape == (9, 7)
