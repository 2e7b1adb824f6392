"""Plots of a benchmark: latency against megapixels, and accuracy against time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter, NullFormatter

from pyiseg.evaluation.plots import line_style, new_figure, write_figure

TITLES = {"grabcut": "GrabCut", "berkeley": "Berkeley"}
SIZE = 9.0, 4.6
"""In inches, with the legend."""
MARKED = (1, 3, 5, 10, 20)


def latency_plot(path: Path, result: Mapping[str, Any]) -> None:
    """Draw the median times of opening and clicking against the size of the image, both axes logarithmic.

    Args:
        path: PNG to write.
        result: Of :func:`pyiseg.benchmark.run.run`; sizes that a method has no times of are left out.
    """
    figure, axes = new_figure("Latency", "megapixels", "milliseconds, median")
    figure.set_size_inches(SIZE)
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for entry in result["sizes"]:
        for name, found in entry["methods"].items():
            for what in ("open", "click"):
                if what in found.get("times", {}):
                    point = entry["megapixels"], found["times"][what]["median_ms"]
                    curves.setdefault((name, what), []).append(point)
    names = list(dict.fromkeys(name for name, _ in curves))
    for (name, what), points in curves.items():
        style = line_style(names.index(name)) | {"linestyle": "--" if what == "open" else "-"}
        axes.plot(*zip(*points, strict=True), label=f"{name}, {'new image' if what == 'open' else 'click'}", **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = [entry["megapixels"] for entry in result["sizes"]]
    axes.set_xticks(sizes, [f"{size:.2g}" for size in sizes], minor=False)
    axes.set_xticks([], minor=True)
    numbers = FuncFormatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(numbers)
    low, high = axes.get_ylim()
    # Within a factor of ten, at most one number stands at the larger ticks.
    axes.yaxis.set_minor_formatter(numbers if high < 10 * low else NullFormatter())
    figure.legend(loc="outside right center", fontsize=10, frameon=False)
    write_figure(path, figure)


def accuracy_plot(path: Path, result: Mapping[str, Any]) -> None:
    """Draw mean IoU against the time that opening and the clicks so far take, on a logarithmic axis.

    Args:
        path: PNG to write.
        result: What `benchmarks/bench_peers.py` writes, with times.
    """
    seconds_of = f"seconds of computing: new image and clicks (markers: {', '.join(map(str, MARKED))} clicks)"
    figure, axes = new_figure("Accuracy against time", seconds_of, "mean IoU")
    figure.set_size_inches(SIZE)
    for index, (name, times) in enumerate(result["times"]["methods"].items()):
        for data, title in TITLES.items():
            curve = result["sets"][data]["summary"][name]["mean_iou"]
            seconds = [
                (times["open"]["median_ms"] + n * times["click"]["median_ms"]) / 1e3 for n in range(1, len(curve) + 1)
            ]
            style = line_style(index) | {"linestyle": "-" if data == "grabcut" else "--"}
            marked = [n - 1 for n in MARKED if n <= len(curve)]
            axes.plot(seconds, curve, label=f"{name}, {title}", markevery=marked, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(None, 1)
    figure.legend(loc="outside right center", fontsize=10, frameon=False)
    write_figure(path, figure)
