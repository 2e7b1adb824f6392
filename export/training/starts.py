"""How an episode begins: with clicks sampled from the mask, with a noisy mask, on a crop that was zoomed in on.

Serving meets all of these where training by the robot's first clicks does not: many clicks, errors that the network
itself does not make, selections predicted before zooming in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from export.training.click_config import ClickConfig
from export.training.click_sampling import clicks_at_once
from export.training.mask_noise import before_zoom, noisy_mask
from export.training.sampled import random_click, sampled_clicks
from pyiseg.evaluation.robot import next_click
from pyiseg.model import Zoom

if TYPE_CHECKING:
    from export.training.interaction import Episode

# Each kind of start draws from a stream of its own, so that no setting changes what another draws.
CLICK_SAMPLING, MASK_NOISE, SAMPLED = 2, 3, 4
# A crop is at most this many times as large as `pyiseg.zoom.choose_crop` would choose for its object.
LARGEST = 4.0


def begin(episode: Episode, config: ClickConfig, zoom: Zoom | None, seed: int, number: int) -> None:
    """Place the clicks that an episode begins with, and their prediction, if it has one.

    Args:
        episode: A fresh one.
        config: What begins how often.
        zoom: When serving zooms in; None for a model that never does, which gets no crops.
        seed: Of the run.
        number: Of the sample: what is sampled depends on the two only.
    """
    truth, void, others = episode.truth, episode.void, episode.others
    if config.strategy == "bundled":
        episode.place(clicks_at_once(np.random.default_rng([seed, CLICK_SAMPLING, number]), truth, others, void))
        return
    noise_rng, rng = np.random.default_rng([seed, MASK_NOISE, number]), np.random.default_rng([seed, SAMPLED, number])
    sampled, carried, random = rng.random(3) < (config.sampled, config.carried, config.random_first)
    noisy = noise_rng.random() < config.damaged
    if not (truth & ~void).any():
        return
    if carried and zoom is not None and is_crop(zoom, truth):
        # One click less than zooms in: that one is the robot's, into what is wrong.
        clicks = sampled_clicks(rng, truth, others, void, config.sampled_clicks, zoom.from_click - 1)
        episode.place(clicks)
        mask = noisy_mask(noise_rng, truth, clicks)
        episode.carry(before_zoom(rng, mask, episode.clicks, episode.selected.shape))
        return
    if sampled:
        clicks = sampled_clicks(rng, truth, others, void, config.sampled_clicks)
    elif random:
        clicks = [random_click(rng, truth, void)]
    elif noisy:
        first = next_click(episode.alpha >= 128, truth, void)
        clicks = [] if first is None else [first]
    else:
        return
    episode.place(clicks)
    if noisy:
        episode.take(noisy_mask(noise_rng, truth, clicks))


def is_crop(zoom: Zoom, truth: NDArray[np.bool_]) -> bool:
    """Whether an image may stand for a crop that serving looks at: whether the object is large enough in it.

    Args:
        zoom: When serving zooms in.
        truth: The object, bool, shape (H, W); at least one pixel.
    """
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return bool(truth.size <= LARGEST * zoom.enlarge**2 * box)
