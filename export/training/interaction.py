"""The robot user's side of training: click maps, forced and cleaned predictions, the next click. No gradients here.

Between the network's calls everything goes through the parts that serve: the native ops and the robot of evaluation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.data.dataset import Sample
from export.models.config import NetworkConfig
from export.training.click_config import ClickConfig
from export.training.starts import begin
from pyiseg import _core
from pyiseg.evaluation.metrics import iou
from pyiseg.evaluation.robot import next_click
from pyiseg.geometry import View
from pyiseg.prompts import Click
from pyiseg.runtime.click import ClickStage
from pyiseg.runtime.guide import ColorGuide
from pyiseg.runtime.guided_filter import ColorFilter, GuidedFilter, LearnedFilter
from pyiseg.runtime.noise import noise_level
from pyiseg.runtime.resample import NUMPY

T = TypeVar("T")


class SimulatedUser:
    """Starts click episodes for batches of samples."""

    def __init__(self, config: NetworkConfig, clicks: ClickConfig | None = None, seed: int = 1, batch: int = 1) -> None:
        self.config, self.clicks, self.seed = config, clicks or ClickConfig(), seed
        # The ops and OpenCV let go of the interpreter: on a machine with a GPU this is what the GPU waits for.
        self._pool = ThreadPoolExecutor(min(batch, os.cpu_count() or 1))

    def start(self, samples: list[Sample], first: int, pairs: bool = False) -> Episodes:
        """Begin an episode for every sample.

        Args:
            samples: Their images are all of one size.
            first: Number of the first one; all that is random here is seeded by it.
            pairs: Whether they are `mirrored_pairs`, which are clicked alike.
        """

        def make(i: int) -> Episode:
            episode = Episode(self.config, samples[i])
            if not (pairs and i % 2):
                begin(episode, self.clicks, self.config.zoom, self.seed, first + i)
            return episode

        episodes = self._map(make, range(len(samples)))
        if pairs:
            for one, other in zip(episodes[::2], episodes[1::2], strict=True):
                other.mirror(one)
        return Episodes(episodes, self._map)

    def _map(self, call: Callable[[int], T], items: Iterable[int]) -> list[T]:
        return list(self._pool.map(call, items))


class Episodes:
    """Click episodes of one batch, in step."""

    def __init__(
        self, episodes: list[Episode], run: Callable[[Callable[[int], float | None], Iterable[int]], list[float]]
    ) -> None:
        self.episodes, self._run = episodes, run
        leads = [i for i, episode in enumerate(episodes) if not episode.mirrors]
        self._turns = (leads, [i for i, episode in enumerate(episodes) if episode.mirrors])

    def color_guides(self, image: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the color guides as `export.models.network.Network.guides` does; None with a learned guide.

        The episodes' filters hold them already, with less noise where there is some; PyTorch takes several times as
        long for them.

        Args:
            image: Of the episodes, RGB in 0..1, float32, shape (B, 3, H, W), on any device.

        Returns:
            Shapes (B, 3, H, W) and (B, 9, h, w), float32, where the image is. The first one is in planes, for the
            filter goes over the colors one by one.
        """
        planes, full = [], image.contiguous()
        for i, episode in enumerate(self.episodes):
            if not isinstance(episode.filter, ColorFilter):
                return None
            guide = episode.filter.guide
            planes.append(np.concatenate([guide.image, guide.statistics]))
            if guide.noise:
                full = full.clone() if full.data_ptr() == image.data_ptr() else full
                full[i] = torch.from_numpy(guide.rgb).to(full.device).permute(2, 0, 1).float().div_(255)
        return full, torch.from_numpy(np.stack(planes)).to(full.device)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Place the next click of each; return click maps, previous alpha and the clicks' own map (1, -1 or 0)."""
        # A mirrored episode clicks after the one that it mirrors has.
        for turn in self._turns:
            self._run(lambda i: self.episodes[i].click(), turn)
        return self._inputs()

    def again(self, alpha: Tensor, guides: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Feed the network's predictions back and return its inputs for the same clicks.

        Args:
            alpha, guides: As for `postprocess`, which is called with what comes of it.

        Returns:
            What `inputs` does.
        """
        predictions = self._taken(alpha, guides)
        self._run(lambda i: self.episodes[i].feed_back(predictions[i]), range(len(predictions)))
        return self._inputs()

    def _inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        maps = np.stack([s.click_stage.maps[0] for s in self.episodes])
        previous = np.stack([s.click_stage.previous[0] for s in self.episodes])
        clicks = np.stack([s.click_map() for s in self.episodes])[:, None]
        return torch.from_numpy(maps), torch.from_numpy(previous), torch.from_numpy(clicks)

    def postprocess(self, alpha: Tensor, guides: tuple[Tensor, Tensor]) -> float:
        """Take the network's predictions and return the mean IoU of the masks made of them.

        Args:
            alpha: Predictions, (B, 1, h, w).
            guides: Full and grid guides, as :meth:`export.models.network.Network.guides` returns them.
        """
        predictions = self._taken(alpha, guides)
        ious = self._run(lambda i: self.episodes[i].postprocess(predictions[i]), range(len(predictions)))
        return float(np.mean(ious))

    def _taken(self, alpha: Tensor, guides: tuple[Tensor, Tensor]) -> NDArray[np.float32]:
        """Hand the guides to the episodes that need them; return the predictions, float32, shape (B, h, w)."""
        predictions: NDArray[np.float32] = alpha.detach()[:, 0].float().contiguous().cpu().numpy()
        if self.episodes[0].guide is not None:
            full, grid = (x.detach()[:, 0].float().contiguous().cpu().numpy() for x in guides)
            for i, episode in enumerate(self.episodes):
                assert episode.guide is not None
                episode.guide.full, episode.guide.grid = full[i], grid[i]
        return predictions


class GivenGuide:
    """The learned guide of the network in training, for the last prediction; see `pyiseg.runtime.guided_filter`."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = self.full = np.zeros(grid, np.float32)

    def on_grid(self, clicks: NDArray[np.int32]) -> NDArray[np.float32]:
        return self.grid

    def at_image(self) -> NDArray[np.float32]:
        return self.full


class Episode:
    """One object's clicks so far.

    Attributes:
        guide: Where the learned guide goes before `postprocess`; None with the color guide.
        selected: The alpha on the grid that the last click came to, float32, shape (h, w).
    """

    def __init__(self, config: NetworkConfig, sample: Sample) -> None:
        self.truth, self.void, self.others = sample.alpha > 127, sample.valid == 0, sample.others == 1
        height, width = self.truth.shape
        grid = (height // config.grid_stride, width // config.grid_stride)
        self.view, rules = View((height, width), (height, width), grid), config.click_params
        self.click_stage = ClickStage(rules, grid)
        self.guide: GivenGuide | None = None
        if rules.guide == "color":
            noise = noise_level(NUMPY, sample.image)
            guide = ColorGuide(NUMPY, self.view, sample.image, rules.radius, rules.eps, np.zeros, noise)
            self.filter: GuidedFilter = ColorFilter(guide, rules.radius, _core, np.empty)
        else:
            self.guide = GivenGuide(grid)
            self.filter = LearnedFilter(rules, self.guide, grid, _core, np.empty)
        self.clicks = np.zeros((0, 3), np.int32)
        self.selected = np.zeros(grid, np.float32)
        self.alpha = np.zeros(self.truth.shape, np.uint8)
        self._predicted = 0  # clicks that `selected` answers: the first ones
        self._other: Episode | None = None  # whose clicks are clicked here too, mirrored

    def mirror(self, other: Episode) -> None:
        """Begin as another episode has begun, on the mirror image of its image, and from now on click as it does."""
        self._other, self._predicted = other, other._predicted
        self._follow()
        self.selected = np.ascontiguousarray(other.selected[:, ::-1])
        self.alpha = np.ascontiguousarray(other.alpha[:, ::-1])

    @property
    def mirrors(self) -> bool:
        """Whether it clicks where another episode does."""
        return self._other is not None

    def place(self, clicks: Iterable[Click]) -> None:
        """Place clicks without a prediction; before the next prediction there are no others."""
        for click in clicks:
            self._add(click)

    def take(self, mask: NDArray[np.bool_]) -> None:
        """Take a mask, bool, shape (H, W), as the prediction for all clicks so far."""
        height, width = self.selected.shape
        self.alpha[:] = np.where(mask, np.uint8(255), np.uint8(0))
        self.selected = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        self._predicted = len(self.clicks)

    def carry(self, alpha: NDArray[np.float32]) -> None:
        """Take an alpha on the grid, float32, shape (h, w), as the prediction for all clicks so far."""
        self.selected, self._predicted = alpha, len(self.clicks)
        self.filter.apply(self.clicks, self.view.grid_clicks(self.clicks), alpha, self.alpha)

    def click(self) -> None:
        """Place the robot's next click, unless clicks wait or nothing is wrong, and fill the click stage's inputs."""
        if self._other is not None:
            self._follow()
        elif self._predicted == len(self.clicks):
            click = next_click(self.alpha >= 128, self.truth, self.void)
            if click is not None:
                self._add(click)
        self._encode()

    def click_map(self) -> NDArray[np.float32]:
        """The clicks as a map: 1, -1 or 0."""
        result = np.zeros(self.click_stage.output.shape[2:], np.float32)
        x, y, label = self.view.grid_clicks(self.clicks).T
        result[y, x] = np.where(label == 1, 1, -1)
        return result

    def feed_back(self, output: NDArray[np.float32]) -> None:
        """Take the network's output (h, w) as what it is fed next, for the same clicks."""
        placed, prediction = self._predict(output)
        self.selected = self.filter.on_grid(placed, prediction)
        self._encode()

    def postprocess(self, output: NDArray[np.float32]) -> float:
        """Take the network's output (h, w) and return the IoU of the mask made of it."""
        placed, prediction = self._predict(output)
        self.filter.apply(self.clicks, placed, prediction, self.alpha)
        self.selected = self.filter.on_grid(placed, prediction, applied=True)
        return iou(self.alpha >= 128, self.truth, self.void)

    def _follow(self) -> None:
        """Take over the clicks of the episode that this one mirrors."""
        assert self._other is not None
        self.clicks = self._other.clicks.copy()
        self.clicks[:, 0] = self.truth.shape[1] - 1 - self.clicks[:, 0]

    def _encode(self) -> None:
        """Fill the click stage's inputs for the clicks so far."""
        placed = self.view.grid_clicks(self.clicks)
        self.click_stage.encode(placed, placed[: self._predicted], self.selected)

    def _predict(self, output: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return all clicks on the grid and the prediction that comes of the output for them."""
        self.click_stage.output[0, 0] = output
        placed, prediction = self.view.grid_clicks(self.clicks), np.empty_like(self.selected)
        self.click_stage.postprocess(placed, prediction)
        self._predicted = len(self.clicks)
        return placed, prediction

    def _add(self, click: Click) -> None:
        self.clicks = np.concatenate([self.clicks, np.array([click], np.int32)])


def mirrored_pairs(samples: list[Sample]) -> list[Sample]:
    """Put in the place of every second sample the mirror image of the one before."""
    result: list[Sample] = []
    for sample in samples[::2]:
        planes = (np.ascontiguousarray(x[:, ::-1]) if getattr(x, "ndim", 0) >= 2 else x for x in sample)
        result += [sample, Sample(*planes)]
    return result
