"""Jobs for many items: in parallel, stopped, and with failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_jobs import Work, doubled, kept, run

from pyiseg.batch import jobs
from pyiseg.batch.jobs import Failure, Outcome

WAIT = 20.0
"""Seconds after which a test fails rather than hang."""


@given(
    items=st.text("abcdefgh", max_size=8).map(lambda text: "".join(dict.fromkeys(text))),
    failing=st.text("abcdefgh", max_size=3),
    side_by_side=st.integers(1, 4),
)
@settings(deadline=None)
def test_number_of_jobs_changes_nothing(items: str, failing: str, side_by_side: int) -> None:
    work = Work(failing=failing)
    outcome = run(items, work, jobs=side_by_side)
    good = [item for item in items if item not in failing]
    assert list(outcome.results.items()) == list(doubled("".join(good)).items())
    assert outcome.failed == [Failure(item, f"{item} is damaged") for item in items if item in failing]
    assert sorted(work.called) == sorted(items)


def test_order_is_that_of_the_items_whichever_ends_first() -> None:
    last_done = threading.Event()

    def work(item: str) -> str:
        if item == "c":
            last_done.set()
        else:
            assert last_done.wait(WAIT)
        if item == "b":
            raise OSError("b is gone")
        return item

    outcome = run("abc", work, jobs=3)
    assert list(outcome.results) == ["a", "c"]
    assert outcome.failed == [Failure("b", "b is gone")]


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_jobs_run_side_by_side_and_no_more(side_by_side: int) -> None:
    together = threading.Barrier(side_by_side)
    lock, running, most = threading.Lock(), 0, 0

    def work(item: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(WAIT)
        with lock:
            running -= 1

    run("abcdef", work, jobs=side_by_side)
    assert most == side_by_side


def test_failures_are_said_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    def work(item: str) -> str:
        if item == "a":
            raise MemoryError
        return item

    outcome = run("ab", work, name=lambda item: f"{item}.png")
    assert outcome == Outcome({"b.png": "b"}, [Failure("a.png", "MemoryError")])
    assert capsys.readouterr().err == "a.png: MemoryError\n"


def test_other_errors_end_the_run_but_keep_what_is_under_way(tmp_path: Path) -> None:
    begun, broken = threading.Event(), threading.Event()

    def work(item: str) -> str:
        if item == "a":
            assert begun.wait(WAIT)
            broken.set()
            raise RuntimeError("a fault of the program")
        begun.set()
        assert broken.wait(WAIT)
        return item

    with pytest.raises(RuntimeError, match="a fault of the program"):
        run("ab", work, jobs=2, journal=tmp_path / "journal")
    assert kept(tmp_path / "journal") == ["b"]


PROGRAM = """
import pathlib, signal, sys, time
from pyiseg.batch import jobs

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell that began the tests ignores it
folder, waits_at = pathlib.Path(sys.argv[1]), sys.argv[2]

def work(item):
    with open(folder / "begun", "a") as file:
        file.write(item)
    if item == waits_at:
        print("under way", flush=True)
        while not (folder / "released").exists():
            time.sleep(0.01)
    elif item > waits_at:
        time.sleep(0.2)
    return item

outcome = jobs.run("abcdefgh", work, journal=folder / "journal", progress=False)
print("".join(outcome.results.values()))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_stopped_program_goes_on(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen([*command, "c"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "under way\n"
            program.send_signal(getattr(signal, name))
            if name != "SIGINT":
                program.wait(WAIT)
            (tmp_path / "released").touch()
            _, said = program.communicate(timeout=WAIT)
        finally:
            program.kill()
    assert program.returncode == -getattr(signal, name)
    begun, done = (tmp_path / "begun").read_text(), "".join(kept(tmp_path / "journal"))
    if name == "SIGINT":
        # What was under way is kept, and the rest is not waited for.
        assert done == begun
        assert done.startswith("abc")
        assert "h" not in done
        assert f"interrupted: {len(done)} of 8 items are kept" in said
    else:
        assert (begun, done) == ("abc", "ab")
    finished = subprocess.run([*command, "z"], capture_output=True, text=True, check=True, timeout=WAIT)
    assert finished.stdout == "abcdefgh\n"
    assert (tmp_path / "begun").read_text() == begun + "abcdefgh"[len(done) :]


def test_progress_is_shown_unless_turned_off(capsys: pytest.CaptureFixture[str]) -> None:
    jobs.run("ab", Work(), label="folder", unit="image")
    shown = capsys.readouterr().err
    assert "folder" in shown
    assert "2/2" in shown
    assert "image" in shown
    jobs.run("ab", Work(), label="folder", progress=False)
    assert capsys.readouterr().err == ""


def test_tqdm_need_not_be_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert jobs.run("ab", Work(failing="a")).results == doubled("b")
    assert capsys.readouterr().err == "a: a is damaged\n"


def test_lines_come_every_few_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    for label, begin in (("folder", "folder: "), ("", "")):
        with jobs.Lines(9, 2, label, "image") as lines:
            for _ in range(6):
                now[0] += 2
                lines.update()
        assert capsys.readouterr().err == f"{begin}5 of 9 images, after 6 s\n{begin}8 of 9 images, after 12 s\n"


@pytest.mark.parametrize("progress", [None, True])
def test_lines_take_the_place_of_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    # None: for there is no terminal; True: for there is no tqdm.
    if progress:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    told, lines = list[dict[str, Any]](), jobs.Lines
    monkeypatch.setattr(jobs, "Lines", lambda **options: told.append(options) or lines(**options))
    jobs.run("ab", Work(failing="a"), label="folder", unit="image", progress=progress)
    assert told == [{"total": 2, "initial": 0, "desc": "folder", "unit": "image"}]
    assert capsys.readouterr().err == "a: a is damaged\n"


def test_results_that_are_no_longer_usable_are_made_again(tmp_path: Path) -> None:
    run("abc", Work(), journal=tmp_path / "journal")
    work = Work()
    asked = []

    def usable(item: str, result: Any) -> bool:
        asked.append((item, result))
        return item != "b"

    assert run("abc", work, journal=tmp_path / "journal", usable=usable).results == doubled("abc")
    assert work.called == ["b"]
    assert asked == [(item, [item, item]) for item in "abc"]


def test_jobs_may_look_whether_the_run_is_stopped(tmp_path: Path) -> None:
    stop, begun = threading.Event(), threading.Event()

    def work(item: str) -> str:
        if item == "a":
            assert begun.wait(WAIT)
            raise KeyboardInterrupt
        begun.set()
        assert stop.wait(WAIT)
        raise ValueError("stopped")

    with pytest.raises(KeyboardInterrupt):
        run("ab", work, jobs=2, journal=tmp_path / "journal", stop=stop)
    assert not (tmp_path / "journal").exists()


def test_no_items_is_no_error(tmp_path: Path) -> None:
    assert run("", Work(), journal=tmp_path / "journal") == Outcome({}, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("items", "options", "words"),
    [
        ("ab", {"jobs": 0}, "jobs is 0; it must be at least 1"),
        ("aba", {"unit": "image"}, "two images are named 'a'; results are kept by name, so rename one"),
    ],
)
def test_refused_before_anything_runs(items: str, options: dict[str, Any], words: str) -> None:
    work = Work()
    with pytest.raises(ValueError, match=words):
        run(items, work, **options)
    assert work.called == []


def test_jobs_know_callables_only() -> None:
    # With an empty package in the place of pyiseg's own, which loads sessions.
    code = (
        "import json, pathlib, sys, types; root = pathlib.Path(sys.argv[1])\n"
        "before = set(sys.modules); package = types.ModuleType('pyiseg'); package.__path__ = [str(root)]\n"
        "sys.modules['pyiseg'] = package; import pyiseg.batch.jobs\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    root = Path(jobs.__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code, str(root)], check=True, capture_output=True, text=True)
    loaded = [name for name in json.loads(answer.stdout) if name.partition(".")[0] not in sys.stdlib_module_names]
    assert loaded == [
        "pyiseg",
        "pyiseg.batch",
        "pyiseg.batch.jobs",
        "pyiseg.batch.journal",
        "pyiseg.files",
        "pyiseg.paths",
        "pyiseg.places",
    ]


def test_names_and_errors_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(item: str) -> None:
        raise ValueError("not\x1b[2J this")

    jobs.run(["a\nb"], fail, name=str, label="test", unit="image", progress=False)
    assert capsys.readouterr().err == "a\\nb: not\\x1b[2J this\n"
