"""Pictures that show what a session did, and the session that `pyiseg demo` shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pyiseg.session import Click, Session

PHOTO = Path(__file__).resolve().parent / "assets" / "cat.jpg"
CLICKS = (Click(225, 120, True), Click(130, 270, True), Click(370, 240, False))

_GREEN, _RED, _WHITE = (40, 200, 80), (230, 50, 50), (255, 255, 255)


def side_by_side(session: Session) -> npt.NDArray[np.uint8]:
    """The image with its clicks, the matte, and the cut-out over a checkerboard, from left to right.

    Returns:
        RGB, uint8, shape (H, 3 W + 2 gap, 3). Fresh.
    """
    height, width = session.shape
    alpha = session.alpha
    gap = np.full((height, max(1, width // 50), 3), 255, dtype=np.uint8)
    matte = np.repeat(alpha[..., None], 3, axis=2)
    parts = (with_clicks(session.image, session.clicks), gap, matte, gap, over_checkerboard(session.image, alpha))
    return np.concatenate(parts, axis=1)


def with_clicks(rgb: npt.NDArray[np.uint8], clicks: Sequence[Click]) -> npt.NDArray[np.uint8]:
    """The image with a mark at each click: a green disc with a plus where it selects, red with a minus where not."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    radius = max(3, max(rgb.shape[:2]) // 60)
    stroke, arm = max(1, radius // 4), radius // 2
    for x, y, fg in clicks:
        disc = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(disc, fill=_GREEN if fg else _RED, outline=_WHITE, width=stroke)
        draw.line((x - arm, y, x + arm, y), fill=_WHITE, width=stroke)
        if fg:
            draw.line((x, y - arm, x, y + arm), fill=_WHITE, width=stroke)
    return np.array(picture)


def over_checkerboard(rgb: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The image over gray squares where alpha lets them through: alpha * image + (1 - alpha) * squares."""
    height, width = alpha.shape
    square = max(4, max(height, width) // 40)
    odd = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
    squares = np.where(odd, np.float32(200), np.float32(150))[..., None]
    opacity = alpha[..., None] / np.float32(255)
    shown: npt.NDArray[np.uint8] = np.rint(rgb * opacity + squares * (1 - opacity)).astype(np.uint8)
    return shown
