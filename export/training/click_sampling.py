"""All clicks of a training image at once: the sampling of Xu et al. 2016, "Deep Interactive Object Selection".

The strategies are those of that paper (arXiv 1603.04042). The numbers of clicks, 40 and 5 pixels, and the rule of the
third strategy are as public re-implementations of it have them; these differ on the spacing, 10 or 20 pixels, and here
it is 10. Distances are in pixels of the training image.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pyiseg.prompts import Click

Mask = NDArray[np.bool_]

# At most so many clicks: on the object; anywhere around it; on each other object; evenly around it.
FOREGROUND, AROUND, ON_OTHERS, OUTLINE = 5, 10, 5, 10
# No two clicks of one kind are nearer to each other than this.
STEP = 10
# Clicks keep this far from the object's border, as far as there is room.
MARGIN = 5
# Background clicks go no further than this from the object.
BAND = 40


def clicks_at_once(rng: np.random.Generator, truth: Mask, others: Mask, void: Mask) -> list[Click]:
    """Draw the clicks of one image: foreground, then background by one of three strategies.

    Args:
        rng: Source of all that is random.
        truth: The wanted object, bool, shape (H, W).
        others: Other objects, bool, shape (H, W). Where there are none, the strategy that clicks on them falls back to
            random clicks around the object.
        void: Pixels that are not judged and never clicked, bool, shape (H, W).

    Returns:
        One to five foreground clicks and up to ten background clicks, up to five on each object when on others. Empty
        only where nothing is wanted.
    """
    wanted = truth & ~void
    if not wanted.any():
        return []
    count = int(rng.integers(1, FOREGROUND + 1))
    clicks = [Click(x, y, True) for x, y in spaced_points(rng, interior(wanted), count)]
    strategy = int(rng.integers(3))
    others = others & ~truth & ~void
    if strategy == 1 and others.any():
        points = _on_each(rng, others)
    elif strategy == 2:
        points = spread_points(rng, background_band(truth, void), OUTLINE)
    else:
        points = spaced_points(rng, background_band(truth, void), int(rng.integers(AROUND + 1)))
    return clicks + [Click(x, y, False) for x, y in points]


def _on_each(rng: np.random.Generator, others: Mask) -> list[tuple[int, int]]:
    """Return random points on every other object; those that touch are taken for one."""
    count = int(rng.integers(ON_OTHERS + 1))
    # What is left of an object at a border is too little to be clicked on, unless there is nothing larger.
    inside = interior(others)
    labels = cv2.connectedComponents(others.astype(np.uint8), connectivity=8)[1]
    points: list[tuple[int, int]] = []
    for label in np.unique(labels[inside]):
        points += spaced_points(rng, inside & (labels == label), count)
    return points


def interior(mask: Mask) -> Mask:
    """Return what is deeper in a mask than the margin, or else its deepest pixels."""
    depth = _distance(mask)
    return depth >= min(MARGIN, float(depth.max()))


def background_band(truth: Mask, void: Mask) -> Mask:
    """Return the background near the object but for the margin; margin included where there is nothing else."""
    distance = _distance(~truth)
    band = (distance > 0) & (distance <= BAND) & ~void
    clear = band & (distance > MARGIN)
    return clear if clear.any() else band


def _distance(mask: Mask) -> NDArray[np.float32]:
    """Return how far each pixel of a mask is from the nearest one that is not in it; the image's sides are not."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def spaced_points(rng: np.random.Generator, allowed: Mask, count: int) -> list[tuple[int, int]]:
    """Return up to ``count`` random points (x, y), none nearer to another than `STEP`."""
    free, points = allowed.copy(), []
    for _ in range(count):
        places = np.flatnonzero(free)
        if len(places) == 0:
            break
        points.append(_take(free, int(places[rng.integers(len(places))])))
    return points


def spread_points(rng: np.random.Generator, band: Mask, count: int) -> list[tuple[int, int]]:
    """Return up to ``count`` points: one at random, then each as far as can be from the others and the band's ends."""
    free, left, points = band.copy(), band.copy(), []
    for k in range(count):
        places = np.flatnonzero(free)
        if len(places) == 0:
            break
        far = places[rng.integers(len(places))] if k == 0 else np.argmax(np.where(free, _distance(left), -1))
        points.append(_take(free, int(far)))
        left[points[-1][1], points[-1][0]] = False
    return points


def _take(free: Mask, place: int) -> tuple[int, int]:
    """Return a place as (x, y) and clear everything nearer to it than `STEP`."""
    y, x = divmod(place, free.shape[1])
    top, left = max(0, y - STEP), max(0, x - STEP)
    window = free[top : y + STEP + 1, left : x + STEP + 1]
    ys, xs = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
    window &= (ys - y) ** 2 + (xs - x) ** 2 >= STEP**2
    return x, y
