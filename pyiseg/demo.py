"""The session that `pyiseg demo` shows, and the image that shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pyiseg.drawing import draw_clicks, over_checkerboard
from pyiseg.prompts import Click
from pyiseg.session import Session

PHOTO = Path(__file__).resolve().parent / "assets" / "otter.jpg"
CLICKS = (Click(850, 620, True), Click(1240, 680, False))  # the otter; not the grass before it


def side_by_side(session: Session) -> npt.NDArray[np.uint8]:
    """The image with its clicks, the matte, and the cut-out over a checkerboard, from left to right.

    Returns:
        RGB, uint8, shape (H, 3 W + 2 gap, 3). Fresh.
    """
    from PIL import Image

    height, width = session.shape
    alpha, cutout = session.alpha, session.cutout()
    clicked = Image.fromarray(session.image)
    draw_clicks(clicked, session.clicks, radius=max(3, max(height, width) // 60))
    gap = np.full((height, max(1, width // 50), 3), 255, dtype=np.uint8)
    matte = np.repeat(alpha[..., None], 3, axis=2)
    parts = (np.array(clicked), gap, matte, gap, over_checkerboard(cutout[..., :3], cutout[..., 3]))
    return np.concatenate(parts, axis=1)
