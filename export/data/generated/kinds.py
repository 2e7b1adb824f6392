"""Generated training images by kind: what users meet and photographs with masks do not hold.

Each kind is a pure function of a random generator, of the photographs and objects it takes from, and of the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from export.data.generated.flat import flat
from export.data.generated.graphics import graphics
from export.data.generated.objects import holes, several, small
from export.data.generated.paint import Material
from export.data.generated.parts import parts
from export.data.generated.thin import thin
from export.data.io import Masked

KINDS: dict[str, Callable[[np.random.Generator, Material, tuple[int, int]], Masked]] = {
    "several": several,
    "graphics": graphics,
    "thin": thin,
    "holes": holes,
    "small": small,
    "parts": parts,
    "flat": flat,
}
# Kinds whose colors are what they are meant to be: only some of them change their light as photographs do.
GRAPHIC = frozenset({"graphics", "flat"})
# The wanted part of an image, in pixels and as a share; what is outside is made anew, so often at most.
FEWEST, MOST, ATTEMPTS = 24, 0.97, 20


def generate(rng: np.random.Generator, material: Material, kind: str, shape: int | tuple[int, int]) -> Masked:
    """Make a training image of one kind.

    Args:
        rng: Source of all that is random.
        material: Photographs and objects.
        kind: One of `KINDS`.
        shape: Height and width, or one side of a square, in pixels.

    Returns:
        An image of that shape, all of it valid, with some of the wanted thing in it and something else.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no generated kind '{kind}'; there are {', '.join(KINDS)}")
    height, width = (shape, shape) if isinstance(shape, int) else shape
    for _ in range(ATTEMPTS):
        masked = KINDS[kind](rng, material, (height, width))
        wanted = int((masked.alpha > 127).sum())
        if FEWEST <= wanted <= MOST * height * width:
            break
    return masked


def checked_shares(value: Any) -> tuple[tuple[str, float], ...]:
    """Return ``data.generated`` as pairs of a kind and its share of all samples.

    Raises:
        ValueError: It is no list of pairs, names a kind twice or one that does not exist, or sums to more than 1.
    """
    try:
        shares = tuple((str(name), float(share)) for name, share in value)
    except (TypeError, ValueError):
        raise ValueError(
            f"data.generated is {value!r}; give pairs: --set data.generated='[[\"several\", 0.1]]'"
        ) from None
    names = [name for name, _ in shares]
    for name, share in shares:
        if name not in KINDS:
            raise ValueError(f"data.generated names '{name}'; there are {', '.join(KINDS)}")
        if names.count(name) > 1:
            raise ValueError(f"data.generated names '{name}' twice; give it one share")
        if not 0 <= share <= 1:
            raise ValueError(f"data.generated gives '{name}' {share}; it is a share of all samples, from 0 to 1")
    total = sum(share for _, share in shares)
    if total > 1 + 1e-9:
        raise ValueError(f"data.generated sums to {total:g}; these are shares of all samples: give 1 in all at most")
    # One of share 0 is not there: then no random number is taken, and samples are what they are without it.
    return tuple((name, share) for name, share in shares if share > 0)


def any_kind(rng: np.random.Generator, shares: tuple[tuple[str, float], ...]) -> str | None:
    """Return the kind of one sample, none for what is not generated."""
    at = rng.random()
    for name, share in shares:
        at -= share
        if at < 0:
            return name
    return None
