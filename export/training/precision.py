"""``run.precision = "auto"``: time training in float32 and in bfloat16 where it runs, and take the faster."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from export.data.dataset import Sample
from export.training.step import PRECISIONS, ClickLoop

# bfloat16 costs accuracy, so a difference that noise could make is not enough: it must save this share of the time.
GAIN = 0.1
# Rounds of one update in each precision that count, after one that does not: the first one prepares.
ROUNDS = 3
# A processor without bfloat16 arithmetic imitates it: so many times slower in the first round, it is not timed again.
# On a GPU the first round says nothing.
HOPELESS = 1.5

Chosen = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the seconds of an update that it was chosen by (median)."""

    precision: Chosen
    fp32: float
    bf16: float

    def __str__(self) -> str:
        reason = "faster" if self.precision == "bf16" else f"bf16 is not {GAIN:.0%} faster"
        figures = f"{self.fp32:.2f} s an update in fp32, {self.bf16:.2f} s in bf16"
        return f"run.precision auto: {self.precision} ({reason}: {figures})"


def choose_precision(
    update: Callable[[Chosen], None],
    rounds: int = ROUNDS,
    hopeless: float = HOPELESS,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Time an update in both precisions, turn by turn, and choose.

    Args:
        update: Makes one in the precision given, and leaves no trace.
        rounds: How often each is timed, after a first time that is not counted.
        hopeless: After a first round in which bfloat16 takes more than so many times as long, there is no other.
        clock: Seconds.
    """
    seconds: dict[Chosen, list[float]] = {"fp32": [], "bf16": []}
    for number in range(rounds + 1):
        for precision, times in seconds.items():
            began = clock()
            update(precision)
            times.append(clock() - began)
        if number == 0 and seconds["bf16"][0] > hopeless * seconds["fp32"][0]:
            break
    fp32, bf16 = (statistics.median(times[1:] or times) for times in seconds.values())
    return Choice("bf16" if bf16 < (1 - GAIN) * fp32 else "fp32", fp32, bf16)


def trial(click_loop: ClickLoop, samples: list[Sample], first: int, progress: float) -> Choice:
    """Choose the precision by the time that a batch takes, forth and back; weights and random state stay as they are.

    Args:
        click_loop: What trains; its precision is left as it is.
        samples, first, progress: A batch of the run, see `export.training.step.ClickLoop.train`.
    """
    device, before = click_loop.device, click_loop.precision

    def update(precision: Chosen) -> None:
        click_loop.precision = PRECISIONS[precision]
        click_loop.train(samples, first, progress)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with click_loop.optimizer.on_trial(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            return choose_precision(update, hopeless=HOPELESS if device.type == "cpu" else math.inf)
        finally:
            click_loop.precision = before
