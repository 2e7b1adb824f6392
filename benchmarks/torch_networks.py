"""The networks that are measured, in PyTorch, with the weights that their model folders have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from export.cli import read_checkpoint
from export.conversion.modules import folded
from export.models.network import Network
from export.random_model import random_network
from export.to_onnx import load_network
from pyiseg import Model

_COMPACT = Path(__file__).resolve().parent.parent / "export" / "weights" / "compact.pt"

NETWORKS: dict[str, Callable[[], Network]] = {
    "compact": lambda: load_network(read_checkpoint(_COMPACT)),
    "paper": random_network,
}
"""By name: that of the model that comes with pyiseg, and the paper's with random weights."""


def as_shipped(network: Network, model: Model) -> Network:
    """Fold a network, and give it the weights that a model folder has for the same one.

    `export/weights/compact.pt` was rounded before it was folded and the folder's after: alpha is 4e-4 apart on average.

    Raises:
        ValueError: Its weights are not those of such a network.
    """
    network = folded(network)
    parameters = dict(network.named_parameters())
    convolutions = {name for name, x in parameters.items() if x.dim() == 4}
    for name in ("image", "click", "guide"):
        content = model.files.get(f"{name}.onnx")
        for weight in onnx.load_from_string(content).graph.initializer if content is not None else ():
            # The exporter keeps the names of convolutions; a norm's it makes up, but those are the same in both.
            name = weight.name.removesuffix("_fp16")
            if name in parameters:
                convolutions.discard(name)
                with torch.no_grad():
                    parameters[name].copy_(torch.from_numpy(numpy_helper.to_array(weight).copy()))
    if convolutions:
        raise ValueError(f"'{model.folder}' has no weights for {', '.join(sorted(convolutions)[:3])}")
    return network


def click_flops(network: Network, working: tuple[int, int]) -> float:
    """Floating-point operations of what runs per click, a multiplication with an addition being two.

    Args:
        network: Of any weights.
        working: Height and width of the working image.
    """
    (height, width), stride = working, network.config.grid_stride
    image, maps, previous = (
        torch.zeros(1, channels, height // s, width // s)
        for channels, s in ((3, 1), (2 * len(network.config.sigmas), stride), (1, stride))
    )
    early = network.config.early_clicks
    with torch.no_grad():
        features = {} if early else network.image(image)
        with FlopCounterMode(display=False) as counted:
            network.click(maps, previous, network.image(image, maps) if early else features)
    return float(counted.get_total_flops())
