"""Validations beside a run, by a validator of a few lines: what is written, what fails, what a stop leaves."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import toy_data

torch = pytest.importorskip("torch")

from support.toy_training import tiny  # noqa: E402

from export import train  # noqa: E402
from export.training import beside  # noqa: E402
from export.training.trainer import Trainer  # noqa: E402
from export.training.validations import LINES, Validations, commands_for, kept_of  # noqa: E402
from pyiseg.files import read_json_lines  # noqa: E402

SUMMARY = {"cases": 3, "noc85": 2.0, "noc90": 3.5, "noc95": 9.0, "auc": 0.9, "mean_iou": [0.5, 0.75]}
# It reads the weights and prints a summary: auc is the number of images, so that a line is known by it.
PRINTS = f"""
import json, sys, torch
pictures = torch.load(sys.argv[1], weights_only=True)["training"]["pictures"]
print("some words first")
print(json.dumps([{{**{SUMMARY}, "auc": pictures}}], indent=1))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


def scripts(*texts: str) -> Any:
    """Return what gives commands that run these programs, with weights and model folder as arguments."""
    return lambda weights, model: [[sys.executable, "-c", text, str(weights), str(model)] for text in texts]


def state(pictures: int) -> dict[str, Any]:
    return {"average": {"x": torch.ones(2)}, "pictures": pictures}


def waited(validations: Validations, seconds: float = 60) -> list[dict[str, Any]]:
    end = time.monotonic() + seconds
    return validations.wait(lambda: time.monotonic() > end)


def test_one_after_the_other(tmp_path: Path) -> None:
    validations = Validations(tmp_path, 0, scripts("open(__import__('sys').argv[2], 'w')", PRINTS))
    assert validations.poll() is None
    for pictures in (1000, 20, 300):
        validations.add(state(pictures))
    lines = waited(validations)
    assert [line["auc"] for line in lines] == [20, 300, 1000]
    assert lines == read_json_lines(tmp_path / LINES)
    assert lines[0] == {"pictures": 20, **SUMMARY, "auc": 20}
    assert (tmp_path / "validation" / "model").exists(), "the first command ran"
    assert not list((tmp_path / "validation").glob("*.pt"))
    validations.add(state(300))
    assert waited(validations) == [], "not a second time"


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        (("import sys; sys.exit('export.to_onnx: error: no')", PRINTS), "export.to_onnx: error: no"),
        (("import os; os._exit(3)",), "exit code 3"),
        (("print('no JSON')",), "printed no list of summaries with cases, .*: 'no JSON"),
        (("print('[]')",), "printed no list"),
    ],
)
def test_a_failure_is_a_line_and_the_next_one_runs(programs: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    validations = Validations(tmp_path, 0, scripts(*programs))
    validations.add(state(10))
    (line,) = waited(validations)
    assert line["pictures"] == 10
    assert re.search(reason, line["failed"]), line
    validations.commands = scripts(PRINTS)
    validations.add(state(20))
    assert [line["auc"] for line in waited(validations)] == [20]


def test_what_is_stopped_is_made_anew(tmp_path: Path) -> None:
    validations = Validations(tmp_path, 0, scripts("import time; time.sleep(600)"))
    validations.add(state(10))
    validations.add(state(20))
    validations.poll()
    assert validations.running is not None
    process = validations.running.pid
    assert validations.wait(lambda: True) == []
    validations.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    # The run goes on from a checkpoint of 15 images: what was to be validated at 20 will come again.
    again = Validations(tmp_path, 15, scripts(PRINTS))
    assert [line["auc"] for line in waited(again)] == [10]
    with open(tmp_path / LINES, "a") as lines:
        lines.write('{"pictures": 20, "auc": 1}\n{"pict')
    Validations(tmp_path, 15, scripts(PRINTS))
    assert [line["pictures"] for line in read_json_lines(tmp_path / LINES)] == [10]


@pytest.mark.parametrize("listed", [True, False])
def test_slices_are_kept(listed: bool) -> None:
    late = {"late": {"6-10": {"gain": 0.01}}}
    thin = {**SUMMARY, **late}
    summary = {**thin, "ious": [[0.1]], "slices": {"thin": {**thin, "more": 1}, "small": {"cases": 0}}}
    kept = kept_of([summary, {}] if listed else summary)
    assert kept == {**thin, "slices": {"thin": thin, "small": {"cases": 0}}}


def test_the_commands(tmp_path: Path) -> None:
    export, validate = commands_for(Path("DATA"), ["--cases", "60"])(tmp_path / "w.pt", tmp_path / "model")
    assert export[1:] == ["-m", "export.to_onnx", str(tmp_path / "w.pt"), str(tmp_path / "model"), "--no-fp16"]
    assert validate[2:] == ["export.validate", str(tmp_path / "model"), "--data", "DATA", "--cases", "60"]


def test_a_run_is_validated_on_its_way_and_at_its_end(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also after a stop: nothing is lost, nothing made twice."""
    monkeypatch.setattr(beside, "commands_for", lambda *_: scripts(PRINTS))
    settings = tiny(18, validate_every=4)
    first = Trainer(settings, data, tmp_path)
    update = first.update

    def stop_at_the_fifth(samples: Any) -> dict[str, float]:
        if first.pictures == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(samples)

    first.update = stop_at_the_fifth  # type: ignore[method-assign]
    assert not first.run()
    assert first.pictures == 10
    assert Trainer(settings, data, tmp_path, resume=True).run()
    assert [line["pictures"] for line in read_json_lines(tmp_path / LINES)] == [4, 8, 12, 16, 18]
    assert [line["auc"] for line in read_json_lines(tmp_path / LINES)] == [4, 8, 12, 16, 18]
    assert "after 18 images: noc85 2, noc90 3.5, noc95 9, auc 18 on 3 cases" in capfd.readouterr().err
    assert {line.get("validation_auc") for line in read_json_lines(tmp_path / "log.jsonl")} == {None}


def test_validations_left_from_the_end_are_made_when_it_is_called_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer(tiny(2, validate_every=4), data, tmp_path)
    run.update([run.data[64, 0], run.data[64, 1]])
    run.save()
    monkeypatch.setattr(beside, "commands_for", lambda *_: scripts(PRINTS))
    for _ in range(2):
        assert Trainer(tiny(2, validate_every=4), data, tmp_path, resume=True).run()
        assert [line["pictures"] for line in read_json_lines(tmp_path / LINES)] == [2]


def test_a_stop_in_the_last_validation_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of a stop, and --resume makes it up."""
    words = ["compact", "--data", str(data), "--out", str(tmp_path / "run"), "--set", "run.pictures=4"]
    words += ["--set", "run.sizes=[[0.0, 64]]", "--set", "run.validate_every=100", "--resume"]
    monkeypatch.setattr(beside, "commands_for", lambda *_: lambda weights, model: [["sleep", "60"]])
    wait = Validations.wait

    def stopped(self: Validations, stop: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return wait(self, stop)

    monkeypatch.setattr(Validations, "wait", stopped)
    for _ in range(2):  # the second time the run is finished, and only that is left
        with pytest.raises(SystemExit) as ended:
            train.main(words)
        assert ended.value.code == 130
        said = capsys.readouterr()
        assert "finished: 4 images" in said.out
        assert "the last validation was stopped; the same command with --resume makes it up" in said.out
    assert "optimizer.warmup" not in said.err, "what was said at the beginning is not said of a run that is over"
    monkeypatch.setattr(Validations, "wait", wait)
    monkeypatch.setattr(beside, "commands_for", lambda *_: scripts(PRINTS))
    train.main(words)
    assert [line["pictures"] for line in read_json_lines(tmp_path / "run" / LINES)] == [4]


def test_a_failed_validation_ends_no_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beside, "commands_for", lambda *_: lambda weights, model: [["/no/such/program"], ["/nor/this"]])
    assert Trainer(tiny(4, validate_every=2), data, tmp_path).run()
    assert "notice: the validation after 2 images failed: [Errno 2]" in capfd.readouterr().err
    assert [(line["pictures"], "/no/such" in line["failed"]) for line in read_json_lines(tmp_path / LINES)] == [
        (2, True),
        (4, True),
    ]
