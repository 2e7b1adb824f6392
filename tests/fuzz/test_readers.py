"""Readers of files, given anything: what is wrong is refused by the documented error, and nothing else happens.

Two kinds of input: the content of a good file with bytes changed, cut out or put in, and JSON of the right form with
values of any kind. How many of each follows from the time that there is, some seconds for all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import toy_evaluation, toy_model
from support.engine_files import ENGINE, KEY
from support.fuzzing import ANY, altered, both, damaged, examples

import pyiseg
from pyiseg import cli, images
from pyiseg.batch.journal import Journal
from pyiseg.evaluation.masks import read_index, read_names
from pyiseg.evaluation.results import read_report, write_report
from pyiseg.files import parse_json, read_json_lines
from pyiseg.manifest import Manifest
from pyiseg.saving import SavedSession
from pyiseg.tensorrt.file import EngineRefusedError, read_engine, read_header, write_engine

QUICK = examples(60)
SIDEWAYS = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


def check(
    data: st.DataObject,
    content: st.SearchStrategy[bytes],
    path: Path,
    read: Callable[[], Any],
    *errors: type[Exception],
) -> None:
    path.write_bytes(data.draw(content))
    with suppress(*errors):
        read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789eE+-.NaInfityrulsd\\u', max_size=60).map(str.encode))
@examples(150)
def test_json(content: bytes) -> None:
    with suppress(ValueError):
        json.dumps(parse_json(content), allow_nan=False).encode()


@given(ANY)
@QUICK
def test_json_is_what_python_reads(value: Any) -> None:
    """What is taken is not changed."""
    text = json.dumps(value)
    with suppress(ValueError):
        assert parse_json(text) == json.loads(text)


@given(data=st.data())
@QUICK
def test_manifests(data: st.DataObject, toy: Path) -> None:
    content = data.draw(both((toy / "model.json").read_bytes()))
    with suppress(pyiseg.ModelError):
        manifest = Manifest.from_json(content)
        assert Manifest.from_json(manifest.to_json()) == manifest


@given(data=st.data())
@examples(25)
def test_model_folders(data: st.DataObject, toy: Path, folder: Path) -> None:
    """All of it: the manifest, and networks that it says are right."""
    for source in toy.iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
    name = data.draw(st.sampled_from(["click.onnx", "image.onnx", "guide.onnx"]))
    content = data.draw(damaged((toy / name).read_bytes()))
    toy_model.replace_network(folder, name, content)
    with suppress(pyiseg.ModelError):
        pyiseg.Session(np.zeros((8, 8), np.uint8), model=folder)


def report_of(folder: Path) -> bytes:
    write_report(folder / "report.json", toy_evaluation.report())
    return (folder / "report.json").read_bytes()


@given(data=st.data())
@examples(30)
def test_reports(data: st.DataObject, folder: Path) -> None:
    path = folder / "a.json"
    path.write_bytes(data.draw(both(report_of(folder))))
    with suppress(ValueError):
        found = read_report(path)
        # What is taken can be shown: tables need all of it.
        from pyiseg.evaluation import report

        for reports in report.labelled([("a", found)]).values():
            assert report.table(reports)


@given(data=st.data())
@examples(6)
def test_pages_of_reports(data: st.DataObject, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "b.json"
    path.write_bytes(data.draw(altered(json.loads(report_of(folder)))))
    assert cli.main(["report", str(path), "-o", str(folder / "out")]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert {found.name for found in folder.iterdir()} <= KNOWN


KNOWN = {"a.json", "b.json", "report.json", "out", "journal", "session", "image", "engine", "names"}
KNOWN |= {"model.json", "click.onnx", "image.onnx", "guide.onnx", KEY.name, "good"}


@given(data=st.data())
@QUICK
def test_journals(data: st.DataObject, folder: Path) -> None:
    path = folder / "journal"
    lines = [
        {"format": 1, "fingerprint": {"size": 3}},
        {"name": "a", "fingerprint": None, "result": {"run": [1]}},
        {"name": "b", "fingerprint": [3], "result": 1.5},
    ]
    whole = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    line = st.sampled_from(lines).flatmap(altered)
    path.write_bytes(data.draw(damaged(whole) | st.lists(line, max_size=4).map(b"\n".join)))
    read_json_lines(path)
    found = Journal(path, {"size": 3})
    found.holds("a"), found.holds("b", [3])
    for left in folder.glob("journal.old*"):
        left.unlink()


@given(data=st.data())
@QUICK
def test_session_files(data: st.DataObject, toy: Path, folder: Path) -> None:
    path, rgb = folder / "session", toy_model.PHOTO
    good = folder / "good"
    if not good.exists():
        mask = np.zeros(rgb.shape[:2], np.uint8)
        mask[5:20, 5:30] = 255
        session = pyiseg.Session(rgb, model=toy, mask=mask)
        session.click(60, 30)
        session.scribble([(3, 3), (9, 20)], fg=False)
        session.box(10, 10, 40, 50)
        session.remove(1)
        session.save(good)
    content = good.read_bytes()
    check(data, both(content), path, lambda: SavedSession(path, rgb), ValueError)


@given(data=st.data())
@QUICK
def test_engine_files(data: st.DataObject, folder: Path) -> None:
    path = write_engine(folder, KEY, ENGINE, 1.0, Path("/models/a"))
    magic, header, engine = path.read_bytes().split(b"\n", 2)
    changed = data.draw(both(header))
    path.write_bytes(b"\n".join([magic, changed, engine]))
    for read in (read_header, read_engine):
        with suppress(EngineRefusedError):
            read(path)


IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
@given(data=st.data())
@examples(20)
def test_images(data: st.DataObject, kind: str, folder: Path) -> None:
    good = folder / "image"
    options = {"exif": SIDEWAYS} if kind in ("JPEG", "PNG") else {}
    Image.fromarray(IMAGE).save(good, format=kind, **options)
    path = folder / "image"
    path.write_bytes(data.draw(damaged(good.read_bytes())))
    for read in (
        lambda: images.load(path, max_pixels=1_000_000),
        lambda: images.load_mask(path, (12, 16)),
        lambda: read_index(path),
    ):
        with suppress(ValueError), np.errstate(all="ignore"):
            read()


@given(data=st.data())
@QUICK
def test_lists_of_names(data: st.DataObject, folder: Path) -> None:
    path = folder / "names"
    check(data, damaged(b"2008_1\n2008_2\n"), path, lambda: read_names(path), ValueError)


WORDS = ["--click", "--box", "--scribble", "1,2", "1,2,bg", "a", "1e999,3", "9" * 5000 + ",1", "-1,-1", "1,2 bg"]


@given(st.lists(st.sampled_from(WORDS), max_size=4))
@QUICK
def test_click_lists(words: list[str]) -> None:
    """Of the command line: refused with a message, exit code 2, or taken."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    from pyiseg.cli import prompts

    prompts.add_to(parser, Path)
    with suppress(argparse.ArgumentError, SystemExit):
        parser.parse_args(words)
