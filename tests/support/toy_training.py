"""Training runs so small that they take seconds, and their weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from export.models.presets import COMPACT, scaled
from export.training.config import Settings, load_settings
from export.training.trainer import Trainer

TINY = load_settings("compact", ["run.sizes=[[0.0, 64]]", "run.batch=2", "clicks.clicks=2", "optimizer.warmup=1"])


def tiny(pictures: int = 16, **run: object) -> Settings:
    network = scaled(COMPACT, 8)
    return replace(TINY, network=network, run=replace(TINY.run, pictures=pictures, **run))  # type: ignore[arg-type]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    state = trainer.optimizer.state()
    return {f"{part}.{name}": x.clone() for part in ("network", "average") for name, x in state[part].items()}


def assert_equal(one: Trainer, other: Trainer) -> None:
    assert (one.pictures, one.optimizer.updates) == (other.pictures, other.optimizer.updates)
    for (name, a), b in zip(weights(one).items(), weights(other).values(), strict=True):
        assert torch.equal(a, b), name
