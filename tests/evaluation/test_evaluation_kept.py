"""What was measured is printed and kept before anything is drawn, and drawing fails alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import toy_evaluation, unwritable

from pyiseg import cli
from pyiseg.evaluation import plots
from pyiseg.evaluation.results import read_report

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_evaluation.build(tmp_path / "set", pictures=2, easy=True)


def evaluate(folder: Path, toy: Path, *more: str) -> int:
    return cli.main(["evaluate", "folder", str(folder), "--model", str(toy), "--clicks", "2", *more])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a"), KeyError("b")])
def test_a_report_that_cannot_be_drawn(
    folder: Path, toy: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Without -o, a failure while drawing lost all that was measured: nothing was printed, nothing kept."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(plots, "iou_plot", fail)
    out = tmp_path / "out"
    assert evaluate(folder, toy, "--report", str(out)) == 1
    printed = capsys.readouterr()
    assert "NoC" in printed.out
    assert "pyiseg: error: the report is not drawn: " in printed.err
    assert f"pyiseg report {out / 'evaluation.json'} -o FOLDER draws them again" in printed.out
    assert len(read_report(out / "evaluation.json").runs) == 2
    monkeypatch.undo()
    assert cli.main(["report", str(out / "evaluation.json"), "-o", str(tmp_path / "later")]) == 0


def test_a_file_of_figures_that_cannot_be_written(
    folder: Path, toy: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures were printed after it, which is to say never."""

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device", "a.json")

    monkeypatch.setattr("pyiseg.evaluation.results.write_report", fail)
    assert evaluate(folder, toy, "-o", str(tmp_path / "a.json")) == 2
    printed = capsys.readouterr()
    assert "NoC" in printed.out
    assert "No space left on device" in printed.err
    monkeypatch.undo()
    monkeypatch.setattr("pyiseg.evaluation.evaluate.Session", lambda *_, **__: pytest.fail("it was measured again"))
    assert evaluate(folder, toy, "-o", str(tmp_path / "a.json")) == 0


def test_a_name_of_its_own_is_the_only_file(folder: Path, toy: Path, tmp_path: Path) -> None:
    assert evaluate(folder, toy, "--report", str(tmp_path / "out"), "-o", str(tmp_path / "a.json")) == 0
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert (tmp_path / "out" / "report.md").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_that_cannot_be_written_to(folder: Path, toy: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    assert evaluate(folder, toy, "--report", str(tmp_path / "out")) == 2
    assert "cannot write into" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_refused_first(
    folder: Path, toy: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    unwritable.refuse(monkeypatch, tmp_path / "out")
    monkeypatch.setattr("pyiseg.evaluation.runner.run_cases", lambda *_: pytest.fail("it was measured"))
    assert evaluate(folder, toy, "--report", str(tmp_path / "out")) == 2
    assert "cannot write into" in capsys.readouterr().err


NAMES = ["$x^{$", "a $b$ \\$c$ \\frac{", "_hidden", "two\nlines\x1b[2J", "漢字", "x" * 5000, "<b>|</b>", " "]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:12])
def test_models_of_any_name(name: str, tmp_path: Path, capsys: Captured) -> None:
    """``$x^{$`` is a formula for Matplotlib, and a wrong one."""
    path = tmp_path / "a.json"
    found = toy_evaluation.report(name=name, device=name, versions={name: name})
    path.write_text(json.dumps({"format": 1, **as_plain(found)}))
    assert cli.main(["report", str(path), str(path), "-o", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "\nlines" not in page
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.md",
        *(f"grabcut-{kind}.png" for kind in ("iou", "corrected", "share")),
    }


def as_plain(found: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(found, default=vars)).items())


def test_names_are_drawn_as_they_are() -> None:
    assert [plots.plain(name) for name in ("a_b", "_b", "$x$", "a\nb")] == ["a_b", " _b", r"\$x\$", r"a\nb"]
    assert len(plots.plain("x" * 1000)) < 120


@pytest.mark.skipif(os.name != "posix", reason="names cannot hold that elsewhere")
def test_masks_of_any_name(folder: Path, toy: Path, tmp_path: Path, capsys: Captured) -> None:
    """A line break in the name of a mask ended the drawing of its contact sheet."""
    for part in ("images", "masks"):
        (folder / part / "1.png").rename(folder / part / "a\n$b$.png")
    assert evaluate(folder, toy, "--report", str(tmp_path / "out")) == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "folder-worst.png").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_closed_streams(closed: str, folder: Path, toy: Path, tmp_path: Path) -> None:
    """``evaluate 2>&-`` ended in the progress bar."""
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("no file that is always full")
    command = f"'{sys.executable}' -m pyiseg evaluate folder '{folder}' --model '{toy}' --clicks 2"
    command += f" -o '{tmp_path}/a.json'"
    done = subprocess.run(["/bin/sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert len(read_report(tmp_path / "a.json").runs) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.json"]
