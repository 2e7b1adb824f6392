"""Errors of the library, as the command line says them: of options, not of arguments."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.toy_model import PHOTO

import pyiseg
from pyiseg import cli
from pyiseg.cli.wording import for_command_line

IN_PYTHON = ("device=", "model=", "replay=", "max_pixels", "Session.", "PIL.", "numpy", "an array", "convert(")


@pytest.fixture
def folder(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with what cannot be used."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    Path("text.png").write_text("no image")
    Image.fromarray(np.zeros((9, 9), np.float32)).save("float.tif")
    Image.fromarray(np.full((9, 9), 900, np.uint16)).save("dark.png")
    session = pyiseg.Session(PHOTO, model=toy)
    session.click(60, 30)
    session.save("other.json")
    saved = json.loads(Path("other.json").read_text())
    saved["model"]["sha256"] = "0" * 64
    Path("other.json").write_text(json.dumps(saved))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("photo.png --click 1,2 --device cuda", "; or pass --device cpu"),
        ("text.png --click 1,2", "convert it to PNG or JPEG\n"),
        ("float.tif --click 1,2", "scale them to 0..255 and save it as 8-bit gray first"),
        ("dark.png --click 1,2", "Scale them to 8 bits, and save it as an 8-bit image first"),
        (
            "photo.png --click 1,2 --max-megapixels 0.001",
            "or raise the limit, --max-megapixels\n",
        ),
        ("photo.png --session other.json", "name that one with --model\n"),
        ("photo.png --session photo.png", "pass what --save-session wrote\n"),
    ],
)
def test_cut(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str], arguments: str, words: str) -> None:
    assert cli.main(["cut", *arguments.split(), "-o", "a.png", "--model", str(toy)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not [word for word in IN_PYTHON if word in error]


def test_other_commands(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "evaluate folder .", "benchmark", "serve"):
        for part in ("images", "masks"):
            Path(part).mkdir(exist_ok=True)
            shutil.copy("photo.png", part)
        assert cli.main([*command.split(), "--device", "cuda", "--model", str(toy)]) == 2
        assert "or pass --device cpu\n" in capsys.readouterr().err, command


def test_what_only_programs_could_do_is_left_out() -> None:
    """All that images are refused with, also where it takes one of hundreds of megabytes."""
    source = (ROOT / "pyiseg" / "pil_images.py").read_text(encoding="utf-8")
    endings = re.findall(r'in_python="([^"]+)"', source)
    assert len(endings) >= 2
    assert [for_command_line(f"shrink it{ending}") for ending in endings] == ["shrink it"] * len(endings)


def test_paths_that_are_no_paths(capsys: pytest.CaptureFixture[str]) -> None:
    for text, words in (
        ("data:image/png;base64,AAAA", "decode it, and pass the path of the file"),
        ("x" * 5000, "pass the path of a file or folder"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["cut", text, "--click", "1,1", "-o", "a.png"])
        error = capsys.readouterr().err
        assert words in error
        assert not [word for word in IN_PYTHON if word in error]


def test_no_way_out_on_a_device_is_forgotten() -> None:
    """All that the sources say of another device, also where only a GPU could fail."""
    found = [
        line.strip()
        for path in sorted((ROOT / "pyiseg").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "pass device='" in line
    ]
    assert len(found) >= 5
    assert [line for line in found if "device='" in for_command_line(line)] == []


def test_what_is_for_everybody_stays() -> None:
    for text in ("device is 'tpu'; the known devices are 'cpu'", "x is 80, outside the image", "model folder 'a'"):
        assert for_command_line(text) == text
