"""Training images of other shapes than squares, and windows at serving scale. Skipped without pyiseg[train]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from export.data.augment import SERVED_SIDE, close_window, native_window, paper_crop, random_window
from export.data.composite import Composer
from export.data.dataset import DataConfig, TrainingData
from export.data.io import Masked
from export.data.shapes import shape_of_batch
from export.training.config import load_settings
from export.training.trainer import Trainer

MIX = ((1.0, 0.5), (1.33, 0.25), (6.0, 0.25))


def test_shapes_are_drawn_by_their_shares() -> None:
    sampled = [shape_of_batch(MIX, 384, seed=3, batch=i) for i in range(800)]
    assert sampled == [shape_of_batch(MIX, 384, seed=3, batch=i) for i in range(800)]
    assert sampled != [shape_of_batch(MIX, 384, seed=4, batch=i) for i in range(800)]
    counts = Counter(sampled)
    assert set(counts) == {(384, 384), (320, 448), (448, 320), (160, 928), (928, 160)}
    assert 340 < counts[384, 384] < 460
    for shape in set(counts) - {(384, 384)}:
        assert 60 < counts[shape] < 140, "landscape as often as portrait"


@pytest.mark.parametrize("side", [64, 256, 384, 512])
@pytest.mark.parametrize("ratio", [1.0, 1.33, 1.5, 3.0, 6.0])
def test_shapes_keep_the_area(side: int, ratio: float) -> None:
    height, width = shape_of_batch(((ratio, 1.0),), side, seed=0, batch=0)
    assert height % 32 == width % 32 == 0
    assert 0.8 < height * width / side**2 < 1.25
    if side >= 256:
        assert max(height, width) / min(height, width) == pytest.approx(ratio, rel=0.2)


def test_without_shapes_all_are_squares() -> None:
    assert {shape_of_batch((), side, 1, i) for i in range(20) for side in (64, 96)} == {(64, 64), (96, 96)}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((0.5, 1.0),), r"data.shapes has \(0.5, 1\): .* from 1 to 16"),
        (((1.0, -1.0),), "a share of at least 0"),
        (((1.0, 0.0),), "at least one ratio a share above 0"),
        ((1.33,), r"give pairs: --set data.shapes="),
    ],
)
def test_shapes_that_make_no_sense(shapes: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(shapes=shapes)  # type: ignore[arg-type]


def disc_on_a_ramp(height: int = 300, width: int = 400, radius: int = 40) -> Masked:
    """A disc, in an image whose green and blue tell row and column."""
    alpha = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), radius, 255, -1)
    rows, columns = np.mgrid[:height, :width]
    image = np.dstack([alpha, rows * 255 / height, columns * 255 / width]).astype(np.uint8)
    return Masked(image, alpha, np.ones_like(alpha), np.zeros_like(alpha), "close")


def scale(masked: Masked) -> tuple[float, float]:
    """Training pixels in a pixel of `disc_on_a_ramp`, down and across."""
    image = masked.image.astype(float)
    down = np.polyfit(np.arange(len(image)), image[..., 1].mean(axis=1), 1)[0]
    across = np.polyfit(np.arange(image.shape[1]), image[..., 2].mean(axis=0), 1)[0]
    return 255 / 300 / down, 255 / 400 / across


@pytest.mark.parametrize("shape", [(96, 160), (160, 96), (64, 384), (384, 64)])
@pytest.mark.parametrize("cut", [random_window, close_window, paper_crop, native_window])
def test_windows_keep_their_shape(cut: Callable[..., Masked], shape: tuple[int, int]) -> None:
    for seed in range(12):
        result = cut(np.random.default_rng(seed), disc_on_a_ramp(), shape)
        assert {plane.shape[:2] for plane in result.planes} == {shape}
        assert result.grade == "close"
        assert (result.alpha > 127).any()
        down, across = scale(result)
        limit = np.exp(0.55) if cut is random_window else 1.08
        assert 1 / limit < down / across < limit, "hardly squeezed"


@pytest.mark.parametrize(("shape", "expected"), [((384, 512), 1.28), (128, 1.28), ((512, 512), 512 / 300)])
def test_native_windows_have_the_scale_of_serving(shape: int | tuple[int, int], expected: float) -> None:
    assert SERVED_SIDE / 400 == 1.28
    for seed in range(5):
        result = native_window(np.random.default_rng(seed), disc_on_a_ramp(), shape)
        assert scale(result) == pytest.approx((expected, expected), rel=0.03)


def test_samples_have_the_shape_asked_for(tmp_path: Path) -> None:
    root = toy_data.build(tmp_path)
    data = TrainingData(root, 64, seed=1, config=DataConfig(native=0.5, shapes=MIX))
    for i in range(12):
        for shape in ((32, 96), (96, 64)):
            sample = data.sample(i, shape)
            assert sample.image.shape == (*shape, 3)
            assert {plane.shape for plane in sample[1:4]} == {shape}
    composed = Composer(root, None).sample(np.random.default_rng(0), (32, 128))
    assert composed.image.shape == (32, 128, 3)


def test_a_run_with_shapes(tmp_path: Path) -> None:
    """Batches of several shapes train, and a resumed run goes on with the shapes of an uninterrupted one."""
    changes = ["data.shapes=[[1.0, 0.4], [2.0, 0.6]]", "run.sizes=[[0.0, 64]]", "run.batch=2", "clicks.clicks=1"]
    settings = load_settings("compact", [*changes, "run.pictures=12", "clicks.warmup_clicks=0", "optimizer.warmup=1"])
    trainer = Trainer(settings, toy_data.build(tmp_path / "data"), tmp_path / "run")
    numbers = trainer.batch_numbers()
    whole = [numbers() for _ in range(12)]
    assert {shape for batch in whole for shape, _ in batch} == {(64, 64), (32, 128), (128, 32)}
    assert all(len({shape for shape, _ in batch}) == 1 for batch in whole)
    assert [number for batch in whole for _, number in batch] == list(range(24))
    trainer.pictures = 6
    numbers = trainer.batch_numbers()
    assert [numbers() for _ in range(9)] == whole[3:]
    trainer.pictures = 0
    assert trainer.run()
