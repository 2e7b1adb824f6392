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
        maps = np.stack([s.maps for s in self.sequences])
        previous = np.stack([s.previous for s in self.sequences])[:, None]
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
        self.config, self.full_guide, self.grid_guide = config, full_guide, grid_guide
        self.truth = sample.alpha > 127
        self.void = sample.valid == 0
        shape = grid_guide.shape
        self.clicks = np.zeros((0, 3), np.int32)
        self.maps = np.zeros((2 * len(config.sigmas), *shape), np.float32)
        self.previous = np.zeros(shape, np.float32)
        self.alpha = np.zeros(full_guide.shape, np.uint8)

    def click(self) -> None:
        """Place the robot's next click, if anything is wrong."""
        click = next_click(self.alpha >= 128, self.truth, self.void)
        if click is not None:
            s = self.config.grid_stride
            row = np.array([[click.x // s, click.y // s, click.fg]], np.int32)
            self.clicks = np.concatenate([self.clicks, row])
        _core.click_maps(self.clicks, self.config.grid_sigmas, self.maps)

    def click_map(self) -> NDArray[np.float32]:
        result = np.zeros(self.grid_guide.shape, np.float32)
        result[self.clicks[:, 1], self.clicks[:, 0]] = np.where(self.clicks[:, 2] == 1, 1, -1)
        return result

    def answer(self, prediction: NDArray[np.float32]) -> float:
        config, shape = self.config, self.grid_guide.shape
        alpha = np.ascontiguousarray(prediction)
        cleaned, lines = np.empty(shape, np.float32), np.empty((2, *shape), np.float32)
        labels, scratch = np.empty(shape, np.int32), np.empty((2, *shape), np.float32)
        _core.force_clicks(self.clicks, alpha)
        _core.keep_clicked_regions(alpha, self.clicks, config.clean_margin, labels, cleaned)
        _core.guided_filter_lines(self.grid_guide, cleaned, config.radius, config.eps, scratch, lines)
        _core.apply_lines(lines, self.full_guide, self.alpha)
        _core.apply_lines(lines, self.grid_guide, cleaned)
        _core.keep_clicked_regions(cleaned, self.clicks, 0, labels, self.previous)
        mask = self.alpha >= 128
        union = ((mask | self.truth) & ~self.void).sum()
        return float((mask & self.truth & ~self.void).sum() / union) if union else 1.0
