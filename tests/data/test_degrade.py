"""Degraded images, and pasted objects with matched color. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")

import cv2

from export.data.composite import matched_color
from export.data.degrade import WAYS, degraded
from export.data.io import Array

RAMP = np.ascontiguousarray(
    np.stack(np.meshgrid(np.linspace(0, 255, 96), np.linspace(255, 0, 64)), axis=-1)[..., [0, 1, 0]].astype(np.uint8)
)


@pytest.mark.parametrize("way", [*WAYS, degraded], ids=lambda way: way.__name__)
def test_images_are_spoiled(way: Callable[[np.random.Generator, Array], Array]) -> None:
    before = RAMP.copy()
    results = [way(np.random.default_rng(seed), before) for seed in range(12)]
    np.testing.assert_array_equal(before, RAMP)
    np.testing.assert_array_equal(results[3], way(np.random.default_rng(3), before))
    for result in results:
        assert result.shape == RAMP.shape
        assert result.dtype == np.uint8
        assert not np.array_equal(result, RAMP)
        assert abs(np.corrcoef(result.ravel(), RAMP.ravel())[0, 1]) > 0.3, "the image is still there"
    # Compression has 51 qualities, and the least blur is hardly any: two may be alike.
    assert len({result.tobytes() for result in results}) >= 9


@pytest.mark.parametrize("seed", range(5))
def test_color_is_moved_towards_the_ground(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.uniform(150, 200, (40, 50, 3)).astype(np.float32) * (1.0, 0.6, 0.4)
    alpha = np.zeros((40, 50), np.float32)
    alpha[10:30, 10:40], alpha[9] = 1, 0.5
    color = rng.uniform(20, 90, (40, 50, 3)).astype(np.float32) * (0.4, 0.7, 1.0) * alpha[:, :, None]
    moved = matched_color(rng, color.astype(np.float32), alpha, ground.astype(np.float32))
    assert moved.dtype == np.float32
    assert (moved <= 255 * alpha[:, :, None] + 1e-3).all(), "still times alpha"
    assert (moved >= 0).all()

    def lab(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.cvtColor((values / 255).astype(np.float32), cv2.COLOR_RGB2LAB).mean(axis=(0, 1)))

    inside = np.s_[12:28, 12:38]
    aim, before, after = lab(ground), lab(color[inside]), lab(moved[inside])
    assert 0.05 < np.linalg.norm(after - aim) / np.linalg.norm(before - aim) < 0.85


def test_little_of_an_object_stays_as_it_is() -> None:
    color, alpha = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32)
    assert matched_color(np.random.default_rng(0), color, alpha, color + 100) is color
