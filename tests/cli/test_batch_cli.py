"""The command `pyiseg batch`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from support.toy_batch import PROMPTS, contents, make, table

from pyiseg import cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with photos/ and prompts.csv in it."""
    make(tmp_path / "photos")
    table(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch(toy: Path, *options: str) -> int:
    return cli.main(["batch", "photos", "-o", "out", "--prompts", "prompts.csv", "--model", str(toy), *options])


def test_done_and_done_again(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(folder / "photos", ["x.png", "y.png"])
    assert batch(toy, "--jobs", "2") == 0
    printed = capsys.readouterr()
    assert printed.out == "done: 5 images, in out\nwithout prompts: 2 images: x.png, y.png\n"
    assert printed.err == ""
    assert batch(toy) == 0
    printed = capsys.readouterr()
    assert "done: 0 images, in out\nskipped: 5 images, done by an earlier run\n" in printed.out
    assert "5 of 5 images are there" in printed.err


def test_failures_are_exit_code_1_and_named(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "b.png").write_bytes(b"broken")
    (folder / "photos" / "e.png").unlink()
    assert batch(toy) == 1
    printed = capsys.readouterr()
    assert "done: 3 images, in out" in printed.out
    assert "failed: 2 images, listed in out/failures.csv; the same command tries again" in printed.out
    assert "\n  b.png: 'photos/b.png' is not an image" in printed.out
    assert "\n  e.png: there is no such image in 'photos'" in printed.out
    assert "b.png: " in printed.err
    assert batch(toy) == 1
    make(folder / "photos")
    table(folder / "photos")
    assert batch(toy) == 0


def test_wrong_rows_are_exit_code_2_and_a_line_each(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(folder / "photos", PROMPTS + "../a.png,1,2,,,,,,,\na.png,,,,,,,,,\n")
    assert batch(toy) == 2
    assert capsys.readouterr().err.splitlines() == [
        "pyiseg: error: prompts.csv, line 10: the image's name '../a.png' is no name within the folder; write "
        "photo.jpg, or day1/photo.jpg for one in a folder of it",
        "pyiseg: error: prompts.csv, line 11: it has no coordinates; fill x and y for a click, or x0, y0, x1 and y1 "
        "for a box",
        "pyiseg: error: nothing was done; mend the list and run again",
    ]
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("batch photos -o out", "--prompts"),
        ("batch photos --prompts prompts.csv", "-o/--output"),
        ("batch photos -o out --prompts prompts.csv --format gif", "invalid choice: 'gif'"),
        ("batch photos -o out --prompts prompts.csv --jobs 0", "'0' is not a whole number"),
        ("batch photos -o out --prompts prompts.csv --grow -3", "grow is -3.0; pass a number of pixels"),
        ("batch photos -o out --prompts prompts.csv --feather x", "invalid float value: 'x'"),
        ("batch photos -o out --prompts gone.csv", "gone.csv"),
        ("batch gone -o out --prompts prompts.csv", "the folder of images 'gone' does not exist"),
        ("batch photos -o photos --prompts prompts.csv", "'photos' is the folder of the images"),
        ("batch photos -o . --prompts prompts.csv", "holds 'photos' and 1 more, which no pyiseg batch has written"),
        ("batch https://a.org/b -o out --prompts prompts.csv", "is a URL"),
        ("batch photos -o out --prompts prompts.csv --device tpu", "device is 'tpu'"),
        ("batch photos -o out --prompts prompts.csv --model gone", "does not exist"),
    ],
)
def test_errors_are_one_line_and_leave_nothing_behind(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    before = contents(folder)
    try:
        code = cli.main(arguments.split())
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.startswith("pyiseg: error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert contents(folder) == before
    assert not (folder / "out").exists()


def test_what_is_not_used_and_what_is_empty_are_said(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(folder / "photos", "image,x,y,fg,object,note\na.png,3,3,0,sky,hm\nb.png,60,30,,,\n")
    assert batch(toy, "--format", "matte-png", "--format", "coco", "--format", "coco") == 0
    printed = capsys.readouterr().out
    assert "note: prompts.csv: the columns 'note' are not used\n" in printed
    assert "nothing selected: 1 object: a.png (sky)\n" in printed
    assert json.loads((folder / "out/coco/coco.json").read_text())["images"][0]["file_name"] == "a.png"


def test_the_table_and_the_script_of_the_guide(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    table(folder / "photos", next(block for _, block in shown if block.startswith("image,object")))
    make(folder / "photos", ["otter.jpg", "harbor/boats.jpg"], height=800, width=1500)
    assert batch(toy) == 0
    assert capsys.readouterr().out.startswith(
        next(block for _, block in shown if block == "done: 2 images, in cut\n")[:14]
    )
    assert sorted(contents(folder / "out")) == [
        "harbor/boats-left_boat.png",
        "harbor/boats-right_boat.png",
        "otter.png",
    ]
    # A detector's results become prompts.
    data = {"images": [{"id": 4, "file_name": "a.png"}], "categories": [{"id": 2, "name": "disc"}], "annotations": []}
    results = [{"image_id": 4, "category_id": 2, "bbox": [40, 10, 39, 40], "score": score} for score in (0.9, 0.1)]
    (folder / "instances.json").write_text(json.dumps(data))
    (folder / "results.json").write_text(json.dumps(results))
    script = next(block for kind, block in shown if kind == "python" and "results.json" in block)
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, timeout=60)
    given = ["--prompts", "detections.json", "--format", "coco", "--keep-largest", "--model", str(toy)]
    assert cli.main(["batch", "photos", "-o", "masks", *given]) == 0
    (annotation,) = json.loads((folder / "masks" / "coco.json").read_text())["annotations"]
    assert (annotation["image_id"], annotation["category_id"]) == (4, 2)


def test_names_of_files_do_not_command_the_terminal(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "photos" / "x\x1b[2J.png").touch()
    (folder / "photos" / "y\u2028.png").touch()
    assert batch(toy) == 0
    printed = capsys.readouterr().out
    assert "without prompts: 1 image: y\\u2028.png\n" in printed
    assert "no list can name: 1 image: x\\x1b[2J.png; rename it first\n" in printed


def test_the_messages_of_the_guide_are_those_of_the_program(
    folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It quoted what had become another sentence."""
    text = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in re.findall(r"^```\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)]
    wrong = next(lines for lines in blocks if lines[0].startswith("pyiseg: error"))
    table(folder / "photos", "image,x,y\n" + "a.png,1,1\n" * 2 + "a.png,12O,1\n" + "a.png,1,1\n" * 4 + "a.png,,\n")
    assert batch(toy) == 2
    assert capsys.readouterr().err.splitlines() == wrong
    make(folder / "photos", ["cover.jpg", "CON.jpg", "harbor/boats.jpg"], height=40, width=1600)
    (folder / "photos" / "broken.jpg").write_text("no image")
    rows = (
        "a.png,1,1\nb.png,1,1\nbroken.jpg,1,1\nharbor/boats.jpg,9000,1\nday 1/c.png,1,1\nday 1/d.jpg,1,1\ne.png,1,1\n"
    )
    table(folder / "photos", f"image,x,y\n{rows}")
    command = ["batch", "photos", "-o", "cut", "--prompts", "prompts.csv", "--model", str(toy)]
    assert cli.main(command) == 1
    (said,) = (lines for lines in blocks if any(line.startswith("failed: ") for line in lines))
    assert capsys.readouterr().out.splitlines() == ["done: 5 images, in cut", *said[1:]]
    (quoted,) = re.findall(r'"(the image\'s name .*?)"', text)
    table(folder / "photos", "image,x,y\nCON.jpg,1,1\n")
    assert cli.main(command) == 2
    assert f"prompts.csv, line 2: {quoted}\n" in capsys.readouterr().err


def test_several_images_that_no_list_can_name(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such files")
    make(folder / "photos", ["aux.png", "day 1/nul.jpg"])
    assert batch(toy) == 0
    assert (
        capsys.readouterr().out
        == "done: 5 images, in out\nno list can name: 2 images: aux.png, day 1/nul.jpg; rename them first\n"
    )


def test_failures_are_no_formulas(folder: Path, toy: Path) -> None:
    table(folder / "photos", "image,x,y\n=1+1.png,1,2\n")
    assert batch(toy) == 1
    assert (folder / "out" / "failures.csv").read_text().splitlines()[1].startswith("./=1+1.png,there is no such")


def test_long_lists_are_cut(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"gone{number:02}.png,1,2\n" for number in range(30))
    table(folder / "photos", f"image,x,y\n{rows}")
    make(folder / "photos", [f"more{number:02}.png" for number in range(20)])
    assert batch(toy) == 1
    printed = capsys.readouterr().out
    assert "without prompts: 25 images: " in printed
    assert "more14.png and 5 more\n" in printed
    assert "  gone19.png: " in printed
    assert "  gone20.png: " not in printed
    assert printed.endswith("\n  and 10 more\n")
