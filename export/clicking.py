"""The robot user's side of training: click maps, forced and cleaned answers, the next click. No gradients here.

Between the network's calls everything goes through the parts that serve: the native ops and the robot of evaluation.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.config import NetworkConfig
from export.data import Sample
from pyiseg import _core
from pyiseg.chain import Chain
from pyiseg.evaluation.metrics import iou
from pyiseg.evaluation.robot import next_click


class Clicker:
    """Starts click sequences for batches of samples."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config

    def start(self, samples: list[Sample], guides: tuple[Tensor, Tensor]) -> Sequences:
        """Begin a sequence for every sample.

        Args:
            samples: Their pictures are all of one size.
            guides: Full and grid guide of each, as :meth:`export.network.Network.guides` returns them.
        """
        full, grid = (g[:, 0].contiguous().numpy() for g in guides)
        return Sequences([Sequence(self.config, s, full[i], grid[i]) for i, s in enumerate(samples)])


class Sequences:
    """Click sequences of one batch, in step."""

    def __init__(self, sequences: list[Sequence]) -> None:
        self.sequences = sequences

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Place the next click of each; return click maps, previous alpha and the clicks' own map (1, -1 or 0)."""
        for sequence in self.sequences:
            sequence.click()
        maps = np.stack([s.chain.maps[0] for s in self.sequences])
        previous = np.stack([s.chain.previous[0] for s in self.sequences])
        clicks = np.stack([s.click_map() for s in self.sequences])[:, None]
        return torch.from_numpy(maps), torch.from_numpy(previous), torch.from_numpy(clicks)

    def answer(self, alpha: Tensor) -> float:
        """Take the network's predictions (B, 1, h, w) and return the mean IoU of the masks made of them."""
        return float(np.mean([s.answer(a) for s, a in zip(self.sequences, alpha[:, 0].numpy(), strict=True)]))


class Sequence:
    """One object's clicks so far."""

    def __init__(
        self, config: NetworkConfig, sample: Sample, full_guide: NDArray[np.float32], grid_guide: NDArray[np.float32]
    ) -> None:
        self.stride, self.full_guide = config.grid_stride, full_guide
        self.truth, self.void = sample.alpha > 127, sample.valid == 0
        self.chain = Chain(config.rules, grid_guide)
        self.clicks = np.zeros((0, 3), np.int32)
        self.lines: NDArray[np.float32] | None = None
        self.alpha = np.zeros(full_guide.shape, np.uint8)

    def click(self) -> None:
        """Place the robot's next click, if anything is wrong, and fill the chain's inputs."""
        click = next_click(self.alpha >= 128, self.truth, self.void)
        earlier = len(self.clicks)
        if click is not None:
            row = np.array([[click.x // self.stride, click.y // self.stride, click.fg]], np.int32)
            self.clicks = np.concatenate([self.clicks, row])
        self.chain.before(self.clicks, self.lines, earlier)

    def click_map(self) -> NDArray[np.float32]:
        """The clicks as a map: 1, -1 or 0."""
        result = np.zeros(self.chain.answer.shape[2:], np.float32)
        result[self.clicks[:, 1], self.clicks[:, 0]] = np.where(self.clicks[:, 2] == 1, 1, -1)
        return result

    def answer(self, prediction: NDArray[np.float32]) -> float:
        """Take the network's prediction (h, w) and return the IoU of the mask made of it."""
        self.chain.answer[0, 0] = prediction
        self.lines = self.chain.after(self.clicks)
        _core.apply_lines(self.lines, self.full_guide, self.alpha)
        return iou(self.alpha >= 128, self.truth, self.void)
