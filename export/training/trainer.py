"""A training run: what is trained, on what, and how far it has come."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from export.cli import read_checkpoint, write_tensors
from export.data.dataset import Sample
from export.data.loader import Number, Numbered, batches
from export.data.shapes import shape_of_batch
from export.models.efficientnet_lite0 import LITE, Lite0
from export.models.network import Network, load_weights
from export.training import distributed
from export.training.beside import Beside
from export.training.config import Settings
from export.training.frozen import FrozenLayers
from export.training.log import Log, means
from export.training.optimizer import Optimizer
from export.training.precision import trial
from export.training.resuming import changes_since, check_changes, read_branch, weights_of
from export.training.step import PRECISIONS, ClickLoop
from export.training.stopping import asked_to_stop

__all__ = ["Trainer", "weights_of"]

IMAGENET = "the ImageNet weights of the package {} (Apache-2.0); the rest at random"
NOTHING = "nothing: all weights at random"
# Seconds between checkpoints: so much of a run is lost at most when it is killed.
SAVE_EVERY = 240


class Trainer:
    """A training run, and where it stands.

    Args:
        settings: What is trained, and how.
        data: Folder of the training data, see `export.data.dataset`.
        out: Folder for checkpoint and logs.
        start: Weights to begin from, see `weights_of`.
        resume: Whether to go on from the checkpoint in ``out``, if there is one.
        workers: Processes that make training images; 0 for one thread.
        device: Where the networks run.
        command: For the record.
        branch: Checkpoint of another run to go on from: with its weights, their average, the optimizer's state and the
            numbers of the samples that follow, but for a length of its own. That run stays as it is.
        allow_changes: Whether a run that goes on may do so with other settings, which its checkpoint then records.
        validation: More options of the `export.validate` that ``run.validate_every`` asks for.

    Attributes:
        images: Number of the sample that comes next.
        first: Number of the first sample; more than 0 for a branch.
        changes: At which images which settings were changed.
        differs_from_run: Settings of a branch that differ from its run's, each as a text; empty for what is no branch.
        validated: Whether no validation is left to be made.

    Raises:
        ValueError: ``out`` holds a run and ``resume`` is not set, or that run had other settings and ``allow_changes``
            is not set, or what is to be begun from does not fit.
    """

    def __init__(
        self,
        settings: Settings,
        data: Path,
        out: Path,
        start: Path | None = None,
        resume: bool = False,
        workers: int = 0,
        device: torch.device | None = None,
        command: str = "",
        *,
        branch: Path | None = None,
        allow_changes: bool = False,
        validation: Sequence[str] = (),
    ) -> None:
        self._clock = time.monotonic()
        self.settings, self.out, self.workers, self.command = settings, out, workers, command
        self.device = device or torch.device("cpu")
        run = settings.run
        if run.precision == "fp16" and self.device.type != "cuda":
            raise ValueError("run.precision 'fp16' needs a GPU; without one choose 'fp32', or 'bf16'")
        # FP32 means FP32: what is to be coarser runs in 16 bits, and the guide must not be.
        torch.backends.cudnn.allow_tf32 = False
        # Timing each convolution's algorithms takes most of a minute before the first update (H100), and for each size.
        torch.backends.cudnn.benchmark = False
        begun = distributed.from_first(self.checkpoint.exists)
        self._check_beginning(begun, resume, start, branch)
        torch.manual_seed(run.seed)
        # What is begun from has all weights, and the packages of pretrained ones may not be here.
        network = Network(settings.network, pretrained=start is None and branch is None and not begun)
        lite = LITE.get(settings.network.image_stream)
        self.started_from = IMAGENET.format(lite.package) if lite else NOTHING
        if start is not None and not begun:
            state, self.started_from = weights_of(start)
            try:
                load_weights(network, state)
            except ValueError as error:
                raise ValueError(
                    f"{start} holds the weights of another network than this run's ({error}): give the configuration "
                    "of that network, network.… included, or leave --start out and begin from nothing"
                ) from None
        # GroupNorm on a GPU would turn every tensor back.
        network.to(self.device, memory_format=torch.channels_last if lite else torch.contiguous_format)
        self.optimizer = Optimizer(network, settings.optimizer, scaled=run.precision == "fp16")
        self.click_loop = ClickLoop(settings, self.optimizer, self.device)
        self.data = Numbered(data, {side for _, side in run.sizes}, run.seed, settings.data)
        self.total = run.pictures or round(run.epochs * self.data.epoch)
        self.pictures, self.first, self.seconds = 0, 0, 0.0
        self.changes: list[dict[str, Any]] = []
        self.differs_from_run: dict[str, str] = {}
        self.validated = True
        self._beside = Beside(run, data, out, validation)
        if begun:
            self._load(allow_changes)
        elif branch is not None:
            self._branch(branch)
        encoder = network.image.encoder
        if isinstance(encoder, Lite0) and encoder.frozen_blocks and self.device.type == "cpu":
            # Now that the weights are here, which it takes as they are. The moving average, a copy, needs none.
            encoder.lower = FrozenLayers(encoder, torch.get_num_threads())

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def progress(self, pictures: int | None = None) -> float:
        """Share of the run that has passed: by the clock where minutes are set, else by the images seen."""
        if self.settings.run.minutes:
            return min(1.0, self.seconds / (60 * self.settings.run.minutes))
        return min(1.0, ((self.pictures if pictures is None else pictures) - self.first) / self.total)

    def run(self) -> bool:
        """Train, writing a checkpoint every few minutes and when asked to stop; return whether the end is reached.

        Raises:
            ValueError: The loss is not finite.
            OSError: The last checkpoint could not be written. One on the way that could not is said, and tried again.
        """
        # Before the first file is written: from there on a signal is an orderly end.
        with asked_to_stop() as stop:
            if self.progress() < 1:
                self._run(stop)
            elif distributed.rank() == 0:
                # Validations may be left from when it ended.
                with closing(self._beside.begin(self.pictures, self.seconds, None)):
                    self.validated = self._beside.finish(self.state, stop.is_set)
        return self.progress() >= 1

    def _run(self, stop: threading.Event) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        first = distributed.rank() == 0
        log = Log(self.out, self.optimizer.updates) if first else None
        beside = self._beside.begin(self.pictures, self.seconds, log) if first else None
        saved = logged = time.monotonic()
        recent: list[dict[str, float]] = []
        made = batches(self.data, self.batch_numbers(), self.workers)
        undecided = self.settings.run.precision == "auto"
        with closing(self._beside), tqdm(total=100, unit="%", initial=self._percent(), disable=not first) as bar:
            while True:
                try:
                    batch = next(made)
                except RuntimeError:
                    # A signal that was meant for us may have ended the processes that make images.
                    if first:
                        self.save()
                    if stop.is_set():
                        break
                    raise
                if undecided:
                    self._choose_precision(batch, log)
                    undecided = False
                recent.append(self.update(batch))
                stopped = self.count_time(stop.is_set())
                bar.update(self._percent() - bar.n)
                bar.set_postfix(means(recent[-50:]), refresh=False)
                now, over = time.monotonic(), self.progress() >= 1 or stopped
                if log is not None and (now - logged > 60 or over):
                    log.write({**self._standing(), **means(recent)})
                    recent, logged = [], now
                if first and (now - saved > SAVE_EVERY or over):
                    self._save_or_say(final=over)
                    saved = now
                if beside is not None:
                    beside.look(self.pictures, self.seconds, self.state, over)
                if over:
                    break
            if beside is not None and self.progress() >= 1:
                self.validated = beside.finish(self.state, stop.is_set)

    def count_time(self, stop: bool) -> bool:
        """Take the time, and return whether any process was asked to stop. All time counts: --minutes is a promise."""
        now = time.monotonic()
        self.seconds, stop = distributed.agreed(self.seconds + now - self._clock, stop, self.device)
        self._clock = now
        return stop

    def update(self, samples: list[Sample]) -> dict[str, float]:
        """Train on the next batch; return the loss and the IoU after each click.

        Raises:
            ValueError: The loss is not finite. The last checkpoint is as it was.
        """
        metrics = self.click_loop.train(samples, self._first_of(samples), self.progress())
        if not all(map(math.isfinite, metrics.values())):
            raise ValueError(
                f"the loss is no longer finite after {self.pictures} images: begin anew with a lower optimizer.lr"
            )
        self.pictures += len(samples) * distributed.world()
        return metrics

    def state(self) -> dict[str, Any]:
        """Everything that the run goes on from, and its record."""
        return {
            **self.optimizer.state(),
            "pictures": self.pictures,
            "first": self.first,
            "seconds": self.seconds,
            "minutes": self.settings.run.minutes,
            "started_from": self.started_from,
            "changes": self.changes,
            "command": self.command,
            "data": self.settings.data.shares(),
            "settings": self.settings.identity(),
            "around": self._around(),
            "network_config": asdict(self.settings.network),
        }

    def save(self) -> None:
        """Write the checkpoint whole: a crash while writing leaves the last one."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_tensors(self.checkpoint, self.state())

    def _save_or_say(self, final: bool) -> None:
        """Write the checkpoint; where that fails and more will follow, say so and go on."""
        try:
            self.save()
        except OSError as error:
            if final:
                raise
            tqdm.write(f"notice: no checkpoint after {self.pictures} images, the last one stays: {error}", sys.stderr)

    def _check_beginning(self, begun: bool, resume: bool, start: Path | None, branch: Path | None) -> None:
        if branch is not None and start is not None:
            raise ValueError(f"a run begins from --start {start} or as a --branch of {branch}, not both: leave one out")
        if branch is not None and branch.resolve().parent == self.out.resolve():
            raise ValueError(f"--out is the folder of the run to branch from, {branch}: choose another --out")
        if begun and not resume:
            raise ValueError(f"{self.checkpoint} exists, so this run has begun: add --resume, or choose another --out")
        if self.settings.optimizer.schedule == "decay" and branch is None and not begun:
            raise ValueError("optimizer.schedule 'decay' ends a run that there is: name its checkpoint with --branch")

    def _branch(self, branch: Path) -> None:
        state, self.started_from = distributed.from_first(lambda: read_branch(branch, self.settings))
        try:
            self.optimizer.load(state)
        except ValueError as error:
            raise ValueError(f"{branch}: {error}") from None
        if self.settings.optimizer.schedule == "decay":
            # The run's own average is of weights at the full rate, over longer than the branch may be.
            self.optimizer.restart_ema()
        self.pictures = self.first = state["pictures"]
        self.differs_from_run = changes_since(state, self.settings, self._around())

    def _load(self, allow_changes: bool) -> None:
        # Onto the CPU: the optimizer's counts belong there, and the rest is copied to where it is needed.
        state = distributed.from_first(lambda: read_checkpoint(self.checkpoint))
        if "settings" not in state:
            raise ValueError(f"{self.checkpoint} is of an earlier version: begin a new --out from it with --start")
        changes = changes_since(state, self.settings, self._around())
        check_changes(changes, self.checkpoint, allow_changes)
        try:
            self.optimizer.load(state)
        except ValueError as error:
            raise ValueError(f"{self.checkpoint}: {error}") from None
        self.pictures, self.seconds, self.started_from = state["pictures"], state["seconds"], state["started_from"]
        self.first, self.changes = state.get("first", 0), list(state.get("changes", []))
        if changes:
            self.changes.append({"pictures": self.pictures, "changes": changes})

    def _choose_precision(self, batch: list[Sample], log: Log | None) -> None:
        """Decide run.precision "auto" by the time this batch takes; all processes take what the first one found."""
        found = trial(self.click_loop, batch, self._first_of(batch), self.progress())
        choice = distributed.from_first(lambda: found)
        self.click_loop.precision = PRECISIONS[choice.precision]
        if log is not None:
            tqdm.write(str(choice), sys.stderr)
            log.write({**self._standing(), "precision": choice.precision, "fp32": choice.fp32, "bf16": choice.bf16})

    def _first_of(self, samples: list[Sample]) -> int:
        """Return the number of the first sample of this process's part of a batch."""
        return self.pictures + distributed.rank() * len(samples)

    def _around(self) -> dict[str, int]:
        """What else must be the same in all parts of a run."""
        return {"objects": self.data.objects, "processes": distributed.world()}

    def batch_numbers(self) -> Callable[[], list[Number]]:
        """Return a function that gives the numbers of one batch after the other."""
        run, following = self.settings.run, self.pictures + distributed.rank() * self.settings.run.batch

        def numbers() -> list[Number]:
            nonlocal following
            together = run.batch * distributed.world()
            first, following = following, following + together
            side = [side for since, side in run.sizes if (first if since > 1 else self.progress(first)) >= since][-1]
            shape = shape_of_batch(self.settings.data.shapes, side, run.seed, first // together)
            return [(shape, first + i) for i in range(run.batch)]

        return numbers

    def _percent(self) -> float:
        return round(100 * self.progress(), 1)

    def _standing(self) -> dict[str, float]:
        return {
            "updates": self.optimizer.updates,
            "pictures": self.pictures,
            "minutes": round(self.seconds / 60, 2),
            "rate": self.optimizer.optimizer.param_groups[0]["lr"],
        }
