"""YOLO's label files, read as Ultralytics documents them: a class, and pairs x y as shares of width and height."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg.formats import Polygon, mask_from_polygons, yolo_segmentation


def read(text: str, shape: tuple[int, int]) -> dict[int, Mask]:
    """The masks of the classes."""
    found: dict[int, Mask] = {}
    for line in text.splitlines():
        number, *values = line.split(" ")
        shares = np.array(values, np.float64).reshape(-1, 2)
        assert len(shares) >= 3
        assert ((shares >= 0) & (shares <= 1)).all()
        mask = mask_from_polygons([Polygon(shares * (shape[1], shape[0]))], shape)
        found[int(number)] = found.get(int(number), False) | mask
    return found


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases(mask: Mask) -> None:
    found = read(yolo_segmentation([("thing", mask)], tolerance=0), mask.shape)
    assert np.array_equal(found.get(0, np.zeros_like(mask)), mask)


@settings(deadline=None)
@given(masks.masks(), st.sampled_from((0.0, 1.0, 3.0)))
def test_any_mask(mask: Mask, tolerance: float) -> None:
    text = yolo_segmentation([("thing", mask)], tolerance=tolerance)
    assert len(text.splitlines()) == len(read_polygons(mask))
    if tolerance == 0 and mask.any():
        assert np.array_equal(read(text, mask.shape)[0], mask)


def read_polygons(mask: Mask) -> list[Polygon]:
    from pyiseg.formats import polygons

    return polygons(mask, tolerance=0)


def test_six_decimals_are_enough_for_large_images() -> None:
    mask = np.zeros((9000, 12000), np.bool_)
    mask[1234:8999, 17:11999] = True
    mask[5000, 6001] = False
    assert np.array_equal(read(yolo_segmentation([("x", mask)], tolerance=0), mask.shape)[0], mask)


def test_a_line_is_a_class_and_an_outline() -> None:
    mask = of("....", ".##.", "....", "....")
    assert yolo_segmentation([("dog", mask)], names=["cat", "dog"]) == (
        "1 0.250000 0.250000 0.750000 0.250000 0.750000 0.500000 0.250000 0.500000\n"
    )
    assert yolo_segmentation([("dog", of(".."))]) == ""
    assert yolo_segmentation([]) == ""


def test_names_are_numbered_as_they_come() -> None:
    text = yolo_segmentation([("dog", of("#..")), ("cat", of(".#.")), ("dog", of("..#"))])
    assert [line[:2] for line in text.splitlines()] == ["0 ", "1 ", "0 "]


def test_what_is_none() -> None:
    with pytest.raises(ValueError, match="'dog' is not among the names cat, cow; add it there, at the end"):
        yolo_segmentation([("dog", of("#"))], names=["cat", "cow"])
    with pytest.raises(ValueError, match=r"has shape \(1, 2\), not \(1, 1\); pass masks of one image"):
        yolo_segmentation([("dog", of("#")), ("dog", of("##"))])
    with pytest.raises(ValueError, match="names is 'dog'; pass a list"):
        yolo_segmentation([("dog", of("#"))], names="dog")
