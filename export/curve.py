"""Draw a training log: IoU after each click and loss, against images seen; and validations, if the run has any.

python -m export.curve runs/compact curve.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from export.cli import run_main
from export.training.validations import LINES
from pyiseg.files import atomic_write, read_json_lines

# With fewer points than this a line alone may not be seen.
FEW = 20


def plot(log: Path, out: Path, window: int = 5) -> None:
    """Plot the curve; each point is the mean of some neighboring lines of the log, one line a minute.

    Args:
        log: ``log.jsonl`` of a run, or the run's folder.
        out: File to write; its suffix says which kind.
        window: Lines that are averaged, as far as there are so many.

    Raises:
        ValueError: The log has no line of a training run, or images of this kind cannot be written.
        OSError: A file cannot be read or written.
    """
    log = log / "log.jsonl" if log.is_dir() else log
    lines, validations = _lines(log), _validations(log.with_name(LINES))
    columns = 3 if validations else 2
    figure, (left, right, *third) = plt.subplots(1, columns, figsize=(4.5 * columns, 3.4), constrained_layout=True)
    if out.suffix[1:] not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"cannot write '{out}': name an image file, such as curve.png")
    for axes, prefix, title in ((left, "iou_", "IoU after click"), (right, "loss_", "loss after click")):
        for name in sorted({name for line in lines for name in line if name.startswith(prefix)}):
            points = [(line["pictures"], float(line[name])) for line in lines if name in line]
            x, y = np.array(points).T
            width = min(window, -(-len(y) // 2))
            smooth = np.convolve(y, np.ones(width) / width, "valid")
            marker = "o" if len(smooth) < FEW else ""
            axes.plot(x[width - 1 :], smooth, marker=marker, markersize=3, label=name.removeprefix(prefix))
        axes.set(title=title, xlabel="training images seen")
    for axes in third:
        for name in ("noc85", "noc90", "noc95"):
            axes.plot(
                *zip(*((v["pictures"], v[name]) for v in validations), strict=True), "o-", markersize=3, label=name
            )
        axes.set(title="validation: clicks to an IoU of 85, 90, 95 %", xlabel="training images seen")
    for axes in (left, right, *third):
        axes.grid(alpha=0.3)
        axes.legend(ncols=2, fontsize=8)
    with atomic_write(out) as file:
        figure.savefig(file, dpi=110, format=out.suffix[1:])
    plt.close(figure)


def _lines(log: Path) -> list[dict[str, Any]]:
    found = [
        line for line in read_json_lines(log) if "pictures" in line and any(name.startswith("iou_") for name in line)
    ]
    if not found:
        raise ValueError(f"{log} has no line of a training run; give log.jsonl of one, or its folder")
    return found


def _validations(path: Path) -> list[dict[str, Any]]:
    """Return the lines that hold figures: a validation that failed has none."""
    lines = read_json_lines(path) if path.is_file() else []
    return [line for line in lines if {"pictures", "noc85", "noc90", "noc95"} <= line.keys()]


def main() -> None:
    """Draw a log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, help="folder of a run, or its log.jsonl")
    parser.add_argument("out", type=Path, help="file to write, such as curve.png")
    args = parser.parse_args()
    run_main("curve", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    plot(args.log, args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
