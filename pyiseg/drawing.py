"""Drawing on images: marks of clicks, and a cut-out over a checkerboard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

_GREEN, _RED, _WHITE = (40, 200, 80), (230, 50, 50), (255, 255, 255)


def draw_clicks(image: Image.Image, clicks: Iterable[tuple[float, float, bool]], radius: int) -> None:
    """Mark clicks in place: a green disc with a plus where one selects, else red with a minus.

    Args:
        image: RGB, drawn upon.
        clicks: (x, y, fg), in its pixels.
        radius: Of the discs, pixels, at least 1.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    stroke, arm = max(1, radius // 4), radius // 2
    for x, y, fg in clicks:
        disc = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(disc, fill=_GREEN if fg else _RED, outline=_WHITE, width=stroke)
        draw.line((x - arm, y, x + arm, y), fill=_WHITE, width=stroke)
        if fg:
            draw.line((x, y - arm, x, y + arm), fill=_WHITE, width=stroke)


def over_checkerboard(rgb: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Lay an image over gray squares: alpha * image + (1 - alpha) * squares.

    Args:
        rgb: Shape (H, W, 3).
        alpha: Shape (H, W), 255 for opaque.

    Returns:
        RGB, uint8, shape (H, W, 3). Fresh.
    """
    height, width = alpha.shape
    square = max(4, max(height, width) // 40)
    odd = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
    squares = np.where(odd, np.float32(200), np.float32(150))[..., None]
    opacity = alpha[..., None] / np.float32(255)
    shown: npt.NDArray[np.uint8] = np.rint(rgb * opacity + squares * (1 - opacity)).astype(np.uint8)
    return shown
