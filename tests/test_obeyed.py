"""Clicked pixels end up as they were clicked, at the image's resolution, unless a later click is on the same one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_device import Devices, both, gpu, on_host
from support.toy_model import build

from pyiseg import Click, Session, load_model, obeyed
from pyiseg.geometry import Rect

__all__ = ["gpu"]  # a fixture

RNG = np.random.default_rng


def checkers(height: int, width: int, side: int) -> np.ndarray[Any, Any]:
    """Squares finer than the grid: what the filter fits there has little to do with single pixels."""
    y, x = np.mgrid[:height, :width]
    return np.repeat((((y // side + x // side) % 2) * 200).astype(np.uint8)[..., None], 3, axis=2)


def close_clicks(height: int, width: int, count: int, seed: int) -> list[Click]:
    """Clicks of either label, many of them some pixels from each other, some at the image's border."""
    r, made = RNG(seed), [Click(width // 2, height // 2, True)]
    for _ in range(count - 1):
        x, y, _ = made[int(r.integers(len(made)))]
        if r.random() < 0.7:
            x, y = x + int(r.integers(-6, 7)), y + int(r.integers(-6, 7))
        else:
            x, y = int(r.choice([0, width - 1, r.integers(width)])), int(r.integers(height))
        made.append(Click(min(max(x, 0), width - 1), min(max(y, 0), height - 1), bool(r.integers(2))))
    return made


def disobeyed(alpha: np.ndarray[Any, Any], clicks: list[Click]) -> list[Click]:
    last = {(x, y): fg for x, y, fg in clicks}
    return [Click(x, y, fg) for (x, y), fg in last.items() if (alpha[y, x] >= 128) != fg]


IMAGES = {
    "checkers": checkers(300, 420, 1),
    "noise": RNG(3).integers(0, 256, (280, 360, 3), dtype=np.uint8),
    "long": checkers(90, 1200, 3),
    "small": checkers(9, 11, 1),
}


@pytest.mark.parametrize("zoom", [True, False], ids=["zooms", "never zooms"])
@pytest.mark.parametrize("name", IMAGES)
def test_every_click_is_obeyed(name: str, zoom: bool) -> None:
    image = IMAGES[name]
    model = load_model() if zoom else dataclasses.replace(load_model(), zoom=None)
    for seed in range(3):
        session, made = Session(image, model=model), list[Click]()
        before = session.alpha
        for click in close_clicks(*image.shape[:2], 10, seed):
            made.append(click)
            alpha = session.click(*click)
            assert disobeyed(alpha, made) == []
            outside = np.ones(alpha.shape, np.bool_)
            outside[session.changed.slices] = False
            np.testing.assert_array_equal(alpha[outside], before[outside])
            before = alpha
        r = RNG(seed)
        for _ in range(8):
            top, left = int(r.integers(alpha.shape[0])), int(r.integers(alpha.shape[1]))
            rect = Rect(top, left, min(top + int(r.integers(1, 30)), alpha.shape[0]), min(left + 9, alpha.shape[1]))
            np.testing.assert_array_equal(session.alpha_in(rect), alpha[rect.slices])


@pytest.mark.parametrize("form", ["averaged", "residual"])
def test_clicks_are_obeyed_in_both_forms_on_every_device(tmp_path: Path, gpu: Devices, form: str) -> None:
    color = {"color": True, "form": "residual", "radius": 1} if form == "residual" else {}
    image = checkers(70, 90, 2)
    cpu, device = both(build(tmp_path / "toy", **color), image)
    made = list[Click]()
    for click in close_clicks(70, 90, 9, 5):
        made.append(click)
        alpha = cpu.click(*click)
        assert disobeyed(alpha, made) == []
        np.testing.assert_array_equal(on_host(device.click_on_device(*click)), alpha)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_only_what_is_near_changes(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    clicks, reach = data.draw(st.lists(pixel, max_size=6)), data.draw(st.floats(0, 4))
    alpha = RNG(data.draw(st.integers(0, 99))).choice(np.array([0, 100, 128, 255], np.uint8), (height, width))
    after = alpha.copy()
    obeyed.obey(after, Rect(0, 0, height, width), clicks, reach)
    assert disobeyed(after, [Click(*click) for click in clicks]) == []
    wrong = disobeyed(alpha, [Click(*click) for click in clicks])
    for y, x in np.argwhere(after != alpha):
        assert any((x - a) ** 2 + (y - b) ** 2 <= reach**2 for a, b, _ in wrong)
        assert after[y, x] in (0, 255)
    again = after.copy()
    obeyed.obey(again, Rect(0, 0, height, width), clicks, reach)
    np.testing.assert_array_equal(again, after)
