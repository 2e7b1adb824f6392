"""Results on disk while a run goes on, so that it can be continued where it was interrupted."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from pyiseg.files import append_json_line, as_json, read_json_lines

FORMAT = 1


class Journal:
    """A file with one line for what all results depend on, and one for each result.

    Args:
        path: Of the file; made by the first :meth:`add`. One that cannot be continued is kept under another name.
        fingerprint: What all results depend on, as JSON can hold it.

    Attributes:
        results: Those that were there, by name.
        ignored: Why an existing file is not continued, and where it is kept; empty where it is, or where there is none.

    Raises:
        OSError: An existing file cannot be read or renamed.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any]) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        self.ignored = ""
        self._fingerprint = as_json(fingerprint)
        self._of_items: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._started = path.exists()
        if self._started:
            self._read()
        if self.ignored:
            # Numbered, so that no result is lost to the next change of settings either.
            names = (path.with_name(f"{path.name}.old{number or ''}") for number in count())
            old = next(name for name in names if not name.exists())
            path.rename(old)
            self.ignored += f"; it is kept as {old}"
            self._started = False

    def holds(self, name: str, fingerprint: Any = None) -> bool:
        """Whether a result of this name was there, of an item of this fingerprint."""
        return name in self.results and self._of_items[name] == as_json(fingerprint)

    def add(self, name: str, result: Any, fingerprint: Any = None) -> None:
        """Append a result; a kill after this has returned does not undo it.

        Threads may call it.

        Args:
            name: Of the item. A later result replaces an earlier one.
            result: As JSON can hold it.
            fingerprint: What the result depends on besides the journal's, as JSON can hold it.

        Raises:
            OSError: It cannot be written.
            TypeError, ValueError: JSON cannot hold it.
        """
        with self._lock:
            if not self._started:
                append_json_line(self.path, {"format": FORMAT, "fingerprint": self._fingerprint})
                self._started = True
            append_json_line(self.path, {"name": name, "fingerprint": fingerprint, "result": result})

    def _read(self) -> None:
        first, *lines = read_json_lines(self.path) or [{}]
        stated = first.get("fingerprint")
        if first.get("format") != FORMAT or not isinstance(stated, dict):
            self.ignored = "it is damaged, or another version of pyiseg wrote it"
            return
        missing = object()
        differing = [
            key
            for key in {**self._fingerprint, **stated}
            if self._fingerprint.get(key, missing) != stated.get(key, missing)
        ]
        if differing:
            self.ignored = f"it was made with another {' and '.join(differing)}"
            return
        for line in lines:
            if isinstance(name := line.get("name"), str) and "result" in line:
                self.results[name], self._of_items[name] = line["result"], line.get("fingerprint")
