"""Shapes of training images: squares, or the aspect ratios that images come in, of the same area."""

from __future__ import annotations

import numpy as np

# Heights and widths are multiples of this: the stride of the coarsest features.
UNIT = 32
# A height and width, or the side of a square.
Size = int | tuple[int, int]


def height_width(size: Size) -> tuple[int, int]:
    """Return (height, width) of a size."""
    return (size, size) if isinstance(size, int) else size


def check_shapes(shapes: tuple[tuple[float, float], ...]) -> None:
    """Refuse what are no (ratio, share).

    Raises:
        ValueError: A ratio is below 1, a share below 0, or all shares are 0.
    """
    if not shapes:
        return
    for ratio, share in shapes:
        if not (1 <= ratio <= 16 and share >= 0):
            raise ValueError(
                f"data.shapes has ({ratio:g}, {share:g}): give pairs of a ratio, long side by short side, from 1 to "
                "16, and a share of at least 0, as in --set data.shapes='[[1.0, 0.6], [1.33, 0.4]]'"
            )
    if sum(share for _, share in shapes) <= 0:
        raise ValueError(f"data.shapes is {shapes}: give at least one ratio a share above 0, or [] for squares")


def shape_of_batch(shapes: tuple[tuple[float, float], ...], side: int, seed: int, batch: int) -> tuple[int, int]:
    """Return (height, width) of the images of one batch.

    Args:
        shapes: (long side by short side, share); empty for squares. Landscape and portrait are equally likely.
        side: Side of the square of the same area; what is returned are multiples of `UNIT` near that area.
        seed: Seed of the run.
        batch: Number of the batch in the run; the shape depends on it and the seed only.
    """
    if not shapes:
        return side, side
    # The 6 keeps it apart from what else is sampled by the seed and a number.
    rng = np.random.default_rng([seed, 6, batch])
    share = np.array([share for _, share in shapes])
    ratio = shapes[rng.choice(len(shapes), p=share / share.sum())][0]
    short = max(UNIT, round(side / ratio**0.5 / UNIT) * UNIT)
    # By the area, not by the ratio: what a batch costs stays about the same when the short side is rounded.
    long = max(short, round(side**2 / short / UNIT) * UNIT)
    return (short, long) if rng.random() < 0.5 else (long, short)
