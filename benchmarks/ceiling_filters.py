"""The guided filters that `ceiling.py` measures, and the grid they take a prediction from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from ceiling_images import Array, Rgb
from torch import Tensor

from export.models.guided_filter import (
    apply_coefficients,
    color_guide_statistics,
    color_guided_filter_coefficients,
    guided_filter_coefficients,
)
from export.models.network import Network
from pyiseg.geometry import View

LONG_SIDE, MULTIPLE, STRIDE = 512, 32, 2


@dataclass(frozen=True)
class Variant:
    """One way to filter.

    Attributes:
        guide: "learned", "color", or "none" for bilinear enlargement.
        form, radius, eps: See `export.models.guided_filter`.
        space: What R, G, B are taken as: "rgb" as they are, "sqrt" the square roots.
    """

    guide: str
    form: str
    radius: int
    eps: float
    space: str = "rgb"


VARIANTS = (
    Variant("none", "residual", 0, 0.0),
    Variant("learned", "averaged", 2, 1e-3),
    Variant("learned", "residual", 1, 1e-1),
    *(Variant("color", "residual", 1, eps) for eps in (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
    *(Variant("color", "residual", 2, eps) for eps in (1e-4, 1e-3)),
    *(Variant("color", "residual", 1, eps, "sqrt") for eps in (1e-4, 1e-3, 3e-3)),
)


def view_of(rgb: Rgb, long_side: int = LONG_SIDE) -> View:
    return View.fit(rgb.shape[:2], long_side=long_side, multiple=MULTIPLE, grid_stride=STRIDE)


def to_grid(values: Array, view: View) -> Array:
    """Bring (H, W) or (H, W, C) to the grid: area averages where it shrinks, bilinear where it grows."""
    # One side at a time, for an image may shrink along one and grow along the other.
    for width, height in ((view.grid[1], values.shape[0]), (view.grid[1], view.grid[0])):
        shrinks = width < values.shape[1] or height < values.shape[0]
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return values


def as_planes(values: Array) -> Tensor:
    """(H, W) or (H, W, C) as a batch of one."""
    return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(values).transpose(2, 0, 1)))[None]


class Filters:
    """All variants on one image, with what they share computed once.

    Args:
        variants: Which ones.
        rgb: The image that they see.
        view: Its grid.
        learned: Has a learned guide; None where no variant needs one.
    """

    def __init__(self, variants: tuple[Variant, ...], rgb: Rgb, view: View, learned: Network | None) -> None:
        self.variants, self.view = variants, view
        colors = rgb.astype(np.float32) / 255
        guides: dict[str, Array] = {"rgb": colors, "sqrt": np.sqrt(colors)}
        if learned is not None and learned.guide is not None:
            with torch.no_grad():
                guide = learned.guide(as_planes(colors))[0, 0].numpy()
            guides["learned"] = guide - guide.mean(dtype=np.float64).astype(np.float32)
        self._guides = {name: (as_planes(x), as_planes(to_grid(x, view))) for name, x in guides.items()}

    def alphas(self, truth: Array) -> Iterator[tuple[Variant, Array]]:
        """Yield the alpha (H, W) that each variant makes of a truth (H, W) averaged down to the grid."""
        yield from self.filtered(to_grid(truth, self.view))

    def filtered(self, prediction: Array) -> Iterator[tuple[Variant, Array]]:
        """Yield the alpha (H, W) that each variant makes of a prediction (h, w)."""
        p = as_planes(prediction)
        for v in self.variants:
            full, grid = self._guides["learned" if v.guide == "learned" else v.space]
            if v.guide == "learned":
                coefficients = guided_filter_coefficients(grid, p, v.radius, v.eps, v.form)  # type: ignore[arg-type]
            elif v.guide == "color":
                statistics = color_guide_statistics(grid, v.radius, v.eps)
                coefficients = color_guided_filter_coefficients(grid, statistics, p, v.radius)
            else:
                coefficients = torch.cat([torch.zeros_like(grid), p], dim=1)
            yield v, apply_coefficients(coefficients, full)[0, 0].numpy()
