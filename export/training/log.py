"""What a training run says of itself: ``log.jsonl``, and TensorBoard."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pyiseg.files import append_json_line, atomic_write, read_json_lines


class Log:
    """``log.jsonl``, a line a minute, and the same for TensorBoard where that is installed."""

    def __init__(self, out: Path, updates: int) -> None:
        self.path = out / "log.jsonl"
        self.board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out), purge_step=updates + 1)
        # What comes after the checkpoint will be made again.
        drop_later_lines(self.path, "updates", updates)

    def write(self, values: dict[str, Any]) -> None:
        """Write a line. One that a full disk does not take is said and left out: it is no reason to end a run."""
        try:
            append_json_line(self.path, values)
            self.plot(values, int(values["updates"]))
        except OSError as error:
            print(f"notice: a line of {self.path} is lost: {error}", file=sys.stderr)

    def plot(self, values: dict[str, Any], step: int) -> None:
        """Show numbers in TensorBoard only."""
        if self.board is not None:
            for name, value in values.items():
                if not isinstance(value, str):
                    self.board.add_scalar(name, value, step)
            self.board.flush()


def drop_later_lines(path: Path, key: str, last: int) -> None:
    """Drop the lines of a log that come after a number, and those without one.

    Args:
        path: Of a file of JSON objects; it need not be there.
        key: Counts up from line to line: "updates", "pictures".
        last: How far the run has come.
    """
    if path.exists():
        kept = [values for values in read_json_lines(path) if values.get(key, last + 1) <= last]
        with atomic_write(path) as file:
            file.writelines(f"{json.dumps(values)}\n".encode() for values in kept)


def means(recent: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the updates that have it."""
    names = sorted({name for metrics in recent for name in metrics})
    return {name: round(float(np.mean([m[name] for m in recent if name in m])), 3) for name in names}
