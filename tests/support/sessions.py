"""What sessions are asked for in several tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pyiseg import Image, Session
from pyiseg.crop import Clicks, CropPrediction
from pyiseg.crops import Crops
from pyiseg.geometry import Rect


def run_sessions(folder: Path) -> None:
    """Click, undo and redo on images of several sizes."""
    for height, width in ((70, 130), (31, 17), (400, 500)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        session = Session(image, model=folder)
        alphas = [session.click(width // 2, height // 2), session.click(3, 3, fg=False), session.click(width - 1, 2)]
        assert alphas[0].shape == (height, width)
        assert alphas[0][height // 2, width // 2] > 128
        session.undo()
        np.testing.assert_array_equal(session.undo(), alphas[0])
        session.redo()
        np.testing.assert_array_equal(session.redo(), alphas[2])


def predictions(image: Image, clicks: Clicks) -> list[CropPrediction]:
    """What a session predicts for clicks, one after the other."""
    crops, found = Crops(image), list[CropPrediction]()
    for count in range(1, len(clicks) + 1):
        found.append(crops.predict(clicks[:count], found[-1] if found else None))
    return found


def crops_of(session: Session) -> list[Rect]:
    """Where each click in force was predicted, by way of undo and redo."""
    found = []
    for _ in session.clicks:
        found.append(session.crop)
        session.undo()
    for _ in found:
        session.redo()
    return found[::-1]
