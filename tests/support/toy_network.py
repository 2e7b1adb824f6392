"""Variants of the network small enough to be built, exported and run in every test run, with all kinds of layers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from export.models.config import NetworkConfig
from export.models.efficientnet_lite0 import Lite0
from export.models.network import Network
from export.models.presets import COMPACT, PAPER, SMALL, scaled

_NO_STREAM = {"interaction": (), "feedback": False}

VARIANTS: dict[str, NetworkConfig] = {
    "paper": replace(scaled(PAPER, 16), pool_scales=(1, 3)),
    "paper-early": scaled(replace(PAPER, radius=0, guide_clicks=False, pool_scales=(1, 3), **_NO_STREAM), 16),
    "paper-late": scaled(replace(PAPER, early_clicks=False, feedback=False, pool_scales=(2,)), 16),
    "small": scaled(SMALL, 4),
    "compact": scaled(COMPACT, 8),
    "compact-early": scaled(
        replace(COMPACT, early_clicks=True, embedding=None, radius=0, pool_scales=(2,), **_NO_STREAM), 8
    ),
    "compact-both": scaled(replace(COMPACT, early_clicks=True), 8),
    "learned": scaled(NetworkConfig(), 8),
    "learned-residual": scaled(replace(NetworkConfig(), filter_form="residual"), 8),
}


def build(config: NetworkConfig, *, shallow: bool = False, seed: int = 0) -> Network:
    """Build a network with random weights.

    Args:
        config: What it is made of.
        shallow: Leave out blocks of the encoder that repeat the one before or are not asked for: the exporter takes
            long over each.
        seed: Of the weights.
    """
    torch.manual_seed(seed)
    network = Network(config, pretrained=False).eval()
    with torch.no_grad():
        # As initialized, all predictions are alike; wider, they vary over the image.
        network.click.head.weight.mul_(4)
        for module in network.image.neck.modules() if network.image.neck else ():
            if isinstance(module, nn.Conv2d):
                module.bias.fill_(0.5)  # opens the ReLU behind it: of so few channels all may be shut otherwise
    encoder = network.image.encoder
    if shallow and isinstance(encoder, Lite0):
        last = max(i for i, stride in encoder.taps.items() if stride in network.image.channels)
        kept = [i for i, block in enumerate(encoder.blocks[: last + 1]) if not block.residual]
        taps = {max(k for k, j in enumerate(kept) if j <= i): stride for i, stride in encoder.taps.items() if i <= last}
        encoder.taps = taps
        encoder.blocks = nn.ModuleList(encoder.blocks[i] for i in kept)
    elif shallow:
        for name in ("layer1", "layer2", "layer3", "layer4"):
            setattr(encoder, name, getattr(encoder, name)[:1])
    return network
