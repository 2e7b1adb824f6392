"""What ``pyiseg benchmark`` does: the arguments, the files and what is printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyiseg.cli import outputs
from pyiseg.cli.console import needs_extra
from pyiseg.interrupts import CODE as INTERRUPTED

if TYPE_CHECKING:
    from pyiseg.benchmark.peers import Peer

DEFAULT_SIZES = ("640x480", "2", "12", "50")


def benchmark(options: argparse.Namespace, echo: Callable[[str], None]) -> int:
    """Measure this machine and print a table.

    Args:
        options: ``sizes``, ``repeat``, ``model``, ``device``, ``peers``, ``mobile_sam`` (two paths or None), ``output``
            and ``plot``, each a path or None.
        echo: Called with what to tell the user.

    Returns:
        The exit code: 0, or :data:`INTERRUPTED` after Ctrl-C, once what was measured so far is printed and written.

    Raises:
        ValueError, OSError, pyiseg.PyisegError: Something cannot be measured or written.
    """
    # Here, as other commands need none of it.
    from pyiseg.benchmark import run, scenes, table
    from pyiseg.benchmark.machine import write_json

    _check_files(options.output, options.plot)
    sizes = list(dict.fromkeys(scenes.parse_size(text) for text in options.sizes))
    peers = _peers(options) if options.peers or options.mobile_sam else []
    settings = run.Settings(sizes, options.repeat, options.model, options.device, peers, options.mobile_sam)
    result = run.begin(settings)

    def keep() -> None:
        if options.output is not None:
            # As on a full disk: it is tried again at the end, and told there, with all that was measured.
            with suppress(OSError):
                write_json(options.output, result)

    code = 0
    try:
        run.run(settings, result, _progress, keep)
    except KeyboardInterrupt:
        echo("interrupted; this is what was measured so far")
        code = INTERRUPTED
    echo(table.text(result))
    timed = any("times" in found for entry in result["sizes"] for found in entry["methods"].values())

    def draw(path: Path) -> None:
        from pyiseg.benchmark.plots import latency_plot

        latency_plot(path, result)

    plot = options.plot if timed else None
    outputs.write_all([(options.output, lambda path: write_json(path, result)), (plot, draw)], echo)
    return code


def add_to(commands: Any, parents: list[argparse.ArgumentParser], path: Callable[[str], Path], echo: Any) -> None:
    """Add the command to a command line.

    Args:
        commands: What ``add_subparsers`` gave.
        parents: Parent parsers with ``--model`` and ``--device``.
        path: Turns an argument into a path.
        echo: Called with what to tell the user.
    """
    parser = commands.add_parser("benchmark", parents=parents, help="measure times and memory on this machine")
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=list(DEFAULT_SIZES),
        metavar="SIZE",
        help="of the images: WIDTHxHEIGHT, or megapixels (default: " + " ".join(DEFAULT_SIZES) + ")",
    )
    parser.add_argument(
        "--repeat", type=int, default=7, metavar="N", help="rounds, after one to warm up (default: %(default)s)"
    )
    parser.add_argument("--peers", action="store_true", help="beside OpenCV's GrabCut, turn by turn")
    parser.add_argument(
        "--mobile-sam",
        nargs=2,
        type=path,
        metavar=("ENCODER", "DECODER"),
        help="and beside a MobileSAM pair: its two ONNX files, which do not come along (docs/benchmark.md)",
    )
    parser.add_argument("-o", "--output", type=path, metavar="FILE", help="the result as JSON")
    parser.add_argument("--plot", type=path, metavar="FILE", help="latency against megapixels, as PNG")
    parser.set_defaults(run=lambda options: benchmark(options, echo))


def _check_files(output: Path | None, plot: Path | None) -> None:
    """Refuse now what would fail after minutes of measuring."""
    for file, suffix, what in ((output, ".json", "a result"), (plot, ".png", "a plot")):
        if file is not None:
            outputs.file(file, suffix, what)
    if plot is not None:
        with needs_extra("benchmark --plot"):
            import cv2  # noqa: F401  # what draws comes with the evaluation
            import matplotlib  # noqa: F401


def _peers(options: argparse.Namespace) -> list[Peer]:
    from pyiseg.benchmark import methods

    with needs_extra("benchmark --peers"):
        return methods.peers(options.mobile_sam and tuple(options.mobile_sam))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
