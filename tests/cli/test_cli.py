"""cli.py: what is written, what is printed, and how errors look."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.toy_model import PHOTO

import pyiseg
from pyiseg import cli, demo


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with photo.png in it."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_cut(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = ["--click", "60,30", "--click", "50,30,bg", "--click", "10, 12, fg"]
    code = cli.main(["cut", "photo.png", *clicks, "-o", "cut.png", "--alpha", "alpha.tif", "--model", str(toy)])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    session = pyiseg.Session(PHOTO, model=toy)
    session.click(60, 30)
    session.click(50, 30, fg=False)
    session.click(10, 12)
    np.testing.assert_array_equal(read(folder / "cut.png"), session.cutout())
    np.testing.assert_array_equal(read(folder / "alpha.tif"), session.alpha)
    assert sorted(os.listdir(folder)) == ["alpha.tif", "cut.png", "photo.png"]
    for words in ("80 x 60", "click 1 (60, 30) selects: ", "click 2 (50, 30) removes: ", " ms", "cut.png", "alpha.tif"):
        assert words in printed.out


def test_cut_without_the_old_background(folder: Path, toy: Path) -> None:
    click = ["--click", "60,30", "--model", str(toy)]
    assert cli.main(["cut", "photo.png", *click, "-o", "cut.png", "--decontaminate"]) == 0
    session = pyiseg.Session(PHOTO, model=toy)
    session.click(60, 30)
    np.testing.assert_array_equal(read(folder / "cut.png"), session.cutout(foreground="estimate"))
    assert (session.cutout(foreground="estimate") != session.cutout()).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "COMMAND"),
        ("cut photo.png --click 1,2 --alpha a.png --decontaminate", "name it with -o cut.png"),
        ("paste", "'paste'"),
        ("cut photo.png -o a.png", "--click"),
        ("cut photo.png --click 1 -o a.png", "'1' is not X,Y"),
        ("cut photo.png --click 1,2,3 -o a.png", "'1,2,3' is not X,Y"),
        ("cut photo.png --click 1,2,bg,4 -o a.png", "'1,2,bg,4' is not X,Y"),
        ("cut photo.png --click 1,nan -o a.png", "'1,nan' is not X,Y"),
        ("cut photo.png --click 80,2 -o a.png", "x is 80, outside the image: it must be from 0 to 79"),
        ("cut photo.png --click=-1,2 -o a.png", "x is -1, outside the image"),
        ("cut photo.png --click -1,2 -o a.png", "x is -1, outside the image: it must be from 0 to 79"),
        ("cut photo.png --click 1,2 --click -5,120,bg -o a.png", "x is -5, outside the image"),
        ("cut photo.png --click 1,-2 -o a.png", "y is -2, outside the image"),
        ("cut photo.png -o a.png --cl -7,2", "x is -7, outside the image"),
        ("cut photo.png --click -.5,2 -o a.png", "'-.5,2' is not X,Y"),
        ("cut photo.png --click -5 -o a.png", "'-5' is not X,Y"),
        ("cut photo.png --click 1,2 -o a.png --model -5", "-5' does not exist"),
        ("cut photo.png --click 1,2 -o -5", "'-5': the name must end in .png"),
        ("cut photo.png --click -o a.png", "--click: expected one argument"),
        ("evaluate folder sub --clicks -5", "'-5' is not a whole number"),
        ("evaluate folder sub --jobs -1e3", "'-1e3' is not a whole number"),
        ("engines build --size -5x3", "size is '-5x3'"),
        ("cut https://a.org/b.png --click 1,2 -o a.png", "argument image: 'https://a.org/b.png' is a URL"),
        ("cut photo.png --click 1,2 -o https://a.org/b.png", "argument -o/--output: 'https://a.org/b.png' is a URL"),
        ("cut photo.png --click 1,2 --alpha https://a.org/b.png", "argument --alpha: 'https://a.org/b.png' is a URL"),
        ("cut photo.png --click 1,2 -o a.png --model https://a.org/b", "model folder: 'https://a.org/b' is a URL"),
        ("demo -o https://a.org/b", "argument -o/--output: 'https://a.org/b' is a URL"),
        ("evaluate folder https://a.org/b", "argument folder: 'https://a.org/b' is a URL"),
        ("evaluate folder sub -o https://a.org/b.json", "argument -o/--output: 'https://a.org/b.json' is a URL"),
        ("evaluate folder sub --report https://a.org/b", "argument --report: 'https://a.org/b' is a URL"),
        ("report https://a.org/b.json -o sub", "argument FILE: 'https://a.org/b.json' is a URL"),
        ("report sub/a.json -o sub --images https://a.org/b", "argument --images: 'https://a.org/b' is a URL"),
        (f"cut {'x' * 5000} --click 1,2 -o a.png", "has 5000 characters, more than a path can have"),
        (f"cut photo.png --click 1,2 -o {'x' * 300}.png", "has 304 characters, more than a path can have"),
        ("cut a\0.png --click 1,2 -o a.png", "'a\\x00.png' has a null character at position 1"),
        ("cut photo.png --click 1,2", "-o cut.png"),
        ("cut photo.png --click 1,2 -o photo.png", "'photo.png' would be overwritten"),
        ("cut photo.png --click 1,2 --alpha ./sub/../photo.png", "'photo.png' would be overwritten"),
        ("cut photo.png --click 1,2 --alpha link.png", "'photo.png' would be overwritten"),
        ("cut photo.png --click 1,2 -o a.png --alpha ./a.png", "both name 'a.png'"),
        ("cut photo.png --click 1,2 -o a.jpg", "'a.jpg': the name must end in .png"),
        ("cut photo.png --click 1,2 -o none/a.png", "the folder 'none' does not exist"),
        ("cut gone.png --click 1,2 -o a.png", "no image at 'gone.png'"),
        ("cut text.png --click 1,2 -o a.png", "'text.png' is not an image"),
        ("cut sub --click 1,2 -o a.png", "'sub' is a folder"),
        ("cut photo.png --click 1,2 -o a.png --device tpu", "device is 'tpu'"),
        ("cut photo.png --click 1,2 -o a.png --device cuda", "or pass --device cpu"),
        ("cut photo.png --click 1,2 -o a.png --model gone", "gone' does not exist"),
        ("demo -o photo.png", "photo.png"),
        ("info --model sub", "sub' is not a pyiseg model folder"),
    ],
)
def test_errors_are_one_line_and_leave_nothing_behind(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    (folder / "sub").mkdir()
    (folder / "text.png").write_text("text")
    (folder / "link.png").symlink_to("photo.png")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    given = arguments.split()
    if given and given[0] in ("cut", "demo") and "--model" not in given:
        given += ["--model", str(toy)]
    try:
        code = cli.main(given)
    except SystemExit as stop:  # how argparse ends
        code = int(stop.code or 0)
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("pyiseg: error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert words in error
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_values_that_begin_with_a_minus_sign(folder: Path, toy: Path) -> None:
    Image.fromarray(PHOTO).save(folder / "-1.png")
    command = ["cut", "-o", "-2.png", "--model", str(toy), "--click", "60,30"]
    assert cli.main([*command, "photo.png"]) == 0
    assert (folder / "-2.png").exists()
    assert cli.main([*command[:1], "-o", "a.png", *command[3:], "--", "-1.png"]) == 0
    np.testing.assert_array_equal(read(folder / "a.png"), read(folder / "-2.png"))


def test_settings_that_cannot_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYISEG_NUM_THREADS", "0")
    for command in ("info", "engines list", "cut photo.png --click 1,2 -o a.png", "evaluate folder ."):
        assert cli.main(command.split()) == 2
        error = capsys.readouterr().err
        assert error.startswith("pyiseg: error: PYISEG_NUM_THREADS is '0'; it may be a whole number from 1 to 256")
        assert error.count("\n") == 1


def test_a_transparent_image(folder: Path, toy: Path) -> None:
    alpha = np.full(PHOTO.shape[:2], 255, np.uint8)
    alpha[:, 55:] = 0
    Image.fromarray(np.dstack([PHOTO, alpha])).save(folder / "hole.png")
    arguments = ["cut", "hole.png", "--click", "50,30", "-o", "cut.png", "--alpha", "alpha.png", "--model", str(toy)]
    assert cli.main(arguments) == 0
    cut, matte = read(folder / "cut.png"), read(folder / "alpha.png")
    np.testing.assert_array_equal(cut[..., :3], PHOTO)
    np.testing.assert_array_equal(cut[..., 3], np.where(alpha, matte, 0))
    assert matte[:, 55:].any()


def test_the_demo(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "-o", "shown/here", "--model", str(toy)]) == 0
    printed = capsys.readouterr().out
    where = folder / "shown" / "here"
    assert sorted(os.listdir(where)) == ["cutout.png", "demo.png"]
    session = pyiseg.Session(demo.PHOTO, model=toy)
    for click in demo.CLICKS:
        session.click(*click)
    np.testing.assert_array_equal(read(where / "cutout.png"), session.cutout())
    np.testing.assert_array_equal(read(where / "demo.png"), demo.side_by_side(session))
    assert printed.count(" ms") == 1 + len(demo.CLICKS)
    assert str(Path("shown/here/demo.png")) in printed


def test_side_by_side(toy: Path) -> None:
    session = pyiseg.Session(PHOTO, model=toy)
    session.click(60, 30)
    session.click(50, 30, fg=False)
    height, width = session.shape
    image = demo.side_by_side(session)
    middle = (image.shape[1] - width) // 2
    marked, matte, shown = image[:, :width], image[:, middle : middle + width], image[:, -width:]
    assert image.shape[0] == height
    np.testing.assert_array_equal(matte, np.repeat(session.alpha[..., None], 3, axis=2))
    changed = (marked != PHOTO).any(axis=2)
    assert changed[29:32, 59:62].all()
    assert not changed[:, :40].any()
    assert marked[31, 61, 1] > marked[31, 61, 0]  # green where it selects
    assert marked[31, 51, 0] > marked[31, 51, 1]  # red where it removes
    solid, empty = session.alpha == 255, session.alpha == 0
    np.testing.assert_array_equal(shown[solid], PHOTO[solid])
    assert set(np.unique(shown[empty])) == {150, 200}


def test_info_leaves_configurations_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert "training settings: see model.json" in printed
    assert 'training data: {"sbd": ' in printed


def test_info(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--model", str(toy)]) == 0
    printed = capsys.readouterr().out
    for words in (pyiseg.__version__, "cpu", "toy: a stand-in for tests", "Apache-2.0", "command: none", "pictures: 0"):
        assert words in printed


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (["--version"], f"pyiseg {pyiseg.__version__}\n"), (["cut", "--help"], "--click X,Y[,bg]"):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_as_a_program(folder: Path, toy: Path) -> None:
    command = [sys.executable, "-m", "pyiseg", "cut", "photo.png", "-o", "cut.png", "--model", str(toy), "--click"]
    good = subprocess.run([*command, "60,30"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert read(folder / "cut.png").shape == (60, 80, 4)
    bad = subprocess.run([*command, "60,60"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr == "pyiseg: error: y is 60, outside the image: it must be from 0 to 59\n"


def test_a_reader_that_leaves_loses_no_picture(folder: Path, toy: Path) -> None:
    command = f"'{sys.executable}' -m pyiseg cut photo.png --click 60,30 -o cut.png --model '{toy}' | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(folder / "cut.png").shape == (*PHOTO.shape[:2], 4)


def test_what_is_replaced_keeps_its_permissions_and_links(folder: Path, toy: Path) -> None:
    (folder / "real.png").write_bytes(b"old")
    (folder / "real.png").chmod(0o600)
    (folder / "link.png").symlink_to("real.png")
    assert cli.main(["cut", "photo.png", "--click", "60,30", "-o", "link.png", "--model", str(toy)]) == 0
    assert (folder / "link.png").is_symlink()
    assert (folder / "real.png").stat().st_mode & 0o777 == 0o600
    assert read(folder / "real.png").shape[2] == 4


def test_a_folder_is_no_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was "no file at …; check the path", of a path that is right."""
    assert cli.main(["report", str(folder), "-o", str(folder / "out")]) == 2
    assert "is a folder; pass the JSON file that pyiseg evaluate -o wrote" in capsys.readouterr().err


def test_a_report_must_be_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "folder", ".", "-o", "photo.png"]) == 2
    assert "'photo.png': a report is a .json file" in capsys.readouterr().err


def test_cut_by_every_kind_of_prompt(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order given, and goes on from a saved session."""
    given = ["--box", "10,12,60,40", "--click", "60,30", "--scribble", "5,5 40,8 bg", "--model", str(toy)]
    assert cli.main(["cut", "photo.png", *given, "--save-session", "s.json", "--alpha", "alpha.png"]) == 0
    session = pyiseg.Session(PHOTO, model=toy)
    session.box(10, 12, 60, 40)
    session.click(60, 30)
    np.testing.assert_array_equal(read(folder / "alpha.png"), session.scribble([(5, 5), (40, 8)], fg=False))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[1:5]] == [
        "box 1 (10, 12, 60, 40) selects",
        "click 2 (60, 30) selects",
        "scribble 3 (2 points) removes",
        "wrote   s.json",
    ]
    assert pyiseg.Session.load("s.json", PHOTO, model=toy).prompts == session.prompts
    more = ["--session", "s.json", "--click", "10,12", "--model", str(toy)]
    assert cli.main(["cut", "photo.png", *more, "--alpha", "more.png"]) == 0
    np.testing.assert_array_equal(read(folder / "more.png"), session.click(10, 12))


def test_cut_from_a_mask(folder: Path, toy: Path) -> None:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[10:40, 5:30] = 255
    Image.fromarray(mask).save("mask.png")
    Image.fromarray(np.dstack([PHOTO, mask])).save("earlier.png")
    for name in ("mask.png", "earlier.png"):
        assert cli.main(["cut", "photo.png", "--mask", name, "--alpha", "same.png", "--model", str(toy)]) == 0
        np.testing.assert_array_equal(read(folder / "same.png"), mask)
    command = ["cut", "photo.png", "--mask", "mask.png", "--click", "60,30", "--alpha", "more.png", "--model", str(toy)]
    assert cli.main(command) == 0
    np.testing.assert_array_equal(read(folder / "more.png"), pyiseg.Session(PHOTO, model=toy, mask=mask).click(60, 30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing says what to select; add --click X,Y, --box X0,Y0,X1,Y1"),
        (["--box", "1,2,3"], "'1,2,3' is not X0,Y0,X1,Y1 with whole numbers"),
        (["--box", "900,1,950,9"], "holds nothing of the image"),
        (["--box", "-9,-9,20,20", "--mask", "none.png"], "no image at 'none.png'"),
        (["--scribble", "bg"], "'bg' is not 'X,Y X,Y …'"),
        (["--scribble", "1,2 3"], "is not 'X,Y X,Y …'"),
        (["--scribble", "1,2 300,4"], "points[1] x is 300, outside the image"),
        (["--mask", "photo.png"], "'photo.png' is in color: a mask is gray"),
        (["--session", "photo.png"], "'photo.png' is no saved session"),
        (["--session", "none.json"], "none.json"),
        (["--session", "a.json", "--mask", "b.png"], "--mask and --session both say what to begin with"),
        (["--click", "1,1", "--save-session", "nowhere/s.json"], "the folder 'nowhere' does not exist"),
    ],
)
def test_prompts_that_say_nothing(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command = ["cut", "photo.png", *arguments, "--alpha", "alpha.png", "--model", str(toy)]
    try:
        code = cli.main(command)
    except SystemExit as exit:
        code = exit.code  # type: ignore[assignment]
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (folder / "alpha.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save-session", "photo.png"], "'photo.png' would be overwritten"),
        (["--save-session", "x.png", "-o", "x.png"], "two of -o, --alpha and --save-session both name"),
        (["--mask", "mask.png", "-o", "mask.png"], "'mask.png' would be overwritten"),
        (["--session", "none.json", "-o", "x.png"], "no saved session at 'none.json'; check the path"),
    ],
)
def test_nothing_given_is_overwritten(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Image.fromarray(np.full(PHOTO.shape[:2], 255, np.uint8)).save("mask.png")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["cut", "photo.png", "--click", "3,3", *arguments, "--model", str(toy)]) == 2
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
