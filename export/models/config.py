"""What a network is made of. Every variant, the paper's and ours, is one :class:`NetworkConfig` of the same classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from export.parsing import from_dict
from pyiseg.params import FORMS, GUIDES, LEAST_EPS, ClickParams, Zoom

ZOOM = Zoom()

# Strides at which each image encoder has features.
STRIDES = {
    "efficientnet-lite0": (2, 4, 8, 16, 32),
    "efficientnet-lite2": (2, 4, 8, 16, 32),
    "resnet50-gn-ws": (2, 4, 8),
}


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
        norm: Weight standardization and GroupNorm in the 3x3 convolutions.
        raw: Whether the normalized image and the click maps themselves come in, instead of features of them.
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
        radius, eps: The guided filter's window (2 * radius + 1 pixels of the grid) and regularization; with radius 0
            there is no filter, and the alpha is the prediction enlarged. With the color guide eps is at least 1e-6.
        sigmas: Widths of the click Gaussians in pixels of the network's input.
        clean: Whether regions without a foreground click are dropped "before" the guided filter or "after" it.
        clean_margin: Grid pixels around a kept region in which soft alpha survives cleaning.
        long_side: Long side of the network's input when serving.
        zoom: When serving zooms in on small selections; None for never. Training does not zoom.
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
        _check(self)

    @property
    def fusion(self) -> Literal["early", "late", "both"]:
        """Where clicks and image meet: in the image stream, behind it, or in both places."""
        if not self.early_clicks:
            return "late"
        return "both" if self.interaction else "early"

    @property
    def click_params(self) -> ClickParams:
        """The same on the grid, as the runtime takes it."""
        sigmas = tuple(sigma / self.grid_stride for sigma in self.sigmas)
        return ClickParams(
            sigmas, self.radius, self.eps, self.clean_margin, self.clean, form=self.filter_form, guide=self.filter_guide
        )

    @property
    def normed(self) -> dict[str, int]:
        """Channels of everything that a GroupNorm normalizes; each is a multiple of groups."""
        normed = {"pool_channels": self.pool_channels}
        for level in self.decoder:
            for i, channels in enumerate(level.convs if level.norm else ()):
                normed[f"conv {i + 1} of decoder level {level.stride}"] = channels
        if self.image_stream == "resnet50-gn-ws":
            normed["image_width"] = self.image_width
        return normed


def network_config(values: Mapping[str, Any]) -> NetworkConfig:
    """Rebuild a configuration from what `dataclasses.asdict` made of it, as checkpoints and TOML files carry it.

    Args:
        values: By field name; lists stand for tuples. A field that is left out has NetworkConfig's
            default: what networks were before there was such a field.

    Raises:
        ValueError: There is no such field, a value is of another type, or values contradict each other.
    """
    return from_dict(NetworkConfig, values, "network")


def _check(config: NetworkConfig) -> None:
    """Refuse a configuration that cannot be built, or in which something would have no effect.

    Raises:
        ValueError: It names the values and the way out.
    """
    _check_values(config)
    _check_fusion(config)
    _check_guided_filter(config)
    _check_image_strides(config)
    _check_decoder(config)
    _check_interaction(config)
    for name, channels in config.normed.items():
        if channels % config.groups:
            raise ValueError(
                f"{name} has {channels} channels, which groups={config.groups} do not divide: change one of the two"
            )
    if config.pool_channels < 2 * config.groups:
        raise ValueError(
            f"pool_channels={config.pool_channels} with groups={config.groups}: at pool scale 1 a group would be a "
            "single value, which its norm turns into 0; take at least 2 channels a group"
        )


def _check_values(config: NetworkConfig) -> None:
    if config.image_stream not in STRIDES:
        raise ValueError(f"image_stream is {config.image_stream!r}; the known ones are {', '.join(STRIDES)}")
    if config.output not in ("sigmoid", "clip"):
        raise ValueError(f"output is {config.output!r}; pass 'sigmoid' or 'clip'")
    channels = [config.image_width, config.pool_channels, config.groups, *(c.channels for c in config.interaction)]
    channels += [c for level in config.decoder for c in (*level.convs, 1 if level.reduce is None else level.reduce)]
    channels += [c for _, c in config.neck or ()]
    if min(channels) < 1:
        raise ValueError(f"{min(channels)} channels or groups: every count must be at least 1")
    if config.guide_channels < 2:
        raise ValueError(f"guide_channels={config.guide_channels}: the guide begins as luminance, which takes 2")
    if not config.pool_scales or min(config.pool_scales) < 1:
        raise ValueError(f"pool_scales={config.pool_scales}: pass at least one, each at least 1, such as (1, 2, 3, 6)")
    if not 0 <= config.radius <= 64:
        raise ValueError(f"radius={config.radius}: pass 1 to 64, or 0 for no guided filter")
    if not 1e-12 <= config.eps <= 1e12:
        raise ValueError(f"eps={config.eps:g} is not within 1e-12..1e12; for no guided filter set radius=0")
    for name, known in (("filter_form", FORMS), ("filter_guide", GUIDES)):
        if getattr(config, name) not in known:
            raise ValueError(f"{name} is {getattr(config, name)!r}; pass {' or '.join(map(repr, known))}")
    if not config.sigmas or list(config.sigmas) != sorted(config.sigmas) or config.sigmas[0] <= 0:
        raise ValueError(f"sigmas={config.sigmas}: pass widths above 0, from fine to coarse")
    if config.clean_margin < 0:
        raise ValueError(f"clean_margin={config.clean_margin}: pass 0 or more")
    if config.long_side % 32 or not 32 <= config.long_side <= 8192:
        raise ValueError(f"long_side={config.long_side}: pass a multiple of 32 up to 8192, such as 480 or 512")


def _check_fusion(config: NetworkConfig) -> None:
    if not config.early_clicks and not config.interaction:
        raise ValueError(
            "early_clicks=False and interaction=() leave the network without clicks: set early_clicks=True (early "
            "fusion), give it interaction convolutions (late fusion), or both"
        )
    if config.feedback and not config.interaction:
        raise ValueError(
            "feedback=True and interaction=(): the previous alpha enters by the interaction stream; set "
            "feedback=False or give it interaction convolutions"
        )
    if config.guide_clicks and config.grid_stride != 1:
        raise ValueError(
            f"guide_clicks=True and grid_stride={config.grid_stride}: a guide that sees the clicks is computed on the "
            "grid, which must then be as large as the network's input; set grid_stride=1 or guide_clicks=False"
        )
    if config.embedding is not None:
        channels, heads = config.embedding
        if not 1 <= heads <= channels or channels % heads:
            raise ValueError(f"embedding={config.embedding}: the channels must be a multiple of the heads")
        if not config.interaction:
            raise ValueError(
                "embedding and interaction=(): the comparison is a part of late fusion; set embedding=None"
            )


def _check_guided_filter(config: NetworkConfig) -> None:
    if config.filter_guide != "color":
        return
    if config.filter_form != "residual":
        raise ValueError(
            f"filter_form={config.filter_form!r} and filter_guide='color': the color guide has the residual form only; "
            "set filter_form='residual' or filter_guide='learned'"
        )
    if config.guide_clicks:
        raise ValueError(
            "guide_clicks=True and filter_guide='color': colors do not see the clicks; set guide_clicks=False or "
            "filter_guide='learned'"
        )
    if config.eps < LEAST_EPS["color"]:
        raise ValueError(
            f"eps={config.eps:g} and filter_guide='color': float32 is not exact enough for three colors below "
            f"{LEAST_EPS['color']:g}; set eps to that or more, such as 3e-4, or filter_guide='learned'"
        )


def _check_image_strides(config: NetworkConfig) -> None:
    encoder, has = STRIDES[config.image_stream], _image_strides(config)
    if config.neck is not None and (list(has) != _halving(has) or not set(has) <= set(encoder)):
        raise ValueError(
            f"neck has the strides {has}: list them from coarse to fine, each half of the one before, out of those of "
            f"{config.image_stream}, {encoder}; or set neck=None"
        )
    if config.embedding is not None and 8 not in has:
        raise ValueError(f"embedding compares features of stride 8, neck has {has}: add 8 or set embedding=None")


def _check_decoder(config: NetworkConfig) -> None:
    has, strides = _image_strides(config), [level.stride for level in config.decoder]
    if not strides or strides[-1] != config.grid_stride:
        raise ValueError(
            f"decoder has the strides {strides} and grid_stride is {config.grid_stride}: the last level predicts on "
            "the grid, so its stride must be grid_stride"
        )
    if strides != _halving(strides):
        raise ValueError(f"decoder has the strides {strides}: each must be half of the one before")
    for level in config.decoder:
        if not level.convs:
            raise ValueError(f"decoder level {level.stride} has no convs: give it one, or leave the level out")
        if level.raw and (level.stride != 1 or len(strides) == 1):
            raise ValueError(f"decoder level {level.stride} is raw: only a last level, of stride 1, can be")
        if not level.raw and level.stride not in has:
            raise ValueError(
                f"decoder level {level.stride} finds no image features of its stride, only of {has}: leave it out, or "
                "if it is the last and has stride 1, set raw=True"
            )


def _check_interaction(config: NetworkConfig) -> None:
    stride, skips = config.grid_stride, []
    for conv in config.interaction:
        if conv.stride not in (1, 2):
            raise ValueError(f"an interaction convolution has stride {conv.stride}; pass 1 or 2")
        stride *= conv.stride
        skips += [stride] if conv.skip else []
    if config.interaction and not config.interaction[-1].skip:
        raise ValueError("the last interaction convolution has skip=False, so nothing comes of it; set skip=True")
    takes = [level.stride for level in config.decoder if not level.raw]
    if len(set(skips)) < len(skips) or not set(skips) <= set(takes):
        raise ValueError(
            f"interaction has skips at the strides {skips}, and the decoder takes one at each of {takes}: change the "
            "stride or skip of a convolution"
        )


def _image_strides(config: NetworkConfig) -> tuple[int, ...]:
    """Strides of the image features that the decoder finds."""
    return STRIDES[config.image_stream] if config.neck is None else tuple(stride for stride, _ in config.neck)


def _halving(strides: list[int] | tuple[int, ...]) -> list[int]:
    """As many strides, beginning with the same one, each half of the one before."""
    return [strides[0] // 2**i for i in range(len(strides))] if strides else [0]
