"""How weights follow their gradients: groups, rates, decay, the moving average."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from export import distributed
from export.network import Network
from export.settings import OptimiserConfig


class Optimiser:
    """A network's weights on their way, and their moving average.

    Attributes:
        network: What is trained.
        average: Moving average of its weights; the network itself where none is wanted.
        updates: How many were made.
    """

    def __init__(self, network: Network, config: OptimiserConfig, scaled: bool = False) -> None:
        self.network, self.config = network, config
        network.image.encoder.freeze(config.frozen)
        self.trained = [p for p in network.parameters() if p.requires_grad]
        self.average = copy.deepcopy(network).eval() if config.average else network
        kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.RAdam
        # As in the RAdam of Liu et al. 2019 themselves; PyTorch's default puts the decay into the gradient.
        options: dict[str, Any] = {} if config.name == "adamw" else {"decoupled_weight_decay": True}
        self.rule: torch.optim.Optimizer = kind(self._groups(), betas=(0.9, config.beta2), **options)
        self.scaler = torch.amp.GradScaler("cuda", enabled=scaled)
        self.updates = 0

    def step(self, progress: float) -> None:
        """Make one update from the gathered gradients, and drop them.

        Args:
            progress: Share of the run that has passed, 0..1.
        """
        factor = self.factor(progress)
        for group in self.rule.param_groups:
            group["lr"] = group["peak"] * factor
        # Before the check for overflow: one process's must stop the step in all of them.
        distributed.average_gradients(self.trained)
        self.scaler.unscale_(self.rule)
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.clip_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.rule)
        self.scaler.update()
        self.rule.zero_grad(set_to_none=True)
        if self.scaler.get_scale() >= scale:  # else gradients overflowed, and there was no step
            self._average()
        self.updates += 1

    def factor(self, progress: float) -> float:
        """Share of the peak rates that is in force."""
        config = self.config
        if config.schedule == "cosine":
            now = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        else:
            now = 0.1 ** sum(progress >= share for share in config.steps)
        return now * (min(1.0, (self.updates + 1) / config.warmup) if config.warmup else 1.0)

    def state(self) -> dict[str, Any]:
        """Everything that an update depends on, besides the settings."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.rule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "updates": self.updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.network.load_state_dict(state["network"])
        if self.config.average:
            self.average.load_state_dict(state["average"])
        self.rule.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.updates = state["updates"]

    def _groups(self) -> list[dict[str, Any]]:
        config = self.config
        encoder = {id(p) for p in self.network.image.encoder.parameters()}
        scales = {id(p) for m in self.network.modules() if isinstance(m, nn.GroupNorm) for p in m.parameters()}

        def decay(p: nn.Parameter) -> float:
            # Biases of convolutions are neither, and have none.
            return config.weight_decay if p.ndim == 4 else config.norm_decay if id(p) in scales else 0.0

        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for p in self.trained:
            rate = config.encoder_lr if id(p) in encoder else config.lr
            groups.setdefault((rate, decay(p)), []).append(p)
        return [{"params": ps, "lr": rate, "peak": rate, "weight_decay": d} for (rate, d), ps in groups.items()]

    def _average(self) -> None:
        if not self.config.average:
            return
        decay = min(self.config.average, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
