"""Outputs of a network in PyTorch, and of its ONNX files in ONNX Runtime, on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
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

Tensors = dict[str, Tensor]

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_NETWORKS = ("image", "click", "guide")
_SUMS = (torch.ops.aten.convolution.default, torch.ops.aten.mm.default, torch.ops.aten.bmm.default)


def random_inputs(config: NetworkConfig, height: int, width: int) -> Tensors:
    """Draw inputs as they occur, the same ones every time: a noisy image, two clicks, a blotchy previous alpha."""
    generator = torch.Generator().manual_seed(height * 10_000 + width)

    def blotches(channels: int, *size: int) -> Tensor:
        coarse = torch.rand(1, channels, height // 16, width // 16, generator=generator)
        return F.interpolate(coarse, size=size, mode="bilinear")

    grid = (height // config.grid_stride, width // config.grid_stride)
    rows, columns = (torch.arange(length)[:, None] for length in grid)
    maps = []
    for y, x in torch.rand(2, 2, generator=generator) * torch.tensor(grid):
        d2 = (rows - y) ** 2 + (columns - x).T ** 2
        maps += [torch.exp(-d2 / (2 * sigma**2)) for sigma in config.click_params.sigmas]
    return {
        "image": (blotches(3, height, width) + 0.05 * torch.randn(1, 3, height, width, generator=generator)).clamp(
            0, 1
        ),
        "click_maps": torch.stack(maps)[None],
        "previous_alpha": (3 * blotches(1, *grid) - 1).clamp(0, 1),
    }


def network_outputs(network: Network, inputs: Tensors) -> Tensors:
    """Return alpha and, where it is learned, the guide, FP32, of a network that is FP32 or FP16."""
    dtype = network.click.head.weight.dtype
    image, maps, previous = (inputs[name].to(dtype) for name in ("image", "click_maps", "previous_alpha"))
    with torch.no_grad(), _SumsInFloat32():
        outputs = {"alpha": network.click.activate(network.click(maps, previous, network.image(image, maps)).float())}
        if network.guide is not None:
            outputs["guide"] = network.guide(inputs["image"], _maps_at_image(inputs))
    return outputs


def file_outputs(folder: Path, inputs: Sequence[Tensors], *, fp16: bool = False) -> list[Tensors]:
    """Return the same of a folder's ONNX files in ONNX Runtime, for each of some inputs.

    With ``fp16``, of the FP16 variant. ONNX Runtime has no FP16 arithmetic on the CPU: it rounds the weights, and what
    goes in and out of a file, but computes in FP32 between. How far FP16 arithmetic is off, only the network in PyTorch
    says.
    """
    files = {name: folder / f"{name}{'.fp16' if fp16 and name != 'guide' else ''}.onnx" for name in _NETWORKS}
    sessions = {name: onnxruntime.InferenceSession(str(file)) for name, file in files.items() if file.exists()}
    return [_run_files(sessions, each) for each in inputs]


class _SumsInFloat32(TorchDispatchMode):
    """Sums up products of FP16 in FP32 and rounds the sum to FP16, as tensor cores do. PyTorch's own are slow here."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _SUMS and args[0].dtype == torch.float16:
            wide = tree_map(lambda x: x.float() if isinstance(x, Tensor) else x, args)
            return func(*wide, **(kwargs or {})).half()
        return func(*args, **(kwargs or {}))


def _run_files(sessions: dict[str, onnxruntime.InferenceSession], inputs: Tensors) -> Tensors:
    have = {name: value.numpy() for name, value in inputs.items()}

    def run(name: str) -> dict[str, Any]:
        session = sessions[name]
        feed = {i.name: have[i.name].astype(_TYPES[i.type]) for i in session.get_inputs()}
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))

    if "image" in sessions:
        have |= run("image")
    outputs = {"alpha": torch.from_numpy(run("click")["alpha"])}
    if "guide" not in sessions:
        return outputs
    maps = _maps_at_image(inputs).numpy()
    have["click_maps"] = np.ascontiguousarray(maps[:, :: maps.shape[1] // 2])
    return outputs | {"guide": torch.from_numpy(run("guide")["guide"])}


def _maps_at_image(inputs: Tensors) -> Tensor:
    """Click maps for the guide, which takes them as large as the image. On the grid they are, if it takes them."""
    maps, image = inputs["click_maps"], inputs["image"]
    return maps if maps.shape[2:] == image.shape[2:] else maps.new_zeros(1, maps.shape[1], *image.shape[2:])
