"""Draw docs/prompts.jpg: a click, a box, a scribble and a mask with a click, and what each selects.

    python -m tools.prompt_pictures docs/prompts.jpg

The photograph is the one that `pyiseg demo` shows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

import pyiseg
from pyiseg.demo import PHOTO
from pyiseg.drawing import draw_clicks, over_checkerboard
from pyiseg.prompts import Box, Click, Mask, Scribble

WIDTH = 440  # of a panel, pixels
_GREEN, _BLUE = (40, 200, 80), np.array([60, 120, 255], np.float32)


def panel(session: pyiseg.Session) -> npt.NDArray[np.uint8]:
    """Return the image with its prompts over the cut-out, RGB, uint8."""
    rgb = session.image.astype(np.float32)
    for prompt in session.prompts:
        if isinstance(prompt, Mask):
            tint = prompt.alpha[..., None] / np.float32(510)
            rgb = rgb * (1 - tint) + _BLUE * tint
    shown = Image.fromarray(rgb.astype(np.uint8))
    scale = WIDTH / shown.width
    shown = shown.resize((WIDTH, round(shown.height * scale)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(shown)
    for prompt in session.prompts:
        if isinstance(prompt, Box):
            draw.rectangle([scale * value for value in prompt], outline=_GREEN, width=4)
        elif isinstance(prompt, Scribble):
            draw.line([(scale * x, scale * y) for x, y in prompt.points], fill=_GREEN, width=6)
        elif isinstance(prompt, Click):
            draw_clicks(shown, [(scale * prompt.x, scale * prompt.y, prompt.fg)], radius=11)
    cutout = session.cutout(foreground="estimate")
    small = Image.fromarray(cutout).resize(shown.size, Image.Resampling.LANCZOS)
    rgba = np.asarray(small)
    gap = np.full((8, WIDTH, 3), 255, np.uint8)
    return np.concatenate([np.asarray(shown), gap, over_checkerboard(rgba[..., :3], rgba[..., 3])])


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    image = pyiseg.Image(PHOTO)
    whole = pyiseg.Session(image)
    whole.click(850, 620)
    half = whole.mask & (np.arange(whole.shape[1]) < 850)
    sessions = [pyiseg.Session(image), pyiseg.Session(image), pyiseg.Session(image), pyiseg.Session(image, mask=half)]
    sessions[0].click(850, 620)
    rows, columns = np.nonzero(whole.mask)
    sessions[1].box(columns.min(), rows.min(), columns.max(), rows.max())
    sessions[2].scribble([(420, 420), (700, 560), (1150, 620)])
    sessions[3].click(1000, 700)
    gap = np.full((1, 8, 3), 255, np.uint8)
    panels = [panel(session) for session in sessions]
    gaps = np.repeat(gap, panels[0].shape[0], axis=0)
    row = [part for one in panels for part in (one, gaps)][:-1]
    Image.fromarray(np.concatenate(row, axis=1)).save(options.output, quality=85)


if __name__ == "__main__":
    main()
