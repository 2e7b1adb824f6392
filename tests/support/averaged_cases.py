"""Inputs for the averaged guided filter made of whole numbers alone, so that they are the same bits everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID = (24, 33)
CLICKS = np.array([(5, 6, 1), (20, 12, 0), (21, 12, 1), (30, 20, 1), (5, 6, 1)], np.int32)


class Case(NamedTuple):
    """One model and image: rules of the model, guide on the grid and at the image, and outputs of the network."""

    name: str
    radius: int
    eps: float
    clean: str
    grid_guide: NDArray[np.float32]
    guide: NDArray[np.float32]
    outputs: list[NDArray[np.float32]]


def cases() -> Iterator[Case]:
    """All cases; each output answers one click more."""
    for size in (GRID, (57, 80), (13, 17)):
        for radius, eps in ((0, 1e-3), (2, 1e-3), (2, 1e-8)):
            for clean in ("before", "after"):
                name = f"{size[0]}x{size[1]}, radius {radius}, eps {eps:g}, clean {clean}"
                outputs = [_pattern(GRID, 3 + n, 1024) for n in range(len(CLICKS))]
                yield Case(name, radius, eps, clean, _pattern(GRID, 1, 512) - 1, _pattern(size, 1, 512) - 1, outputs)


def _pattern(size: tuple[int, int], seed: int, unit: int) -> NDArray[np.float32]:
    """Blotches and noise in steps of 1 / unit, which FP32 holds exactly."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.int64)
    noise = (x * 73856093 + y * 19349663 + seed * 83492791) % 97
    blotches = ((x // (3 + seed)) * 31 + (y // (2 + seed)) * 17 + seed * 7) % 5
    return ((blotches * 200 + noise * 2) % (unit + 1) / unit).astype(np.float32)


def rules(case: Case, made: Any) -> Any:
    """The case's rules, by the class that has them."""
    return made((1.0, 3.0, 5.0), case.radius, case.eps, 2, case.clean)
