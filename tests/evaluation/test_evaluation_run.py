"""Running over a data set: side by side, interrupted, and with damaged files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from support import toy_evaluation, toy_model

from pyiseg import ModelError, cli, load_model
from pyiseg.evaluation import runner
from pyiseg.evaluation.evaluate import Run, run_case
from pyiseg.evaluation.runner import Settings, read_cases, run_cases

LIMIT = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toy_evaluation.build(tmp_path / "set")


def essence(runs: list[Run]) -> list[tuple[Any, ...]]:
    """What of runs does not depend on the time of day."""
    return [(run.name, run.ious, [tuple(c) for c in run.clicks], run.corrected, run.boundary_ious) for run in runs]


def straight(folder: Path, toy: Path, **settings: Any) -> list[tuple[Any, ...]]:
    """The runs as they come without threads and journal."""
    chosen = Settings(**{"limit": LIMIT} | settings)
    return essence([run_case(c, str(toy), "cpu", chosen.limit, chosen.robot) for c in read_cases("folder", folder)])


class Interrupted:
    """run_case, but Ctrl-C is pressed in the case of this name, after which no other is done; counts."""

    def __init__(self, at: str = "none") -> None:
        self.at, self.names = at, list[str]()

    def __call__(self, case: Any, *rest: Any) -> Run:
        if case.name >= self.at:
            raise KeyboardInterrupt
        self.names.append(case.name)
        return run_case(case, *rest)


def test_nothing_to_run_is_said(toy: Path) -> None:
    with pytest.raises(ValueError, match="there is no case to run"):
        run_cases([], load_model(toy), Settings(LIMIT))


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("robot", ["forte", "ritm"])
def test_threads_change_nothing(folder: Path, toy: Path, jobs: int, robot: str) -> None:
    cases = read_cases("folder", folder)
    outcome = run_cases(cases, load_model(toy), Settings(LIMIT, robot, jobs=jobs))
    assert essence(outcome.runs) == straight(folder, toy, robot=robot)
    assert (outcome.failed, outcome.jobs) == ([], jobs)


def test_the_robots_differ_on_what_they_click(folder: Path, toy: Path) -> None:
    assert straight(folder, toy) != straight(folder, toy, robot="ritm")


def test_an_interrupted_run_goes_on(
    folder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.json"
    journal = tmp_path / "report.json.partial.jsonl"
    command = ["evaluate", "folder", str(folder), "--clicks", str(LIMIT), "--model", str(toy), "-o", str(output)]
    monkeypatch.setattr(runner, "run_case", Interrupted(at="2"))
    assert cli.main(command[:-2]) == 130
    assert "interrupted, and nothing was kept: next time name a file for the results" in capsys.readouterr().err
    assert cli.main(command) == 130
    assert f"interrupted: 2 of 4 cases are kept in {journal}; the same command goes on" in capsys.readouterr().err
    assert not output.exists()
    assert len(journal.read_text().splitlines()) == 3
    # The machine may have stopped in the middle of a line.
    journal.write_bytes(journal.read_bytes() + b'{"run": {"na')
    monkeypatch.setattr(runner, "run_case", Interrupted(at="3"))
    assert cli.main([*command, "--jobs", "2"]) == 130
    resumed = Interrupted()
    monkeypatch.setattr(runner, "run_case", resumed)
    assert cli.main(command) == 0
    assert resumed.names == ["3"]
    assert not journal.exists()
    written = json.loads(output.read_text())
    assert essence([Run(**run) for run in written["runs"]]) == straight(folder, toy)
    # Times of the second part were measured side by side.
    assert written["jobs"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": 2}, "another number of clicks"),
        ({"robot": "ritm"}, "another robot"),
        ({"model": {"bias": 0.2}}, "another model"),
        ({"model": {"long_side": 32}}, "another model"),
        ({"label": "berkeley"}, "another data set"),
    ],
)
def test_what_was_measured_otherwise_is_not_continued(
    folder: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    cases, journal = read_cases("folder", folder)[:2], tmp_path / "journal"
    run_cases(cases, load_model(toy), Settings(LIMIT), "folder", journal)
    model, label = changes.pop("model", None), changes.pop("label", "folder")
    measured = toy_model.build(tmp_path / "other", **model) if model else toy
    capsys.readouterr()
    before = journal.read_bytes()
    (tmp_path / "journal.old").write_text("of an earlier change")
    outcome = run_cases(cases, load_model(measured), Settings(**{"limit": LIMIT} | changes), label, journal)
    error = capsys.readouterr().err
    assert f"ignoring {journal}" in error
    assert words in error
    assert f"it is kept as {tmp_path / 'journal.old1'}" in error
    assert (tmp_path / "journal.old1").read_bytes() == before
    assert (tmp_path / "journal.old").read_text() == "of an earlier change"
    assert essence(outcome.runs) == straight(folder, measured, **changes)[:2]
    # And what there is now can be continued.
    run_cases(cases, load_model(measured), Settings(**{"limit": LIMIT} | changes), label, journal)
    assert "2 of 2 cases are there" in capsys.readouterr().err


def test_a_case_whose_files_changed_is_run_again(
    folder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, journal = read_cases("folder", folder), tmp_path / "journal"
    run_cases(cases, load_model(toy), Settings(LIMIT), "folder", journal)
    image = toy_evaluation.build(tmp_path / "more", pictures=1) / "images" / "0.png"
    (folder / "images" / "1.png").write_bytes(image.read_bytes() + b"\0")
    again = Interrupted()
    monkeypatch.setattr(runner, "run_case", again)
    outcome = run_cases(cases, load_model(toy), Settings(LIMIT), "folder", journal)
    assert again.names == ["1"]
    assert essence(outcome.runs) == straight(folder, toy)


def test_a_damaged_journal_is_ignored(
    folder: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal"
    journal.write_text('["no journal"]\n{}\n')
    outcome = run_cases(read_cases("folder", folder), load_model(toy), Settings(LIMIT), "folder", journal)
    assert "it is damaged" in capsys.readouterr().err
    assert essence(outcome.runs) == straight(folder, toy)


def test_damaged_files_are_named_and_counted(
    folder: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (folder / "images" / "0.png").read_bytes()
    (folder / "images" / "0.png").write_bytes(good[:60])
    (folder / "masks" / "2.png").write_bytes(b"no image")
    output = tmp_path / "report.json"
    command = ["evaluate", "folder", str(folder), "--clicks", str(LIMIT), "--model", str(toy), "-o", str(output)]
    assert cli.main(command) == 1
    printed, written = capsys.readouterr(), json.loads(output.read_text())
    assert "2 of 4 cases could not be used" in printed.out
    assert [run["name"] for run in written["runs"]] == ["1", "3"]
    assert (written["summary"]["cases"], written["summary"]["failed"]) == (2, 2)
    for failure, name in zip(written["failed"], ("images/0.png", "masks/2.png"), strict=True):
        assert failure["name"] == name[-5]
        assert name in failure["error"]
        assert str(folder) not in failure["error"]
        assert str(folder / name) in printed.err
    # With the files mended, only they are run.
    (folder / "images" / "0.png").write_bytes(good)
    (folder / "masks" / "2.png").write_bytes((folder / "masks" / "1.png").read_bytes())
    again = Interrupted()
    monkeypatch.setattr(runner, "run_case", again)
    assert cli.main(command) == 0
    assert sorted(again.names) == ["0", "2"]
    assert list(tmp_path.glob("*partial*")) == []


def test_images_without_a_mask_are_named_and_counted(
    folder: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "masks" / "1.png").unlink()
    output = tmp_path / "report.json"
    command = ["evaluate", "folder", str(folder), "--clicks", "1", "--model", str(toy), "-o", str(output)]
    assert cli.main([*command, "--report", str(tmp_path / "page")]) == 0
    assert "1 of 4 images has no mask and is left out: 1.png\n" in capsys.readouterr().err
    written = json.loads(output.read_text())
    assert (written["unmasked"], written["summary"]["unmasked"], written["summary"]["cases"]) == (["1.png"], 1, 3)
    assert "Images without a mask, left out: 1.png." in (tmp_path / "page" / "report.md").read_text()


def test_a_damaged_instance_file_is_one_case(toy: Path, tmp_path: Path) -> None:
    folder, root = toy_evaluation.build(tmp_path / "set", pictures=1), tmp_path / "sbd"
    for part in ("img", "inst"):
        (root / part).mkdir(parents=True)
    (root / "val.txt").write_text("0\n1\n")
    (folder / "images" / "0.png").rename(root / "img" / "0.jpg")
    with Image.open(folder / "masks" / "0.png") as disc:
        instances = np.where(np.asarray(disc) > 0, np.uint8(7), np.uint8(0))
    savemat(root / "inst" / "0.mat", {"GTinst": {"Segmentation": instances}})
    (root / "inst" / "1.mat").write_bytes(b"MATLAB no more")
    output = tmp_path / "report.json"
    command = ["evaluate", "sbd", str(root), "--clicks", "1", "--model", str(toy), "-o", str(output)]
    assert cli.main(command) == 1
    written = json.loads(output.read_text())
    # The same disc as in the folder, with the same first click.
    ((_, ious, clicks, *_),) = essence([Run(**run) for run in written["runs"]])
    assert clicks == [(20, 30, True)]
    assert ious[0] > 0.4
    assert [failure["name"] for failure in written["failed"]] == ["1"]


def test_nothing_but_damaged_files_is_an_error(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no image")
    assert cli.main(["evaluate", "folder", str(folder), "--model", str(toy)]) == 2
    assert "error: none of the 4 cases could be run" in capsys.readouterr().err


def test_a_broken_model_is_no_damaged_picture(folder: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Run:
        raise ModelError("the network failed")

    monkeypatch.setattr(runner, "run_case", broken)
    with pytest.raises(ModelError):
        run_cases(read_cases("folder", folder), load_model(toy), Settings(LIMIT))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-o none/report.json", "none/report.json"),
        ("-o report.txt", "report.txt"),
        ("--report set/images/0.png", "'set/images/0.png' is a file"),
        ("--device cuda", "or pass --device cpu"),
        ("--jobs 0", "'0' is not a whole number"),
        ("--robot human", "'human'"),
        ("--model set", "'set"),
    ],
)
def test_refused_before_anything_runs(
    folder: Path,
    toy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    words: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    model = [] if "--model" in arguments else ["--model", str(toy)]
    try:
        code = cli.main(["evaluate", "folder", "set", *model, *arguments.split()])
    except SystemExit as stop:  # how argparse ends
        code = int(stop.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("pyiseg: error: ")
    assert words in error.replace(str(folder.parent) + "/", "")


def test_two_masks_of_one_name_are_refused(folder: Path) -> None:
    (folder / "masks" / "1.bmp").write_bytes(b"")
    with pytest.raises(ValueError, match="two masks that are named 1"):
        read_cases("folder", folder)


@pytest.mark.parametrize(("values", "words"), [({"limit": 0}, "limit is 0"), ({"robot": "human"}, "'forte', 'ritm'")])
def test_settings_are_checked(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**values)


def test_the_command_line_loads_the_extra_only_when_asked() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; from pyiseg import cli\n"
        "assert not {'cv2', 'scipy', 'tqdm', 'pyiseg.evaluation'} & set(sys.modules)\n"
        "sys.exit(cli.main(['evaluate', 'folder', '.']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("pyiseg: error: pyiseg evaluate needs matplotlib")
    assert "pip install 'pyiseg[evaluate]'" in done.stderr
