"""Contact sheets: some cases of a data set, what was wanted and what was got after some of the clicks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyiseg.drawing import draw_clicks
from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.evaluate import Run
from pyiseg.evaluation.metrics import iou
from pyiseg.files import atomic_write
from pyiseg.model import Model
from pyiseg.paths import printable
from pyiseg.prompts import Click
from pyiseg.session import Session

SHOWN_AFTER = (1, 3, 5)
PANEL = (340, 256)
_GAP, _CAPTION, _TITLE, _FINE = 10, 24, 44, 3
_TINT, _EDGE, _WANTED = (0, 170, 255), (255, 255, 255), (255, 214, 0)
_WHITE, _INK = (255, 255, 255), (30, 30, 30)


def contact_sheet(
    path: Path, title: str, runs: Sequence[Run], cases: Sequence[Case], model: Model, device: str = "cpu"
) -> None:
    """Draw a row for each run: the wanted outline, then the selection after 1, 3, 5 and all clicks, with the clicks.

    The recorded clicks are made again in a new :class:`pyiseg.Session`.

    Args:
        path: PNG to write.
        title: Over the sheet.
        runs: At least one.
        cases: Of the runs, in the same order.
        model, device: What the runs were made with.
    """
    rows = [_row(run, case, model, device) for run, case in zip(runs, cases, strict=True)]
    heights = [max(tile.height for tile, _ in row) + _CAPTION + _GAP for row in rows]
    pitch = _GAP + max(tile.width for row in rows for tile, _ in row)
    bold, plain = _font(20, "bold"), _font(14)
    title = printable(title, 300)
    pitch = max(pitch, _GAP + max(round(plain.getlength(_cut(caption))) for row in rows for _, caption in row))
    width = max(_GAP + pitch * max(len(row) for row in rows), 2 * _GAP + round(bold.getlength(title)))
    sheet = Image.new("RGB", (width, _TITLE + sum(heights) + _GAP), _WHITE)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _TITLE // 2), title, fill=_INK, font=bold, anchor="lm")
    top = _TITLE
    for row, height in zip(rows, heights, strict=True):
        for column, (tile, caption) in enumerate(row):
            left = _GAP + column * pitch
            draw.text((left, top + _CAPTION // 2), _cut(caption), fill=_INK, font=plain, anchor="lm")
            sheet.paste(tile, (left, top + _CAPTION))
        top += height
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _row(run: Run, case: Case, model: Model, device: str) -> list[tuple[Image.Image, str]]:
    """Images with their captions."""
    truth, void = case.truth()
    session = Session(case.image, model=model, device=device)
    row = [(_panel(session.image, truth, (), wanted=True), f"{printable(run.name)}: wanted")]
    clicks = [Click(*click) for click in run.clicks]
    for number, click in enumerate(clicks, 1):
        session.click(*click)
        if number in SHOWN_AFTER or number == len(clicks):
            mask = session.mask
            caption = f"{number} click{'s' * (number > 1)}: IoU {100 * iou(mask, truth, void):.1f} %"
            row.append((_panel(session.image, mask, clicks[:number]), caption))
    return row


def _panel(
    rgb: NDArray[np.uint8], mask: NDArray[np.bool_], clicks: Sequence[Click], wanted: bool = False
) -> Image.Image:
    """Return the image at the panel's size with a mask laid over it; of the ground truth (``wanted``) an outline."""
    height, width = mask.shape
    scale = min(PANEL[0] / width, PANEL[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Drawn large and shrunk in the end, so that lines and discs are smooth.
    fine = _FINE * size[0], _FINE * size[1]
    shown = np.asarray(Image.fromarray(rgb).resize(fine, Image.Resampling.BICUBIC), dtype=np.float32)
    cover = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(fine, Image.Resampling.BILINEAR))
    inside = (cover >= 128).astype(np.uint8)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_FINE + 2, _FINE + 2))
    edge = cv2.dilate(inside, around) != cv2.erode(inside, around)
    if not wanted:
        shown = shown + np.float32(0.45) * inside[..., None] * (np.array(_TINT, np.float32) - shown)
    shown[edge] = _WANTED if wanted else _EDGE
    tile = Image.fromarray(np.rint(shown).astype(np.uint8))
    marks = [((x + 0.5) * fine[0] / width, (y + 0.5) * fine[1] / height, fg) for x, y, fg in clicks]
    draw_clicks(tile, marks[:-1], _FINE * 5)
    draw_clicks(tile, marks[-1:], _FINE * 8)  # the last one is larger
    return tile.resize(size, Image.Resampling.LANCZOS)


def _font(size: int, weight: str = "normal") -> ImageFont.FreeTypeFont:
    """The font that comes with Matplotlib: the same on every machine, and Pillow's own has one size before 10.1."""
    properties = font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    return ImageFont.truetype(font_manager.findfont(properties), size)


def _cut(caption: str) -> str:
    """A caption that does not run into the next one."""
    name, _, rest = caption.rpartition(": ")
    while name and _font(14).getlength(f"{name}…: {rest}") > PANEL[0]:
        name = name[:-1]
    return caption if caption.startswith(f"{name}:") else f"{name}…: {rest}"
