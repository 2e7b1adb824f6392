"""What ``pyiseg batch`` does: select objects in the images of a folder by a list of prompts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyiseg.batch.output_folder import FAILURES
from pyiseg.batch.outputs import FORMATS, OutputOptions
from pyiseg.cli.prompts import add_max_megapixels
from pyiseg.paths import in_one_line, shown_path

INCOMPLETE = 1
"""Exit code where some images failed."""

WRONG = 2
"""Exit code where the list of prompts has wrong entries."""

_MOST_NAMED = 20


def run(options: argparse.Namespace, echo: Callable[[str], None]) -> int:
    """Do what the options say.

    Args:
        options: What `add_to` adds.
        echo: Called with what to tell the user.

    Returns:
        The exit code: 0, `INCOMPLETE` or `WRONG`.

    Raises:
        ValueError, OSError, pyiseg.PyisegError: As from `pyiseg.batch.folder.run_folder`.
    """
    from pyiseg.batch.folder import run_folder
    from pyiseg.batch.prompt_list import WrongPromptsError

    wanted = OutputOptions(
        formats=tuple(dict.fromkeys(options.formats or ("cutout-png",))),
        foreground=options.foreground,
        tolerance=options.tolerance,
        keep_largest=options.keep_largest,
        fill_holes=options.fill_holes,
        grow=options.grow,
        shrink=options.shrink,
        feather=options.feather,
    )
    try:
        outcome = run_folder(
            options.folder,
            options.output,
            options.prompts,
            options=wanted,
            model=options.model,
            device=options.device,
            jobs=options.jobs,
            follow_links=options.follow_links,
            max_pixels=options.max_megapixels,
        )
    except WrongPromptsError as error:
        for line in error.lines:
            print(f"pyiseg: error: {line}", file=sys.stderr)
        print("pyiseg: error: nothing was done; mend the list and run again", file=sys.stderr)
        return WRONG
    for note in outcome.notes:
        echo(f"note: {note}")
    echo(f"done: {_images(len(outcome.done))}, in {shown_path(options.output)}")
    if outcome.kept:
        echo(f"skipped: {_images(len(outcome.kept))}, done by an earlier run")
    if outcome.without_prompts:
        echo(f"without prompts: {_images(len(outcome.without_prompts))}: {_named(outcome.without_prompts)}")
    if outcome.unlistable:
        them = "it" if len(outcome.unlistable) == 1 else "them"
        echo(f"no list can name: {_images(len(outcome.unlistable))}: {_named(outcome.unlistable)}; rename {them} first")
    if outcome.empty:
        names = [f"{image} ({name})" for image, name in outcome.empty]
        echo(f"nothing selected: {len(names)} object{'s' if len(names) > 1 else ''}: {_named(names)}")
    if not outcome.failed:
        return 0
    listed = shown_path(options.output / FAILURES)
    echo(f"failed: {_images(len(outcome.failed))}, listed in {listed}; the same command tries again")
    for failure in outcome.failed[:_MOST_NAMED]:
        echo(f"  {in_one_line(f'{failure.name}: {failure.error}')}")
    if len(outcome.failed) > _MOST_NAMED:
        echo(f"  and {len(outcome.failed) - _MOST_NAMED} more")
    return INCOMPLETE


def add_to(
    commands: Any,
    parents: Sequence[argparse.ArgumentParser],
    path: Callable[[str], Path],
    count: Callable[[str], int],
    echo: Callable[[str], None],
) -> None:
    """Add the command to a command line.

    Args:
        commands: What ``add_subparsers`` gave.
        parents: Parsers with ``--model`` and ``--device``.
        path, count: Turn a text into a path, and a number of at least 1.
        echo: Called with what to tell the user.
    """
    batch = commands.add_parser("batch", parents=parents, help="cut things out of all images of a folder, by a list")
    batch.add_argument("folder", type=path, help="with the images")
    batch.add_argument(
        "-o", "--output", type=path, required=True, metavar="FOLDER", help="to write into; the same command goes on"
    )
    batch.add_argument(
        "--prompts",
        type=path,
        required=True,
        metavar="FILE",
        help="clicks and boxes for each image: CSV with the columns image, x, y, fg, object for clicks and image, x0, "
        "y0, x1, y1, object for boxes; or COCO JSON with boxes",
    )
    batch.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=FORMATS,
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (default: cutout-png; repeat for more)",
    )
    batch.add_argument("--jobs", type=count, default=1, metavar="N", help="images at a time (default: %(default)s)")
    batch.add_argument(
        "--foreground",
        choices=("image", "estimate"),
        default="image",
        help="colors of cut-outs: as they are, or without the old background at soft edges (default: %(default)s)",
    )
    for name, kind, default, told in (
        ("--tolerance", "PIXELS", 1.0, "how far outlines may be from the selection; 0 for exact ones (default: 1)"),
        ("--grow", "PIXELS", 0.0, "make selections larger"),
        ("--shrink", "PIXELS", 0.0, "make them smaller"),
        ("--feather", "PIXELS", 0.0, "soften their edges"),
    ):
        batch.add_argument(name, type=float, default=default, metavar=kind, help=told)
    batch.add_argument("--keep-largest", action="store_true", help="keep the largest connected part of each selection")
    batch.add_argument("--fill-holes", action="store_true", help="fill holes in selections")
    add_max_megapixels(batch)
    batch.add_argument("--follow-links", action="store_true", help="use images that are links out of the folder, too")
    batch.set_defaults(run=lambda options: run(options, echo))


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    # Files of strangers may be called anything, as codes that terminals obey.
    shown = ("".join(char if char.isprintable() else repr(char)[1:-1] for char in name) for name in names[:_MOST_NAMED])
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
