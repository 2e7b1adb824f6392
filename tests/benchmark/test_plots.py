"""The numbers on the axes of plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from pyiseg.benchmark import plots


@pytest.mark.parametrize(("slowest", "expected"), [(600, {"200", "300", "600"}), (60_000, set())])
def test_milliseconds_are_plain_numbers(
    slowest: float, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "write_figure", lambda path, figure: figures.append(figure))
    sizes = [
        {"megapixels": size, "methods": {"pyiseg": {"times": {"click": {"median_ms": time}}}}}
        for size, time in ((2, 100), (50, slowest))
    ]
    plots.latency_plot(tmp_path / "a.png", {"sizes": sizes})
    (figure,) = figures
    figure.canvas.draw()
    axis = figure.axes[0].yaxis
    assert expected <= {label.get_text() for label in axis.get_ticklabels(minor=True)}
    labels = {label.get_text() for label in axis.get_ticklabels(which="both")}
    assert "100" in labels
    assert not [label for label in labels if "10^" in label]
