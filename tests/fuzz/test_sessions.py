"""Random sequences of everything a `pyiseg.Session` offers, good and bad: only documented errors, and nothing lost.

PYISEG_FUZZ_SESSIONS says how many sequences, PYISEG_FUZZ_SEED which; the nightly run makes 3,000 with a fresh seed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyiseg import Box, Click, Image, LocalClick, Rect, Scribble, Session, load_model
from pyiseg.prompts import Prompt

SEQUENCES = int(os.environ.get("PYISEG_FUZZ_SESSIONS", "40"))
SEED = int(os.environ.get("PYISEG_FUZZ_SEED", "18"))
MOVES = 10

Generator = np.random.Generator
NOT_NUMBERS: tuple[Any, ...] = (float("nan"), float("inf"), None, "5", True, 1e300, -1, 10**400, [3], np.float32("nan"))


def image_of(r: Generator) -> np.ndarray:
    kind = int(r.integers(6))
    height, width = (int(v) for v in r.integers(1, 160, 2))
    if kind == 0:
        height, width = 1, int(r.integers(1, 900))
    elif kind == 1:
        height, width = int(r.integers(300, 700)), int(r.integers(8, 60))
    elif kind == 2:  # larger than the grid, whose pixels hold several of the image's then
        height, width = (int(v) for v in r.integers(400, 1000, 2))
    y, x = np.mgrid[:height, :width]
    if kind == 2:
        return r.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == 3:
        return np.full((height, width), int(r.integers(256)), np.uint8)
    disc = (y - height * r.random()) ** 2 + (x - width * r.random()) ** 2 < (min(height, width) * 0.4) ** 2
    shades = np.where(disc[..., None], r.integers(0, 256, 3), r.integers(0, 256, 3)) + r.normal(
        0, 3, (height, width, 3)
    )
    pixels = np.clip(shades, 0, 255).astype(np.uint8)
    if kind == 4:
        return np.concatenate([pixels, r.integers(0, 256, (height, width, 1), dtype=np.uint8)], axis=2)
    return pixels


def prompt_of(r: Generator, height: int, width: int, made: Sequence[Prompt] = ()) -> Prompt:
    """A prompt, often close to a click that was made, or in a corner: there single pixels are hard to obey."""
    clicks = [prompt for prompt in made if isinstance(prompt, (Click, LocalClick))]

    def pixel() -> tuple[int, int]:
        x, y = int(r.integers(width)), int(r.integers(height))
        if clicks and r.random() < 0.5:
            near, far = clicks[int(r.integers(len(clicks)))], int(r.integers(1, 6))
            x, y = (value + int(r.integers(-far, far + 1)) for value in (near.x, near.y))
        elif r.random() < 0.1:
            x, y = int(r.choice([0, width - 1])), int(r.choice([0, height - 1]))
        return min(max(x, 0), width - 1), min(max(y, 0), height - 1)

    kind, fg = r.random(), bool(r.random() < 0.6)
    if kind < 0.6:
        return Click(*pixel(), fg)
    if kind < 0.75:
        return LocalClick(*pixel(), fg)
    if kind < 0.88:
        return Box(*pixel(), *pixel())
    return Scribble(tuple(pixel() for _ in range(int(r.integers(1, 5)))), fg)


def make(session: Session, prompt: Prompt) -> np.ndarray:
    if isinstance(prompt, Box):
        return session.box(*prompt)
    if isinstance(prompt, Scribble):
        return session.scribble(prompt.points, prompt.fg)
    assert isinstance(prompt, (Click, LocalClick))
    return session.click(prompt.x, prompt.y, prompt.fg, local=isinstance(prompt, LocalClick))


def refused(session: Session, r: Generator) -> None:
    """Something wrong, which has to be said and to leave the session as it was."""
    wrong = NOT_NUMBERS[int(r.integers(len(NOT_NUMBERS)))]
    attempts: list[Callable[[], Any]] = [
        lambda: session.click(wrong, 0),
        lambda: session.click(0, 0, "bg"),  # type: ignore[arg-type]
        lambda: session.box(0, 0, float("nan"), 1),
        lambda: session.scribble([(0, 0), (wrong, 0)]),
        lambda: session.scribble([]),
        lambda: session.add((1, 2)),  # type: ignore[arg-type]
        lambda: session.preview(-1, 0),
        lambda: session.alpha_in(Rect(0, 0, 10**6, 1)),
        lambda: session.remove(10**6),
    ]
    before, prompts = session.alpha, session.prompts
    with pytest.raises((ValueError, IndexError)):
        attempts[int(r.integers(len(attempts)))]()
    np.testing.assert_array_equal(session.alpha, before)
    assert session.prompts == prompts


def obeyed(session: Session, alpha: np.ndarray) -> bool:
    """Whether each pixel that was clicked last, and by none of the clicks that boxes and scribbles stand for, is so."""
    last: dict[tuple[int, int], bool] = {}
    for prompt in session.prompts:
        if isinstance(prompt, (Click, LocalClick)):
            last[prompt.x, prompt.y] = prompt.fg
        elif isinstance(prompt, Box):
            last.pop(((prompt.x0 + prompt.x1) // 2, (prompt.y0 + prompt.y1) // 2), None)
        elif isinstance(prompt, Scribble):
            last = {pixel: fg for pixel, fg in last.items() if fg == prompt.fg or not crosses(prompt, *pixel)}
    return all((alpha[y, x] >= 128) == fg for (x, y), fg in last.items())


def crosses(scribble: Scribble, x: int, y: int) -> bool:
    """Whether a scribble's line goes over a pixel, or touches it."""
    points = np.array(scribble.points, float)
    for (ax, ay), (bx, by) in zip(points, np.vstack((points[1:], points[-1:])), strict=True):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        share = 0 if length == 0 else np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
        if max(abs(ax + share * (bx - ax) - x), abs(ay + share * (by - ay) - y)) <= 1:
            return True
    return False


@pytest.mark.parametrize("part", range(4))
def test_random_sequences(part: int, tmp_path: Path) -> None:
    """Undo, redo and loading bring back every matte bit for bit; what did not change is told; clicks are obeyed."""
    models = [load_model(), dataclasses.replace(load_model(), zoom=None)]
    for number in range(part, SEQUENCES, 4):
        r = np.random.default_rng([SEED, number])
        pixels = image_of(r)
        height, width = pixels.shape[:2]
        mask = r.integers(0, 2, (height, width)).astype(np.bool_) if r.random() < 0.2 else None
        session = Session(Image(pixels, model=models[number % 2]), mask=mask)
        alphas, now = [np.zeros((height, width), np.uint8), session.alpha][: 2 if mask is not None else 1], 0
        now = len(alphas) - 1
        for _ in range(MOVES):
            before, move = session.alpha, r.random()
            np.testing.assert_array_equal(before, alphas[now])
            if move < 0.15:
                refused(session, r)
                continue
            if move < 0.25:
                session.undo()
                now = max(0, now - 1)
            elif move < 0.32:
                session.redo()
                now = min(now + 1, len(alphas) - 1)
            elif move < 0.38 and session.prompts:
                session.remove(int(r.integers(len(session.prompts))))
                alphas[now + 1 :] = [session.alpha]
                now += 1
            else:
                alphas[now + 1 :] = [make(session, prompt_of(r, height, width, session.prompts))]
                now += 1
            after = session.alpha
            np.testing.assert_array_equal(after, alphas[now])
            assert obeyed(session, after), f"sequence {number} of seed {SEED}: {session.prompts}"
            outside = np.ones(after.shape, np.bool_)
            outside[session.changed.slices] = False
            np.testing.assert_array_equal(after[outside], before[outside])
        top, left = int(r.integers(height)), int(r.integers(width))
        rect = Rect(top, left, int(r.integers(top, height)) + 1, int(r.integers(left, width)) + 1)
        np.testing.assert_array_equal(session.alpha_in(rect), session.alpha[rect.slices])
        file = tmp_path / f"{number}.json"
        session.save(file)
        again = Session.load(file, Image(pixels, model=models[number % 2]))
        for _ in range(len(alphas)):
            np.testing.assert_array_equal(again.alpha, session.alpha)
            again.undo()
            session.undo()
