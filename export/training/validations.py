"""Validation beside a training run: every so many images, in processes of their own, at the lowest priority.

Training waits for nothing but the writing of the weights, some milliseconds. `export.to_onnx` and `export.validate`
then run on what the training leaves of the processor. In OUT/validation are ``weights-N.pt`` (N images) for as long
as they wait, ``model``, the last model folder that was validated, and what the two commands said. OUT/validation.jsonl
gets a line for each validation. One that was under way when the run was stopped is made anew when it goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from export.checkpoint import write_weights
from export.training.log import drop_later_lines
from pyiseg.files import append_json_line, parse_json, read_json_lines

LINES = "validation.jsonl"
KEPT = ("cases", "noc85", "noc90", "noc95", "auc", "mean_iou")
ALSO_KEPT = ("late",)
"""Of summaries that have it."""
Commands = Callable[[Path, Path], list[list[str]]]


def commands_for(data: Path, options: Sequence[str]) -> Commands:
    """Return a function of weights and model folder that gives the commands to run, the last of which prints JSON.

    Args:
        data: Folder of the data.
        options: More options of `export.validate`.
    """

    def commands(weights: Path, model: Path) -> list[list[str]]:
        python = [sys.executable, "-m"]
        export = [*python, "export.to_onnx", str(weights), str(model), "--no-fp16"]
        return [export, [*python, "export.validate", str(model), "--data", str(data), *options]]

    return commands


class Validations:
    """The validations of a run, one at a time; more than one that is due waits for its turn.

    Args:
        out: Folder of the run.
        images: How far the run has come; what is on record after that will be made again.
        commands: See `commands_for`.
    """

    def __init__(self, out: Path, pictures: int, commands: Commands) -> None:
        self.lines, self.folder, self.commands = out / LINES, out / "validation", commands
        self.running: subprocess.Popen[bytes] | None = None
        self.left: list[list[str]] = []
        self.weights: Path | None = None
        drop_later_lines(self.lines, "pictures", pictures)
        done = self._done()
        for path in self._waiting():
            if _pictures_of(path) > pictures or _pictures_of(path) in done:
                path.unlink()

    def add(self, state: dict[str, Any]) -> None:
        """Validate the averaged weights of a checkpoint as soon as those before it are done; not a second time."""
        path = self.folder / f"weights-{state['pictures']:09d}.pt"
        if state["pictures"] not in self._done():
            write_weights(path, state, path)

    def poll(self) -> dict[str, Any] | None:
        """Begin what waits, if nothing runs; return the line of a validation that has just ended.

        Raises:
            OSError: The line cannot be written.
        """
        if self.running is not None:
            if self.running.poll() is None:
                return None
            code, self.running = self.running.returncode, None
            if code != 0:
                return self._end({"failed": self._reason(code)})
            if not self.left:
                return self._end(self._result())
        elif (waiting := self._waiting()) and not self.left:
            self.weights = waiting[0]
            self.left = self.commands(self.weights, self.folder / "model")
        if self.left:
            try:
                self._start(self.left.pop(0))
            except OSError as error:
                return self._end({"failed": str(error)})
        return None

    def wait(self, stop: Callable[[], bool]) -> list[dict[str, Any]]:
        """Go on until nothing runs or waits, or a stop is asked for; return the lines."""
        lines = []
        while not stop() and (self.running is not None or self.left or self._waiting()):
            if (line := self.poll()) is not None:
                lines.append(line)
            elif self.running is not None:
                with suppress(subprocess.TimeoutExpired):
                    self.running.wait(timeout=1)
        return lines

    @property
    def left_over(self) -> bool:
        """Whether one runs or waits."""
        return self.running is not None or bool(self._waiting())

    def close(self) -> None:
        """End what runs. Its weights stay, and are validated when the run goes on."""
        if self.running is not None:
            self.running.terminate()
            try:
                self.running.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()
        self.running, self.left, self.weights = None, [], None

    def _start(self, command: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with open(self.folder / "said.txt", "wb") as said, open(self.folder / "result.json", "wb") as result:
            # In a group of their own: Ctrl-C in a terminal is for the run, which then ends them.
            self.running = subprocess.Popen(
                command,
                stdout=result,
                stderr=said,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, self.running.pid, 19)

    def _result(self) -> dict[str, Any]:
        text = (self.folder / "result.json").read_text(errors="replace")
        # Something may have been said before the list.
        for start in (0, text.find("\n[") + 1):
            with suppress(ValueError, KeyError, TypeError, IndexError):
                return kept_of(parse_json(text[start:]))
        return {"failed": f"the validation printed no list of summaries with {', '.join(KEPT)}: {text[:200]!r}"}

    def _reason(self, code: int) -> str:
        said = (self.folder / "said.txt").read_text(errors="replace").split("\n")
        lines = [line.split("\r")[-1].strip() for line in said if line.strip()]
        return (lines or [f"exit code {code}"])[-1]

    def _end(self, values: dict[str, Any]) -> dict[str, Any]:
        assert self.weights is not None
        line = {"pictures": _pictures_of(self.weights), **values}
        append_json_line(self.lines, line)
        self.weights.unlink(missing_ok=True)
        self.left, self.weights = [], None
        return line

    def _done(self) -> set[int]:
        return {line["pictures"] for line in read_json_lines(self.lines)} if self.lines.exists() else set()

    def _waiting(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("weights-*.pt") if p.stem.partition("-")[2].isdigit())


def kept_of(result: Any) -> dict[str, Any]:
    """Return what a line keeps of what `export.validate` printed: a list with a summary for each model, or a summary.

    Raises:
        KeyError, IndexError, TypeError: It is no such thing.
    """
    summary = result[0] if isinstance(result, list) else result
    kept = {name: summary[name] for name in KEPT} | {name: summary[name] for name in ALSO_KEPT if name in summary}
    slices = summary.get("slices")
    if isinstance(slices, dict):
        kept["slices"] = {
            name: {key: part[key] for key in (*KEPT, *ALSO_KEPT) if key in part}
            for name, part in slices.items()
            if isinstance(part, dict)
        }
    return kept


def _pictures_of(weights: Path) -> int:
    """Return the number in the name of waiting weights."""
    return int(weights.stem.partition("-")[2])
