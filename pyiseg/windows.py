"""Windows of long and narrow images: geometry alone.

Of an image that is much longer than wide the network would see a strip of a few dozen pixels. It is given a window
around the clicks instead. What lies outside of the window keeps the alpha that it had (`pyiseg.kept`).
"""

from __future__ import annotations

from pyiseg.geometry import Rect

# Longer than this many times its short side, an image is predicted on in windows (docs/decisions/0016).
_LONG = 6
# Length of a window, and of one that has to hold a long selection, or one and a click beside it, in short sides ...
_USUAL, _MOST = 3, 6
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
    upright, (usual, most) = shape[0] > shape[1], _lengths(shape)
    length, at = max(shape), click[1] if upright else click[0]
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
    return _around(shape, start, end, max(usual, end - start))


def window_around(shape: tuple[int, int], wanted: Rect) -> Rect:
    """Return a window that holds all of a rectangle, however long that is, with a margin where there is room.

    Args:
        shape: Height and width of the image, which is long.
        wanted: The rectangle.
    """
    usual, _ = _lengths(shape)
    start, end = _span(wanted, shape[0] > shape[1])
    return _around(shape, start, end, min(max(shape), max(usual, end - start + 2 * int(_MARGIN * usual))))


def widen(shape: tuple[int, int], current: Rect, selection: Rect, click: tuple[int, int]) -> Rect:
    """Return the longest window, for a selection that reaches an end of its window that is not the image's.

    Args:
        shape: Height and width of the image, which is long.
        current: The window.
        selection: The rectangle around what is selected in it.
        click: Column and row of the click in it.

    Returns:
        A window around the selection and the click; the current one if that is as long.
    """
    upright, (_, most) = shape[0] > shape[1], _lengths(shape)
    if max(current.shape) >= most:
        return current
    start, end = _span(selection.with_pixel(*click), upright)
    return _around(shape, start, end, most)


def _lengths(shape: tuple[int, int]) -> tuple[int, int]:
    """Return how long windows are usually, and at most."""
    usual, most = (min(max(shape), max(n * min(shape), _LEAST)) for n in (_USUAL, _MOST))
    return usual, most


def _around(shape: tuple[int, int], start: int, end: int, size: int) -> Rect:
    """Return the window of a size with a part of the image in its middle, as far as the image goes."""
    begin = min(max(0, (start + end - size) // 2), max(shape) - size)
    if shape[0] > shape[1]:
        return Rect(begin, 0, begin + size, shape[1])
    return Rect(0, begin, shape[0], begin + size)


def _span(rect: Rect, upright: bool) -> tuple[int, int]:
    return (rect.top, rect.bottom) if upright else (rect.left, rect.right)
