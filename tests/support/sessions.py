"""What any model folder must do in a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pyiseg import Session


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
