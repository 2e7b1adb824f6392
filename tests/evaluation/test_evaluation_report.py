"""What is made of an evaluation: the record, the page, the plots and the contact sheets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from support import toy_evaluation

from pyiseg import cli, load_model
from pyiseg.evaluation import contact_sheets as sheets
from pyiseg.evaluation import plots, report
from pyiseg.evaluation.evaluate import run_case, summarize
from pyiseg.evaluation.references import PAPER, REFERENCES, references
from pyiseg.evaluation.results import read_report, write_report
from pyiseg.evaluation.runner import Failure, read_cases


@pytest.fixture
def plotted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures by file name, instead of files."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr(plots, "write_figure", lambda path, figure: figures.update({path.name: figure}))
    return figures


def lines(figure: Figure, panel: int = 0) -> list[list[float]]:
    return [np.asarray(line.get_ydata()).tolist() for line in figure.axes[panel].lines]


def cells(markdown: str) -> list[list[str]]:
    """The tables of a page, row by row."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines() if line[:1] == "|"]


def test_a_report_comes_back_as_it_was(tmp_path: Path) -> None:
    written = toy_evaluation.report(failed=[Failure("x", "mask x.png cannot be read")], jobs=4)
    write_report(tmp_path / "a.json", written)
    found = read_report(tmp_path / "a.json")
    # JSON has no tuples.
    assert json.dumps(found.runs, default=vars) == json.dumps(written.runs, default=vars)
    assert (found.summary, found.failed, found.jobs, found.model) == (
        written.summary,
        written.failed,
        4,
        written.model,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no report of pyiseg evaluate"),
        ('{"format": 1}', "is no report of pyiseg evaluate"),
        ('{"format": 2, "runs": [], "summary": {}}', "of version 2"),
        ('{"format": 1, "runs": 3, "summary": {}}', "damaged"),
    ],
)
def test_what_is_no_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    assert cli.main(["report", str(tmp_path / "a.json"), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "evaluate -o '" not in error, "advice that would overwrite it"
    assert not (tmp_path / "out").exists()


def test_reports_become_a_page_by_data_set(tmp_path: Path) -> None:
    write_report(tmp_path / "a.json", toy_evaluation.report())
    write_report(tmp_path / "b.json", toy_evaluation.report(robot="ritm", jobs=2))
    write_report(tmp_path / "c.json", toy_evaluation.report("folder", "large", failed=[Failure("x", "x.png is gone")]))
    files = [str(tmp_path / f"{name}.json") for name in "abc"]
    assert cli.main(["report", *files, "-o", str(tmp_path / "new" / "out")]) == 0
    out = tmp_path / "new" / "out"
    page = (out / "report.md").read_text()
    grabcut, other = page.split("## Folder")
    # Two reports of one model are told apart by their files.
    row = next(row for row in cells(grabcut) if row[0] == "compact (a)")
    summary = toy_evaluation.report().summary
    assert row[1:7] == ["2.33", "2.33", "2.67", "1 of 3", "1 of 3", "2 of 3"]
    assert row[7:9] == ["0.533", "0.767"]
    assert row[9].startswith(f"{summary['auc']:.4f} ± ")
    assert "compact (b)" in grabcut
    assert "large" in other
    assert "2 cases ran side by side" in grabcut
    assert "x: x.png is gone" in other
    # Published figures stand beside GrabCut, and there are none for any folder.
    assert "SimpleClick" in grabcut
    assert "SimpleClick" not in other
    shown = [line.partition("](")[2][:-1] for line in page.splitlines() if line.startswith("![")]
    assert len(shown) == 6
    for name in shown:
        with Image.open(out / name) as image:
            assert np.asarray(image.convert("L")).std() > 5


def test_iou_plot(plotted: dict[str, Figure], tmp_path: Path) -> None:
    reports = {"one": toy_evaluation.report(), "two": toy_evaluation.report(limit=2)}
    plots.iou_plot(tmp_path / "p.png", "GrabCut", reports)
    figure = plotted["p.png"]
    assert lines(figure) == [report.summary["mean_iou"] for report in reports.values()]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert (
        labels[0]
        == f"one, AuC {reports['one'].summary['auc']:.4f} ± {reports['one'].summary['auc_ci95']:.4f} (3 clicks)"
    )
    full = toy_evaluation.report(summary=summarize(reports["one"].runs, 20))
    assert plots.auc_text(full).endswith(f"± {full.summary['auc_ci95']:.4f}")
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < min(map(min, lines(figure)))
    assert 1 < top < 1.03, "a line at 100 % does not lie on the frame"


def test_corrected_plot_is_faint_where_few_images_are_left(plotted: dict[str, Figure], tmp_path: Path) -> None:
    runs = [toy_evaluation.run(str(i), *[0.5] * (2 + i // 3)) for i in range(8)]
    plots.corrected_plot(tmp_path / "p.png", "", {"one": toy_evaluation.report(summary=summarize(runs, 4))})
    solid, faint, explained = plotted["p.png"].axes[0].lines
    assert explained.get_label() == "pale: fewer than 5 images"
    # Of eight images five make a third click, two a fourth.
    assert list(solid.get_xdata()) == [1, 2, 3]
    assert list(faint.get_xdata()) == [3, 4]
    assert faint.get_alpha() < 0.5
    plots.corrected_plot(tmp_path / "q.png", "", {"one": toy_evaluation.report()})
    faint, _ = plotted["q.png"].axes[0].lines
    assert (faint.get_label(), list(faint.get_xdata())) == ("one", [1, 2, 3]), "of three images"


def test_share_plot_has_a_panel_a_report(plotted: dict[str, Figure], tmp_path: Path) -> None:
    long = toy_evaluation.report(summary=summarize([toy_evaluation.run("a", *[0.93] * 5)], 5))
    plots.share_plot(tmp_path / "p.png", "", {"one": toy_evaluation.report(), "two": long})
    figure = plotted["p.png"]
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert lines(figure, 1) == [[1.0] * 3 + [0.0] * 7] * 2
    assert [line.get_label() for line in figure.axes[1].lines] == ["1 click", "5 clicks"]


def test_share_plot_has_one_color_for_a_number_of_clicks(plotted: dict[str, Figure], tmp_path: Path) -> None:
    """Reports of different limits: the first has one curve only, the last all four."""
    reports = {
        str(limit): toy_evaluation.report(summary=summarize([toy_evaluation.run("a", *[0.93] * limit)], limit))
        for limit in (3, 6, 20)
    }
    plots.share_plot(tmp_path / "p.png", "", reports)
    figure = plotted["p.png"]
    looks: dict[str, set[tuple[str, str]]] = {}
    for axes in figure.axes:
        for line in axes.lines:
            looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_marker()))
    assert [len(axes.lines) for axes in figure.axes] == [1, 2, 4]
    assert {label: len(found) for label, found in looks.items()} == dict.fromkeys(looks, 1)
    assert len(set.union(*looks.values())) == 4
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["20 clicks", "10 clicks", "5 clicks", "1 click"]
    handles = {line.get_label(): {(line.get_color(), line.get_marker())} for line in legend.legend_handles}
    assert handles == looks


def test_the_best_and_the_worst_are_shown(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = toy_evaluation.build(tmp_path / "set")
    runs = [toy_evaluation.run(str(i), *ious) for i, ious in enumerate([(0.5, 0.6), (0.9,), (0.1, 0.9), (0.8, 0.9)])]
    model = load_model(toy)
    known = {"name": model.name, "sha256": dict(model.sha256)}
    measured = toy_evaluation.report("folder", runs=runs, summary=summarize(runs, 2), model=known)
    shown: dict[str, list[str]] = {}

    def note(path: Path, title: str, runs: Any, cases: Any, *rest: Any) -> None:
        assert [case.name for case in cases] == [run.name for run in runs]
        shown[path.name] = [run.name for run in runs]

    monkeypatch.setattr(sheets, "contact_sheet", note)
    cases = read_cases("folder", folder)
    report.write_sheets(tmp_path / "out", measured, cases, model)
    # The run that ended after one click kept its 0.9.
    assert shown == {"folder-best.png": ["1", "3"], "folder-worst.png": ["2", "0"]}
    with pytest.raises(ValueError, match="case '3'"):
        report.write_sheets(tmp_path / "out", measured, cases[:3], model)
    served = {**known, "serving": model.serving}
    again = toy_evaluation.report("folder", runs=runs, summary=summarize(runs, 2), model=served)
    report.write_sheets(tmp_path / "out", again, cases, model)
    with pytest.raises(ValueError, match="other weights or rules"):
        report.write_sheets(tmp_path / "out", again, cases, dataclasses.replace(model, long_side=32))
    with pytest.raises(ValueError, match="other weights"):
        report.write_sheets(tmp_path / "out", toy_evaluation.report(runs=runs), cases, model)


def test_contact_sheet(tmp_path: Path, toy: Path) -> None:
    (case,) = read_cases("folder", toy_evaluation.build(tmp_path / "set", pictures=1))
    run = run_case(case, str(toy), limit=4)
    sheets.contact_sheet(tmp_path / "sheet.png", "Title", [run, run], [case, case], load_model(toy))
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # A row a run: what is wanted, then after 1, 3 and 4 clicks.
    size = sheets.PANEL
    scale = size[0] / 80 if size[0] / 80 < size[1] / 60 else size[1] / 60
    width, height = round(80 * scale), round(60 * scale)
    assert pixels.shape[1] >= 4 * width
    assert 2 * height < pixels.shape[0] < 2.5 * height
    left, top = 10, 44 + 24
    wanted = pixels[top : top + height, left : left + width]
    # The outline of the disc with center (20, 30) and radius 14, and nothing on it.
    assert near(wanted[round(30.5 * scale), round(6.2 * scale) - 3 : round(6.2 * scale) + 4], (255, 214, 0)) < 60
    assert near(wanted, (40, 200, 80)) > 60
    first = pixels[top : top + height, left + width + 10 : left + 2 * width + 10]
    x, y = round(20.5 * scale), round(30.5 * scale)
    # The click is green around its plus, and what is selected is tinted blue.
    assert near(first[y - 6 : y + 7, x - 6 : x + 7], (40, 200, 80)) < 10
    red, _, blue = first[y + 20, x + 20]
    assert blue > red + 50


def near(pixels: np.ndarray[Any, Any], color: tuple[int, int, int]) -> float:
    """How far the nearest of some pixels is from a color."""
    return float(np.abs(pixels - np.array(color)).sum(axis=-1).min())


def test_evaluate_draws_the_report_that_its_json_draws(tmp_path: Path, toy: Path) -> None:
    folder = toy_evaluation.build(tmp_path / "set", pictures=3)
    command = ["evaluate", "folder", str(folder), "--model", str(toy), "--clicks", "2"]
    assert cli.main([*command, "-o", str(tmp_path / "a.json"), "--report", str(tmp_path / "at once")]) == 0
    later = ["report", str(tmp_path / "a.json"), "--images", str(folder), "--model", str(toy)]
    assert cli.main([*later, "-o", str(tmp_path / "later")]) == 0
    files = sorted(path.name for path in (tmp_path / "at once").iterdir())
    assert files == sorted(["report.md", *(f"folder-{n}.png" for n in ("best", "worst", "iou", "corrected", "share"))])
    for name in files:
        assert (tmp_path / "at once" / name).read_bytes() == (tmp_path / "later" / name).read_bytes()
    assert "](folder-worst.png)" in (tmp_path / "later" / "report.md").read_text()


def test_contact_sheets_are_for_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_report(tmp_path / f"{name}.json", toy_evaluation.report())
    files = [str(tmp_path / f"{name}.json") for name in "ab"]
    assert cli.main(["report", *files, "-o", str(tmp_path / "out"), "--images", "."]) == 2
    assert "--images is for one report, not 2" in capsys.readouterr().err


@pytest.mark.parametrize("given", [("--model", "elsewhere"), ("--device", "cuda")])
def test_a_model_without_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, str]
) -> None:
    write_report(tmp_path / "a.json", toy_evaluation.report())
    assert cli.main(["report", str(tmp_path / "a.json"), "-o", str(tmp_path / "out"), *given]) == 2
    error = capsys.readouterr().err
    assert f"{' '.join(given)} is for contact sheets only: pass --images" in error
    assert not (tmp_path / "out").exists()


def test_references() -> None:
    table6 = [row for row in REFERENCES if row.source.startswith("Table") and "6" in row.source and PAPER in row.source]
    assert len([row for row in table6 if "8" not in row.source.partition(" of ")[0]]) == 10
    assert next(row.method for row in references("davis")) == "RITM HRNet18"
    assert all(row.source for row in REFERENCES)
    # More clicks are needed for more.
    for row in REFERENCES:
        for figures in row.noc.values():
            assert list(figures.values()) == sorted(figures.values())
    rows = cells(report.reference_table("sbd"))
    assert rows[0] == ["method", "trained on", "NoC@85", "NoC@90", "NoC@95", "AuC", "source"]
    assert ["Forte et al.", "SBD", "3.90", "", "", "0.9026", f"Tables 6 and 7 of {PAPER}"] in rows
