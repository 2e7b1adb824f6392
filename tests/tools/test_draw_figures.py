"""The figures of the documentation are drawn from the code; here those that take no time."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from tools import draw_figures


def draw(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    monkeypatch.setattr("sys.argv", ["draw_figures", str(folder), "--only", *names])
    draw_figures.main()


def test_diagrams_have_the_same_bytes_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one", "other"):
        draw(monkeypatch, tmp_path / folder, "pipeline.svg", "network.svg")
    for name in ("pipeline.svg", "network.svg"):
        text = (tmp_path / "one" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "other" / name).read_text(encoding="utf-8")
        assert "</svg>" in text


def test_click_maps_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, tmp_path, "click-maps.webp")
    with Image.open(tmp_path / "click-maps.webp") as image:
        assert image.width > 1000


def test_names_that_are_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        draw(monkeypatch, tmp_path, "clicks.webp")
    assert "there is no figure clicks.webp" in capsys.readouterr().err


def test_large_figures_are_refused(tmp_path: Path) -> None:
    figure = Figure(figsize=(20, 20))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(Image.effect_noise((2000, 2000), 100))
    with pytest.raises(ValueError, match="draw it smaller"):
        draw_figures.save(figure, tmp_path / "large.webp", dpi=60)
