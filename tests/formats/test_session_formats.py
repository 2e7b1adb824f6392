"""A session's selection in other formats, what a notebook shows of it, and writing to files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.toy_model import PHOTO, photo

from pyiseg import Session, formats


def test_each_is_what_formats_make_of_the_mask(session: Session) -> None:
    session.click(20, 20)
    mask, shape = session.mask, session.shape
    assert mask.any()
    ours, theirs = session.polygons(tolerance=0), formats.polygons(mask, tolerance=0)
    assert [polygon.exterior.tolist() for polygon in ours] == [polygon.exterior.tolist() for polygon in theirs]
    assert session.rle() == formats.rle(mask)
    assert session.rle(compressed=False) == formats.rle(mask, compressed=False)
    assert session.coco(id=3, segmentation="polygons") == formats.coco_annotation(mask, id=3, segmentation="polygons")
    assert session.labelme("cat", file_name="a.jpg") == formats.labelme([("cat", mask)], file_name="a.jpg", shape=shape)
    assert session.labelme("cat", file_name="a.jpg", shape_type="mask")["shapes"][0]["shape_type"] == "mask"
    assert session.yolo("cat", names=["dog", "cat"]).startswith("1 ")
    assert session.svg("cat", color=(9, 9, 9), tolerance=2) == formats.svg(
        [("cat", mask)], shape, colors=[(9, 9, 9)], tolerance=2
    )
    assert "#800000" in session.svg()


def shown(session: Session) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What a notebook shows, as IPython asks for it."""
    content = session._repr_png_()
    assert content is not None
    return np.array(Image.open(io.BytesIO(content)))


def test_a_notebook_shows_the_image_and_what_is_selected(session: Session) -> None:
    assert np.array_equal(shown(session), PHOTO)
    session.click(20, 20)
    seen, alpha = shown(session).astype(int), session.alpha
    far = np.hypot(*(np.indices(PHOTO.shape[:2]) - 20)) > 8  # the mark of the click
    assert np.array_equal(seen[(alpha == 255) & far], PHOTO[(alpha == 255) & far])
    assert np.array_equal(seen[(alpha == 0) & far], PHOTO[(alpha == 0) & far].astype(int) * 3 // 10)
    assert not np.array_equal(seen[20, 20], PHOTO[20, 20])


def test_a_large_image_is_shown_small(toy: Path) -> None:
    session = Session(photo(600, 2100), model=toy)
    session.click(2000, 500)
    assert shown(session).shape == (293, 1024, 3)


def test_a_narrow_image_is_shown(toy: Path) -> None:
    assert shown(Session(photo(3, 5000), model=toy)).shape == (1, 1024, 3)


def test_a_closed_session_shows_nothing(session: Session) -> None:
    session.close()
    assert session._repr_png_() is None
    with pytest.raises(ValueError, match="the session is closed"):
        session.polygons()


def test_saving(tmp_path: Path) -> None:
    for name, content in (("a.png", b"\x00\xff"), ("a.svg", "é"), ("a.json", {"é": [1.5]})):
        formats.save(tmp_path / name, content)
    assert (tmp_path / "a.png").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == "é"
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": [1.5]}
    for wrong, message in (
        ([1], "content is a list; pass bytes, text or a dict"),
        ({"a": np.zeros(2)}, "content is not what JSON can hold: .*ndarray"),
        ({"a": float("nan")}, "JSON"),
    ):
        with pytest.raises(ValueError, match=message):
            formats.save(tmp_path / "a.svg", wrong)  # type: ignore[arg-type]
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == "é"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png", "a.svg"]
