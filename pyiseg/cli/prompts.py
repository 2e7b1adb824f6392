"""What ``pyiseg cut`` is told to select: clicks, boxes and scribbles, from nothing, from a mask or a saved session."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from pyiseg import Session
from pyiseg.prompts import Box, Click, Scribble

FileType = Callable[[str], Path]


def add_to(cut: argparse.ArgumentParser, path: FileType) -> None:
    """Add the options to the parser of a command.

    Args:
        cut: The parser. What is given comes as ``prompts``, ``mask``, ``session`` ``save_session`` and
            ``max_megapixels``, in pixels.
        path: Turns a text into a path.
    """
    for name, kind, form, told in (
        (
            *("--click", _click, "X,Y[,bg]"),
            "pixel to click on, from the top left; with ,bg to remove what is there (repeat for more clicks)",
        ),
        ("--box", _box, "X0,Y0,X1,Y1", "two opposite corners of a box around what is wanted"),
        (
            *("--scribble", _scribble, "'X,Y X,Y …[ bg]'"),
            "a line over what is wanted, or with bg at its end over what is not",
        ),
    ):
        # All into one list, which so keeps their order.
        cut.add_argument(name, dest="prompts", type=kind, action="append", metavar=form, help=told)
    cut.add_argument(
        "--mask", type=path, metavar="FILE", help="mask to begin with: an image of the same size, white where selected"
    )
    cut.add_argument("--session", type=path, metavar="FILE", help="go on from what --save-session wrote")
    add_max_megapixels(cut)
    cut.add_argument("--save-session", type=path, metavar="FILE", help="write clicks and all that was done, to go on")


def check(options: argparse.Namespace) -> None:
    """Refuse options that say nothing, or two things at once.

    Raises:
        ValueError: Nothing says what to select, or two options say what to begin with.
    """
    if not (options.prompts or options.mask or options.session):
        raise ValueError(
            "nothing says what to select; add --click X,Y, --box X0,Y0,X1,Y1, --scribble 'X,Y X,Y', --mask FILE or "
            "--session FILE"
        )
    if options.mask and options.session:
        raise ValueError("--mask and --session both say what to begin with; give one of them")


def begin(options: argparse.Namespace) -> Session:
    """Make the session that the options begin with."""
    given = {"model": options.model, "device": options.device, "max_pixels": options.max_megapixels}
    if options.session is not None:
        return Session.load(options.session, options.image, **given)
    return Session(options.image, mask=options.mask, **given)


def make_all(session: Session, options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Make the prompts in the order they were given, and print what each took."""
    for number, prompt in enumerate(options.prompts or (), 1):
        start = time.perf_counter()
        if isinstance(prompt, Box):
            session.box(*prompt)
            told = f"box {number} ({prompt.x0}, {prompt.y0}, {prompt.x1}, {prompt.y1}) selects"
        elif isinstance(prompt, Scribble):
            session.scribble(prompt.points, prompt.fg)
            told = f"scribble {number} ({len(prompt.points)} points) {_does(prompt.fg)}"
        else:
            session.click(*prompt)
            told = f"click {number} ({prompt.x}, {prompt.y}) {_does(prompt.fg)}"
        say(f"{told}: {1000 * (time.perf_counter() - start):.0f} ms")


def add_max_megapixels(command: argparse.ArgumentParser) -> None:
    """Add the limit to the size of images; what is parsed is in pixels."""
    command.add_argument(
        "--max-megapixels", type=_pixels, metavar="N", help="refuse larger images before decoding them (default: 179)"
    )


def _does(fg: bool) -> str:
    return "selects" if fg else "removes"


def _pixels(text: str) -> int:
    """A number of megapixels as pixels."""
    try:
        pixels = float(text) * 1e6
        if pixels >= 1:
            return int(pixels)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of megapixels greater than 0, as in 100")


def _click(text: str) -> Click:
    fields = text.split(",")
    label = fields.pop().strip() if len(fields) == 3 else "fg"
    try:
        x, y = map(int, fields)
        return Click(x, y, {"fg": True, "bg": False}[label])
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"'{text}' is not X,Y or X,Y,bg with whole numbers, as in 320,240") from None


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = map(int, text.split(","))
        return Box(x0, y0, x1, y1)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not X0,Y0,X1,Y1 with whole numbers, as in 100,80,420,400"
        ) from None


def _scribble(text: str) -> Scribble:
    words = text.split()
    label = words.pop() if words and words[-1] in ("fg", "bg") else "fg"
    try:
        points = []
        for word in words:
            x, y = map(int, word.split(","))
            points.append((x, y))
        if not points:
            raise ValueError("no point")
        return Scribble(tuple(points), label == "fg")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not 'X,Y X,Y …' with whole numbers and perhaps bg, as in '100,80 150,90 bg'"
        ) from None
