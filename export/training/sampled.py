"""Clicks sampled from the mask at once, for an episode to begin with: as Sofiiuk et al. 2021 (RITM) begin theirs.

The numbers of foreground and of background clicks fall off geometrically, and background clicks lie beside the object,
on other objects, or anywhere. Where on a mask clicks may lie is said in `export.training.click_sampling`, and so
are the distances.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.training.click_sampling import background_band, interior, spaced_points
from pyiseg.prompts import Click

Mask = NDArray[np.bool_]

# One click more is so many times as probable as one less.
FALLOFF = 0.8
# Shares of the background clicks: beside the object, on other objects, anywhere.
BESIDE, ON_OTHERS, ANYWHERE = 0.5, 0.4, 0.1


def sampled_clicks(
    rng: np.random.Generator, truth: Mask, others: Mask, void: Mask, most: int, least: int = 1
) -> list[Click]:
    """Draw clicks inside and outside of an object.

    Args:
        rng: Source of all that is random.
        truth: The wanted object, bool, shape (H, W).
        others: Other objects, bool, shape (H, W). Where there are none, their share lies beside the object.
        void: Pixels that are not judged and never clicked, bool, shape (H, W).
        most: At most so many foreground clicks, and as many background clicks.
        least: At least so many clicks in all, where there is room.

    Returns:
        Foreground clicks, at least one, then background clicks; fewer where there is no room. Empty only where nothing
        is wanted.
    """
    wanted = truth & ~void
    if not wanted.any():
        return []
    inside, outside = _number(rng, 1, most), _number(rng, 0, most)
    inside = max(inside, least - outside)
    clicks = [Click(x, y, True) for x, y in spaced_points(rng, interior(wanted), inside)]
    others = others & ~truth & ~void
    beside, on_others, anywhere = rng.multinomial(outside, (BESIDE, ON_OTHERS, ANYWHERE))
    if not others.any():
        beside, on_others = beside + on_others, 0
    points: list[tuple[int, int]] = []
    if beside:
        points += spaced_points(rng, background_band(truth, void), int(beside))
    if on_others:
        points += spaced_points(rng, interior(others), int(on_others))
    if anywhere:
        points += spaced_points(rng, ~truth & ~void, int(anywhere))
    # Places overlap: a pixel is clicked once.
    return clicks + [Click(x, y, False) for x, y in dict.fromkeys(points)]


def random_click(rng: np.random.Generator, truth: Mask, void: Mask) -> Click:
    """Draw a click on the object, away from its border where there is room.

    Args:
        rng, truth, void: As for `sampled_clicks`; something must be wanted.
    """
    ((x, y),) = spaced_points(rng, interior(truth & ~void), 1)
    return Click(x, y, True)


def _number(rng: np.random.Generator, least: int, most: int) -> int:
    """Draw a number of clicks; n + 1 is `FALLOFF` times as probable as n."""
    chances = FALLOFF ** np.arange(most - least + 1)
    return least + int(rng.choice(len(chances), p=chances / chances.sum()))
