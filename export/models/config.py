"""What a network is made of. Every variant, the paper's and ours, is one :class:`NetworkConfig` of the same classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from export.models.config_check import check
from export.parsing import from_dict
from pyiseg.model import Rules, Zoom

ZOOM = Zoom()


@dataclass(frozen=True)
class Conv:
    """One 3x3 convolution of the interaction stream.

    Attributes:
        channels, stride: Of its output.
        skip: Whether the decoder gets its output, at the stride reached.
    """

    channels: int
    stride: int = 1
    skip: bool = True


@dataclass(frozen=True)
class Level:
    """One decoder level: what happens at one stride.

    Attributes:
        stride: Pixels of the network's input per feature pixel.
        convs: Output channels of the 3x3 convolutions, in order.
        reduce: Channels of a 1x1 convolution before the next doubling; None leaves it out.
        norm: Weight standardisation and GroupNorm in the 3x3 convolutions.
        raw: Whether the normalised image and the click maps themselves come in, instead of features of them.
    """

    stride: int
    convs: tuple[int, ...]
    reduce: int | None = None
    norm: bool = True
    raw: bool = False


@dataclass(frozen=True)
class NetworkConfig:
    """A network for interactive segmentation.

    Attributes:
        image_stream: Which image encoder.
        image_width: Channels of the ResNet's stem, the others being multiples of it; an EfficientNet has one size.
        early_clicks: Whether the click maps enter the image stream (early fusion: it then runs per click).
        neck: Channels of the image features by stride after a top-down pass, run once an image; None takes them as
            the image stream gives them.
        interaction: The convolutions that see the click maps and the previous alpha (late fusion); empty for none.
        grid_stride: Pixels of the network's input per pixel of click maps, previous alpha and predicted alpha.
        feedback: Whether the previous alpha is an input of the interaction stream.
        embedding: (channels, heads) of the comparison of every place's image features with those under the clicks;
            None leaves it out.
        pool_scales, pool_channels: Pyramid pooling on the coarsest level.
        decoder: Levels from coarse to fine; the last one's stride is grid_stride.
        groups: Groups of every GroupNorm.
        output: "sigmoid", or the paper's "clip" to 0..1.
        guide_channels: Hidden channels of the pointwise guide network.
        guide_clicks: Whether the guide also sees the finest background and foreground map.
        radius, eps: The guided filter's window (2 * radius + 1 pixels of the grid) and regularisation; with radius 0
            there is no filter, and the alpha is the prediction enlarged. With the color guide eps is at least 1e-6.
        sigmas: Widths of the click Gaussians in pixels of the network's input.
        clean: Whether regions without a foreground click are dropped "before" the guided filter or "after" it.
        clean_margin: Grid pixels around a kept region in which soft alpha survives cleaning.
        long_side: Long side of the network's input when serving.
        zoom: When small selections are looked at closer when serving; None for never. Training does not zoom.
        filter_form: Whether the guided filter averages both of its coefficients over windows ("averaged", the paper's),
            or the slopes only, with the offset that leaves the prediction on the grid as it is ("residual").
        filter_guide: Whether the guide is "learned", of guide_channels, or the image's own R, G and B ("color"), which
            has the residual form only.

    Raises:
        ValueError: Two values contradict each other; the message names them and the way out.
    """

    image_stream: Literal["efficientnet-lite0", "efficientnet-lite2", "resnet50-gn-ws"] = "efficientnet-lite0"
    early_clicks: bool = False
    neck: tuple[tuple[int, int], ...] | None = ((32, 128), (16, 96), (8, 64), (4, 32), (2, 8))
    interaction: tuple[Conv, ...] = (Conv(16), Conv(24, 2), Conv(48, 2), Conv(96, 2), Conv(128, 2))
    grid_stride: int = 2
    feedback: bool = True
    embedding: tuple[int, int] | None = (64, 4)
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    pool_channels: int = 32
    decoder: tuple[Level, ...] = (
        Level(32, (128, 128, 128), reduce=96),
        Level(16, (96, 96), reduce=48),
        Level(8, (64,), reduce=32),
        Level(4, (32,), reduce=16),
        Level(2, (16,), norm=False),
    )
    groups: int = 8
    output: Literal["sigmoid", "clip"] = "sigmoid"
    guide_channels: int = 8
    guide_clicks: bool = False
    radius: int = 2
    eps: float = 1e-3
    sigmas: tuple[float, ...] = (0.02 * 352, 0.08 * 352, 0.16 * 352)
    clean: Literal["before", "after"] = "before"
    clean_margin: int = 4
    long_side: int = 512
    image_width: int = 64
    zoom: Zoom | None = ZOOM
    # Checkpoints and records from before there was a choice lack these: the defaults are what they were.
    filter_form: Literal["averaged", "residual"] = "averaged"
    filter_guide: Literal["learned", "color"] = "learned"

    def __post_init__(self) -> None:
        check(self)

    @property
    def fusion(self) -> Literal["early", "late", "both"]:
        """Where clicks and image meet: in the image stream, behind it, or in both places."""
        if not self.early_clicks:
            return "late"
        return "both" if self.interaction else "early"

    @property
    def rules(self) -> Rules:
        """The same on the grid, as the runtime takes it."""
        sigmas = tuple(sigma / self.grid_stride for sigma in self.sigmas)
        return Rules(
            sigmas, self.radius, self.eps, self.clean_margin, self.clean, form=self.filter_form, guide=self.filter_guide
        )

    @property
    def normed(self) -> dict[str, int]:
        """Channels of everything that a GroupNorm normalises; each is a multiple of groups."""
        normed = {"pool_channels": self.pool_channels}
        for level in self.decoder:
            for i, channels in enumerate(level.convs if level.norm else ()):
                normed[f"conv {i + 1} of decoder level {level.stride}"] = channels
        if self.image_stream == "resnet50-gn-ws":
            normed["image_width"] = self.image_width
        return normed


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


def network_config(values: Mapping[str, Any]) -> NetworkConfig:
    """Rebuild a configuration from what `dataclasses.asdict` made of it, as checkpoints and TOML files carry it.

    Args:
        values: By field name; lists stand for tuples. A field that is left out has NetworkConfig's
            default: what networks were before there was such a field.

    Raises:
        ValueError: There is no such field, a value is of another type, or values contradict each other.
    """
    return from_dict(NetworkConfig, values, "network")


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
