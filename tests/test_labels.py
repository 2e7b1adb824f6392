"""labels.py: several selections as one map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.toy_model import PHOTO, photo

import pyiseg
from pyiseg import Session


def masked(toy: Path, alpha: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Session:
    return Session(PHOTO, model=toy, mask=alpha)


def test_the_stronger_alpha_has_the_pixel(toy: Path) -> None:
    one, two, three = (np.zeros(PHOTO.shape[:2], np.uint8) for _ in range(3))
    one[:20, :40], two[:, 30:50], three[10:, :60] = 200, 255, 200
    two[0, 35] = 200  # a tie: the first one has it
    three[-1, -1] = 127  # not selected
    labels = pyiseg.label_map([masked(toy, one), masked(toy, two), masked(toy, three)])
    assert labels.dtype == np.uint16
    assert labels.shape == PHOTO.shape[:2]
    assert labels[0, 0] == 1
    assert labels[0, 35] == 1
    assert labels[5, 35] == 2
    assert labels[15, 5] == 1
    assert labels[30, 5] == 3
    assert labels[30, 45] == 2
    assert labels[-1, -1] == 0
    assert set(np.unique(labels)) == {0, 1, 2, 3}


def test_labels_of_clicks_on_one_image(toy: Path) -> None:
    image = pyiseg.Image(PHOTO, model=toy)
    sessions = Session(image), Session(image)
    sessions[0].click(20, 20)
    sessions[1].click(70, 45)
    labels = pyiseg.label_map(iter(sessions))
    assert labels[20, 20] == 1
    assert labels[45, 70] == 2
    for label, session in enumerate(sessions, 1):
        assert not (labels == label)[~session.mask].any()


def test_what_has_no_labels_is_refused(toy: Path) -> None:
    with pytest.raises(ValueError, match="there are 0 sessions"):
        pyiseg.label_map([])
    session = Session(PHOTO, model=toy)
    with pytest.raises(ValueError, match=r"pass a list of them, \[session\]"):
        pyiseg.label_map(session)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sessions\[0\] is a ndarray; pass the sessions themselves"):
        pyiseg.label_map([session.alpha])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"sessions\[1\] is of 30 x 20 pixels, sessions\[0\] of"):
        pyiseg.label_map([Session(PHOTO, model=toy), Session(photo(20, 30), model=toy)])
