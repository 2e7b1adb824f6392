"""Output folders: files of earlier outputs go, those of users stay, and errors of writing say what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.toy_batch import PROMPTS, contents, make, table

from pyiseg import Click
from pyiseg.batch import journal, output_folder
from pyiseg.batch.folder import Outcome, run_folder
from pyiseg.batch.output_folder import OutputError
from pyiseg.batch.outputs import FORMATS, OutputOptions

TOGETHER = ("coco", "yolo", "svg")
"""Formats with files for all images, and one without."""

ELSEWHERE = "choose another output folder (-o)"
KEPT = "and the same command goes on: what was written is kept"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "photos")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(folder: Path, out: Path, toy: Path, formats: Sequence[str], text: str = PROMPTS) -> Outcome:
    return run_folder(folder, out, table(folder, text), model=toy, options=OutputOptions(formats))


def folders(out: Path) -> list[str]:
    found = (path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_dir())
    return sorted(name for name in found if not name.startswith("."))


@pytest.mark.parametrize(
    "formats",
    [
        (FORMATS, ("coco",), ("svg",), ("yolo",), ("cutout-png",), FORMATS),
        (TOGETHER, ("yolo", "svg"), ("coco", "svg"), ("coco", "yolo")),
        (("coco",), ("yolo",), ("coco", "yolo")),
    ],
)
def test_another_format_takes_the_place_of_the_one_before(
    folder: Path, out: Path, toy: Path, formats: Sequence[Sequence[str]]
) -> None:
    """coco.json, classes.txt and data.yaml of the format before stayed, and its empty folders."""
    for number, wanted in enumerate(formats):
        run(folder, out, toy, wanted)
        fresh = folder.parent / f"fresh {number}"
        run(folder, fresh, toy, wanted)
        assert contents(out) == contents(fresh)
        assert folders(out) == folders(fresh)


def test_files_of_users_stay(folder: Path, out: Path, toy: Path) -> None:
    run(folder, out, toy, TOGETHER)
    mine = ["notes.txt", "coco/mine.json", "yolo/labels/day 1/mine.txt", "yolo/images/a.png", "svg/day 1/c.png"]
    for name in mine:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
    (out / "empty").mkdir()
    run(folder, out, toy, ("matte-png",))
    found = contents(out)
    assert {name for name, content in found.items() if content == b"mine"} == set(mine)
    made = {"a-corner.png", "a-disc.png", "b.png", "day 1/c-disc.png", "day 1/d-disc.png", "e-disc.png"}
    assert set(found) == {*mine, *made}
    assert folders(out) == [
        *("coco", "day 1", "empty", "svg", "svg/day 1", "yolo", "yolo/images", "yolo/labels", "yolo/labels/day 1")
    ]


def test_folders_behind_links_stay(folder: Path, out: Path, toy: Path) -> None:
    run(folder, out, toy, TOGETHER)
    (out / "yolo").rename(folder.parent / "elsewhere")
    (out / "yolo").symlink_to("../elsewhere")
    before = contents(folder.parent / "elsewhere")
    run(folder, out, toy, ("svg",))
    assert contents(folder.parent / "elsewhere") == before
    assert len(before) == 7


def test_of_images_that_fail_too(folder: Path, out: Path, toy: Path) -> None:
    """What was made of all images goes; of one that is not there its own stays: it may come back, as drives do."""
    run(folder, out, toy, TOGETHER)
    (folder / "b.png").write_bytes(b"broken")
    (folder / "e.png").unlink()
    assert [failure.name for failure in run(folder, out, toy, ("labelme",)).failed] == ["b.png", "e.png"]
    assert sorted(contents(out)) == [
        *("a.json", "day 1/c.json", "day 1/d.json", "failures.csv", "svg/e.svg", "yolo/labels/e.txt")
    ]
    make(folder)
    assert run(folder, out, toy, ("labelme",)).failed == []
    assert sorted(contents(out)) == ["a.json", "b.json", "day 1/c.json", "day 1/d.json", "e.json"]
    assert folders(out) == ["day 1"]


def failing(monkeypatch: pytest.MonkeyPatch, after: int, number: int) -> None:
    """Make writing into output folders fail, but for a number of files."""
    room, atomic_write = [after], output_folder.atomic_write

    def write(path: Path) -> Any:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(number, os.strerror(number), str(path))
        return atomic_write(path)

    monkeypatch.setattr(output_folder, "atomic_write", write)


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_after_an_interruption_too(
    folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    run(folder, out, toy, TOGETHER)
    with monkeypatch.context() as patched:
        failing(patched, after, errno.ENOSPC)
        with pytest.raises(OutputError):
            run(folder, out, toy, ("labelme", "coco"))
    run(folder, out, toy, ("labelme", "coco"))
    run(folder, folder.parent / "fresh", toy, ("labelme", "coco"))
    assert contents(out) == contents(folder.parent / "fresh")


@pytest.mark.parametrize("name", ["b.png", "failures.csv"])
def test_what_a_user_puts_where_a_file_was_only_planned(folder: Path, out: Path, toy: Path, name: str) -> None:
    """An image failed, and what its user made by hand in its place was deleted by the next run."""
    (folder / "b.png").write_bytes(b"broken")
    run(folder, out, toy, ("cutout-png",), PROMPTS if name == "b.png" else "image,x,y\na.png,1,1\n")
    (out / name).write_text("mine")
    with pytest.raises(ValueError, match=f"holds '{name}', which no pyiseg batch has written"):
        run(folder, out, toy, ("cutout-png",))
    assert (out / name).read_text() == "mine"


def test_a_file_where_a_folder_is_wanted_is_seen_before_anything_is_done(folder: Path, out: Path, toy: Path) -> None:
    """The run ended at it, when the files of the format before were deleted already."""
    run(folder, out, toy, ("svg",))
    (out / "coco").write_text("mine")
    before = contents(out)
    with pytest.raises(ValueError, match="holds 'coco', which no pyiseg batch has written"):
        run(folder, out, toy, ("svg", "coco"))
    assert contents(out) == before


def test_what_only_differs_in_case_may_be_one_file(
    folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS and Windows a-Dog.png is a-dog.png: the one that is no longer wanted is the one that was just made."""
    run(folder, out, toy, ("cutout-png",), "image,x,y,object\na.png,60,30,Dog\n")
    monkeypatch.setattr(os.path, "samefile", lambda one, other: str(one).lower() == str(other).lower())
    run(folder, out, toy, ("cutout-png",), "image,x,y,object\na.png,60,30,dog\n")
    assert set(contents(out)) == {"a-Dog.png", "a-dog.png"}
    monkeypatch.undo()
    run(folder, out, toy, ("cutout-png",), "image,x,y,object\na.png,60,30,DOG\n")
    assert set(contents(out)) == {"a-Dog.png", "a-DOG.png"}


def test_a_folder_that_cannot_be_made(folder: Path, toy: Path) -> None:
    """It said that what was written is kept, of nothing, and not what else to do."""
    file = folder.parent / "file"
    file.touch()
    with pytest.raises(OutputError) as raised:
        run(folder, file / "out", toy, ("coco",))
    assert str(raised.value) == (
        f"cannot write '{file / 'out'}': something else stands where a folder is wanted; {ELSEWHERE}"
    )


def test_a_link_that_leads_to_nothing(folder: Path, out: Path, toy: Path) -> None:
    out.symlink_to("gone")
    with pytest.raises(ValueError, match=r"out' is a link that leads to nothing; name a folder to write into"):
        run(folder, out, toy, ("coco",))
    loop = folder.parent / "loop"
    loop.symlink_to("loop")
    with pytest.raises(ValueError, match="loop' is a link that leads to nothing"):
        run(folder, loop, toy, ("coco",))


@pytest.mark.parametrize(
    ("number", "after", "words"),
    [
        (errno.EACCES, 0, f"cannot write '{{}}': {os.strerror(errno.EACCES)}; {ELSEWHERE}"),
        (errno.EROFS, 1, f"cannot write '{{svg}}': {os.strerror(errno.EROFS)}; {ELSEWHERE}"),
        (errno.ENOSPC, 1, f"the disk of '{{}}' is full; make room there, or {ELSEWHERE}"),
        (errno.EIO, 2, f"cannot write '{{labelme}}': {os.strerror(errno.EIO)}; {ELSEWHERE}"),
        (errno.EIO, 3, f"cannot write '{{next}}': {os.strerror(errno.EIO)}; mend it, {KEPT}; or {ELSEWHERE}"),
        (errno.ENOSPC, 2, f"the disk of '{{}}' is full; make room there, or {ELSEWHERE}"),
        (errno.ENOSPC, 3, f"the disk of '{{}}' is full; make room there, {KEPT}"),
    ],
)
def test_errors_of_writing_say_what_to_do(
    folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: int, words: str
) -> None:
    """That what was written is kept was said of an image's files that were deleted, as all of them were not done."""
    failing(monkeypatch, after, number)
    with pytest.raises(OutputError) as raised:
        run(folder, out, toy, ("svg", "labelme"))
    files = {"svg": out / "svg" / "a.svg", "labelme": out / "labelme" / "a.json", "next": out / "svg" / "b.svg"}
    assert str(raised.value) == words.format(out, **files)
    assert set(contents(out)) == ({"svg/a.svg", "labelme/a.json"} if KEPT in words else set())


def test_what_an_earlier_run_has_written_is_kept_too(
    folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, out, toy, ("svg",))
    failing(monkeypatch, 0, errno.EACCES)
    with pytest.raises(OutputError, match="what was written is kept; or choose another output folder"):
        run(folder, out, toy, ("svg",))


def test_a_journal_that_cannot_be_written(folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, values: object) -> None:
        raise OSError(errno.EACCES, "cannot write: Permission denied", str(path))

    monkeypatch.setattr(journal, "append_json_line", refuse)
    with pytest.raises(OutputError) as raised:
        run_folder(folder, out, {"a.png": [Click(60, 30)]}, model=toy)
    path = out / ".pyiseg-batch" / "journal.jsonl"
    assert str(raised.value) == f"cannot write '{path}': {os.strerror(errno.EACCES)}; {ELSEWHERE}"


def test_a_folder_that_cannot_be_read(folder: Path, out: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out.mkdir()

    def refuse(path: Path) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(OutputError) as raised:
        run(folder, out, toy, ("svg",))
    assert str(raised.value) == f"cannot read '{out}': {os.strerror(errno.EACCES)}; {ELSEWHERE}"
