"""Jobs for many items: in parallel, interrupted, continued, and with failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiseg.batch import jobs
from pyiseg.batch.jobs import Failure, Outcome

WAIT = 20.0
"""Seconds after which a test fails rather than hang."""


class Work:
    """Doubles a name; interrupts at one, fails at some, and keeps what it was called with."""

    def __init__(self, interrupt_at: str = "", failing: str = "") -> None:
        self.interrupt_at, self.failing, self.called = interrupt_at, failing, list[str]()

    def __call__(self, item: str) -> list[str]:
        if self.interrupt_at and item >= self.interrupt_at:
            raise KeyboardInterrupt
        self.called.append(item)
        if item in self.failing:
            raise ValueError(f"{item} is\n  damaged")
        return [item, item]


def run(items: str, work: Callable[[str], Any], **options: Any) -> Outcome[Any]:
    return jobs.run(items, work, **{"progress": False} | options)


def doubled(items: str) -> dict[str, list[str]]:
    return {item: [item, item] for item in items}


def kept(journal: Path) -> list[str]:
    """The names in a journal, each line of which must be whole."""
    content = journal.read_bytes()
    assert content.endswith(b"\n")
    _, *lines = [json.loads(line) for line in content.splitlines()]
    return [line["name"] for line in lines]


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


def test_an_interrupted_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "journal"
    options: dict[str, Any] = {"journal": journal, "fingerprint": {"size": (3, 4)}, "unit": "image"}
    with pytest.raises(KeyboardInterrupt):
        run("abcd", Work(interrupt_at="a"), **options)
    assert capsys.readouterr().err == "interrupted: no image was done\n"
    with pytest.raises(KeyboardInterrupt):
        run("abcd", Work(interrupt_at="c"), **options)
    assert capsys.readouterr().err == f"interrupted: 2 of 4 images are kept in {journal}; the same command goes on\n"
    work = Work()
    assert run("abcd", work, **options).results == doubled("abcd")
    assert work.called == ["c", "d"]
    assert capsys.readouterr().err == f"continuing {journal}: 2 of 4 images are there\n"
    # And once more nothing is left to do.
    assert run("dab", work, **options).results == doubled("dab")
    assert work.called == ["c", "d"]


@given(
    stops=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400)), max_size=4),
    side_by_side=st.integers(1, 3),
)
@settings(deadline=None)
def test_interruptions_and_cut_journals_change_no_result(stops: list[tuple[str, int]], side_by_side: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        for at, cut in stops:
            with pytest.raises(KeyboardInterrupt):
                run("abcdef", Work(interrupt_at=at, failing="e"), jobs=side_by_side, journal=journal)
            if journal.exists():
                # Never in the first line, which is written before any job is done.
                header = journal.read_bytes().index(b"\n") + 1
                with open(journal, "rb+") as file:
                    file.truncate(max(header, journal.stat().st_size - cut))
        outcome = run("abcdef", Work(failing="e"), jobs=side_by_side, journal=journal)
        assert list(outcome.results.items()) == list(doubled("abcdf").items())
        assert [failure.name for failure in outcome.failed] == ["e"]
        again = Work(failing="e")
        assert run("abcdef", again, journal=journal) == outcome
        assert again.called == ["e"]
        assert list(Path(folder).iterdir()) == [journal]


def test_a_line_that_was_cut_off_costs_that_item_only(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run("abc", Work(), journal=journal)
    journal.write_bytes(journal.read_bytes()[:-5])
    work = Work()
    assert run("abc", work, journal=journal).results == doubled("abc")
    assert work.called == ["c"]


@pytest.mark.parametrize(
    ("fingerprint", "words"),
    [
        ({"model": "x", "size": [3, 5]}, "it was made with another size"),
        ({"model": "y", "size": [4, 4]}, "it was made with another model and size"),
        ({"model": "x"}, "it was made with another size"),
        ({"model": "x", "size": [3, 4], "robot": None}, "it was made with another robot"),
    ],
)
def test_a_journal_of_another_task_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fingerprint: dict[str, Any], words: str
) -> None:
    journal = tmp_path / "journal"
    run("abc", Work(), journal=journal, fingerprint={"model": "x", "size": (3, 4)})
    before = journal.read_bytes()
    (tmp_path / "journal.old").write_text("of an earlier change")
    work = Work()
    assert run("ab", work, journal=journal, fingerprint=fingerprint).results == doubled("ab")
    assert work.called == ["a", "b"]
    old = tmp_path / "journal.old1"
    assert capsys.readouterr().err == f"ignoring {journal}: {words}; it is kept as {old}\n"
    assert old.read_bytes() == before
    assert (tmp_path / "journal.old").read_text() == "of an earlier change"
    assert kept(journal) == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"somebody's notes\n",
        b'{"format": 1, "finger',
        b'{"format": 0, "fingerprint": {}}\n{"name": "a", "result": 1}\n',
        b'{"robot": "forte"}\n{"run": {"name": "a"}}\n',
    ],
)
def test_what_is_no_journal_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(content)
    assert run("ab", Work(), journal=journal).results == doubled("ab")
    assert "it is damaged, or another version of pyiseg wrote it; it is kept as" in capsys.readouterr().err
    assert (tmp_path / "journal.old").read_bytes() == content


def test_an_item_that_changed_is_done_again(tmp_path: Path) -> None:
    journal, sizes = tmp_path / "journal", {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    run("abc", Work(), journal=journal, item_fingerprint=sizes.__getitem__)
    sizes["b"] = (2, 3)
    for expected in (["b"], []):
        work = Work()
        assert run("abc", work, journal=journal, item_fingerprint=sizes.__getitem__).results == doubled("abc")
        assert work.called == expected


def test_an_item_whose_fingerprint_cannot_be_taken_fails(tmp_path: Path) -> None:
    journal, files = tmp_path / "journal", [tmp_path / "a", tmp_path / "b"]
    for path in files:
        path.touch()
    options: dict[str, Any] = {"journal": journal, "item_fingerprint": lambda path: path.stat().st_size}
    options |= {"name": lambda path: path.name, "progress": False}
    jobs.run(files, lambda path: 1, **options)
    files[0].unlink()
    outcome = jobs.run(files, lambda path: 2, **options)
    assert outcome.results == {"b": 1}
    assert [failure.name for failure in outcome.failed] == ["a"]


def test_an_item_that_changes_during_its_job_is_done_again(tmp_path: Path) -> None:
    sizes = {"a": 1}

    def work(item: str) -> int:
        sizes[item] += 1
        return sizes[item]

    for expected in (2, 3):
        outcome = run("a", work, journal=tmp_path / "journal", item_fingerprint=sizes.__getitem__)
        assert outcome.results == {"a": expected}


def test_a_journal_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no folder"):
        run("abc", Work(), journal=tmp_path / "no folder" / "journal")


PROGRAM = """
import pathlib, sys, time
from pyiseg.batch import jobs

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
    assert loaded == ["pyiseg", "pyiseg.batch", "pyiseg.batch.jobs", "pyiseg.batch.journal", "pyiseg.files"]
