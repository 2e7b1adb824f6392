"""Whether ONNX files, or a network in FP16, answer as the network in PyTorch does, on the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from export.models.config import NetworkConfig
from export.models.network import Network

Inputs = dict[str, Tensor]

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_PARTS = ("image", "click", "guide")
_SUMS = (torch.ops.aten.convolution.default, torch.ops.aten.mm.default, torch.ops.aten.bmm.default)


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
    source: Network | Path,
    sizes: tuple[tuple[int, int], ...],
    config: NetworkConfig | None = None,
    *,
    half: bool = False,
) -> list[dict[str, Tensor]]:
    """Return alpha and, where it is learned, the guide for random inputs of some sizes, FP32.

    Args:
        source: A network in PyTorch, FP32 or `export.conversion.modules.halved`; or a folder of ONNX files.
        sizes: Heights and widths, multiples of 32.
        config: Of the network whose files these are.
        half: Run the folder's FP16 siblings, not its FP32 files. ONNX Runtime has no FP16 arithmetic on the CPU: it
            rounds the weights, and what goes in and out of a file, but computes in FP32 between. How far FP16
            arithmetic is off, only the network in PyTorch says.
    """
    if isinstance(source, Path):
        assert config is not None
        files = {part: source / f"{part}{'.fp16' if half and part != 'guide' else ''}.onnx" for part in _PARTS}
        sessions = {part: onnxruntime.InferenceSession(str(file)) for part, file in files.items() if file.exists()}
        return [_answer_of_files(sessions, random_inputs(config, *size)) for size in sizes]
    dtype = source.click.head.weight.dtype
    result = []
    for size in sizes:
        inputs = random_inputs(source.config, *size)
        image, maps, previous = (inputs[name].to(dtype) for name in ("image", "click_maps", "previous_alpha"))
        with torch.no_grad(), _SumsInFloat32():
            alpha = source.click.activate(source.click(maps, previous, source.image(image, maps)).float())
            answer = {"alpha": alpha}
            if source.guide is not None:
                answer["guide"] = source.guide(inputs["image"], _at_image(inputs["click_maps"], inputs["image"]))
        result.append(answer)
    return result


def differences(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> tuple[float, float]:
    """Return the largest difference of any output, and the mean one of alpha at the size where that is largest.

    Either is NaN where any answer is.
    """
    pairs = [(a[name], b[name]) for a, b in zip(found, expected, strict=True) for name in b]
    alphas = [(a["alpha"], b["alpha"]) for a, b in zip(found, expected, strict=True)]
    # NumPy's max, other than Python's, is NaN if any value is.
    largest = np.max([float((a - b).abs().max()) for a, b in pairs])
    return float(largest), float(np.max([float((a - b).abs().mean()) for a, b in alphas]))


class _SumsInFloat32(TorchDispatchMode):
    """Sums up products of FP16 in FP32 and rounds the sum to FP16, as tensor cores do. PyTorch's own are slow here."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _SUMS and args[0].dtype == torch.float16:
            wide = tree_map(lambda x: x.float() if isinstance(x, Tensor) else x, args)
            return func(*wide, **(kwargs or {})).half()
        return func(*args, **(kwargs or {}))


def _answer_of_files(sessions: dict[str, onnxruntime.InferenceSession], inputs: Inputs) -> dict[str, Tensor]:
    have = {name: value.numpy() for name, value in inputs.items()}

    def run(part: str) -> dict[str, Any]:
        session = sessions[part]
        feed = {i.name: have[i.name].astype(_TYPES[i.type]) for i in session.get_inputs()}
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))

    if "image" in sessions:
        have |= run("image")
    answer = {"alpha": torch.from_numpy(run("click")["alpha"])}
    if "guide" not in sessions:
        return answer
    maps = _at_image(inputs["click_maps"], inputs["image"]).numpy()
    have["click_maps"] = np.ascontiguousarray(maps[:, :: maps.shape[1] // 2])
    return answer | {"guide": torch.from_numpy(run("guide")["guide"])}


def _at_image(maps: Tensor, image: Tensor) -> Tensor:
    """Click maps for the guide, which takes them as large as the image. On the grid they are, if it takes them."""
    return maps if maps.shape[2:] == image.shape[2:] else maps.new_zeros(1, maps.shape[1], *image.shape[2:])
