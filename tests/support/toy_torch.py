"""The networks of toy_model.py in PyTorch, behind the face of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_engine import TorchEngine

from pyiseg import Model
from pyiseg.geometry import View
from pyiseg.runtime.engine import Engine

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


class ToyImage(nn.Module):
    def __init__(self, stride: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.stride, self.dtype = stride, dtype
        rows = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, -1.0]])
        self.register_buffer("rows", rows[:, :, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = F.conv2d(F.avg_pool2d(image, self.stride), self.rows).to(self.dtype)
        return features[:, :1], features[:, 1:]


class ToyClick(nn.Module):
    """Makes a constant from Python numbers, as the paper's network does, which capturing must survive."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        weights = torch.tensor([0, -1.5, 0, 0, 1.5, 0, 0.3, 0.8, 0.2])
        self.register_buffer("kernel", (weights[None, :, None, None] / 9).expand(1, 9, 3, 3).to(dtype))

    def forward(self, maps: Tensor, previous: Tensor, *features: Tensor) -> Tensor:
        nothing = maps.new_tensor((0.0, 0.0)).sum()
        planes = torch.cat([maps, previous, *features], dim=1)
        return (F.conv2d(planes, self.kernel, padding=1) + nothing).float().clamp(0, 1)


class ToyGuide(nn.Module):
    def __init__(self, clicks: bool) -> None:
        super().__init__()
        weights = torch.tensor([0.299, 0.587, 0.114, *([-0.25, 0.5] if clicks else [])])
        self.register_buffer("kernel", weights[None, :, None, None])

    def forward(self, *planes: Tensor) -> Tensor:
        return F.conv2d(torch.cat(planes, dim=1), self.kernel)


class ToyEngines:
    """Engines for whatever toy_model.build wrote with feedback and late fusion.

    Args:
        device: "cuda" or "cpu".
        half: Whether the click's network computes in FP16.
        wrap: Makes another engine of each.
    """

    def __init__(self, device: str, *, half: bool = False, wrap: Any = lambda engine: engine) -> None:
        self.device, self.half, self.wrap = device, half, wrap

    def load(self, model: Model, view: View) -> Mapping[str, Engine]:
        low, dtype = (HALF, torch.float16) if self.half else (SINGLE, torch.float32)
        features = {"features_0": low, "features_1": low}
        guide_clicks = model.grid_stride == 1  # as the tests build them
        planes = {"image": SINGLE} | ({"click_maps": SINGLE} if guide_clicks else {})
        engines = {
            "image": TorchEngine(ToyImage(model.grid_stride, dtype), {"image": SINGLE}, features, self.device),
            "click": TorchEngine(
                ToyClick(dtype),
                {"click_maps": low, "previous_alpha": low, **features},
                {"alpha": SINGLE},
                self.device,
            ),
        }
        if model.click_params.guide == "learned":
            guide = ToyGuide(guide_clicks)
            engines["guide"] = TorchEngine(guide, planes, {"guide": SINGLE}, self.device, channels_last=False)
        return {name: self.wrap(engine) for name, engine in engines.items()}
