"""Files that commands write: what cannot be is refused first, by name and with the way out; names are shown alike."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import toy_evaluation, unwritable
from support.toy_model import PHOTO

import pyiseg
from pyiseg import cli, images
from pyiseg.files import atomic_write

pytest.importorskip("matplotlib")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: an image, a data set, a report, and a folder that is to be closed."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    (tmp_path / "closed").mkdir()
    toy_evaluation.build(tmp_path / "set", pictures=1, easy=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes long fails the test."""
    for module in ("pyiseg.cli.main", "pyiseg.cli.prompts"):
        monkeypatch.setattr(sys.modules[module], "Session", lambda *_, **__: pytest.fail("it was begun"))
    monkeypatch.setattr("pyiseg.evaluation.runner.run_cases", lambda *_: pytest.fail("it was measured"))
    monkeypatch.setattr("pyiseg.benchmark.run.run", lambda *_: pytest.fail("it was measured"))
    monkeypatch.setattr("pyiseg.evaluation.results.read_report", lambda *_: pytest.fail("it was read"))


CUT = "cut photo.png --click 60,30"
COMMANDS = {
    "cut -o": f"{CUT} -o PLACE/a.png",
    "cut --alpha": f"{CUT} -o a.png --alpha PLACE/a.tif",
    "cut --save-session": f"{CUT} -o a.png --save-session PLACE/a.json",
    "demo": "demo -o PLACE",
    "demo, deeper": "demo -o PLACE/a/b",
    "evaluate -o": "evaluate folder set -o PLACE/a.json",
    "evaluate --report": "evaluate folder set --report PLACE",
    "evaluate --report, deeper": "evaluate folder set --report PLACE/a/b",
    "report": "report r.json -o PLACE/a",
    "benchmark -o": "benchmark -o PLACE/a.json",
    "benchmark --plot": "benchmark --plot PLACE/a.png",
}
EACH = pytest.mark.parametrize("command", COMMANDS)


def error_of(command: str, place: str, toy: Path, capsys: Captured) -> str:
    """The one line that a command says when it cannot write to a place; nothing is made before it."""
    before = sorted(Path().rglob("*"))
    given = COMMANDS[command].replace("PLACE", place).split()
    assert cli.main([*given, *([] if command == "report" else ["--model", str(toy)])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("pyiseg: error: ")
    assert printed.err.count("\n") == 1
    assert "Errno" not in printed.err
    assert sorted(Path().rglob("*")) == before
    return printed.err


@EACH
def test_a_folder_that_cannot_be_written_into(
    command: str, folder: Path, toy: Path, no_work: None, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was ``[Errno 13]`` without a way out, and of evaluate after the first case."""
    unwritable.refuse(monkeypatch, folder / "closed")
    error = error_of(command, "closed", toy, capsys)
    assert "cannot " in error
    assert "'closed" in error
    assert "Permission denied; choose another folder, or change the permissions of this one" in error


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no such folder here")
@EACH
def test_a_folder_of_the_system(command: str, folder: Path, toy: Path, no_work: None, capsys: Captured) -> None:
    """Where the permissions would allow it, and there can be no files all the same."""
    assert "No such file or directory; choose another folder" in error_of(command, "/proc", toy, capsys)


@EACH
def test_a_file_where_a_folder_is_wanted(
    command: str, folder: Path, toy: Path, no_work: None, capsys: Captured
) -> None:
    """It was ``[Errno 17] File exists``, ``[Errno 20]``, or that the folder does not exist."""
    error = error_of(command, "photo.png", toy, capsys)
    assert "'photo.png' is a file" in error
    assert "choose a folder" in error or "name a folder" in error or "a folder of its own" in error


@EACH
def test_a_file_somewhere_above(command: str, folder: Path, toy: Path, no_work: None, capsys: Captured) -> None:
    assert "'photo.png' is a file" in error_of(command, "photo.png/deep", toy, capsys)


@EACH
def test_a_link_that_leads_nowhere(command: str, folder: Path, toy: Path, no_work: None, capsys: Captured) -> None:
    Path("link").symlink_to("nothing")
    assert "'link' is a link that leads nowhere" in error_of(command, "link", toy, capsys)


@pytest.mark.parametrize("command", [name for name, given in COMMANDS.items() if "PLACE/a." in given])
def test_a_folder_that_does_not_exist(command: str, folder: Path, toy: Path, no_work: None, capsys: Captured) -> None:
    words = "the folder 'none' does not exist; make it first, or choose another one"
    assert words in error_of(command, "none", toy, capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("command", [name for name, given in COMMANDS.items() if "PLACE/a." in given])
def test_a_pipe_is_neither_waited_for_nor_replaced(
    command: str, folder: Path, toy: Path, no_work: None, capsys: Captured
) -> None:
    pipe = COMMANDS[command].split()[-1].replace("PLACE", "closed")
    os.mkfifo(pipe)
    assert f"cannot write '{pipe}': it is a device or a pipe" in error_of(command, "closed", toy, capsys)
    assert Path(pipe).is_fifo()


def test_journals_are_tried_too(
    folder: Path, toy: Path, no_work: None, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("closed/a.json.partial.jsonl").mkdir()
    assert "'closed/a.json.partial.jsonl': it is a folder" in error_of("evaluate -o", "closed", toy, capsys)
    given = ["evaluate", "folder", "set", "-o", f"{'x' * 240}.json", "--model", str(toy)]
    assert cli.main(given) == 2
    assert "has 259 characters, more than a path can have here" in capsys.readouterr().err
    Path("b.json.partial.jsonl").write_text("{}\n")
    opened = open
    monkeypatch.setattr("builtins.open", lambda *given: fail() if given[1] == "ab" else opened(*given))
    assert cli.main(["evaluate", "folder", "set", "-o", "b.json", "--model", str(toy)]) == 2
    assert "cannot go on with 'b.json.partial.jsonl': Permission denied; move it away" in capsys.readouterr().err


def fail(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EACCES, os.strerror(errno.EACCES), "x")


def test_a_saved_session_that_cannot_be_read(
    folder: Path, toy: Path, no_work: None, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("closed/a.json").write_text("{}")
    monkeypatch.setattr("pyiseg.saving.open", fail, raising=False)
    error = error_of("cut --save-session", "closed", toy, capsys)
    assert "'closed/a.json': whether it is a saved session cannot be read (Permission denied); choose another" in error


@pytest.mark.parametrize("lost", ["s.json", "a.png", "m.png"])
def test_one_file_that_cannot_be_written_takes_no_other_along(
    lost: str, folder: Path, toy: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saved session that could not be written took the cut-out along."""
    replace = os.replace

    def replacing(source: Any, target: Any) -> None:
        if Path(target).name == lost:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    given = [*CUT.split(), "-o", "a.png", "--alpha", "m.png", "--save-session", "s.json", "--model", str(toy)]
    assert cli.main(given) == 2
    printed = capsys.readouterr()
    others = {"s.json", "a.png", "m.png"} - {lost}
    assert {path.name for path in Path().glob("*.*")} == {"photo.png", *others}
    assert {line.split()[1] for line in printed.out.splitlines() if line.startswith("wrote")} == others
    words = f"cannot write '{lost}': No space left on device; make room there, or choose another folder"
    assert printed.err == f"pyiseg: error: {words}\n"


def test_several_files_that_cannot_be_written(
    folder: Path, toy: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", fail)
    assert cli.main([*CUT.split(), "-o", "a.png", "--alpha", "m.png", "--model", str(toy)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot write 'a.png': Permission denied" in error
    assert "; cannot write 'm.png': Permission denied" in error
    assert cli.main(["demo", "-o", "shown", "--model", str(toy)]) == 2
    error = capsys.readouterr().err
    assert "'shown/cutout.png'" in error
    assert "'shown/demo.png'" in error


def test_a_benchmark_outlives_a_full_disk(
    folder: Path, toy: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured was neither printed nor drawn."""
    pytest.importorskip("onnx")
    from pyiseg.benchmark import memory

    monkeypatch.setattr(memory, "peak_of", lambda task: {"peak_mb": 100.0})
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda source, target: fail() if target.suffix == ".json" else replace(source, target)
    )
    given = ["--sizes", "100x80", "--repeat", "1", "-o", "b.json", "--plot", "b.png", "--model", str(toy)]
    assert cli.main(["benchmark", *given]) == 2
    printed = capsys.readouterr()
    assert "100 x 80" in printed.out
    assert "wrote   b.png" in printed.out
    assert "cannot write 'b.json': Permission denied" in printed.err


ODD, SHOWN = "a\n\x1b[2J.png", r"a\n\x1b[2J.png"


@pytest.mark.skipif(os.name != "posix", reason="names cannot hold that elsewhere")
def test_names_are_shown_in_one_line(folder: Path, toy: Path, capsys: Captured) -> None:
    """``wrote`` printed them raw, and errors had a space for a line break."""
    assert cli.main([*CUT.split(), "-o", ODD, "--model", str(toy)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote   {SHOWN}"
    model = ["--model", str(toy)]
    for given in (
        ["cut", f"none{ODD}", "--click", "1,1", "-o", "x.png"],
        ["cut", "photo.png", "--click", "1,1", "-o", f"none{ODD}/x.png"],
        ["cut", "photo.png", "--click", "1,1", "-o", f"{ODD}/none.png"],
        ["cut", "photo.png", "--session", f"none{ODD}", "-o", "x.png"],
        ["cut", "photo.png", "--mask", ODD, "-o", ODD],
        ["demo", "-o", ODD],
        ["evaluate", "folder", f"none{ODD}"],
        ["evaluate", "folder", "set", "-o", ODD],
        ["benchmark", "-o", ODD],
    ):
        assert cli.main([*given, *model]) == 2
        error = capsys.readouterr().err
        assert SHOWN in error
        assert error.count("\n") == 1
    assert cli.main(["report", ODD, "-o", "out"]) == 2
    assert f"'{SHOWN}' is not JSON" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["cut", "photo.png", "--click", "1\n2", "-o", "x.png"])
    assert r"'1\n2' is not X,Y" in capsys.readouterr().err
    long = f"{'ordentlich' * 14} ä漢.png"
    assert cli.main([*CUT.split(), "-o", long, "--model", str(toy)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote   {long}"
    assert cli.main(["cut", f"{long}x", "--click", "1,1", "-o", "x.png", "--model", str(toy)]) == 2
    assert f"no image at '{long}x'; check" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="names cannot hold that elsewhere")
def test_names_of_evaluations_are_shown_in_one_line(folder: Path, toy: Path, capsys: Captured) -> None:
    out = "o\nut"
    given = ["evaluate", "folder", "set", "--clicks", "1", "--report", out, "--model", str(toy)]
    assert cli.main(given) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrote")]
    assert lines == [r"wrote   o\nut/evaluation.json", r"wrote   o\nut/report.md"]


def test_models_of_strangers_give_the_terminal_no_orders(tmp_path: Path, toy: Path, capsys: Captured) -> None:
    import json
    import shutil

    folder = Path(shutil.copytree(toy, tmp_path / "model"))
    stated = json.loads((folder / "model.json").read_text())
    stated["description"] = "clears\x1b[2J\nthe screen"
    (folder / "model.json").write_text(json.dumps(stated))
    assert cli.main(["info", "--model", str(folder)]) == 0
    assert r": clears\x1b[2J\nthe screen" in capsys.readouterr().out


def test_the_library_says_it_too(tmp_path: Path, session: pyiseg.Session) -> None:
    """Whoever writes by the library learns the same; that a file is in the way named the temporary one before."""
    (tmp_path / "file").write_text("x")
    place = tmp_path / "file" / "a.png"
    pixels = np.zeros((4, 4), np.uint8)
    for write in (lambda: images.write(place, pixels), lambda: session.save(place)):
        with pytest.raises(NotADirectoryError, match=r"file' is a file, not a folder; choose a folder") as caught:
            write()
        assert caught.value.errno == errno.ENOTDIR
    with (
        pytest.raises(NotADirectoryError, match=r"^cannot write '.*file/a\.png': Not a directory; choose"),
        atomic_write(place),
    ):
        pass
