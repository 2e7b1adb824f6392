"""The command line, ``pyiseg COMMAND``: cut, batch, demo, evaluate, report, engines, benchmark, serve and info.

Errors are one line on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import pyiseg
from pyiseg import Click, Session, backend, images
from pyiseg.cli import batch as batch_cli
from pyiseg.cli import benchmark as benchmark_cli
from pyiseg.cli import engines as engines_cli
from pyiseg.cli import outputs as outputs_cli
from pyiseg.cli import prompts as prompts_cli
from pyiseg.cli import serve as serve_cli
from pyiseg.cli.console import Interruption, needs_extra, say_error
from pyiseg.cli.wording import for_command_line
from pyiseg.interrupts import CODE as INTERRUPTED
from pyiseg.paths import in_one_line, local_path, quoted, shown_path
from pyiseg.settings import check_num_threads
from pyiseg.streams import streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: As on the command line, without the program's name; None takes the program's own.

    Returns:
        The exit code: 0, or 1 where all but some images are done (batch, evaluate), 2 after an error, 130 after Ctrl-C.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # in the moment between a command's end and this one's
        say_error("interrupted")
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    with streams(), Interruption() as interruption:
        try:
            options = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
            check_num_threads()
            return options.run(options) or 0
        except BaseException as error:
            # What Ctrl-C meets may make another error of it: an import that fails, an error of a library.
            if interruption.asked or isinstance(error, KeyboardInterrupt):
                interruption.end()  # a second one must not end the process another way
                say_error("interrupted")
                return INTERRUPTED
            if isinstance(error, MemoryError):
                say_error("error: not enough memory for this image; shrink it first")
            elif isinstance(error, (pyiseg.PyisegError, ValueError, OSError)):
                say_error(f"error: {error}")
            else:
                raise
            return 2


def _cut(options: argparse.Namespace) -> None:
    outputs = [outputs_cli.image(path) for path in (options.output, options.alpha) if path is not None]
    if not outputs and options.save_session is None:
        raise ValueError(
            "nothing to write; name the cut-out with -o cut.png, the matte with --alpha alpha.png, or both"
        )
    if options.decontaminate and options.output is None:
        raise ValueError("--decontaminate is for the cut-out, and none is written; name it with -o cut.png")
    prompts_cli.check(options)
    if options.save_session is not None:
        outputs.append(outputs_cli.session(options.save_session))
    # An input that does not exist equals nothing, and is refused with a better message below.
    for given in (options.image, options.mask):
        if given is not None and given.exists() and any(path.exists() and path.samefile(given) for path in outputs):
            raise ValueError(f"{quoted(given)} would be overwritten; choose another name for the output")
    twice = next((path for i, path in enumerate(outputs) if path.resolve() in [p.resolve() for p in outputs[:i]]), None)
    if twice is not None:
        raise ValueError(f"two of -o, --alpha and --save-session both name {quoted(twice)}; choose different names")
    session = _opened(options, prompts_cli.begin)
    prompts_cli.make_all(session, options, _say)
    foreground = "estimate" if options.decontaminate else "image"
    outputs_cli.write_all(
        [
            (options.save_session, session.save),
            (options.output, lambda path: images.write(path, session.cutout(foreground=foreground))),
            (options.alpha, lambda path: images.write(path, session.alpha)),
        ],
        _say,
    )


def _demo(options: argparse.Namespace) -> None:
    from pyiseg import demo

    cutout, shown = outputs_cli.images_in(options.output, "cutout.png", "demo.png")
    session = _opened(options, lambda given: Session(demo.PHOTO, model=given.model, device=given.device))
    _click_all(session, demo.CLICKS)
    cutout.parent.mkdir(parents=True, exist_ok=True)
    outputs_cli.write_all(
        [
            (cutout, lambda path: images.write(path, session.cutout())),
            (shown, lambda path: images.write(path, demo.side_by_side(session))),
        ],
        _say,
    )


def _evaluate(options: argparse.Namespace) -> int:
    with needs_extra(options.command):
        from pyiseg.cli import evaluate as command

        return command.run(options, _say)


def _report(options: argparse.Namespace) -> int:
    with needs_extra(options.command):
        from pyiseg.cli import evaluate as command

        return command.compare(options, _say)


def _info(options: argparse.Namespace) -> None:
    _say(f"pyiseg   {pyiseg.__version__}")
    _say(f"devices  {', '.join(pyiseg.available_devices())}")
    for label, text in backend.cuda_state():
        _say(f"{label:8} {text}")
    model = pyiseg.load_model(options.model)
    _say(f"model    {in_one_line(model.name)}: {in_one_line(model.description)}")
    _say(f"licence  {in_one_line(model.licence)}")
    _say(f"folder   {shown_path(model.folder)}")
    _say(f"size     {sum(map(len, model.files.values())) / 1e6:.1f} MB")
    for key, value in model.training.items():
        # A whole configuration is for programs, which find it in model.json, and so is what is long.
        nested = isinstance(value, dict) and any(isinstance(inner, (dict, list)) for inner in value.values())
        shown = "see model.json" if nested else value if isinstance(value, str) else json.dumps(value)
        short = shown if len(shown) <= 80 else f"{shown[:80]}… (see model.json)"
        _say(f"training {in_one_line(key)}: {in_one_line(short)}")


def _opened(options: argparse.Namespace, begin: Callable[[argparse.Namespace], Session]) -> Session:
    start = time.perf_counter()
    session = begin(options)
    height, width = session.shape
    _say(f"image   {width} x {height}, on {session.device}: {_milliseconds(start)} with loading the model")
    return session


def _click_all(session: Session, clicks: Iterable[Click]) -> None:
    for number, (x, y, fg) in enumerate(clicks, 1):
        start = time.perf_counter()
        session.click(x, y, fg)
        _say(f"click {number} ({x}, {y}) {'selects' if fg else 'removes'}: {_milliseconds(start)}")


def _say(text: str) -> None:
    """Print a line. That nobody reads on is no reason to lose an image."""
    try:
        print(text, flush=True)
    except OSError:  # or the disk is full that it goes to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _milliseconds(start: float) -> str:
    return f"{1000 * (time.perf_counter() - start):.0f} ms"


def _path(text: str) -> Path:
    try:
        return local_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join options with values that begin as negative numbers do: argparse takes -5,120 for an option of its own."""
    joined: list[str] = []
    for text in arguments:
        if joined and "--" not in joined and re.match(r"-\.?\d", text) and re.fullmatch(r"--?[a-z][a-z-]*", joined[-1]):
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage that argparse puts before it."""
        self.exit(2, f"pyiseg: error: {in_one_line(for_command_line(message))} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pyiseg", description="Select things in images by clicking on them.")
    parser.add_argument("--version", action="version", version=f"pyiseg {pyiseg.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    model = _Parser(add_help=False)
    model.add_argument("--model", default="default", metavar="FOLDER", help="model folder (default: the bundled one)")
    device = _Parser(add_help=False)
    device.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or auto (default: cpu)")

    cut = commands.add_parser("cut", parents=[model, device], help="cut something out of an image")
    cut.add_argument("image", type=_path, help="the image")
    prompts_cli.add_to(cut, _path)
    suffixes = ", ".join(images.LOSSLESS)
    cut.add_argument("-o", "--output", type=_path, metavar="FILE", help=f"cut-out with transparency ({suffixes})")
    cut.add_argument("--alpha", type=_path, metavar="FILE", help=f"matte in gray, 255 where selected ({suffixes})")
    cut.add_argument(
        "--decontaminate", action="store_true", help="take the old background out of the cut-out's soft edges"
    )
    cut.set_defaults(run=_cut)

    demo = commands.add_parser("demo", parents=[model, device], help="try it on a photograph that comes along")
    demo.add_argument(
        "-o", "--output", type=_path, default=Path("pyiseg-demo"), metavar="FOLDER", help="(default: %(default)s)"
    )
    demo.set_defaults(run=_demo)

    evaluate = commands.add_parser("evaluate", parents=[model, device], help="let a robot user click on a data set")
    evaluate.add_argument(
        "dataset", choices=("grabcut", "berkeley", "sbd", "davis", "folder"), help="how the folder is laid out"
    )
    evaluate.add_argument(
        "folder", type=_path, help="of the data set: images/ and masks/; sbd and davis have their own"
    )
    evaluate.add_argument(
        "-o", "--output", type=_path, metavar="FILE", help="JSON with every case; a run that was interrupted goes on"
    )
    evaluate.add_argument("--report", type=_path, metavar="FOLDER", help="for tables, plots and contact sheets")
    evaluate.add_argument("--clicks", type=_count, default=20, metavar="N", help="at most (default: %(default)s)")
    evaluate.add_argument(
        "--robot",
        choices=("forte", "ritm"),
        default="forte",
        help="who clicks: in the largest wrong region, or deepest in all that is wrong (default: %(default)s)",
    )
    evaluate.add_argument("--jobs", type=_count, default=1, metavar="N", help="images at a time (default: %(default)s)")
    evaluate.set_defaults(run=_evaluate, command="evaluate")

    report = commands.add_parser("report", parents=[model, device], help="compare evaluations in tables and plots")
    report.add_argument("reports", type=_path, nargs="+", metavar="FILE", help="what evaluate -o wrote")
    report.add_argument(
        "-o", "--output", type=_path, required=True, metavar="FOLDER", help="for report.md and its images"
    )
    report.add_argument(
        "--images", type=_path, metavar="FOLDER", help="of the data set, to draw contact sheets too (of one report)"
    )
    report.set_defaults(run=_report, command="report")

    batch_cli.add_to(commands, [model, device], _path, _count, _say)

    engines_cli.add_to(commands, model, _say)
    benchmark_cli.add_to(commands, [model, device], _path, _say)

    serve_cli.add_to(commands, model, device, _path, _say)

    info = commands.add_parser("info", parents=[model], help="show version, devices and model")
    info.set_defaults(run=_info)
    return parser
