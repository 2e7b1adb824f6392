"""paths.py: what can be no path is refused in words of its own, wherever a path is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pyiseg
from pyiseg import images
from pyiseg.evaluation import runner
from pyiseg.evaluation.results import read_report
from pyiseg.paths import local_path
from pyiseg.tensorrt.cache import default_folder

BAD = {
    "https://a.org/b.png": "'https://a.org/b.png' is a URL, and pyiseg reads and writes local files only",
    "s3://bucket/b.png": "is a URL",
    "file:///home/me/b.png": "is a URL.*leave out file://",
    f"https://a.org/b.png?signed={'A' * 6000}": r"^[^A]*A{90,110}…' is a URL",
    f"data:image/png;base64,{'A' * 9000}": r"is a URL.*base64\.b64decode",
    "x" * 5000: r"'x{120}…' has 5000 characters, more than a path can have",
    f"{'x' * 300}.png": "has 304 characters",
    "a\0b.png": r"'a\\x00b.png' has a null character at position 1",
    "a\ud800b.png": r"'a\\ud800b.png' has a character that no path can have",
    "": "the path is empty",
}
DOORS: dict[str, Callable[[Any], Any]] = {
    "image": lambda path: pyiseg.Session(path),
    "colors": lambda path: images.to_rgb(path),
    "model": lambda path: pyiseg.load_model(path),
    "output": lambda path: images.write(path, np.zeros((4, 4), np.uint8)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("path", BAD, ids=lambda path: ascii(path[:20]))
def test_what_can_be_no_path(door: str, path: str) -> None:
    with pytest.raises(ValueError, match=BAD[path]) as caught:
        DOORS[door](path)
    assert len(str(caught.value)) < 400
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize("path", ["https://a.org/b.png", "x" * 5000, "a\0b.png"])
def test_path_objects_too(path: str) -> None:
    with pytest.raises(ValueError, match=BAD[path]):
        images.load(Path(path))


def test_long_texts_may_be_images() -> None:
    with pytest.raises(ValueError, match="or the image itself as an array or a PIL image"):
        images.load("iVBORw0KGgo" * 1000)


def test_a_folder_that_is_named_like_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "https:").mkdir()
    Image.new("RGB", (3, 2)).save("https:/a.png")
    assert images.load("https:/a.png").rgb.shape == (2, 3, 3)


@pytest.mark.parametrize("path", ["C:/a.png", "C:\\a.png", "a:b.png", "data.png", "data:b.png", "~/a.png", "ä ☃.png"])
def test_paths_that_only_look_odd(path: str) -> None:
    assert local_path(path) == Path(path)
    with pytest.raises(FileNotFoundError, match="no image at"):
        images.load(path)


@pytest.mark.parametrize("length", [245, 255])
def test_names_as_long_as_can_be(tmp_path: Path, length: int) -> None:
    path = tmp_path / f"{'x' * (length - 4)}.png"
    images.write(path, np.zeros((4, 4, 3), np.uint8))
    assert images.load(path).rgb.shape == (4, 4, 3)
    accented = tmp_path / f"{'é' * ((length - 5) // 2)}.png"
    images.write(accented, np.zeros((4, 4, 3), np.uint8))
    assert sorted(tmp_path.iterdir()) == sorted([path, accented])


def test_bytes(tmp_path: Path) -> None:
    class Entry:
        def __fspath__(self) -> bytes:
            return bytes(tmp_path / "a.png")

    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    assert images.load(Entry()).rgb.shape == (2, 3, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", ["x" * 5000, "https://a.org/engines"])
def test_a_cache_that_can_be_no_folder(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("PYISEG_CACHE", named)
    with pytest.raises(pyiseg.DeviceError, match=r"no folder for engines \('.*let PYISEG_CACHE name one"):
        default_folder()


@pytest.mark.parametrize("path", ["https://a.org/b.png", "x" * 5000, "a\0b.png"])
def test_data_sets_and_reports(path: str) -> None:
    with pytest.raises(ValueError, match=BAD[path]):
        runner.read_cases("folder", Path(path))
    with pytest.raises(ValueError, match=BAD[path]):
        read_report(Path(path))
