"""The paper's plots: IoU against clicks, corrective accuracy, and the share of images above an IoU."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pyiseg.evaluation.evaluate import SHARES_ABOVE, SHARES_AFTER
from pyiseg.evaluation.results import Report
from pyiseg.files import atomic_write
from pyiseg.paths import printable

# Okabe and Ito's colors, told apart by the color-blind too; dark to light for what has an order.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# By clicks, whatever the limit of the report: the panels share one legend.
ORDERED = dict(zip(SHARES_AFTER, ("#B8D6E6", "#62A6C8", "#1F6E9C", "#0B2E4F"), strict=True))
SHAPED = dict(zip(SHARES_AFTER, MARKERS, strict=False))
# Of the field: an AuC over other numbers of clicks is not to be compared with those published.
LIMIT = 20
# The mean over fewer images than this says little, and is shown faintly.
FEW = 5


def iou_plot(path: Path, title: str, reports: Mapping[str, Report]) -> None:
    """Draw mean IoU after each click, with the AuC in the legend (figures 3 to 5 and 7 to 9 of the paper).

    Args:
        path: PNG to write.
        title: Over the plot.
        reports: Of one data set, by the name in the legend.
    """
    figure, axes = new_figure(title, "clicks", "mean IoU")
    lowest = 1.0
    for index, (label, report) in enumerate(reports.items()):
        curve = report.summary["mean_iou"]
        lowest = min(lowest, *curve)
        axes.plot(range(1, len(curve) + 1), curve, label=f"{plain(label)}, {auc_text(report)}", **line_style(index))
    bottom = max(0.0, 0.05 * int((lowest - 0.02) / 0.05))
    # A line at 1 is not to lie on the frame.
    axes.set_ylim(bottom - 0.02 * (1 - bottom), 1 + 0.02 * (1 - bottom))
    axes.legend(loc="lower right", fontsize=10, framealpha=0.9, edgecolor="none")
    write_figure(path, figure)


def corrected_plot(path: Path, title: str, reports: Mapping[str, Report]) -> None:
    """Draw corrective click accuracy (figure 6 of the paper); where fewer than 5 images are left, faintly.

    Args:
        path, title, reports: As for :func:`iou_plot`.
    """
    figure, axes = new_figure(title, "click", "corrected share of the clicked region")
    for index, (label, report) in enumerate(reports.items()):
        curve, cases = report.summary["corrected"], report.summary["corrected_cases"]
        enough = sum(count >= FEW for count in cases)
        clicks = range(1, len(curve) + 1)
        if enough:
            axes.plot(clicks[:enough], curve[:enough], label=plain(label), **line_style(index))
        if enough < len(curve):
            joined = max(0, enough - 1)
            axes.plot(
                clicks[joined:], curve[joined:], alpha=0.3, label="" if enough else plain(label), **line_style(index)
            )
    if any(line.get_alpha() for line in axes.lines):
        axes.plot([], [], label=f"pale: fewer than {FEW} images", alpha=0.3, color=COLORS[-1], linewidth=2)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    # The curves may be anywhere from top to bottom.
    figure.legend(loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    write_figure(path, figure)


def share_plot(path: Path, title: str, reports: Mapping[str, Report]) -> None:
    """Draw the share of images above 90 to 99 % IoU after 1, 5, 10, 20 clicks (figures 10 to 12 of the paper).

    Args:
        path, title, reports: As for :func:`iou_plot`; each report gets a panel.
    """
    columns = min(3, len(reports))
    rows = -(-len(reports) // columns)
    figure = Figure(figsize=(4.4 * columns + 1.6, 4.2 * rows), layout="constrained")
    figure.suptitle(plain(title), fontsize=13, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    lines: dict[int, Line2D] = {}
    for axes, (label, report) in zip(grid, reports.items(), strict=False):
        for clicks, curve in sorted((int(n), curve) for n, curve in report.summary["share_above"].items()):
            (lines[clicks],) = axes.plot(
                [100 * t for t in SHARES_ABOVE],
                curve,
                label=f"{clicks} click{'s' * (clicks != 1)}",
                color=ORDERED.get(clicks, COLORS[-1]),
                marker=SHAPED.get(clicks, MARKERS[-1]),
                linewidth=2,
                markersize=5,
                clip_on=False,
            )
        _dress(axes, "IoU above … %", "share of images")
        axes.set_title(plain(label), fontsize=11)
        axes.set_xlim(89.7, 99.3)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xticks([100 * t for t in SHARES_ABOVE])
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.label_outer()
    for axes in grid[len(reports) :]:
        axes.set_axis_off()
    # Most clicks first, as the curves lie.
    handles = [lines[clicks] for clicks in sorted(lines, reverse=True)]
    figure.legend(handles=handles, loc="outside right center", fontsize=10, frameon=False)
    write_figure(path, figure)


def auc_text(report: Report) -> str:
    """A report's AuC with its interval, as in "AuC 0.9123 ± 0.0100"; of another limit than 20 it says so."""
    interval, limit = report.summary["auc_ci95"], report.summary["limit"]
    text = f"AuC {report.summary['auc']:.4f}" + ("" if interval is None else f" ± {interval:.4f}")
    return text if limit == LIMIT else f"{text} ({limit} click{'s' * (limit != 1)})"


def plain(text: str) -> str:
    """A name as Matplotlib draws it as it is: no formula between dollar signs, in one line, and not left out."""
    shown = printable(text, 60).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # legends leave out what begins so


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of one plot, with the names of its axes."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    _dress(axes, x, y)
    axes.set_title(plain(title), fontsize=13, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=20, steps=[1, 2, 5, 10]))
    return figure, axes


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=11)
    axes.set_ylabel(y, fontsize=11)
    axes.tick_params(labelsize=10)
    axes.grid(color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def line_style(index: int) -> dict[str, Any]:
    """Color and marker of the line of this number."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linewidth": 2,
        "markersize": 5,
        "clip_on": False,
    }


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file, whole."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name in another script has boxes in it, and a long one leaves little room.
        warnings.filterwarnings("ignore", "Glyph .* missing from|constrained_layout not applied")
        figure.savefig(buffer, format="png", dpi=150)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())
