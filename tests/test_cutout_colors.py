"""Cut-outs whose soft edges do not show the old background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import foreground as known
from support.toy_model import PHOTO

from pyiseg import Session, foreground

Array = NDArray[np.float64]
H, W = 240, 320
RED, BLUE = np.full((H, W, 3), (200.0, 30, 20)), np.full((H, W, 3), (20.0, 40, 210))
Y, X = np.mgrid[:H, :W].astype(float)
INSIDE = 80 - np.hypot(X - 160, Y - 120)  # how far inside of a disc
GRADIENT = np.dstack([X * 0.7, Y, 220 - X * 0.6])


def ramp(width: float) -> Array:
    return (INSIDE / width + 0.5).clip(0, 1)


def waves(color: Array, wavelength: float) -> Array:
    """A color with waves of 20 in all directions, in another phase in each channel."""
    phase = np.arange(3.0) * 2
    swing = np.sin(X / wavelength * 2 * np.pi)[..., None] + np.cos(Y / wavelength * 2 * np.pi)[..., None]
    return color + 10 * swing * np.cos(phase)


def spokes(count: int, sigma: float) -> Array:
    """A disc with thin spokes that stand apart and are nowhere opaque, as hair does."""
    angle = np.arctan2(Y - 120, X - 160)
    offset = (angle * count / (2 * np.pi) + 0.5) % 1 - 0.5
    across = offset * 2 * np.pi / count * (80 - INSIDE)
    return np.where(INSIDE > 40, 1, np.where(INSIDE > -25, 0.9 * np.exp(-((across / sigma) ** 2)), 0))


CASES: dict[str, tuple[Array, Array, Array]] = {
    **{f"a ramp of {width} pixels": (RED, BLUE, ramp(width)) for width in (1.5, 3, 6, 12, 24, 48)},
    "the other way round": (BLUE, RED, ramp(8)),
    "an alpha that curves": (RED, BLUE, ramp(20) ** 2),
    "glass": (RED, BLUE, np.where(INSIDE > 0, 0.5, 0)),
    "glass in a frame": (RED, BLUE, np.where(INSIDE > 20, 0.3, ramp(3))),
    "hair": (RED, BLUE, spokes(40, 1.2)),
    "gradients": (GRADIENT, 255 - GRADIENT, ramp(10)),
    "coarse texture": (waves(RED, 80), waves(BLUE, 60), ramp(8)),
    "fine texture": (waves(RED, 25), waves(BLUE, 30), ramp(3)),
    "textured hair": (waves(RED, 80), waves(BLUE, 60), spokes(40, 1.2)),
    "gray over gray": (np.full((H, W, 3), 170.0), np.full((H, W, 3), 90.0), ramp(8)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_color_of_the_foreground_is_found(case: str) -> None:
    front, back, share = CASES[case]
    rgb, alpha = known.composed(front.clip(0, 255), back.clip(0, 255), share)
    colors = foreground.estimate(rgb, alpha)
    # As the image has them, soft pixels are far off.
    assert known.error(front.clip(0, 255), alpha, rgb) > 20
    assert known.error(front.clip(0, 255), alpha, colors) <= 3
    hard = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(colors[hard], rgb[hard])


def test_red_over_blue_keeps_no_blue() -> None:
    rgb, alpha = known.composed(RED, BLUE, ramp(8))
    soft = (alpha > 0) & (alpha < 255)
    assert (rgb[soft] - RED[soft])[:, 2].mean() > 50
    assert np.abs((foreground.estimate(rgb, alpha)[soft] - RED[soft]).mean(axis=0)).max() < 1


def test_an_object_at_the_border_of_the_image() -> None:
    cut = np.s_[60:180, 150:]
    rgb, alpha = known.composed(RED[cut], BLUE[cut], ramp(10)[cut])
    assert known.error(RED[cut], alpha, foreground.estimate(rgb, alpha)) < 1


def test_views_of_arrays_are_taken() -> None:
    rgb, alpha = known.composed(RED, BLUE, ramp(8))
    expected = foreground.estimate(rgb, alpha)
    rgba = np.dstack((rgb, alpha))
    np.testing.assert_array_equal(foreground.estimate(rgba[..., :3], rgba[..., 3]), expected)


@pytest.mark.parametrize(
    "shapes", [((4, 5, 3), (5, 4)), ((4, 5), (4, 5)), ((4, 3), (4,)), ((4, 5, 4), (4, 5))], ids=str
)
def test_arrays_that_do_not_go_together_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"they must be \(H, W, 3\) and \(H, W\)"):
        foreground.estimate(*(np.zeros(shape, np.uint8) for shape in shapes))


def test_a_cutout_has_the_colors_that_are_asked_for(session: Session) -> None:
    alpha = session.click(60, 30)
    soft = (alpha > 0) & (alpha < 255)
    assert soft.any()
    plain, estimated = session.cutout(), session.cutout(foreground="estimate")
    np.testing.assert_array_equal(session.cutout(foreground="image"), plain)
    np.testing.assert_array_equal(plain[..., :3], PHOTO)
    np.testing.assert_array_equal(estimated[..., 3], alpha)
    np.testing.assert_array_equal(estimated[~soft], plain[~soft])
    np.testing.assert_array_equal(estimated[..., :3], foreground.estimate(PHOTO, alpha))
    assert (estimated[soft] != plain[soft]).any()


def test_a_cutout_before_the_first_click(session: Session) -> None:
    np.testing.assert_array_equal(session.cutout(foreground="estimate"), session.cutout())


@pytest.mark.parametrize("wrong", ["", "Estimate", "black", None, True, 1, b"image", ["image"]])
@pytest.mark.parametrize("clicked", [False, True])
def test_other_colors_are_refused(session: Session, wrong: object, clicked: bool) -> None:
    if clicked:
        session.click(60, 30)
    with pytest.raises(ValueError, match=r"pass 'image' .* or 'estimate'") as error:
        session.cutout(foreground=wrong)  # type: ignore[arg-type]
    assert f"foreground is {wrong!r}" in str(error.value)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)], ids=str)
def test_small_images(toy: Path, size: tuple[int, int]) -> None:
    session = Session(np.full((*size, 3), 90, np.uint8), model=toy)
    session.click(0, 0)
    assert session.cutout(foreground="estimate").shape == (*size, 4)
