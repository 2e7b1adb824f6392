"""Outlines of masks: exact without a tolerance, near with one, and never crossing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import masks
from support.masks import EDGE_CASES, Mask, of

from pyiseg import formats
from pyiseg.formats import Polygon, mask_from_polygons, polygons

shapely = pytest.importorskip("shapely")

SEVERAL = st.sampled_from((0.3, 0.71, 1.0, 1.5, 2.5, 6.0))


def shape_of(polygon: Polygon) -> shapely.Polygon:
    return shapely.Polygon(polygon.exterior, polygon.holes)


def all_sound(found: list[Polygon]) -> bool:
    """No outline crosses itself or another, holes are inside, and no two polygons overlap."""
    shapes = [shape_of(polygon) for polygon in found]
    if not all(shape.is_valid and shape.area > 0 for shape in shapes):
        return False
    union = shapely.union_all(shapes).area if shapes else 0
    return bool(np.isclose(union, sum(shape.area for shape in shapes), rtol=1e-9))


def distances_to_outline(mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How far the center of each pixel is from the nearest outline, shape (H, W)."""
    rings = [ring for polygon in polygons(mask, tolerance=0) for ring in (polygon.exterior, *polygon.holes)]
    lines = shapely.MultiLineString([[*ring, ring[0]] for ring in rings])
    y, x = np.indices(mask.shape) + 0.5
    return shapely.distance(lines, shapely.points(x, y))


@pytest.mark.parametrize("mask", EDGE_CASES.values(), ids=EDGE_CASES)
@pytest.mark.parametrize("tolerance", [0, 0.5, 1, 3])
def test_edge_cases(mask: Mask, tolerance: float) -> None:
    found = polygons(mask, tolerance=tolerance)
    assert all_sound(found)
    exact = polygons(mask, tolerance=0)
    assert [len(polygon.holes) for polygon in found] == [len(polygon.holes) for polygon in exact]
    back = mask_from_polygons(found, mask.shape)
    assert back.dtype == np.bool_
    if tolerance == 0:
        assert np.array_equal(back, mask)


@given(masks.masks())
def test_exact_polygons_are_the_mask(mask: Mask) -> None:
    found = polygons(mask, tolerance=0)
    assert np.array_equal(mask_from_polygons(found, mask.shape), mask)
    assert all_sound(found)
    assert sum(shape_of(polygon).area for polygon in found) == mask.sum()
    for polygon in found:
        assert polygon.exterior.dtype == np.float64
        for ring in (polygon.exterior, *polygon.holes):
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps != 0).sum(axis=1) == 1).all()  # along pixel edges, and
            assert ((steps != 0) != (np.roll(steps, -1, axis=0) != 0)).all()  # with corners only


@settings(max_examples=200, deadline=None)
@given(masks.masks(), SEVERAL)
def test_a_tolerance_is_kept_and_nothing_crosses(mask: Mask, tolerance: float) -> None:
    exact, found = polygons(mask, tolerance=0), polygons(mask, tolerance=tolerance)
    assert all_sound(found)
    assert [len(polygon.holes) for polygon in found] == [len(polygon.holes) for polygon in exact]
    changed = mask_from_polygons(found, mask.shape) != mask
    if changed.any():
        assert distances_to_outline(mask)[changed].max() <= tolerance + 1e-9


@given(masks.masks(), SEVERAL)
def test_outlines_go_clockwise_and_those_of_holes_do_not(mask: Mask, tolerance: float) -> None:
    def clockwise(ring: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
        # y goes down, so what shapely calls counterclockwise is clockwise as it is seen.
        return bool(shapely.LinearRing(ring).is_ccw)

    for polygon in polygons(mask, tolerance=tolerance):
        assert clockwise(polygon.exterior)
        assert not any(clockwise(hole) for hole in polygon.holes)


def test_a_pixel_is_its_square() -> None:
    (polygon,) = polygons(of("...", ".#.", "..."), tolerance=0)
    assert polygon.exterior.tolist() == [[1, 1], [2, 1], [2, 2], [1, 2]]
    assert polygon.holes == ()


def test_regions_that_meet_at_a_corner_are_two_and_a_hole_that_opens_there_is_one() -> None:
    assert len(polygons(of("#.", ".#"), tolerance=0)) == 2
    (ring,) = polygons(of("###", "#.#", "##."), tolerance=0)
    assert len(ring.holes) == 1


def test_fewer_points_with_a_tolerance() -> None:
    mask = masks.blob(300, 400)
    exact, near = (polygons(mask, tolerance=tolerance)[0] for tolerance in (0, 1))
    assert len(near.exterior) < len(exact.exterior) / 4
    assert len(near.holes) == len(exact.holes) == 1


@pytest.mark.parametrize("tolerance", [1, 3, 40])
def test_what_has_no_shape_within_the_tolerance_stays_exact(tolerance: float) -> None:
    mask = np.zeros((60, 90), np.bool_)
    mask[5, 5] = mask[10:12, 20:80] = mask[30:55, 30:55] = True
    mask[40, 40] = False
    found = polygons(mask, tolerance=tolerance)
    assert len(found) == 3
    assert found[0].exterior.tolist() == [[5, 5], [6, 5], [6, 6], [5, 6]]
    assert found[2].holes[0].shape == (4, 2)
    assert all_sound(found)


def test_a_speck_beside_an_edge_stays_on_its_side() -> None:
    # A line over the bay would be within the tolerance, but there is something in the bay.
    mask = of("##########", "##########", "###....###", "###.#..###", "###....###")
    mask = np.pad(mask, ((6, 0), (6, 6)), constant_values=True)
    for tolerance in (2, 3, 4):
        found = polygons(mask, tolerance=tolerance)
        assert len(found) == 2
        assert all_sound(found)


def test_alpha_is_selected_from_128_on() -> None:
    alpha = np.array([[127, 128, 255, 0]], np.uint8)
    (polygon,) = polygons(alpha, tolerance=0)
    assert polygon.exterior.tolist() == [[1, 0], [3, 0], [3, 1], [1, 1]]


def test_a_mask_that_is_a_view() -> None:
    mask = masks.blob(60, 80)
    for view in (mask.T, mask[::-1], mask[:, ::2]):
        assert np.array_equal(mask_from_polygons(polygons(view, tolerance=0), view.shape), view)


def test_the_center_of_a_pixel_decides_and_the_image_cuts_off() -> None:
    square = Polygon(np.array([[-5.0, 0.4], [2.5, 0.4], [2.5, 1.5], [-5.0, 1.5]]))
    assert mask_from_polygons([square], (3, 4)).tolist() == [[True, True, False, False], [False] * 4, [False] * 4]
    everything = Polygon(np.array([[-9, -9], [99, -9], [99, 99], [-9, 99.0]]))
    assert mask_from_polygons([everything], (3, 4)).all()
    assert not mask_from_polygons([], (3, 4)).any()
    assert not mask_from_polygons([Polygon(np.array([[7.0, 0], [9, 0], [9, 3]]))], (3, 4)).any()


def test_polygons_that_overlap_select_their_union() -> None:
    first, second = (Polygon(np.array([[x, 0.0], [x + 4, 0], [x + 4, 2], [x, 2]])) for x in (0, 2))
    assert mask_from_polygons([first, second, first], (2, 7))[0].tolist() == [True] * 6 + [False]


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_tolerance_that_is_none(tolerance: object) -> None:
    with pytest.raises(ValueError, match=r"tolerance is .*pass 0 for the exact outline"):
        polygons(of("#"), tolerance=tolerance)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2)), "mask has dtype float64; pass bool, or alpha as uint8"),
        (np.zeros((2, 2), np.int32), "mask has dtype int32"),
        (np.zeros((2, 2, 1), np.bool_), r"mask has shape \(2, 2, 1\); pass one of shape \(H, W\)"),
        (np.zeros((0, 2), np.bool_), r"mask has shape \(0, 2\)"),
        ([[True]], "mask is a list; pass a numpy array, as session.mask"),
    ],
)
def test_a_mask_that_is_none(mask: object, message: str) -> None:
    for function in (polygons, formats.rle, formats.svg_path, formats.coco_annotation):
        with pytest.raises(ValueError, match=message):
            function(mask)  # type: ignore[operator]


def test_polygons_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"shape is \(0, 4\); pass height and width"):
        mask_from_polygons([], (0, 4))
    with pytest.raises(ValueError, match=r"an outline of polygons\[0\] has shape \(3,\); pass finite numbers"):
        mask_from_polygons([Polygon(np.zeros(3))], (3, 4))
    with pytest.raises(ValueError, match="not finite"):
        mask_from_polygons([Polygon(np.full((3, 2), np.nan))], (3, 4))


@pytest.mark.parametrize("value", [10**400, 1e308, -1e16, float("nan"), float("inf")])
def test_coordinates_that_no_image_has(value: float) -> None:
    """The first was an OverflowError, the second a warning of NumPy's."""
    with pytest.raises(ValueError, match=r"an outline of polygons\[0\]"):
        mask_from_polygons([Polygon([[0, -value], [value, 1], [3, 5]])], (9, 7))  # type: ignore[arg-type]


@pytest.mark.parametrize("tolerance", [10**400, -(10**400), float("nan"), True, "1"])
def test_tolerances_that_are_none(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance is"):
        polygons(np.ones((3, 3), np.bool_), tolerance=tolerance)
