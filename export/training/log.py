"""What a training run says of itself: ``log.jsonl``, and TensorBoard."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pyiseg.files import atomic_write


class Log:
    """``log.jsonl``, a line a minute, and the same for TensorBoard where that is installed."""

    def __init__(self, out: Path, updates: int) -> None:
        self.path = out / "log.jsonl"
        self.board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out), purge_step=updates + 1)
        if self.path.exists():
            # Lines that were written after the checkpoint: their updates will be made again.
            kept = [values for values in read_log(self.path) if values.get("updates", updates + 1) <= updates]
            with atomic_write(self.path) as file:
                file.writelines(f"{json.dumps(values)}\n".encode() for values in kept)

    def write(self, values: dict[str, Any]) -> None:
        """Write a line. One that a full disk does not take is said and left out: it is no reason to end a run."""
        try:
            with open(self.path, "a") as log:
                log.write(json.dumps(values) + "\n")
            self.draw(values, int(values["updates"]))
        except OSError as error:
            print(f"notice: a line of {self.path} is lost: {error}", file=sys.stderr)

    def draw(self, values: dict[str, Any], step: int) -> None:
        """Show numbers in TensorBoard only."""
        if self.board is not None:
            for name, value in values.items():
                if not isinstance(value, str):
                    self.board.add_scalar(name, value, step)
            self.board.flush()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a ``log.jsonl``; the half of a line that a kill left is none."""
    found = []
    for line in path.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            values = json.loads(line)
            if isinstance(values, dict):
                found.append(values)
    return found


def means(recent: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the updates that have it."""
    names = sorted({name for metrics in recent for name in metrics})
    return {name: round(float(np.mean([m[name] for m in recent if name in m])), 3) for name in names}
