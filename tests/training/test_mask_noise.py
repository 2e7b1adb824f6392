"""Episodes that begin with a damaged mask."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import cv2

from export.data.dataset import Sample
from export.models.presets import COMPACT
from export.training.config import ClickConfig
from export.training.interaction import SimulatedUser
from export.training.mask_noise import LEAST, MOST, noisy_mask
from pyiseg.evaluation.metrics import iou
from pyiseg.prompts import Click


def disc(size: int, radius: int) -> np.ndarray:  # type: ignore[type-arg]
    return cv2.circle(np.zeros((size, size), np.uint8), (size // 2, size // 2), radius, 1, -1) == 1


def test_a_damaged_mask_is_partly_right() -> None:
    truth = disc(96, 30)
    ious = [iou(noisy_mask(np.random.default_rng(i), truth, [Click(48, 40, True)]), truth) for i in range(60)]
    assert all(LEAST <= value <= 1 for value in ious)
    assert np.mean([value <= MOST for value in ious]) > 0.9, "nearly all are damaged"
    assert min(ious) < 0.65, "some much"
    assert max(ious) > 0.8, "some little"
    masks = [noisy_mask(np.random.default_rng(i), truth, [Click(48, 40, True)]) for i in range(60)]
    assert all(mask[40, 48] for mask in masks)
    assert all(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] == 2 for mask in masks), "one piece"
    assert any((mask & ~truth).any() for mask in masks)
    assert any((truth & ~mask).any() for mask in masks)


@pytest.mark.parametrize("truth", [disc(33, 0), disc(40, 1), np.ones((32, 32), bool)], ids=["pixel", "cross", "all"])
def test_extreme_masks_can_be_damaged(truth: np.ndarray) -> None:  # type: ignore[type-arg]
    y, x = np.argwhere(truth)[0]
    for seed in range(10):
        mask = noisy_mask(np.random.default_rng(seed), truth, [Click(int(x), int(y), True)])
        assert mask[y, x]
        assert iou(mask, truth) >= LEAST


def sample(truth: np.ndarray) -> Sample:  # type: ignore[type-arg]
    blank = np.zeros_like(truth, np.uint8)
    return Sample(np.zeros((*truth.shape, 3), np.uint8), truth * np.uint8(255), blank + 1, blank)


def test_the_share_of_damaged_starts_is_kept() -> None:
    user = SimulatedUser(COMPACT, ClickConfig(damaged=0.5))
    begun = [len(user.start([sample(disc(96, 30))], first).episodes[0].clicks) for first in range(200)]
    assert set(begun) == {0, 1}
    assert 70 <= sum(begun) <= 130
    again = SimulatedUser(COMPACT, ClickConfig(damaged=0.5)).start([sample(disc(96, 30))], 7).episodes[0]
    assert len(again.clicks) == begun[7], "a sample depends on its number only"
    assert all(len(SimulatedUser(COMPACT).start([sample(disc(96, 30))], i).episodes[0].clicks) == 0 for i in range(20))


def test_the_next_click_corrects_the_damage_and_it_is_fed_back() -> None:
    truth = disc(96, 30)
    seen = 0
    for first in range(20):
        steps = SimulatedUser(COMPACT, ClickConfig(damaged=1.0)).start([sample(truth)], first)
        sequence = steps.episodes[0]
        wrong = (sequence.alpha >= 128) != truth
        _, previous, _ = steps.inputs()
        assert sequence.clicks[0, 2] == 1
        assert len(sequence.clicks) == 2
        x, y = sequence.clicks[1, :2]
        assert wrong[y, x], "the robot clicks into what is wrong"
        began = cv2.resize((~wrong == truth).astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA)
        seen += int(iou(previous[0, 0].numpy() > 0.5, began > 0.5) > 0.9)
    assert seen == 20, "the network is shown the mask"


def test_an_empty_picture_is_left_as_it_is() -> None:
    user = SimulatedUser(COMPACT, ClickConfig(damaged=1.0))
    episode = user.start([sample(np.zeros((64, 64), bool))], 0).episodes[0]
    assert len(episode.clicks) == 0
    assert not episode.alpha.any()
