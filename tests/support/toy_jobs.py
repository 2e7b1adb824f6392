"""Jobs that do next to nothing, and what is left of them in a journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiseg.batch import jobs
from pyiseg.batch.jobs import Outcome


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
