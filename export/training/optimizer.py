"""How weights follow their gradients: groups, rates, decay, the moving average."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from export.models.network import Network
from export.training import distributed
from export.training.config import OptimizerConfig
from export.training.rules import optimizer_of


class Optimizer:
    """A network's weights on their way, and their moving average.

    Attributes:
        network: What is trained.
        ema: Exponential moving average of its weights; the network itself where none is wanted.
        updates: How many were made.
        ema_from: How many were made when the average began: at a branch that decays it begins anew.
    """

    def __init__(self, network: Network, config: OptimizerConfig, scaled: bool = False) -> None:
        self.network, self.config = network, config
        network.image.encoder.freeze(config.frozen)
        self.trained = [p for p in network.parameters() if p.requires_grad]
        self.ema = copy.deepcopy(network).eval() if config.ema else network
        self.optimizer = optimizer_of(config, self._groups())
        self.scaler = torch.amp.GradScaler("cuda", enabled=scaled)
        self.updates = self.ema_from = 0
        self.trial = False

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Let steps drop the gradients and do nothing else: for timing what leads up to them."""
        self.trial = True
        try:
            yield
        finally:
            self.trial = False

    def step(self, progress: float) -> None:
        """Make one update from the gathered gradients, and drop them.

        Args:
            progress: Share of the run that has passed, 0..1.
        """
        if self.trial:
            self.optimizer.zero_grad(set_to_none=True)
            return
        factor = self.factor(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        # Before the check for overflow: one process's must stop the step in all of them.
        distributed.average_gradients(self.trained)
        self.scaler.unscale_(self.optimizer)
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.clip_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.scaler.get_scale() >= scale:  # else gradients overflowed, and there was no step
            self._update_ema()
        self.updates += 1

    def factor(self, progress: float) -> float:
        """Share of the peak rates that is in force."""
        config = self.config
        if config.schedule == "decay":
            # A branch begins at the full rate with an optimizer that knows its gradients.
            return 1 - 0.99 * progress
        if config.schedule == "cosine":
            now = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        else:
            now = 0.1 ** sum(progress >= share for share in config.steps) if config.schedule == "steps" else 1.0
        return now * (min(1.0, (self.updates + 1) / config.warmup) if config.warmup else 1.0)

    def state(self) -> dict[str, Any]:
        """Everything that an update depends on, besides the settings."""
        return {
            "network": self.network.state_dict(),
            "average": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "updates": self.updates,
            "ema_from": self.ema_from,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, at the rates and decays of these settings.

        Raises:
            ValueError: The state is of another network, or of an optimizer of another kind.
        """
        self._check(state["optimizer"])
        try:
            self.network.load_state_dict(state["network"])
            if self.config.ema:
                self.ema.load_state_dict(state["average"])
        except RuntimeError as error:
            raise ValueError(
                f"it holds the weights of another network: {str(error).splitlines()[-1].strip()}"
            ) from None
        groups = [{**group, "params": None} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(self.optimizer.param_groups, groups, strict=True):
            # PyTorch brings the rates of the saved run along; those of the settings count.
            group.update({name: value for name, value in own.items() if name != "params"})
        self.scaler.load_state_dict(state["scaler"])
        self.updates, self.ema_from = state["updates"], state.get("ema_from", 0)

    def restart_ema(self) -> None:
        """Forget the average but for its value: that of the next updates takes its place, over a tenth of them."""
        self.ema_from = self.updates

    def _check(self, saved: dict[str, Any]) -> None:
        """Refuse the state of an optimizer whose weights are in other groups: its moments would go to wrong ones."""
        mine, theirs = self.optimizer.param_groups, saved["param_groups"]
        now, then = ([len(group["params"]) for group in groups] for groups in (mine, theirs))
        if now != then:
            raise ValueError(
                f"its weights are in groups of {then} by rate and decay, those of these settings in groups of {now}: "
                "give the network, and optimizer.lr, encoder_lr, weight_decay and norm_decay, as they were"
            )

    def _groups(self) -> list[dict[str, Any]]:
        config = self.config
        encoder = {id(p) for p in self.network.image.encoder.parameters()}
        scales = {id(p) for m in self.network.modules() if isinstance(m, nn.GroupNorm) for p in m.parameters()}

        def decay(p: nn.Parameter) -> float:
            # Biases of convolutions are neither, and have none.
            return config.weight_decay if p.ndim == 4 else config.norm_decay if id(p) in scales else 0.0

        def is_matrix(p: nn.Parameter) -> bool:
            # Depthwise convolutions and the head have one input or output channel.
            return config.name == "muon" and p.ndim == 4 and min(p.shape[:2]) > 1

        groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
        for p in self.trained:
            rate = config.encoder_lr if id(p) in encoder else config.lr
            groups.setdefault((rate, decay(p), is_matrix(p)), []).append(p)
        return [
            {"params": ps, "lr": rate, "peak": rate, "weight_decay": d, "matrix": matrix}
            for (rate, d, matrix), ps in groups.items()
        ]

    def _update_ema(self) -> None:
        if not self.config.ema:
            return
        seen = self.updates - self.ema_from + (0 if self.ema_from else self.config.ema_updates)
        decay = min(self.config.ema, (1 + seen) / (10 + seen))
        with torch.no_grad():
            for mean, now in zip(self.ema.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
