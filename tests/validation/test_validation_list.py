"""How the validation list was made, on toy data. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from support.toy_list import PHOTO, committed

from export import validation_list


def draw(kind: str) -> np.ndarray:
    mask = np.zeros((200, 300), np.uint8)
    if kind == "disc":
        cv2.circle(mask, (150, 100), 60, 1, -1)
    elif kind == "square":
        mask[50:150, 50:150] = 1
    elif kind == "bar":
        mask[100:110, 10:290] = 1
    elif kind == "line":
        mask[100, 10:290] = 1
    elif kind == "discs":
        for x in range(20, 300, 40):
            cv2.circle(mask, (x, 100), 15, 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        ("disc", 4 / 3 / np.pi**0.5),
        ("square", 2 / 3),
        ("bar", (10 / 280) ** 0.5),
        # An odd number of pixels, w, counts as w + 1 / w.
        ("line", 2 / 280**0.5),
        # Several objects are judged one by one: many discs are not thin.
        ("discs", 4 / 3 / np.pi**0.5),
    ],
)
def test_slenderness(kind: str, width: float) -> None:
    assert validation_list.slenderness(draw(kind)) == pytest.approx(width, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "slices"), [("disc", []), ("bar", ["thin"]), ("line", ["small", "thin"]), ("discs", [])]
)
def test_slices_by_shape(kind: str, slices: list[str]) -> None:
    assert validation_list.shape_slices(draw(kind)) == slices


def test_objects_that_touch_are_not_wanted_as_one() -> None:
    index = np.zeros((40, 100), np.uint8)
    for i in range(6):
        # 1 and 2 touch, 3 begins two pixels from 2, 4 to 6 stand apart.
        left = (0, 12, 26, 48, 64, 80)[i]
        index[10:30, left : left + 12] = i + 1
    index[:5, :5] = 7
    assert validation_list.apart(index, [1, 2, 3, 4, 5, 6, 7], 9) == [1, 3, 4, 5, 6]
    assert validation_list.apart(index, [2, 3, 7, 5], 9) == [2, 5]
    assert validation_list.apart(index, [1, 2, 3, 4, 5, 6], 2) == [1, 3]


def test_the_list_is_made_of_what_training_keeps_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data.build(tmp_path)
    monkeypatch.setattr(sys, "argv", ["validation_list", str(data), "--out", str(tmp_path / "list.jsonl")])
    validation_list.main()
    first, *graphics = map(json.loads, (tmp_path / "list.jsonl").read_text().splitlines())
    assert first == PHOTO | {"slices": []}
    assert graphics == [entry for entry in committed() if entry["source"] == "graphics"]
