"""SVG, rendered by resvg."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg.formats import svg, svg_path

NAMESPACE = "{http://www.w3.org/2000/svg}"


def rendered(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """RGBA, without smooth edges, so that the center of a pixel decides."""
    resvg = pytest.importorskip("resvg_py")
    content = bytes(resvg.svg_to_bytes(svg_string=text, shape_rendering="crisp_edges"))
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases(mask: Mask) -> None:
    shown = rendered(svg([("thing", mask)], mask.shape, tolerance=0))
    assert np.array_equal(shown[..., 3] == 255, mask)
    assert np.isin(shown[..., 3], (0, 255)).all()


@settings(max_examples=30, deadline=None)
@given(masks.masks())
def test_any_mask(mask: Mask) -> None:
    assert np.array_equal(rendered(svg([("thing", mask)], mask.shape, tolerance=0))[..., 3] == 255, mask)


def test_both_rules_of_filling() -> None:
    mask = EDGE_CASES["an island with a hole"]
    text = svg([("thing", mask)], mask.shape, tolerance=0)
    assert np.array_equal(rendered(text.replace("evenodd", "nonzero"))[..., 3] == 255, mask)


def test_objects_have_colors_and_titles() -> None:
    text = svg([("cat & <dog>\n", of("#.")), ("b", of(".#"))], (1, 2), colors=[(1, 2, 3), (255, 0, 16)])
    root = ET.fromstring(text)
    assert root.attrib["viewBox"] == "0 0 2 1"
    paths = root.findall(f"{NAMESPACE}path")
    assert [path.attrib["fill"] for path in paths] == ["#010203", "#ff0010"]
    assert [path.findtext(f"{NAMESPACE}title") for path in paths] == ["cat & <dog> ", "b"]
    assert rendered(text)[0].tolist() == [[1, 2, 3, 255], [255, 0, 16, 255]]
    assert 'fill="#800000"' in svg([("b", of(".#"))], (1, 2))


def test_a_path() -> None:
    assert svg_path(of("....", ".##.", "...."), tolerance=0) == "M1 1 3 1 3 2 1 2Z"
    assert svg_path(of("...")) == ""


def test_what_is_none() -> None:
    with pytest.raises(ValueError, match="there are 1 colors for 2 labels"):
        svg([("a", of("#.")), ("b", of(".#"))], (1, 2), colors=[(1, 2, 3)])
    with pytest.raises(ValueError, match=r"colors\[0\] is \(1, 2, 256\); pass red, green and blue from 0 to 255"):
        svg([("a", of("#."))], (1, 2), colors=[(1, 2, 256)])
    with pytest.raises(ValueError, match=r"has shape \(1, 2\), not \(2, 2\)"):
        svg([("a", of("#."))], (2, 2))
