"""Cutting and composing training images. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")
pytest.importorskip("scipy")

from PIL import Image

from export.data.augment import close_window, flipped, paper_crop, paper_light, random_window
from export.data.composite import Composer
from export.data.dataset import DataConfig
from export.data.io import Masked
from export.data.mixed import RealImages
from export.data.sbd import SbdImages


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build_folder(tmp_path_factory.mktemp("alpha"), "alpha")


# Cutting


def two_objects(height: int = 50, width: int = 70) -> Masked:
    """An image whose red is 200 on the wanted object and 100 on the other, with green and blue for row and column."""
    index = np.zeros((height, width), np.uint8)
    index[10:40, 8:30], index[12:45, 38:60] = 1, 2
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.choose(index, (0, 200, 100))
    image[..., 1], image[..., 2] = np.arange(height)[:, None], np.arange(width)
    ones = np.ones_like(index)
    return Masked(image, (index == 1).astype(np.uint8) * 255, ones, (index == 2).astype(np.uint8))


@pytest.mark.parametrize("cut", [random_window, close_window, paper_crop])
@pytest.mark.parametrize("size", [32, 64])
def test_everything_is_cut_together(cut: Callable[..., Masked], size: int) -> None:
    for seed in range(10):
        result = cut(np.random.default_rng(seed), two_objects(), size)
        if seed % 2:
            result = flipped(result)
        red = result.image[..., 0].astype(int)
        np.testing.assert_allclose(result.alpha[red > 198], 255, atol=3)
        assert (red[result.alpha == 255] > 197).all()
        beside = (red > 55) & (result.alpha == 0)
        assert result.others[beside].all()
        assert not result.others[~beside & (red < 45)].any()
        assert (result.alpha > 127).any()


@pytest.mark.parametrize("cut", [random_window, close_window, paper_crop])
def test_touching_objects_stay_apart(cut: Callable[..., Masked]) -> None:
    index = np.indices((51, 71)).sum(axis=0) % 7 // 2  # stripes: background, wanted, other, void
    wanted = (index == 1).astype(np.uint8) * 255
    whole = Masked(np.zeros((51, 71, 3), np.uint8), wanted, *((index == k).astype(np.uint8) for k in (0, 2)))
    whole = whole._replace(valid=(index != 3).astype(np.uint8))
    for seed in range(10):
        for size in (24, 90):
            _, alpha, valid, others = cut(np.random.default_rng(seed), whole, size).planes
            assert others.any()
            assert not (others & ((alpha > 127) | (valid == 0))).any()


def test_the_papers_crop_is_not_resized() -> None:
    places = set()
    for seed in range(30):
        crop = paper_crop(np.random.default_rng(seed), two_objects(), 40)
        y, x = crop.image[0, 0, 1:]
        np.testing.assert_array_equal(crop.image, two_objects().image[y : y + 40, x : x + 40])
        assert (crop.alpha > 127).any()
        places.add((y, x))
    assert len(places) > 15
    # Only a smaller image is enlarged, until its shorter side fits; its proportions stay.
    crop = paper_crop(np.random.default_rng(0), two_objects(), 100)
    assert crop.alpha.shape == (100, 100)
    assert (crop.alpha > 127).any(axis=0).sum() <= 44
    steps = np.diff(crop.image[50, :, 2].astype(float))
    assert steps.mean() == pytest.approx(0.5, abs=0.02)


def test_void_pixels_do_not_dim_the_target() -> None:
    """A square whose right half is void: every judged pixel keeps 255, at any scale."""
    alpha, valid = np.zeros((40, 40), np.uint8), np.ones((40, 40), np.uint8)
    alpha[:, :20], valid[:, 20:30] = 255, 0
    whole = Masked(np.zeros((40, 40, 3), np.uint8), alpha, valid, np.zeros_like(alpha))
    for seed in range(20):
        cut = random_window(np.random.default_rng(seed), whole, 64)
        assert set(np.unique(cut.alpha[cut.valid == 1])) <= {0, 255}


def test_the_papers_light_keeps_the_order_of_gray() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    tables = [paper_light(np.random.default_rng(seed), ramp)[0] for seed in range(20)]
    for table in tables:
        assert (np.diff(table.astype(int), axis=0) >= 0).all(), "gamma and brightness only"
        assert (table[:, 0] == table[:, 1]).all()
        assert (table[:, 0] == table[:, 2]).all(), "no color cast"
    assert len({table.tobytes() for table in tables}) == 20


# Composing


def test_composed_pictures_hold_their_objects(alpha: Path) -> None:
    composer = Composer(alpha, None)
    assert len(composer) == 4
    soft, beside = 0, 0
    for seed in range(30):
        result = composer.sample(np.random.default_rng(seed), 64, number=seed % 4)
        soft += int(((result.alpha > 20) & (result.alpha < 230)).any())
        beside += int(result.others.any())
        assert result.valid.all()
        assert not (result.others & (result.alpha > 127)).any()
    assert soft > 15, "the alpha itself is kept"
    assert 5 < beside < 25, "several objects at times"


def test_objects_that_measure_are_never_composed(tmp_path: Path) -> None:
    root = toy_data.build_folder(tmp_path, "alpha")
    for path in (root / "objects").iterdir():
        path.rename(path.with_name("matting_AM27_" + path.name))
    with pytest.raises(FileNotFoundError, match="kept for measuring"):
        Composer(root, None)
    Image.fromarray(np.full((9, 9, 4), 255, np.uint8)).save(root / "objects" / "tuxpaint_1.png")
    assert len(Composer(root, None)) == 1


def test_rough_masks_are_not_cut_out(alpha: Path, tmp_path: Path) -> None:
    mixed, sbd = toy_data.build(tmp_path / "mixed"), toy_data.build_sbd(tmp_path / "sbd")
    assert "real" in Composer(mixed, RealImages(mixed, DataConfig().sources)).kinds
    assert "real" not in Composer(alpha, SbdImages(sbd)).kinds
