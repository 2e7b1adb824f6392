"""One batch, click by click: a click, a prediction, its loss, the next click."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.data.dataset import Sample
from export.models.network import Features
from export.training.config import LossConfig, Settings
from export.training.interaction import SimulatedUser, mirrored_pairs
from export.training.losses import absolute_error, click_error, mirror_difference, normalized_focal, soft_iou
from export.training.optimizer import Optimizer

Guides = tuple[Tensor, Tensor]

# What is drawn for a batch, apart from each other and from what `export.training.starts` draws for a sample.
FREE, TWICE = 1, 5

# What autocast computes in, by the name of the setting; none for FP32.
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Targets:
    """The truth that a batch's predictions are compared with, at full size and on the grid.

    Attributes:
        truth, grid_truth: The wanted alpha, float32, shape (B, 1, H, W).
        valid, grid_valid: How much a pixel counts: 0 where it is not judged, else its weight, up to 1.
    """

    def __init__(self, samples: list[Sample], stride: int, binary: bool, device: torch.device) -> None:
        def tensor(planes: list[np.ndarray]) -> Tensor:  # type: ignore[type-arg]
            return torch.from_numpy(np.stack(planes))[:, None].to(device).float()

        alpha = tensor([s.alpha for s in samples]) / 255
        self.truth = (alpha > 0.5).float() if binary else alpha
        self.valid = tensor([s.valid for s in samples])
        self.grid_valid = F.avg_pool2d(self.valid, stride)
        self.grid_truth = F.avg_pool2d(self.truth * self.valid, stride) / self.grid_valid.clamp(min=1e-3)
        if any(s.weight is not None for s in samples):
            # After the truth on the grid, which is the mean of what is judged, however much that counts.
            same = np.full(samples[0].alpha.shape, 255, np.uint8)
            self.valid = self.valid * tensor([same if s.weight is None else s.weight for s in samples]) / 255
            self.grid_valid = F.avg_pool2d(self.valid, stride)

    def loss(self, config: LossConfig, logits: Tensor, alpha: Tensor, refined: Tensor, clicks: Tensor) -> Tensor:
        """Return the weighted sum of the terms that have a weight, the mean over the batch."""
        terms = {
            "iou": lambda: soft_iou(refined, self.truth, self.valid),
            "click": lambda: click_error(alpha, clicks, config.click_sum),
            "grid_iou": lambda: soft_iou(alpha, self.grid_truth, self.grid_valid),
            "focal": lambda: normalized_focal(logits, self.grid_truth, self.grid_valid),
            "absolute": lambda: absolute_error(refined, self.truth, self.valid),
            "mirror": lambda: mirror_difference(alpha),
        }
        weights = {name: getattr(config, name) for name in terms}
        return torch.stack([weight * terms[name]() for name, weight in weights.items() if weight]).sum(dim=0).mean()


class ClickLoop:
    """Trains a network click by click, as its settings say.

    What does not depend on the clicks is gone through once an image, forth and back, unless the weights change
    between the clicks: with late fusion that is nearly all of the cost.
    """

    def __init__(self, settings: Settings, optimizer: Optimizer, device: torch.device) -> None:
        self.settings, self.optimizer, self.device = settings, optimizer, device
        self.network = optimizer.network
        clicks, run = settings.clicks, settings.run
        self.user = SimulatedUser(settings.network, clicks, run.seed, run.batch)
        # "auto" is FP32 until it is decided.
        self.precision = PRECISIONS.get(settings.run.precision)
        once = settings.optimizer.update == "picture"
        self.features_once = once and not settings.network.early_clicks
        network = settings.network
        # Colors learn nothing: they are never asked of the network.
        self.guides_once = once and not network.guide_clicks

    def train(self, samples: list[Sample], first: int, progress: float) -> dict[str, float]:
        """Train on a batch and return the loss and the IoU after each click.

        Args:
            samples: Images of one size.
            first: Number of the first one, which all that is random here is seeded by.
            progress: Share of the run that has passed.
        """
        config, net, pairs = self.settings.clicks, self.network.train(), self.settings.loss.mirror > 0
        if pairs:
            samples = mirrored_pairs(samples)
        image = torch.from_numpy(np.stack([s.image for s in samples])).to(self.device)
        image = image.permute(0, 3, 1, 2).float().div_(255)
        targets = Targets(samples, self.settings.network.grid_stride, self.settings.loss.binary, self.device)
        features: Features | None = None
        shared: list[tuple[Tensor, Tensor]] = []
        if self.features_once:
            with self._autocast():
                features = {name: hold(x, shared) for name, x in net.click.share(net.image(image)).items()}
        steps = self.user.start(samples, first, pairs)
        guides = steps.color_guides(image)
        if guides is None and self.guides_once:
            full, grid = net.guides(image)
            guides = hold(full, shared), hold(grid, shared)

        free, twice, weights = self.warmup_clicks(first, progress), self.has_two_passes(first), self._weights()
        metrics: dict[str, float] = {}
        for k in range(free + config.clicks):
            maps, previous, clicks = (x.to(self.device) for x in steps.inputs())
            with torch.set_grad_enabled(k >= free):
                with self._autocast():
                    seen = net.image(image, maps if net.config.early_clicks else None) if features is None else features
                used = net.guides(image, maps) if guides is None else guides
                if twice and k >= free:
                    with torch.no_grad(), self._autocast():
                        before = net.click.activate(net.click(maps, previous, seen).float())
                    maps, previous, clicks = (x.to(self.device) for x in steps.again(before, used))
                with self._autocast():
                    logits = net.click(maps, previous, seen)
                logits = logits.float()
                alpha = net.click.activate(logits)
                if k >= free:
                    # As served: what was clicked is what the filter sees.
                    forced = torch.where(clicks == 0, alpha, clicks.clamp(min=0))
                    refined = net.refine(forced, *used)
                    loss = targets.loss(self.settings.loss, logits, alpha, refined, clicks)
                    weighted = weights[k - free] * loss
                    self.backward(weighted if self.settings.optimizer.update == "click" else weighted / config.clicks)
                    metrics[f"loss_{k - free + 1}"] = loss.detach()  # type: ignore[assignment]
                    if self.settings.optimizer.update == "click":
                        self.optimizer.step(progress)
            metrics[f"iou_{k + 1}"] = steps.postprocess(alpha, used)
        if self.settings.optimizer.update == "picture":
            reached = [(made, held.grad) for made, held in shared if held.grad is not None]
            torch.autograd.backward([made for made, _ in reached], [grad for _, grad in reached])
            self.optimizer.step(progress)
        return {name: float(value) for name, value in metrics.items()}

    def warmup_clicks(self, first: int, progress: float) -> int:
        """Draw how many clicks without a loss come first."""
        config = self.settings.clicks
        if (first if config.warmup_from > 1 else progress) <= config.warmup_from:
            return 0
        rng = np.random.default_rng([self.settings.run.seed, FREE, first])
        few = int(rng.integers(config.warmup_clicks + 1))
        if rng.random() >= config.long:
            return few
        return int(rng.integers(config.warmup_clicks + 1, config.long_clicks - config.clicks + 1))

    def has_two_passes(self, first: int) -> bool:
        """Draw whether clicks are predicted twice."""
        rng = np.random.default_rng([self.settings.run.seed, TWICE, first])
        return bool(rng.random() < self.settings.clicks.two_passes)

    def _weights(self) -> list[float]:
        """Return the weight of each click's loss; 1 on average."""
        config = self.settings.clicks
        weights = np.power(config.loss_growth, np.arange(config.clicks))
        return [float(weight) for weight in weights / weights.mean()]

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of one click's loss."""
        self.optimizer.scaler.scale(loss).backward()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None)


def hold(made: Tensor, shared: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return a copy of a tensor in which gradients gather; the pair is kept, for one way back at the end."""
    if not made.requires_grad:
        return made
    held = made.detach().requires_grad_()
    shared.append((made, held))
    return held
