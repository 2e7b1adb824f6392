"""The bundled clicks of Xu et al. 2016. Skipped without OpenCV."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

cv2 = pytest.importorskip("cv2")

from export.training import click_sampling  # noqa: E402
from export.training.click_sampling import clicks_at_once  # noqa: E402

Mask = NDArray[np.bool_]
NOTHING = np.zeros((120, 160), bool)


def disc(x: int, y: int, radius: int) -> Mask:
    return cv2.circle(np.zeros((120, 160), np.uint8), (x, y), radius, 1, -1) > 0


def distance_to(mask: Mask) -> NDArray[np.float32]:
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


discs = st.builds(disc, st.integers(0, 159), st.integers(0, 119), st.integers(0, 70))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), discs, discs, discs)
def test_clicks_lie_where_they_say(seed: int, truth: Mask, others: Mask, void: Mask) -> None:
    others, void = others & ~truth, void & ~disc(40, 40, 5)
    clicks = clicks_at_once(np.random.default_rng(seed), truth, others, void)
    if not (truth & ~void).any():
        assert clicks == []
        return
    foreground = [click for click in clicks if click.fg]
    assert 1 <= len(foreground) <= click_sampling.FOREGROUND
    for x, y, fg in clicks:
        assert not void[y, x]
        assert truth[y, x] == fg
        assert fg or others[y, x] or distance_to(truth)[y, x] <= click_sampling.BAND
    assert len(set(clicks)) == len(clicks)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), discs)
def test_clicks_of_one_kind_keep_apart(seed: int, truth: Mask) -> None:
    clicks = clicks_at_once(np.random.default_rng(seed), truth, NOTHING, NOTHING)
    for kind in (True, False):
        for one, other in itertools.combinations([click for click in clicks if click.fg == kind], 2):
            assert np.hypot(one.x - other.x, one.y - other.y) >= click_sampling.STEP
    again = clicks_at_once(np.random.default_rng(seed), truth, NOTHING, NOTHING)
    assert clicks == again


def test_clicks_keep_off_the_border_where_there_is_room() -> None:
    truth = disc(80, 60, 30)
    for seed in range(60):
        for x, y, fg in clicks_at_once(np.random.default_rng(seed), truth, NOTHING, NOTHING):
            assert distance_to(~truth if fg else truth)[y, x] >= click_sampling.MARGIN


@pytest.mark.parametrize("pixels", [[(3, 3)], [(0, 0), (0, 1)], [(y, 80) for y in range(120)]])
def test_tiny_and_thin_objects_are_clicked(pixels: list[tuple[int, int]]) -> None:
    truth = NOTHING.copy()
    truth[tuple(zip(*pixels, strict=True))] = True
    for seed in range(10):
        clicks = clicks_at_once(np.random.default_rng(seed), truth, ~truth & disc(80, 60, 40), NOTHING)
        assert clicks[0].fg
        assert truth[clicks[0].y, clicks[0].x]
    everything = clicks_at_once(np.random.default_rng(0), ~NOTHING, NOTHING, NOTHING)
    assert everything
    assert all(click.fg for click in everything), "no background to click on"


def test_every_strategy_is_used() -> None:
    truth, others = disc(30, 30, 15), disc(130, 90, 12) | disc(130, 20, 12)
    on_others, counts = 0, []
    for seed in range(150):
        clicks = [c for c in clicks_at_once(np.random.default_rng(seed), truth, others, NOTHING) if not c.fg]
        hits = [bool(others[c.y, c.x]) for c in clicks]
        assert len(set(hits)) <= 1, "strategies are not mixed"
        if any(hits):
            on_others += 1
            assert {c.y > 55 for c in clicks} == {False, True}, "each object gets its clicks"
        else:
            counts.append(len(clicks))
    assert 25 < on_others < 60  # a third, of which one in six has no clicks
    assert set(counts) == set(range(click_sampling.AROUND + 1))
    assert counts.count(click_sampling.OUTLINE) > 35, "the outline always gets all of its clicks"


def test_points_of_the_outline_surround_the_object() -> None:
    truth = disc(80, 60, 15)
    for seed in range(10):
        points = click_sampling.spread_points(
            np.random.default_rng(seed), click_sampling.background_band(truth, NOTHING), click_sampling.OUTLINE
        )
        assert len(points) == click_sampling.OUTLINE
        angles = np.sort([np.arctan2(y - 60, x - 80) for x, y in points])
        assert np.diff([*angles, angles[0] + 2 * np.pi]).max() < np.pi / 2
