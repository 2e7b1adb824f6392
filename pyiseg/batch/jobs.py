"""Run a job for each of many items: in parallel, resumable, with failures by name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pyiseg.batch.journal import Journal
from pyiseg.paths import in_one_line

T = TypeVar("T")
R = TypeVar("R")

ITEM_ERRORS = (ValueError, OSError, MemoryError)
"""What an item of its own can cause: it fails by itself. Any other error ends the run."""


@dataclass(frozen=True)
class Failure:
    """An item whose job failed: its name, and the error's message in one line."""

    name: str
    error: str


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of the items.

    Attributes:
        results: By name, in the order of the items; without those that failed.
        failed: In the order of the items.
    """

    results: dict[str, R]
    failed: list[Failure]


def run(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    name: Callable[[T], str] = str,
    jobs: int = 1,
    journal: Path | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    item_fingerprint: Callable[[T], Any] | None = None,
    usable: Callable[[T, R], bool] | None = None,
    stop: threading.Event | None = None,
    progress: bool | None = True,
    label: str = "",
    unit: str = "item",
) -> Outcome[R]:
    """Run a job for each item, several at a time, and go on where it was stopped.

    An item that fails (:data:`ITEM_ERRORS`) does not stop the others. After Ctrl-C, or any other error, no further job
    begins; those under way are waited for, so that a journal keeps their results. Failures, whether a journal is
    continued or set aside, and what an interrupted run keeps are said on stderr.

    Args:
        items: Of distinct names.
        work: The job; called in threads. With a journal, what it returns must be what JSON can hold.
        name: The name of an item.
        jobs: How many run at a time.
        journal: A file for results, each appended as soon as its job is done. One that an interrupted run of the same
            fingerprint left there is continued, and its results come back as JSON holds them (lists for tuples); one of
            another fingerprint is kept under another name. It stays: the caller deletes it once the outcome is safe.
        fingerprint: What all results depend on, as JSON can hold it. Its keys are for people to read.
        item_fingerprint: What the result of one item depends on besides, as JSON can hold it; where it is not as it was
            the job is done again.
        usable: Whether a result of the journal still is what it was, if files that it names are there for instance;
            where it is not the job is done again.
        stop: Set after Ctrl-C or another error that ends the run: a long job may look at it, and end early by raising
            an error, which then is not taken for a failure of its item.
        progress: Show a bar on stderr, if tqdm is installed, and a line every few seconds if it is not; None for a bar
            on a terminal only, and the lines elsewhere.
        label: Stands before the bar.
        unit: What an item is, for messages.

    Raises:
        ValueError: ``jobs`` is less than 1, or two items have one name.
        OSError: The journal cannot be read or written.
        Exception: Whatever else ``work`` raises.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; it must be at least 1")
    named = _by_name(items, name, unit)
    fingerprint_of = item_fingerprint or (lambda item: None)
    kept = None if journal is None else Journal(journal, fingerprint or {})
    results: dict[str, R] = {}
    failures: dict[str, Failure] = {}
    if kept is not None:
        for key, item in named.items():
            # One whose fingerprint cannot be taken fails below, by name.
            with suppress(*ITEM_ERRORS):
                if kept.holds(key, fingerprint_of(item)) and (usable is None or usable(item, kept.results[key])):
                    results[key] = kept.results[key]
        _announce(kept, len(results), len(named), unit)

    def job(key: str, item: T) -> None:
        try:
            # Before the work: of an item that changes meanwhile, the result is not taken for that of the new state.
            found = fingerprint_of(item)
            result = work(item)
        except ITEM_ERRORS as error:
            failures[key] = Failure(key, " ".join(str(error).split()) or type(error).__name__)
            return
        # In this thread: done is kept, whatever becomes of the main one.
        if kept is not None:
            kept.add(key, result, found)
        results[key] = result

    with (
        _bar(progress, total=len(named), initial=len(results), desc=label, unit=unit) as bar,
        # Threads: the native code that does the work leaves Python meanwhile, and they share what is loaded.
        ThreadPoolExecutor(jobs) as pool,
    ):
        try:
            futures: dict[Future[None], str] = {}
            for key, item in named.items():
                if key not in results:
                    futures[pool.submit(job, key, item)] = key
            for future in as_completed(futures):
                future.result()
                if failure := failures.get(futures[future]):
                    _say(bar, f"{failure.name}: {failure.error}")
                if bar is not None:
                    bar.update()
        except BaseException as error:
            # Not the rest, but what is under way is soon done and worth keeping.
            if stop is not None:
                stop.set()
            pool.shutdown(cancel_futures=True)
            if kept is not None and isinstance(error, KeyboardInterrupt):
                there = f"{len(results)} of {len(named)} {unit}s are kept in {journal}; the same command goes on"
                _say(bar, f"interrupted: {there if results else f'no {unit} was done'}")
            raise
    return Outcome(
        {key: results[key] for key in named if key in results}, [failures[key] for key in named if key in failures]
    )


def _by_name(items: Sequence[T], name: Callable[[T], str], unit: str) -> dict[str, T]:
    named: dict[str, T] = {}
    for item in items:
        key = name(item)
        if key in named:
            raise ValueError(f"two {unit}s are named {key!r}; results are kept by name, so rename one")
        named[key] = item
    return named


def _announce(journal: Journal, found: int, total: int, unit: str) -> None:
    if journal.ignored:
        _say(None, f"ignoring {journal.path}: {journal.ignored}")
    if found:
        _say(None, f"continuing {journal.path}: {found} of {total} {unit}s are there")


class Lines:
    """Progress as a line every few seconds, where there is no terminal, or no tqdm, for a bar; with the latter's face.

    Args:
        total: How many items there are.
        initial: How many of them were done before.
        desc: Begins each line.
        unit: What an item is.
        seconds: From one line to the next at least, and to the first.
    """

    def __init__(self, total: int, initial: int, desc: str, unit: str, seconds: float = 5.0) -> None:
        self._total, self._done, self._desc, self._unit, self._seconds = total, initial, desc, unit, seconds
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self) -> None:
        """Count an item, and say so if it is time."""
        self._done += 1
        now = time.monotonic()
        if now - self._said >= self._seconds:
            self._said = now
            begin = f"{self._desc}: " if self._desc else ""
            self.write(f"{begin}{self._done} of {self._total} {self._unit}s, after {now - self._began:.0f} s")

    def write(self, text: str, file: Any = None) -> None:
        """Print a line on stderr, at once."""
        print(text, file=file or sys.stderr, flush=True)


def _bar(shown: bool | None, **options: Any) -> Any:
    if shown or (shown is None and sys.stderr.isatty()):
        with suppress(ImportError):
            from tqdm import tqdm

            return tqdm(**options)
    return nullcontext() if shown is False else Lines(**options)


def _say(bar: Any, text: str) -> None:
    text = in_one_line(text)  # names of files may hold what a terminal would obey
    if bar is None:
        print(text, file=sys.stderr)
    else:
        bar.write(text, file=sys.stderr)
