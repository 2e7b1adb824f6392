"""The networks that have a name, and small versions of them."""

from __future__ import annotations

import math
from dataclasses import replace

from export.models.config import Conv, Level, NetworkConfig

# Radius and eps by benchmarks/ceiling.py.
COMPACT = NetworkConfig(filter_form="residual", filter_guide="color", radius=1, eps=3e-4)

# Forte et al. 2020 as published; channel counts are the checkpoint's, which differ from the paper's Table 4.
PAPER = NetworkConfig(
    image_stream="resnet50-gn-ws",
    early_clicks=True,
    neck=None,
    interaction=(
        Conv(32, skip=False),
        Conv(64, 2),
        Conv(128, skip=False),
        Conv(256, 2),
        Conv(256, 2, skip=False),
        Conv(256),
    ),
    grid_stride=1,
    embedding=None,
    pool_channels=256,
    decoder=(Level(8, (256, 256)), Level(4, (256,)), Level(2, (64,)), Level(1, (32, 16), norm=False, raw=True)),
    groups=32,
    output="clip",
    guide_channels=64,
    guide_clicks=True,
    eps=1e-8,
    clean="after",
    clean_margin=0,
    long_side=480,
    zoom=None,
)

# The paper's structure, small enough for trials on two cores.
SMALL = NetworkConfig(
    early_clicks=True,
    interaction=tuple(replace(conv, channels=conv.channels // 4) for conv in PAPER.interaction),
    grid_stride=1,
    embedding=None,
    decoder=(Level(8, (64, 64)), Level(4, (64,)), Level(2, (16,)), Level(1, (16, 8), norm=False, raw=True)),
    zoom=None,
)

NETWORKS = {"compact": COMPACT, "paper": PAPER, "small": SMALL}


def scaled(config: NetworkConfig, divisor: int) -> NetworkConfig:
    """Divide all channel counts, for tests and small trials; groups become as many as fit.

    An EfficientNet-Lite stays as it is: its size is that of its ImageNet weights.
    """

    def part(channels: int, multiple: int = 1) -> int:
        return max(multiple, channels // divisor // multiple * multiple)

    def level_part(level: Level) -> Level:
        reduce = None if level.reduce is None else part(level.reduce)
        return replace(level, convs=tuple(map(part, level.convs)), reduce=reduce)

    heads = config.embedding[1] if config.embedding else 1
    small = replace(
        config,
        image_width=part(config.image_width),
        neck=None if config.neck is None else tuple((stride, part(channels)) for stride, channels in config.neck),
        interaction=tuple(replace(conv, channels=part(conv.channels)) for conv in config.interaction),
        embedding=None if config.embedding is None else (part(config.embedding[0], heads), heads),
        pool_channels=part(config.pool_channels, 2),
        decoder=tuple(map(level_part, config.decoder)),
        groups=1,
        guide_channels=part(config.guide_channels, 2),
    )
    most, common = min(part(config.groups), small.pool_channels // 2), math.gcd(*small.normed.values())
    return replace(small, groups=max(n for n in range(1, most + 1) if common % n == 0))
