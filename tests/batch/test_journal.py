"""Runs that are continued from their journal, or not, being of another task."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_jobs import Work, doubled, kept, run

from pyiseg.batch import jobs


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


def test_threads_that_end_at_once_write_whole_lines(tmp_path: Path) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for i in range(20):
            together = threading.Barrier(8)
            run("abcdefgh", lambda item, b=together: b.wait(20.0), jobs=8, journal=tmp_path / f"{i}")
            assert sorted(kept(tmp_path / f"{i}")) == list("abcdefgh")
    finally:
        sys.setswitchinterval(before)
