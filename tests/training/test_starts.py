"""How episodes begin, and how many clicks a batch comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

from export.data.dataset import Sample  # noqa: E402
from export.models.presets import COMPACT  # noqa: E402
from export.training.config import ClickConfig, load_settings  # noqa: E402
from export.training.interaction import Episode, SimulatedUser  # noqa: E402
from export.training.mask_noise import LEAST, before_zoom, noisy_mask  # noqa: E402
from export.training.sampled import random_click, sampled_clicks  # noqa: E402
from export.training.starts import is_crop  # noqa: E402
from pyiseg.evaluation.metrics import iou  # noqa: E402
from pyiseg.prompts import Click  # noqa: E402

Mask = NDArray[np.bool_]
NOTHING = np.zeros((96, 96), bool)


def disc(x: int, y: int, radius: int) -> Mask:
    return cv2.circle(np.zeros((96, 96), np.uint8), (x, y), radius, 1, -1) > 0


TRUTH, OTHERS = disc(40, 48, 24), disc(84, 20, 9)


def start(config: ClickConfig, number: int, truth: Mask = TRUTH, void: Mask = NOTHING) -> Episode:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    sample = Sample(image, truth * np.uint8(255), (~void).astype(np.uint8), OTHERS.astype(np.uint8))
    return SimulatedUser(COMPACT, config).start([sample], number).episodes[0]


def begun(config: ClickConfig, count: int = 100) -> list[Episode]:
    return [start(config, number) for number in range(count)]


def test_sampled_clicks_lie_where_they_say() -> None:
    void = disc(40, 30, 8)
    numbers = []
    for seed in range(200):
        clicks = sampled_clicks(np.random.default_rng(seed), TRUTH, OTHERS, void, 24)
        assert clicks == sampled_clicks(np.random.default_rng(seed), TRUTH, OTHERS, void, 24)
        assert all(TRUTH[y, x] == fg and not void[y, x] for x, y, fg in clicks)
        assert len({(x, y) for x, y, _ in clicks}) == len(clicks)
        inside = sum(fg for _, _, fg in clicks)
        numbers.append((inside, len(clicks) - inside, sum(OTHERS[y, x] for x, y, fg in clicks if not fg)))
    inside, outside, on_others = zip(*numbers, strict=True)
    assert min(inside) == 1
    assert min(outside) == 0
    assert Counter(inside)[1] > Counter(inside)[4] > 0, "fewer are more probable"
    assert max(outside) > 8
    assert 0.1 < sum(on_others) / sum(outside) < 0.5


@pytest.mark.parametrize(("most", "least"), [(1, 1), (4, 1), (4, 3), (24, 3)])
def test_numbers_of_sampled_clicks_have_bounds(most: int, least: int) -> None:
    for seed in range(100):
        clicks = sampled_clicks(np.random.default_rng(seed), TRUTH, NOTHING, NOTHING, most, least)
        inside = sum(fg for _, _, fg in clicks)
        assert 1 <= inside <= most
        assert len(clicks) - inside <= most
        assert len(clicks) >= least


@pytest.mark.parametrize("truth", [disc(3, 3, 0), disc(40, 40, 1), ~NOTHING], ids=["pixel", "cross", "all"])
def test_extreme_objects_are_sampled(truth: Mask) -> None:
    for seed in range(10):
        clicks = sampled_clicks(np.random.default_rng(seed), truth, NOTHING, NOTHING, 24, 3)
        assert clicks[0].fg
        assert all(truth[y, x] == fg for x, y, fg in clicks)
        x, y, fg = random_click(np.random.default_rng(seed), truth, NOTHING)
        assert fg
        assert truth[y, x]


# What an episode begins with: clicks that nothing answers yet, or that a selection answers.
STARTS = {
    "as before": (ClickConfig(), {0}, False),
    "damaged": (ClickConfig(damaged=1.0), {1}, True),
    "random first": (ClickConfig(random_first=1.0), {1}, False),
    "sampled": (ClickConfig(sampled=1.0), set(range(1, 49)), False),
    "few sampled": (ClickConfig(sampled=1.0, sampled_clicks=1), {1, 2}, False),
    "sampled, damaged": (ClickConfig(sampled=1.0, damaged=1.0), set(range(1, 49)), True),
    "random first, damaged": (ClickConfig(random_first=1.0, damaged=1.0), {1}, True),
    "carried": (ClickConfig(carried=1.0), set(range(3, 49)), True),
    "carried wins": (ClickConfig(carried=1.0, sampled=1.0, random_first=1.0), set(range(3, 49)), True),
}


@pytest.mark.parametrize("name", STARTS)
def test_what_a_sequence_begins_with(name: str) -> None:
    config, counts, answered = STARTS[name]
    seen = set()
    for number in range(30):
        episode, same = start(config, number), start(config, number)
        before = episode.clicks
        np.testing.assert_array_equal(before, same.clicks)
        np.testing.assert_array_equal(episode.selected, same.selected)
        seen.add(len(before))
        assert len(before) in counts
        assert episode.selected.any() == episode.alpha.any() == answered
        episode.click()
        # What waits for an answer is asked about as it is; else the robot clicks into what is wrong.
        waits = len(before) > 0 and not answered
        assert len(episode.clicks) == len(before) + (not waits)
        assert episode.click_stage.previous.any() == answered
        episode.postprocess(np.zeros_like(episode.selected))
        after = len(episode.clicks)
        episode.click()
        assert len(episode.clicks) == after + 1, "the robot goes on"
    if "sampled" in name and "few" not in name:
        assert len(seen) > 4


@pytest.mark.parametrize("share", ["damaged", "sampled", "random_first", "carried"])
def test_shares_are_kept(share: str) -> None:
    count = sum(len(episode.clicks) > 0 for episode in begun(replace(ClickConfig(), **{share: 0.5})))
    assert 35 <= count <= 65


def test_one_setting_does_not_change_what_another_draws() -> None:
    alone, among = ClickConfig(sampled=0.3), ClickConfig(sampled=0.3, damaged=0.4, random_first=0.3)
    for one, other in zip(begun(alone, 40), begun(among, 40), strict=True):
        if len(one.clicks):
            np.testing.assert_array_equal(one.clicks, other.clicks)
    for one, other in zip(begun(ClickConfig(damaged=0.4), 40), begun(among, 40), strict=True):
        if len(other.clicks) == 1 and one.alpha.any() and (one.clicks == other.clicks).all():
            np.testing.assert_array_equal(one.alpha, other.alpha)


def test_a_random_first_click_is_not_the_deepest() -> None:
    places = {tuple(episode.clicks[0]) for episode in begun(ClickConfig(random_first=1.0), 20)}
    assert len(places) > 15


@pytest.mark.parametrize("setting", ["damaged", "sampled", "random_first", "carried"])
@pytest.mark.parametrize("void", [NOTHING, ~NOTHING], ids=["empty", "void"])
def test_where_nothing_is_wanted_nothing_begins(setting: str, void: Mask) -> None:
    truth = void  # empty, or all of it not judged
    episode = start(replace(ClickConfig(), **{setting: 1.0}), 0, truth, void)
    episode.click()
    assert len(episode.clicks) == 0
    assert not episode.selected.any()


def test_damage_obeys_every_click_on_the_spot() -> None:
    truth = TRUTH | disc(84, 80, 8)
    clicks = [Click(40, 48, True), Click(84, 80, True), Click(70, 48, False), Click(40, 76, False)]
    for seed in range(60):
        mask = noisy_mask(np.random.default_rng(seed), truth, clicks)
        assert all(mask[y, x] == fg for x, y, fg in clicks)
        assert iou(mask, truth) >= LEAST
        labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
        assert set(np.unique(labels)) - {0} == {labels[48, 40], labels[80, 84]}, "pieces without a click are gone"


def test_a_look_from_far_is_coarse_and_obeys_the_clicks() -> None:
    clicks = np.array([[40, 48, 1], [70, 48, 0]], np.int32)
    steepest = []
    for seed in range(40):
        alpha = before_zoom(np.random.default_rng(seed), TRUTH, clicks, (48, 48))
        assert (alpha.shape, alpha.dtype) == ((48, 48), np.float32)
        assert 0 <= alpha.min() <= alpha.max() <= 1
        assert alpha[24, 20] > 0.9
        assert alpha[24, 35] < 0.5
        small = cv2.resize(TRUTH.astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA)
        assert iou(alpha >= 0.5, small >= 0.5) > 0.6
        steepest.append(float(np.abs(np.diff(alpha, axis=1)).max()))
    assert max(steepest) < 0.9, "no edge is a pixel wide"
    assert min(steepest) < 0.3, "some are very soft"


@pytest.mark.parametrize(("radius", "may"), [(30, True), (16, True), (12, False), (4, False)])
def test_a_crop_is_what_serving_would_look_at(radius: int, may: bool) -> None:
    """The box around the object, enlarged, is at least a quarter of the crop, see `pyiseg.zoom.choose_crop`."""
    truth = disc(48, 48, radius)
    zoom = COMPACT.zoom
    assert zoom is not None
    assert is_crop(zoom, truth) == may
    episode = start(ClickConfig(carried=1.0), 0, truth)
    assert bool(len(episode.clicks)) == may


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("compact", ["clicks.long=0.5", "clicks.long_clicks=6"], r"long_clicks is 6, .*as many as 6: make it larger"),
        ("compact", ["clicks.long=1.5"], r"clicks\.long is 1\.5; it must be from 0 to 1"),
        ("compact", ["clicks.sampled_clicks=0"], r"clicks\.sampled_clicks is 0; it must be at least 1"),
        ("compact", ["clicks.loss_growth=-1"], r"clicks\.loss_growth is -1"),
        ("compact", ["clicks.carried=0.2", "network.zoom=none"], r"clicks\.carried is 0\.2, but network\.zoom is none"),
        ("ablation-t-i", ["clicks.two_passes=0.5"], r"clicks\.two_passes is 0\.5, but network\.feedback is false"),
        *(
            ("ablation-baseline", [f"clicks.{name}=0.3"], rf"clicks\.{name} is 0\.3.*bundled")
            for name in ("damaged", "long", "sampled", "random_first", "carried", "two_passes")
        ),
    ],
)
def test_what_does_not_fit_is_refused(name: str, changes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings(name, changes)
