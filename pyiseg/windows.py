"""Windows of long and narrow images: geometry alone.

Of an image that is much longer than wide the network would see a strip of a few dozen pixels. It is given a window
around the clicks instead. What lies outside of the window keeps the alpha that it had (`pyiseg.kept`).
"""

from __future__ import annotations

from pyiseg.geometry import Rect

# Longer than this many times its short side, an image is predicted on in windows (docs/decisions/0016).
_LONG = 6
# Length of a window, and of one that has to hold a selection and a click beside it, in short sides ...
_USUAL, _MOST = 2, 4
# ... and at least this many pixels.
_LEAST = 64
# A click needs this share of the usual length between itself and an end of its window that is not the image's.
_MARGIN = 1 / 8


def is_long(shape: tuple[int, int]) -> bool:
    """Return whether an image of a height and width is predicted on in windows."""
    return max(shape) > max(_LONG * min(shape), _LEAST)


def choose_window(shape: tuple[int, int], current: Rect | None, selection: Rect | None, click: tuple[int, int]) -> Rect:
    """Return the window to predict on for a new click.

    Args:
        shape: Height and width of the image, which is long.
        current: The window of the click before; None for the first click.
        selection: The rectangle around what is selected in that window; None where nothing is.
        click: Column and row of the new click.

    Returns:
        The current window if the click lies well inside; else one around the click and the selection where that is not
        too long; else one around the click alone.
    """
    upright = shape[0] > shape[1]
    length, short, at = max(shape), min(shape), click[1] if upright else click[0]
    usual, most = (min(length, max(n * short, _LEAST)) for n in (_USUAL, _MOST))
    margin = int(_MARGIN * usual)
    start, end = max(0, at - margin), min(length, at + 1 + margin)
    if current is not None:
        first, last = _span(current, upright)
        if first <= start and end <= last:
            return current
        if selection is not None:
            first, last = _span(selection, upright)
            if max(end, last) - min(start, first) <= most:
                start, end = min(start, first), max(end, last)
    size = max(usual, end - start)
    begin = min(max(0, (start + end - size) // 2), length - size)
    return Rect(begin, 0, begin + size, short) if upright else Rect(0, begin, short, begin + size)


def _span(rect: Rect, upright: bool) -> tuple[int, int]:
    return (rect.top, rect.bottom) if upright else (rect.left, rect.right)
