"""What a :class:`export.models.config.NetworkConfig` must not say: values out of range, and values that contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiseg.rules import FORMS, GUIDES, LEAST_EPS

if TYPE_CHECKING:
    from export.models.config import NetworkConfig

# Strides at which each image encoder has features.
STRIDES = {
    "efficientnet-lite0": (2, 4, 8, 16, 32),
    "efficientnet-lite2": (2, 4, 8, 16, 32),
    "resnet50-gn-ws": (2, 4, 8),
}


def check(config: NetworkConfig) -> None:
    """Refuse a configuration that cannot be built, or in which something would have no effect.

    Raises:
        ValueError: It names the values and the way out.
    """
    _values(config)
    _fusion(config)
    _guided_filter(config)
    _image_strides(config)
    _decoder(config)
    _interaction(config)
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


def _values(config: NetworkConfig) -> None:
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


def _fusion(config: NetworkConfig) -> None:
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


def _guided_filter(config: NetworkConfig) -> None:
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


def _image_strides(config: NetworkConfig) -> None:
    encoder, has = STRIDES[config.image_stream], strides_of(config)
    if config.neck is not None and (list(has) != _halving(has) or not set(has) <= set(encoder)):
        raise ValueError(
            f"neck has the strides {has}: list them from coarse to fine, each half of the one before, out of those of "
            f"{config.image_stream}, {encoder}; or set neck=None"
        )
    if config.embedding is not None and 8 not in has:
        raise ValueError(f"embedding compares features of stride 8, neck has {has}: add 8 or set embedding=None")


def _decoder(config: NetworkConfig) -> None:
    has, strides = strides_of(config), [level.stride for level in config.decoder]
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


def _interaction(config: NetworkConfig) -> None:
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


def strides_of(config: NetworkConfig) -> tuple[int, ...]:
    """Strides of the image features that the decoder finds."""
    return STRIDES[config.image_stream] if config.neck is None else tuple(stride for stride, _ in config.neck)


def _halving(strides: list[int] | tuple[int, ...]) -> list[int]:
    """As many strides, beginning with the same one, each half of the one before."""
    return [strides[0] // 2**i for i in range(len(strides))] if strides else [0]
