"""Runs over a folder that go on where they were stopped, and output folders that hold other things."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.toy_batch import IMAGES, PROMPTS, contents, done, make, table, times

from pyiseg import Click
from pyiseg.batch import output_folder
from pyiseg.batch.folder import run_folder
from pyiseg.batch.output_folder import OutputError, OutputFolder
from pyiseg.batch.outputs import OutputOptions

WAIT = 60.0
"""Seconds after which a test fails rather than hang."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "photos")


@pytest.fixture
def out(folder: Path, toy: Path) -> Path:
    """The outputs of a run that is done."""
    run_folder(folder, folder.parent / "out", table(folder), model=toy)
    return folder.parent / "out"


def rewritten(before: dict[str, int], out: Path) -> set[str]:
    return {name for name, when in times(out).items() if before.get(name) != when}


def test_what_is_done_is_not_done_again(folder: Path, out: Path, toy: Path) -> None:
    before = times(out)
    outcome = run_folder(folder, out, table(folder), model=toy, jobs=2)
    assert (outcome.done, outcome.kept) == ([], list(IMAGES))
    assert times(out) == before


def test_changed_prompts_of_an_image_redo_that_image(folder: Path, out: Path, toy: Path) -> None:
    before = times(out)
    outcome = run_folder(folder, out, table(folder, PROMPTS.replace("b.png,60,30,1", "b.png,61,30,1")), model=toy)
    assert outcome.done == ["b.png"]
    assert rewritten(before, out) == {"b.png"}


def test_the_order_of_the_list_does_not_matter_between_images(folder: Path, out: Path, toy: Path) -> None:
    header, *rows = PROMPTS.splitlines(keepends=True)
    rows.sort(key=lambda row: row.split(",")[0], reverse=True)
    assert run_folder(folder, out, table(folder, header + "".join(rows)), model=toy).done == []


def test_a_changed_image_is_done_again(folder: Path, out: Path, toy: Path) -> None:
    before = times(out)
    os.utime(folder / "e.png", ns=(1, 1))
    assert run_folder(folder, out, table(folder), model=toy).done == ["e.png"]
    assert rewritten(before, out) == {"e-disc.png"}


@pytest.mark.parametrize("harm", ["delete", "cut"])
def test_a_lost_output_is_made_again(folder: Path, out: Path, toy: Path, harm: str) -> None:
    whole = contents(out)
    if harm == "delete":
        (out / "a-disc.png").unlink()
    else:
        (out / "a-disc.png").write_bytes(b"")
    assert run_folder(folder, out, table(folder), model=toy).done == ["a.png"]
    assert contents(out) == whole


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"options": OutputOptions(grow=1)}, "another output option"),
        ({"options": OutputOptions(("matte-png",))}, "another output option"),
    ],
)
def test_other_options_redo_all(
    folder: Path, out: Path, toy: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], said: str
) -> None:
    before = times(out)
    assert run_folder(folder, out, table(folder), model=toy, **options).done == list(IMAGES)
    assert rewritten(before, out) == set(before)
    assert said in capsys.readouterr().err


def test_files_that_an_image_no_longer_has_are_deleted(folder: Path, out: Path, toy: Path) -> None:
    (out / "notes.txt").write_text("mine")
    fewer = "".join(row for row in PROMPTS.splitlines(keepends=True) if "corner" not in row)
    outcome = run_folder(
        folder, out, table(folder, fewer.replace("b.png,60,30,1,,,,,,", "b.png,60,30,1,,,,,x,")), model=toy
    )
    assert outcome.done == ["a.png", "b.png"]
    assert sorted(contents(out)) == sorted(
        ["a-disc.png", "b-x.png", "day 1/c-disc.png", "day 1/d-disc.png", "e-disc.png", "notes.txt"]
    )
    # Those of images that are no longer listed stay.
    run_folder(folder, out, {"a.png": {"disc": [Click(1, 1)]}}, model=toy)
    assert "e-disc.png" in contents(out)


def test_one_more_category_leaves_other_images_alone(folder: Path, toy: Path) -> None:
    out, options = folder.parent / "out", OutputOptions(("yolo", "coco"))
    run_folder(folder, out, table(folder), model=toy, options=options)
    text = PROMPTS + "e.png,60,31,,,,,,new,\n"
    outcome = run_folder(folder, out, table(folder, text), model=toy, options=options)
    assert outcome.done == ["e.png"]
    assert (out / "yolo/classes.txt").read_text().split() == ["disc", "place", "object", "new"]
    run_folder(folder, folder.parent / "fresh", table(folder, text), model=toy, options=options)
    assert contents(out) == contents(folder.parent / "fresh")


@pytest.mark.parametrize("names", [["mine.txt"], ["b.png", "x.png"]])
def test_a_folder_of_other_files_is_refused(folder: Path, toy: Path, names: list[str]) -> None:
    out = folder.parent / "out"
    out.mkdir()
    for name in names:
        (out / name).write_text("mine")
    more = " and 1 more" if len(names) > 1 else ""
    with pytest.raises(ValueError, match=rf"out' holds '{names[0]}'{more}, which no pyiseg batch has written"):
        run_folder(folder, out, table(folder), model=toy)
    assert contents(out) == dict.fromkeys(names, b"mine")


def test_a_folder_with_what_systems_leave_is_empty(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    out.mkdir()
    for name in (".DS_Store", "Thumbs.db"):
        (out / name).touch()
    assert run_folder(folder, out, {"a.png": [Click(60, 30)]}, model=toy).done == ["a.png"]


def test_other_files_within_outputs_are_not_overwritten(folder: Path, out: Path, toy: Path) -> None:
    (out / "day 1" / "c-new.png").write_text("mine")
    before = contents(out)
    with pytest.raises(ValueError, match=r"holds 'day 1/c-new.png', which no pyiseg batch has written"):
        run_folder(
            folder,
            out,
            table(folder, PROMPTS.replace("day 1/c.png,60,30,,,,,,disc", "day 1/c.png,60,30,,,,,,new")),
            model=toy,
        )
    assert contents(out) == before


def test_what_a_list_of_files_from_a_stranger_names_is_safe(folder: Path, out: Path, toy: Path) -> None:
    victim = folder.parent / "victim.png"
    victim.write_text("mine")
    (out / "up").symlink_to("..")
    kept = out / ".pyiseg-batch" / "files.json"
    known = json.loads(kept.read_text())
    known["b.png"] += ["../victim.png", "up/victim.png", str(victim), 3, None]
    kept.write_text(json.dumps(known | {"x": 3}))
    run_folder(folder, out, table(folder, PROMPTS.replace("b.png,60,30,1", "b.png,61,30,1")), model=toy)
    assert victim.read_text() == "mine"


def test_outputs_do_not_go_through_links(folder: Path, toy: Path, out: Path) -> None:
    victim = folder.parent / "victim.png"
    victim.write_text("mine")
    (out / "b.png").unlink()
    (out / "b.png").symlink_to(victim)
    (failure,) = run_folder(folder, out, table(folder), model=toy).failed
    assert failure.name == "b.png"
    assert failure.error.endswith("by a link; delete the link, or choose another output folder (-o)")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a.png": 3}', b"[" * 100_000])
def test_a_damaged_list_of_files_is_not_trusted(folder: Path, out: Path, toy: Path, content: bytes) -> None:
    (out / ".pyiseg-batch" / "files.json").write_bytes(content)
    with pytest.raises(ValueError, match="which no pyiseg batch has written"):
        run_folder(folder, out, table(folder), model=toy)


@pytest.mark.parametrize("line", ['{"name": "b.png", "result": 3}', '{"name": "b.png", "result": {"files": 3}}'])
def test_a_damaged_journal_costs_that_image(folder: Path, out: Path, toy: Path, line: str) -> None:
    path = out / ".pyiseg-batch" / "journal.jsonl"
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    fingerprint = next(entry["fingerprint"] for entry in lines if entry.get("name") == "b.png")
    with open(path, "a") as file:
        file.write(json.dumps({**json.loads(line), "fingerprint": fingerprint}) + "\n")
    assert run_folder(folder, out, table(folder), model=toy).done == ["b.png"]


def test_halves_of_files_are_deleted(folder: Path, out: Path, toy: Path) -> None:
    (out / ".a-disc.png.0123abcd.part").touch()
    (out / "day 1" / ".c-disc.png.0123abcd.part").touch()
    (out / ".other.png.0123abcd.part").touch()
    run_folder(folder, out, table(folder), model=toy)
    assert [path.name for path in out.rglob("*.part")] == [".other.png.0123abcd.part"]


def test_two_runs_do_not_write_into_one_folder(folder: Path, out: Path, toy: Path) -> None:
    pytest.importorskip("fcntl")
    with OutputFolder(out, {}, []), pytest.raises(ValueError, match="another pyiseg batch is writing into"):
        run_folder(folder, out, table(folder), model=toy)
    assert run_folder(folder, out, table(folder), model=toy).done == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_full_disk_stops_the_run(folder: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    out, room, atomic_write = folder.parent / "out", [4], output_folder.atomic_write

    def full(path: Path) -> Any:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(number, os.strerror(number), str(path))
        return atomic_write(path)

    with monkeypatch.context() as patched:
        patched.setattr(output_folder, "atomic_write", full)
        words = (
            "disk of '.*' is full; make room there"
            if number != errno.EACCES
            else "cannot write '.*c-disc.png': .*denied"
        )
        with pytest.raises(OutputError, match=f"{words}.* and the same command goes on"):
            run_folder(folder, out, table(folder), model=toy)
    assert done(out) == ["a.png", "b.png"]
    outcome = run_folder(folder, out, table(folder), model=toy)
    assert outcome.kept == ["a.png", "b.png"]
    run_folder(folder, folder.parent / "fresh", table(folder), model=toy)
    assert contents(out) == contents(folder.parent / "fresh")


COUNT = 30


def command(folder: Path, out: Path, toy: Path, *options: str) -> list[str]:
    formats = [f"--format={name}" for name in ("cutout-png", "coco", "yolo", "labelme")]
    given = [str(folder), "-o", str(out), "--prompts", str(folder.parent / "prompts.csv"), "--model", str(toy)]
    return [sys.executable, "-m", "pyiseg", "batch", *given, *formats, *options]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    # Also where the shell that began the tests ignores it.
    code = (
        "import signal, sys; from pyiseg.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments[3:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def wait_for(out: Path, count: int, program: subprocess.Popen[str]) -> None:
    end = time.monotonic() + WAIT
    while len(done(out)) < count and program.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder that takes long enough to be stopped in."""
    names = [f"{number:02}.png" for number in range(COUNT)]
    folder = make(tmp_path / "many", names, height=240, width=320)
    rows = [f"{name},{x},{y},{thing}" for name in names for x, y, thing in ((240, 120, "disc"), (20, 20, "corner"))]
    table(folder, "\n".join(["image,x,y,object", *rows]))
    return folder


def test_killed_runs_end_with_the_bits_of_an_undisturbed_one(many: Path, toy: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    out, calm = many.parent / "out", many.parent / "calm"
    subprocess.run(command(many, calm, toy), check=True, capture_output=True, timeout=WAIT, cwd=ROOT)
    for count in (3, 11, 20):
        with start(command(many, out, toy, "--jobs", "2")) as program:
            try:
                wait_for(out, count, program)
            finally:
                program.send_signal(signal.SIGKILL)
        assert count <= len(done(out)) < COUNT
    before = len(set(done(out)))
    finished = subprocess.run(command(many, out, toy), capture_output=True, text=True, timeout=WAIT, cwd=ROOT)
    assert finished.returncode == 0
    assert f"done: {COUNT - before} images" in finished.stdout
    assert f"skipped: {before} images, done by an earlier run" in finished.stdout
    assert contents(out) == contents(calm)
    assert not list(out.rglob("*.part"))


def test_ctrl_c_ends_in_seconds_and_says_how_to_go_on(many: Path, toy: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    out = many.parent / "out"
    with start(command(many, out, toy, "--jobs", "2")) as program:
        try:
            wait_for(out, 3, program)
            program.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, said = program.communicate(timeout=WAIT)
        finally:
            program.kill()
    assert program.returncode == 130
    assert time.monotonic() - began < 10
    count = len(done(out))
    assert 3 <= count < COUNT
    assert f"interrupted: {count} of {COUNT} images are kept in {out / '.pyiseg-batch' / 'journal.jsonl'}" in said
    assert "the same command goes on" in said
    assert not list(out.rglob("*.part"))


def test_an_image_of_many_objects_is_left_when_the_run_is_stopped(many: Path, toy: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    out, count = many.parent / "out", 1000
    rows = [f"00.png,{number % 320},{number % 240},{number}" for number in range(count)]
    table(many, "\n".join(["image,x,y,object", *rows]))
    with start(command(many, out, toy)) as program:
        try:
            # Only their names: what is half written has another one in a moment.
            while program.poll() is None and len(list(out.rglob("*.png"))) < 3:
                time.sleep(0.01)
            program.send_signal(signal.SIGINT)
            _, said = program.communicate(timeout=WAIT)
        finally:
            program.kill()
    assert program.returncode == 130
    assert "interrupted: no image was done" in said
    assert contents(out) == {}
