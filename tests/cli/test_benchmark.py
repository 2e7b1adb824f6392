"""pyiseg benchmark: what it writes and prints, how it is interrupted, and what it refuses; never how long it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyiseg import PyisegError, cli, demo
from pyiseg.benchmark import memory, run, scenes, table
from pyiseg.benchmark.timing import PeerTurn, SessionTurn, WrongAnswerError
from pyiseg.evaluation.overlap import iou

pytest.importorskip("cv2")
pytest.importorskip("matplotlib")
pytest.importorskip("onnx")

from support import sam_pair


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return [str(path) for path in sam_pair.build(tmp_path)]


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the processes that measure memory, each of which takes a second."""
    monkeypatch.setattr(memory, "peak_of", lambda task: {"peak_mb": 100.0})


def times_of(found: dict[str, Any]) -> dict[str, int]:
    """How many times there are of what, all of them positive."""
    for figures in found["times"].values():
        assert 0 < figures["median_ms"] <= figures["p95_ms"]
    return {name: figures["n"] for name, figures in found["times"].items()}


def test_table_json_and_plot(tmp_path: Path, toy: Path, pair: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output, plot = tmp_path / "b.json", tmp_path / "b.png"
    files = ["-o", str(output), "--plot", str(plot)]
    sizes = ["--sizes", "100x80", "0.007", "100x80", "--repeat", "2"]
    code = cli.main(["benchmark", *sizes, "--model", str(toy), "--peers", "--mobile-sam", *pair, *files])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    found = json.loads(output.read_text())
    assert (found["format"], found["complete"], found["repeat"], found["device"]) == (1, True, 2, "cpu")
    assert found["model"]["name"] == "toy"
    assert {"processor", "cores", "versions"} <= found["machine"].keys()
    assert found["peers"].keys() == {"MobileSAM", "OpenCV GrabCut"}
    assert [entry["size"] for entry in found["sizes"]] == [[97, 72], [100, 80]]  # one once, and the smallest first
    for entry in found["sizes"]:
        assert list(entry["methods"]) == ["pyiseg", "MobileSAM", "OpenCV GrabCut"]
        for name, figures in entry["methods"].items():
            counts = times_of(figures)
            assert counts["open"] == 2
            assert counts["click"] == 2 * len(demo.CLICKS)
            assert ("matte" in counts) == (name == "pyiseg")
            assert 0 <= figures["iou"] <= 1
            assert figures["memory"]["peak_mb"] > 20
    for words in ("100 x 80", "OpenCV GrabCut", "MobileSAM", " MB", "of 2 rounds", f"wrote   {output}"):
        assert words in printed.out
    assert "97 x 72: round 2 of 2" in printed.err
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "b.png", "decoder.onnx", "encoder.onnx"]


def test_the_default_model_zooms_in_and_selects_the_otter(no_children: None, tmp_path: Path) -> None:
    output = tmp_path / "b.json"
    assert cli.main(["benchmark", "--sizes", "320x240", "--repeat", "1", "-o", str(output)]) == 0
    (entry,) = json.loads(output.read_text())["sizes"]
    counts = times_of(entry["methods"]["pyiseg"])
    assert counts == {"open": 1, "click": 2, "matte": 1, "zoomed_click": 1, "crop_click": 1}
    assert entry["methods"]["pyiseg"]["iou"] > run.FLOOR
    assert list(entry["methods"]) == ["pyiseg"]


def test_a_wrong_selection_is_an_error(
    no_children: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "FLOOR", 1.0)
    assert cli.main(["benchmark", "--sizes", "128x96", "--repeat", "1"]) == 2
    assert "1.0 is the least at 128 x 96" in capsys.readouterr().err


def test_interrupted_it_prints_and_keeps_what_there_is(
    no_children: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = []
    take = SessionTurn.run

    def interrupted(turn: SessionTurn) -> None:
        turns.append(turn)
        if len(turns) == 6:  # of the second size, after one round that counts
            raise KeyboardInterrupt
        take(turn)

    monkeypatch.setattr(SessionTurn, "run", interrupted)
    output = tmp_path / "b.json"
    arguments = ["--sizes", "100x80", "120x90", "140x100", "--repeat", "2", "--model", str(toy)]
    assert cli.main(["benchmark", *arguments, "-o", str(output)]) == 130
    printed = capsys.readouterr().out
    assert "interrupted" in printed
    assert "100 x 80" in printed
    assert "120 x 90" in printed
    assert "1 of 2 rounds" in printed
    assert "140 x 100" not in printed
    found = json.loads(output.read_text())
    assert found["complete"] is False
    assert [entry["size"] for entry in found["sizes"]] == [[100, 80], [120, 90]]
    assert [times_of(entry["methods"]["pyiseg"])["open"] for entry in found["sizes"]] == [2, 1]


def test_interrupted_at_once_nothing_was_measured(
    monkeypatch: pytest.MonkeyPatch, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(turn: SessionTurn) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SessionTurn, "run", interrupted)
    assert cli.main(["benchmark", "--sizes", "100x80", "--model", str(toy)]) == 130
    assert "nothing was measured" in capsys.readouterr().out


def test_without_the_memory_a_size_is_skipped(
    no_children: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 500_000_000)
    output = tmp_path / "b.json"
    arguments = ["--sizes", "100x80", "50", "--repeat", "1", "--model", str(toy), "--peers"]
    assert cli.main(["benchmark", *arguments, "-o", str(output)]) == 0
    small, large = json.loads(output.read_text())["sizes"]
    assert all("times" in found for found in small["methods"].values())
    assert all("GB of memory, and 0.5 GB are free" in found["skipped"] for found in large["methods"].values())
    assert "8165 x 6124, pyiseg: skipped, it needs up to 2.3 GB of memory" in capsys.readouterr().out


def test_out_of_memory_skips_a_size(
    no_children: None, monkeypatch: pytest.MonkeyPatch, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = scenes.scene

    def scene(photo: Path, clicks: Any, size: tuple[int, int], share: int = 1) -> scenes.Scene:
        if size == (120, 90):
            raise MemoryError
        return whole(photo, clicks, size, share)

    monkeypatch.setattr(scenes, "scene", scene)
    assert cli.main(["benchmark", "--sizes", "100x80", "120x90", "--repeat", "1", "--model", str(toy)]) == 0
    assert "120 x 90, pyiseg: skipped, out of memory" in capsys.readouterr().out


def test_a_slow_peer_sits_out_rounds_and_larger_sizes(
    no_children: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Path
) -> None:
    monkeypatch.setattr(run, "PEER_SECONDS", 0.0)
    output = tmp_path / "b.json"
    arguments = ["--sizes", "100x80", "120x90", "--repeat", "3", "--model", str(toy), "--peers"]
    assert cli.main(["benchmark", *arguments, "-o", str(output)]) == 0
    small, large = (entry["methods"] for entry in json.loads(output.read_text())["sizes"])
    assert times_of(small["OpenCV GrabCut"])["open"] == 1
    assert times_of(small["pyiseg"])["open"] == 3
    assert "would take about" in large["OpenCV GrabCut"]["skipped"]
    assert times_of(large["pyiseg"])["open"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "2000"], "a side may have from 64 to 40000"),
        (["--sizes", "640x"], "'640x' is neither WIDTHxHEIGHT"),
        (["--sizes", "10x100"], "size '10x100' is 10 x 100 pixels"),
        (["--sizes", "-5"], "neither WIDTHxHEIGHT"),
        (["--repeat", "0"], "repeat is 0; it must be at least 1"),
        (["-o", "b.txt"], "cannot write 'b.txt': a result is a .json file; choose a name that ends so, as in b.json"),
        (["-o", "absent/b.json"], "cannot write 'absent/b.json': the folder 'absent' does not exist; make it first"),
        (["--plot", "b.jpg"], "cannot write 'b.jpg': a plot is a .png file"),
        (["--model", "absent"], "absent"),
        (["--device", "abacus"], "device is 'abacus'"),
        (["--mobile-sam", "absent.onnx", "other.onnx"], "no file at 'absent.onnx'; a MobileSAM pair is an encoder"),
        (["--mobile-sam", "absent.onnx"], "--mobile-sam: expected 2 arguments"),
    ],
)
def test_refused_before_anything_is_measured(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "run", lambda *_: pytest.fail("measured"))
    try:
        code: Any = cli.main(["benchmark", *arguments])
    except SystemExit as done:
        code = done.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("pyiseg: error: ")
    assert error.count("\n") == 1
    assert words in error


def test_exchanged_files_of_the_pair_are_named(pair: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["benchmark", "--mobile-sam", *reversed(pair)]) == 2
    error = capsys.readouterr().err
    assert f"'{pair[1]}' is no encoder of MobileSAM: it has inputs image_embeddings" in error
    assert "a decoder with the inputs image_embeddings, point_coords, point_labels" in error


@pytest.mark.parametrize(("package", "option"), [("cv2", "--peers"), ("matplotlib", "--plot"), ("cv2", "--plot")])
def test_what_an_option_needs(
    package: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "pyiseg.benchmark.grabcut", raising=False)
    assert cli.main(["benchmark", option, *(["b.png"] if option == "--plot" else [])]) == 2
    assert f"pyiseg benchmark {option} needs {package}: pip install 'pyiseg[evaluate]'" in capsys.readouterr().err


class Changing:
    """A method that gives another mask each time."""

    name = "changing"
    settings: dict[str, object] = {}  # noqa: RUF012 - as the face has it

    def __init__(self, shape: tuple[int, int]) -> None:
        self.number = 0
        self.shape = shape

    def open(self, rgb: Any) -> Changing:
        return self

    def click(self, x: int, y: int, fg: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
        self.number += 1
        mask = np.zeros(self.shape, np.bool_)
        mask[: self.number] = True
        return mask


def test_answers_that_change_or_are_not_whole_are_errors() -> None:
    whole = scenes.scene(demo.PHOTO, demo.CLICKS, (100, 80))
    turn = PeerTurn(Changing((80, 100)), whole)
    turn.run()
    with pytest.raises(WrongAnswerError, match="changing: the same clicks gave another answer"):
        turn.run()
    assert issubclass(WrongAnswerError, PyisegError)
    with pytest.raises(WrongAnswerError, match=r"the mask is \(40, 50\), the image \(80, 100\)"):
        PeerTurn(Changing((40, 50)), whole).run()


def test_a_click_that_must_zoom_in(toy: Path) -> None:
    whole = scenes.scene(demo.PHOTO, demo.CLICKS, (100, 80))
    with pytest.raises(WrongAnswerError, match="was to zoom in did not"):
        SessionTurn(whole, whole, toy, must_zoom=True).run()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("640x480", (640, 480)),
        ("640×480", (640, 480)),
        ("12", (4000, 3000)),
        ("12MP", (4000, 3000)),
        ("0.5mp", (816, 612)),
        ("50", (8165, 6124)),
    ],
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert scenes.parse_size(text) == size


def test_scenes_follow_the_photograph() -> None:
    whole, small = (scenes.scene(demo.PHOTO, demo.CLICKS, (300, 200), share) for share in (1, 3))
    assert whole.rgb.shape == small.rgb.shape == (200, 300, 3)
    wanted = scenes.expected((300, 200))
    assert [wanted[click.y, click.x] for click in whole.clicks] == [True, False]
    outside = np.ones((200, 300), np.bool_)
    outside[66:132, 100:200] = False
    assert (small.rgb[outside] == 128).all()
    assert all(not outside[click.y, click.x] for click in small.clicks)
    assert iou(wanted, scenes.expected((600, 400))[::2, ::2]) > 0.98


def test_the_peak_of_a_child_and_its_failure(toy: Path) -> None:
    task = {"size": [80, 64], "method": "pyiseg", "clicks": 1, "model": str(toy), "device": "cpu", "mobile_sam": None}
    found = memory.peak_of(task)
    if "error" not in found:  # a system that does not tell says so
        assert found["peak_mb"] > 20
    failed = memory.peak_of(task | {"model": str(toy / "absent")})
    assert "the process ended with exit code 1: " in failed["error"]
    assert "absent" in failed["error"]
    result = {**run.begin(run.Settings([(80, 64)], model=toy)), "sizes": []}
    times = {name: {"median_ms": 1.0, "p95_ms": 2.0, "n": 7} for name in ("open", "click", "matte")}
    entry = {"size": [80, 64], "megapixels": 0.005, "methods": {"pyiseg": {"times": times, "memory": failed}}}
    shown = table.text(result | {"sizes": [entry]})
    assert "note: 80 x 64, pyiseg: memory not measured, the process ended" in shown
    assert "1.0 / 2.0" in shown
    assert "did not zoom in" in shown
