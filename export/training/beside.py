"""What a training run leaves on its way besides its checkpoint: weights in FP16, and validations.

Nothing here ends a run: what goes wrong is said, and training goes on without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from export.checkpoint import write_weights
from export.training.config import RunConfig
from export.training.log import Log
from export.training.validations import Validations, commands_for
from pyiseg.files import atomic_write

State = Callable[[], dict[str, Any]]


class Beside:
    """Weights every so many minutes, validations every so many images, see `export.training.config.RunConfig`.

    Args:
        run: When what is due.
        data: Folder of the training data.
        out: Folder of the run.
        validation: More options of `export.validate`.
    """

    def __init__(self, run: RunConfig, data: Path, out: Path, validation: Sequence[str] = ()) -> None:
        self.run, self.out = run, out
        self.commands = commands_for(data, validation)
        self.validations: Validations | None = None
        self.pictures, self.seconds = 0, 0.0
        self.log: Log | None = None

    def begin(self, pictures: int, seconds: float, log: Log | None) -> Beside:
        """Take note of how far the run has come.

        Args:
            images, seconds: Seen and passed so far.
            log: Where the figures of validations go, besides their own file.
        """
        self.pictures, self.seconds, self.log = pictures, seconds, log
        if self.run.validate_every:
            self.validations = Validations(self.out, pictures, self.commands)
        return self

    def look(self, pictures: int, seconds: float, state: State, over: bool) -> None:
        """Do what has become due since the last look.

        Args:
            images, seconds: Seen and passed so far.
            state: Returns the checkpoint.
            over: Whether this is the last look; weights are then written whenever they are wanted at all.
        """
        since, every = 60 * self.run.weights_every, self.run.validate_every
        if since and (over or seconds // since > self.seconds // since):
            with said("weights.pt", pictures):
                self._write_weights(state())
        if self.validations is not None:
            with said("validation", pictures):
                if pictures // every > self.pictures // every:
                    self.validations.add(state())
                if not over:
                    self._tell(self.validations.poll())
        self.pictures, self.seconds = pictures, seconds

    def finish(self, state: State, stop: Callable[[], bool]) -> bool:
        """At the end of a run: validate what came of it, and wait for that unless a stop is asked for.

        Returns:
            Whether all of it was validated; a validation that failed is one that was made.
        """
        if self.validations is None:
            return True
        with said("validation", self.pictures):
            if self.pictures % self.run.validate_every:
                self.validations.add(state())
            for line in self.validations.wait(stop):
                self._tell(line)
        return not self.validations.left_over

    def close(self) -> None:
        """End what still runs."""
        if self.validations is not None:
            self.validations.close()

    def _write_weights(self, state: dict[str, Any]) -> None:
        """Write weights.pt, and weights.json, which says what they are; no date: equal runs give equal files."""
        path = self.out / "weights.pt"
        training = write_weights(path, state, path)
        names = ("pictures", "updates", "minutes", "command", "started_from", "changes")
        record = {name: training[name] for name in names if name in training}
        with atomic_write(path.with_suffix(".json")) as file:
            file.write(json.dumps(record, indent=1).encode() + b"\n")

    def _tell(self, line: dict[str, Any] | None) -> None:
        if line is None:
            return
        if "failed" in line:
            tqdm.write(f"notice: the validation after {line['pictures']} images failed: {line['failed']}", sys.stderr)
            return
        figures = ", ".join(f"{name} {line[name]:.4g}" for name in ("noc85", "noc90", "noc95", "auc"))
        tqdm.write(f"after {line['pictures']} images: {figures} on {line['cases']} cases", sys.stderr)
        if self.log is not None:
            self.log.plot({f"validation_{n}": line[n] for n in ("noc85", "noc90", "noc95", "auc")}, line["pictures"])


@contextmanager
def said(what: str, pictures: int) -> Iterator[None]:
    """Turn what goes wrong with files and processes into a notice: the run goes on without."""
    try:
        yield
    except (OSError, ValueError) as error:
        tqdm.write(f"notice: no {what} after {pictures} images: {error}", sys.stderr)
