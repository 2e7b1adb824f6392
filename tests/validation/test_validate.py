"""The command export.validate and what it says, on toy data. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import features
from support import toy_data

pytest.importorskip("torch")

from support.toy_list import GRAPHIC, PHOTO, write_list

from export import validate
from export.validation import report as validation_report
from export.validation.cases import read_cases
from pyiseg.evaluation.evaluate import Run


def run(name: str, *ious: float) -> Run:
    return Run(name, list(ious), [], 0.0, [1.0])


def test_models_are_compared_case_by_case() -> None:
    better, worse = [run("a", 0.8, 0.9), run("b", 0.9)], [run("a", 0.5, 0.6), run("b", 0.7, 0.9)]
    difference = validation_report.compared(better, worse, limit=2)
    # AuC: 0.85 - 0.55 and 0.9 - 0.8; clicks to 90 %: 2 - 2 and 1 - 2.
    assert difference["auc"] == pytest.approx([0.2, 1.96 * 0.1], abs=1e-3)
    assert difference["noc90"] == pytest.approx([-0.5, 1.96 * 0.5], abs=1e-3)
    assert difference["noc95"] == [0.0, 0.0]
    assert validation_report.compared(better[:1], worse[:1], limit=2)["auc"] is None


def test_slices_are_summed_up_alone() -> None:
    runs = [run("a", 0.5, 0.95), run("b", 0.2, 0.1), run("c", 0.9, 0.9)]
    first = [run("a", 0.5, 0.5), run("b", 0.2, 0.3), run("c", 0.9, 0.9)]
    table = validation_report.result("m", runs, 2, {"small": ["a", "b"], "thin": ["c"], "none": ["d"]}, first)
    assert (table["model"], table["cases"], list(table["slices"])) == ("m", 3, ["small", "thin"])
    small = table["slices"]["small"]
    assert (small["cases"], small["failures90"], small["mean_iou"]) == (2, 1, {"1": 0.35})
    assert small["late"]["2-5"] == {"clicks": 2, "gain": 0.175, "lowered": 0.5}
    assert small["against_first"]["auc"] == pytest.approx([0.0625, 1.96 * 0.1625], abs=1e-3)
    assert "against_first" not in validation_report.result("m", runs, 2, {"small": ["a"]})["slices"]["small"]
    assert "small" in validation_report.text_table([table])


@pytest.fixture
def command(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run the command on a list of two cases and return what it prints."""
    data, path = toy_data.build(tmp_path / "data"), write_list(tmp_path / "list", PHOTO, GRAPHIC)

    def run(*options: str) -> Any:
        arguments = [str(toy), "--data", str(data), "--list", str(path), "--clicks", "2", "--jobs", "1", *options]
        monkeypatch.setattr(sys, "argv", ["validate", *arguments])
        validate.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_a_model_is_measured_on_all_or_part_of_the_list(command: Callable[..., Any]) -> None:
    (all_of_it,) = command()
    assert (all_of_it["cases"], list(all_of_it["slices"])) == (2, ["small", "graphics", "source:ecssd"])
    assert command("--cases", "1")[0]["cases"] == 1
    assert list(command("--slices", "graphics")[0]["slices"]) == ["graphics"]
    sampled = command("--drawn", "5")[0]
    assert (sampled["cases"], sampled["slices"]) == (1, {})


def test_what_was_kept_is_compared_with(tmp_path: Path, command: Callable[..., Any]) -> None:
    kept = tmp_path / "kept.json"
    printed = command("--out", str(kept))
    assert not list(tmp_path.glob("*partial*"))
    (stored,) = json.loads(kept.read_text())["results"]
    ious = stored.pop("ious")
    assert [stored] == printed
    assert list(ious) == ["49:1", "card:box"]
    again = command("--against", str(kept))[0]
    # Rounded when they were kept.
    assert again["against_first"]["auc"] == pytest.approx([0, 0], abs=1e-4)
    assert set(again["slices"]["graphics"]["against_first"]) == {"auc", "noc85", "noc90", "noc95"}
    assert command("--against", str(kept), "--slices", "small")[0]["cases"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--against", "gone.json"], r"no file at 'gone\.json'"),
        (["--against", "KEPT", "--clicks", "3"], "measured with 2 clicks, this run has 3"),
        (
            ["--against", "PART"],
            r"PART lacks 1 of the 2 cases, such as 49:1: give the --cases and --slices that it was",
        ),
        (["--against", "OTHER"], "OTHER was measured on another list of cases"),
        (
            ["--against", "EMPTY"],
            r"EMPTY is no file that export\.validate --out writes \(KeyError.*with --out, and compare",
        ),
        (["--against", "TEXT"], r"TEXT is no file that export\.validate --out writes"),
        (["--against", "LIST"], r"LIST is no file that export\.validate --out writes"),
        (["--against", "MEANS"], r"MEANS is no file that .* \(it has no IoUs of single cases\): measure that model"),
        (
            ["--out", "KEPT", "--clicks", "3"],
            "KEPT holds results of 2 cases with 2 clicks .*2 cases with 3 clicks.*another --out",
        ),
        (["--out", "KEPT", "--cases", "1"], "KEPT holds results of 2 cases with 2 clicks .*1 cases with 2 clicks"),
        (["--out", "OTHER"], "OTHER holds results of 2 cases with 2 clicks of the list other"),
        (["--out", "TEXT"], r"TEXT is there already, and no file that export\.validate --out wrote"),
        (["--data", "gone"], r"there is no folder 'gone'; give the folder of the data, see docs/data\.md"),
        (["--data", "KEPT"], "'KEPT' is a file; give the folder"),
        (["--out", "gone/x.json"], "--out is a file in a folder that exists"),
        (["--slices", "blue"], "there is no slice blue"),
        (["--cases", "0"], "--cases is 0"),
        (["--drawn", "1", "--cases", "1"], "leave out --cases and --slices"),
        (["--jobs", "0"], "jobs is 0"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command("--out", "KEPT")
    content = json.loads(Path("KEPT").read_text())
    Path("OTHER").write_text(json.dumps(content | {"list": "other"}))
    del content["results"][0]["ious"]["49:1"]
    Path("PART").write_text(json.dumps(content))
    Path("EMPTY").write_text("{}")
    Path("TEXT").write_text("mine")
    Path("LIST").write_text("[1]")
    del content["results"][0]["ious"]
    Path("MEANS").write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    with pytest.raises(SystemExit, match=rf"^export\.validate: error: .*{words}"):
        command(*options)
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_results_of_the_same_cases_are_replaced(tmp_path: Path, command: Callable[..., Any]) -> None:
    for _ in range(2):
        assert command("--out", str(tmp_path / "kept.json"))[0]["cases"] == 2


def test_damaged_masks_end_the_run(tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "data" / "train" / "real" / "49_mask.png").write_bytes(b"x")
    with pytest.raises(SystemExit, match=r"1 cases could not be run; .*49_mask\.png"):
        command()


def test_avif_needs_a_pillow_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data.build(tmp_path / "data")
    (data / "train" / "real" / "49.avif").write_bytes(b"")
    lines = (data / "train" / "real.jsonl").read_text().replace("real/49.png", "real/49.avif")
    (data / "train" / "real.jsonl").write_text(lines)
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(ValueError, match=r"pip install 'Pillow>=11\.3'"):
        read_cases(data, write_list(tmp_path / "list", PHOTO))
