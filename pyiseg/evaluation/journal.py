"""Finished cases on disk, so that an evaluation that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.evaluate import Run
from pyiseg.files import atomic_write


class Journal:
    """A file with one line for what was measured how, and one for each finished case.

    Args:
        path: Of the file; made by the first :meth:`add`.
        settings: All that a run depends on besides its case, as JSON can hold it. A file that states others is
            kept under another name.

    Attributes:
        ignored: Why an existing file is not used, and where it is kept; empty where it is, or where there is none.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.ignored = ""
        self._settings = dict(settings)
        self._finished: dict[str, tuple[Run, int, list[int]]] = {}
        self._started = False
        if path.exists():
            self._read()
            if self.ignored:
                # Numbered, so that nothing measured is lost to the next change of settings either.
                names = (path.with_name(f"{path.name}.old{number or ''}") for number in count())
                old = next(name for name in names if not name.exists())
                path.rename(old)
                self.ignored += f"; it is kept as {old}"

    def find(self, case: Case) -> tuple[Run, int] | None:
        """The run of a case and how many ran side by side; None if it is not there or the case's files changed."""
        if case.name not in self._finished:
            return None
        run, jobs, sizes = self._finished[case.name]
        return (run, jobs) if sizes == _sizes(case) else None

    def add(self, case: Case, run: Run, jobs: int) -> None:
        """Write a finished case down; it is on disk when this returns."""
        entry = {"run": asdict(run), "bytes": _sizes(case), "jobs": jobs}
        with open(self.path, "a" if self._started else "w", encoding="utf-8") as file:
            if not self._started:
                file.write(f"{json.dumps(self._settings)}\n")
                self._started = True
            file.write(f"{json.dumps(entry)}\n")

    def _read(self) -> None:
        first, *lines = self.path.read_bytes().split(b"\n")
        try:
            settings = json.loads(first)
            differing = [key for key in self._settings if settings.get(key) != self._settings[key]]
        except (ValueError, AttributeError):
            self.ignored = "it is damaged"
            return
        if differing:
            self.ignored = f"it was measured with another {' and '.join(differing)}"
            return
        whole = [first]
        for line in lines:
            # What was being written when the run was stopped may have no end.
            with suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                run = Run(**entry["run"])
                self._finished[run.name] = run, int(entry["jobs"]), list(entry["bytes"])
                whole.append(line)
        # Written anew, so that a line without an end is not continued.
        with atomic_write(self.path) as file:
            file.write(b"".join(line + b"\n" for line in whole))
        self._started = True


def _sizes(case: Case) -> list[int]:
    return [path.stat().st_size if path.exists() else -1 for path in (case.image, case.mask)]
