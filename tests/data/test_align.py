"""Where masks lie: measuring offsets, and moving masks by them. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from export import align
from export.data.augment import flipped, moved, paper_crop, resized
from export.data.composite import Composer
from export.data.io import Masked

Array = np.ndarray  # type: ignore[type-arg]


def soft_disc(x: float, y: float, radius: float = 20.0, size: tuple[int, int] = (80, 100)) -> Array:
    """An anti-aliased disc around a point, where pixel centers are whole numbers: float64 in 0..1, shape ``size``."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1)


def center(alpha: Array) -> tuple[float, float]:
    """Centroid (x, y) of an alpha, in pixels."""
    weights = alpha.astype(float)
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    return float((weights * columns).sum() / weights.sum()), float((weights * rows).sum() / weights.sum())


def noisy(seed: int, dx: float, dy: float, grown: float = 0.0, void: bool = False) -> Masked:
    """A bright disc at a random place, its mask off by (dx, dy) and larger by ``grown``, with a rim of void."""
    rng = np.random.default_rng(seed)
    x, y = 50 + rng.uniform(-5, 5), 40 + rng.uniform(-5, 5)
    image = 60 + 120 * soft_disc(x, y)[..., None] * rng.uniform(0.7, 1, 3) + rng.normal(0, 5, (80, 100, 1))
    mask = soft_disc(x + dx, y + dy, 20 + grown) > 0.5
    valid = np.ones(mask.shape, np.uint8)
    if void:
        valid[np.abs(np.hypot(*(np.mgrid[:80, :100] - np.array([y + dy, x + dx])[:, None, None])) - 20) < 2.5] = 0
    return Masked(np.clip(image, 0, 255).astype(np.uint8), mask * np.uint8(255), valid, np.zeros_like(valid))


@pytest.mark.parametrize(
    ("dx", "dy", "grown", "void"),
    [(0, 0, 0, False), (0.5, 0, 0, False), (-0.3, 0.8, 0, False), (1, -1, 0, False), (0.5, -0.5, 1, False),
     (0.5, -0.5, 0, True)],
)  # fmt: skip
def test_known_offsets_are_measured(dx: float, dy: float, grown: float, void: bool) -> None:
    sums = [align.profiles(noisy(seed, dx, dy, grown, void)) for seed in range(40)]
    values, halves = align.measured([each for each in sums if each is not None])
    np.testing.assert_allclose(values, (dx, dy, grown), atol=0.1)
    assert (halves < 0.1).all()


def test_composed_pictures_have_no_offset(tmp_path: Path) -> None:
    composer = Composer(toy_data.build_folder(tmp_path, "alpha"), None)
    composed = [composer.sample(np.random.default_rng(i), 160) for i in range(40)]
    for dx in (0, 1):
        rolled = [p._replace(alpha=np.ascontiguousarray(np.roll(p.alpha, dx, axis=1))) for p in composed]
        sums = [each for p in rolled if (each := align.profiles(p)) is not None]
        values, halves = align.measured(sums)
        np.testing.assert_allclose(values[:2], (dx, 0), atol=max(0.12, *(2 * halves[:2])))


def test_pictures_without_an_edge_say_nothing() -> None:
    masked = noisy(0, 0, 0)
    for value in (0, 255):
        assert align.profiles(masked._replace(alpha=np.full_like(masked.alpha, value))) is None


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = toy_data.build(tmp_path)
    monkeypatch.setattr(sys, "argv", ["align", str(root), "--images", "5"])
    align.main()
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["source"], found["images"]) == ("ecssd", 5)
    # The toy's mask has a rim of void outside of it, the image's disc ends inside: the middle lies further out.
    assert abs(found["dx"][0]) < 0.3 > abs(found["dy"][0])
    monkeypatch.setattr(sys, "argv", ["align", str(root), "--images", "1"])
    with pytest.raises(SystemExit, match="--images is 1"):
        align.main()


# Moving masks


@pytest.mark.parametrize("shift", [(0.4, -0.3), (-0.7, 0.0), (0.0, 0.25)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_masks_move_by_their_shift(shift: tuple[float, float], scale: float) -> None:
    """By so many pixels of the image before it is resized; the mask's level of one half moves, not the image."""
    alpha = ((soft_disc(49.3, 40.2) > 0.5) * 255).astype(np.uint8)
    ones = np.ones_like(alpha)
    masked = Masked(np.dstack([alpha] * 3), alpha, ones, ones - (alpha > 0), "rough", shift)
    size = (round(80 * scale), round(100 * scale))
    still, result = (resized(p, np.s_[:, :], *size) for p in (masked._replace(shift=(0.0, 0.0)), masked))
    assert result.shift == (0, 0)
    assert result.grade == "rough"
    np.testing.assert_array_equal(result.image, still.image)
    expected = np.array(shift) * (size[1] / 100, size[0] / 80)
    by = np.subtract(center(result.alpha), center(still.alpha))
    np.testing.assert_allclose(by, expected, atol=0.03)
    if scale > 1:
        by = np.subtract(center(result.alpha > 127), center(still.alpha > 127))
        np.testing.assert_allclose(by, expected, atol=0.15)
    assert (result.valid == 1).all()


def test_resizing_alone_moves_nothing() -> None:
    """Image, alpha and what a box's corners say agree, enlarged or shrunk, to a hundredth of a pixel."""
    alpha = (soft_disc(49.3, 40.2) * 255).astype(np.uint8)
    ones = np.ones_like(alpha)
    masked = Masked(np.dstack([alpha] * 3), alpha, ones, ones - (alpha > 0))
    for size in ((40, 50), (80, 100), (120, 150), (131, 217)):
        result = resized(masked, np.s_[:, :], *size)
        place = np.array(center(result.alpha)) + 0.5
        np.testing.assert_allclose(place / size[::-1], np.array([49.8, 40.7]) / (100, 80), atol=2e-3)
        np.testing.assert_allclose(center(result.image[..., 0]), center(result.alpha), atol=0.02)


def test_shifts_follow_mirroring_and_other_cuts() -> None:
    alpha = ((soft_disc(49.3, 40.2) > 0.5) * 255).astype(np.uint8)
    ones = np.ones_like(alpha)
    masked = Masked(np.dstack([alpha] * 3), alpha, ones, ones - (alpha > 0), "rough", (0.4, -0.3))
    assert flipped(masked).shift == (-0.4, -0.3)
    np.testing.assert_array_equal(moved(flipped(masked)).alpha, moved(masked).alpha[:, ::-1])
    crop = paper_crop(np.random.default_rng(0), masked, 64)
    assert crop.shift == (0, 0)
    assert cv2.countNonZero(((crop.alpha > 0) & (crop.alpha < 255)).astype(np.uint8)) > 0
    still = masked._replace(shift=(0.0, 0.0))
    assert moved(still) is still
