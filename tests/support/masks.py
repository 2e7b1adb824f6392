"""Masks that formats are tried on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Mask = npt.NDArray[np.bool_]


def of(*rows: str) -> Mask:
    """Return a mask written as text: # is selected."""
    return np.array([[letter == "#" for letter in row] for row in rows])


EDGE_CASES = {
    "one pixel": of("#"),
    "one empty pixel": of("."),
    "empty": np.zeros((4, 7), np.bool_),
    "full": np.ones((7, 4), np.bool_),
    "a row": of("##.#"),
    "a column": of("#", "#", ".", "#"),
    "corners of the image": of("#..#", "....", "#..#"),
    "pixels that meet at a corner": of("#.", ".#"),
    "pixels that meet at the other corner": of(".#", "#."),
    "holes that meet at a corner": of("####", "#.##", "##.#", "####"),
    "a hole open at a corner": of("###.", "#.#.", "##.#", "####"),
    "a hole that opens at a corner only": of("###", "#.#", "##."),
    "an island in a hole": of("#####", "#...#", "#.#.#", "#...#", "#####"),
    "an island with a hole": np.pad(np.pad(np.pad(of("###", "#.#", "###"), 1), 1, constant_values=True), 1),
    "a chessboard": (np.indices((6, 9)).sum(axis=0) % 2).astype(np.bool_),
    "a frame": np.pad(np.zeros((3, 5), np.bool_), 1, constant_values=True),
    "two holes side by side": of("#######", "#.#.#.#", "#######"),
    "a wall of one pixel": np.eye(9, dtype=np.bool_) | np.eye(9, k=1, dtype=np.bool_),
}


@st.composite
def masks(draw: st.DrawFn, side: int = 14) -> Mask:
    """Masks of noise, of blocks, and of blocks with specks, up to some three times as many pixels a side."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.random((height, width)) < draw(st.sampled_from((0.2, 0.5, 0.8)))
    block = draw(st.sampled_from(((1, 1), (3, 3), (2, 4))))
    mask = np.kron(mask, np.ones(block)) > 0
    if draw(st.booleans()):
        mask ^= rng.random(mask.shape) < 0.05
    return mask


def blob(height: int, width: int) -> Mask:
    """A large smooth thing with a hole."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - height / 2, x - width / 2
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    outline = min(height, width) * (1 / 3 + np.sin(7 * angle) / 15 + np.sin(53 * angle) / 75)
    return (distance < outline) & (np.hypot(y + height / 30, x + height / 15) > height / 20)
