"""Whether ONNX files answer as the network in PyTorch does, on the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor

from export.config import NetworkConfig
from export.network import Network

Inputs = dict[str, Tensor]


def random_inputs(config: NetworkConfig, height: int, width: int) -> Inputs:
    """Draw inputs as they occur, the same ones every time: a noisy picture, two clicks, a blotchy previous alpha."""
    generator = torch.Generator().manual_seed(height * 10_000 + width)

    def blotches(channels: int, *size: int) -> Tensor:
        coarse = torch.rand(1, channels, height // 16, width // 16, generator=generator)
        return F.interpolate(coarse, size=size, mode="bilinear")

    grid = (height // config.grid_stride, width // config.grid_stride)
    rows, columns = (torch.arange(length)[:, None] for length in grid)
    maps = []
    for y, x in torch.rand(2, 2, generator=generator) * torch.tensor(grid):
        d2 = (rows - y) ** 2 + (columns - x).T ** 2
        maps += [torch.exp(-d2 / (2 * sigma**2)) for sigma in config.rules.sigmas]
    return {
        "image": (blotches(3, height, width) + 0.05 * torch.randn(1, 3, height, width, generator=generator)).clamp(
            0, 1
        ),
        "click_maps": torch.stack(maps)[None],
        "previous_alpha": (3 * blotches(1, *grid) - 1).clamp(0, 1),
    }


def answers(
    source: Network | Path, sizes: tuple[tuple[int, int], ...], config: NetworkConfig | None = None
) -> list[dict[str, Tensor]]:
    """Return alpha and guide for random inputs of some sizes, by a network in PyTorch or by a folder of ONNX files."""
    if isinstance(source, Path):
        assert config is not None
        sessions = {file.stem: onnxruntime.InferenceSession(str(file)) for file in source.glob("*.onnx")}
        return [_answer_of_files(sessions, random_inputs(config, *size)) for size in sizes]
    result = []
    for size in sizes:
        inputs = random_inputs(source.config, *size)
        image, maps = inputs["image"], inputs["click_maps"]
        with torch.no_grad():
            logits = source.click(maps, inputs["previous_alpha"], source.image(image, maps))
            result.append(
                {"alpha": source.click.activate(logits), "guide": source.guide(image, _at_image(maps, image))}
            )
    return result


def differences(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> tuple[float, float]:
    """Return the largest difference of any output, and the mean one of alpha at the size where that is largest."""
    pairs = [(a[name], b[name]) for a, b in zip(found, expected, strict=True) for name in b]
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    alphas = zip(found, expected, strict=True)
    return largest, max(float((a["alpha"] - b["alpha"]).abs().mean()) for a, b in alphas)


def _answer_of_files(sessions: dict[str, onnxruntime.InferenceSession], inputs: Inputs) -> dict[str, Tensor]:
    have = {name: value.numpy() for name, value in inputs.items()}

    def run(part: str) -> dict[str, Any]:
        session = sessions[part]
        feed = {i.name: have[i.name] for i in session.get_inputs()}
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))

    if "image" in sessions:
        have |= run("image")
    alpha = run("click")["alpha"]
    maps = _at_image(inputs["click_maps"], inputs["image"]).numpy()
    have["click_maps"] = np.ascontiguousarray(maps[:, :: maps.shape[1] // 2])
    return {"alpha": torch.from_numpy(alpha), "guide": torch.from_numpy(run("guide")["guide"])}


def _at_image(maps: Tensor, image: Tensor) -> Tensor:
    """Click maps for the guide, which takes them as large as the image. On the grid they are, if it takes them."""
    return maps if maps.shape[2:] == image.shape[2:] else maps.new_zeros(1, maps.shape[1], *image.shape[2:])
