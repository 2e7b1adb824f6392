"""Configurations of the network: what is refused, and what survives being written down."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from support.toy_network import VARIANTS  # noqa: E402

from export.models.config import Conv, Level, NetworkConfig, network_config  # noqa: E402
from export.models.presets import COMPACT, NETWORKS, PAPER, SMALL, scaled  # noqa: E402


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        (COMPACT, {"image_stream": "vgg"}, "image_stream is 'vgg'; the known ones are .*-lite0, .*-lite2, "),
        (COMPACT, {"interaction": (), "embedding": None}, "without clicks: set early_clicks=True"),
        (PAPER, {"interaction": ()}, r"feedback=True and interaction=\(\).*set feedback=False"),
        (COMPACT, {"guide_clicks": True}, "grid_stride=2: .*set grid_stride=1 or guide_clicks=False"),
        (COMPACT, {"grid_stride": 4}, r"strides \[32, 16, 8, 4, 2\] and grid_stride is 4: .*must be grid_stride"),
        (COMPACT, {"decoder": (Level(8, (8,)), Level(2, (8,)))}, r"strides \[8, 2\]: each must be half"),
        (COMPACT, {"decoder": (Level(4, (8,)), Level(2, ()))}, "level 2 has no convs"),
        (COMPACT, {"neck": ((8, 8), (2, 8))}, r"neck has the strides \(8, 2\): .*each half"),
        (COMPACT, {"neck": ((4, 8), (2, 8)), "embedding": None}, r"level 32 finds no image features .*\(4, 2\)"),
        (COMPACT, {"embedding": (64, 5)}, r"embedding=\(64, 5\): the channels must be a multiple"),
        (COMPACT, {"interaction": (), "feedback": False, "early_clicks": True}, "set embedding=None"),
        (COMPACT, {"interaction": (Conv(8), Conv(8))}, r"skips at the strides \[2, 2\], .*one at each of \[32, 16"),
        (COMPACT, {"interaction": (Conv(8, 2, skip=False),)}, "last interaction convolution has skip=False"),
        (PAPER, {"decoder": (*PAPER.decoder[:-1], Level(1, (8,)))}, "level 1 finds no image features .*set raw=True"),
        (SMALL, {"decoder": (Level(1, (8,), raw=True),)}, "level 1 is raw: only a last level"),
        (PAPER, {"groups": 48}, "pool_channels has 256 channels, which groups=48 do not divide"),
        (PAPER, {"image_width": 48}, "image_width has 48 channels, which groups=32 do not divide"),
        (COMPACT, {"pool_channels": 8}, "pool_channels=8 with groups=8: .*at least 2 channels a group"),
        (COMPACT, {"radius": -1}, "radius=-1: pass 1 to 64, or 0 for no guided filter"),
        (COMPACT, {"eps": 0.0}, "eps=0 is not within .*radius=0"),
        (COMPACT, {"sigmas": (3.0, 1.0)}, r"sigmas=\(3.0, 1.0\)"),
        (COMPACT, {"output": "tanh"}, "output is 'tanh'; pass 'sigmoid' or 'clip'"),
        (COMPACT, {"guide_channels": 1}, "guide_channels=1"),
        (COMPACT, {"long_side": 500}, "long_side=500: pass a multiple of 32"),
        (COMPACT, {"filter_form": "exact"}, "filter_form is 'exact'; pass 'averaged' or 'residual'"),
        (COMPACT, {"filter_guide": "depth"}, "filter_guide is 'depth'; pass 'learned' or 'color'"),
        (COMPACT, {"filter_form": "averaged"}, "residual form only; set filter_form='residual' or filter_guide='learn"),
        (
            SMALL,
            {"filter_form": "residual", "filter_guide": "color", "guide_clicks": True},
            "colors do not see the clicks; set guide_clicks=False or filter_guide='learned'",
        ),
        (COMPACT, {"eps": 1e-8}, "eps=1e-08 and filter_guide='color': .*set eps to that or more, such as 3e-4, or"),
    ],
)
def test_contradictions_are_refused(base: NetworkConfig, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(base, **changes)


def test_fusion() -> None:
    found = {name: config.fusion for name, config in VARIANTS.items()}
    assert found == {
        "paper": "both",
        "paper-early": "early",
        "paper-late": "late",
        "small": "both",
        "compact": "late",
        "compact-early": "early",
        "compact-both": "both",
        "learned": "late",
        "learned-residual": "late",
    }


@pytest.mark.parametrize("config", [*NETWORKS.values(), *VARIANTS.values()], ids=[*NETWORKS, *VARIANTS])
def test_a_configuration_survives_a_checkpoint_and_json(config: NetworkConfig, tmp_path: Path) -> None:
    torch.save(asdict(config), tmp_path / "config.pt")
    assert network_config(torch.load(tmp_path / "config.pt", weights_only=True)) == config
    assert network_config(json.loads(json.dumps(asdict(config)))) == config


def test_a_configuration_of_another_version() -> None:
    # Fields that came later have the default of what was before.
    old = network_config({})
    assert old == NetworkConfig()
    assert (old.click_params.form, old.click_params.guide) == ("averaged", "learned")
    assert (COMPACT.click_params.form, COMPACT.click_params.guide) == ("residual", "color")
    with pytest.raises(ValueError, match="no setting 'depth'"):
        network_config({"depth": 3})


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("divisor", [2, 3, 8, 1000])
def test_scaled(name: str, divisor: int) -> None:
    config = NETWORKS[name]
    small = scaled(config, divisor)
    assert [c.channels for c in small.interaction] == [max(1, c.channels // divisor) for c in config.interaction]
    assert [c for level in small.decoder for c in level.convs] == [
        max(1, c // divisor) for level in config.decoder for c in level.convs
    ]
    assert small.groups <= config.groups
    assert (small.decoder[-1].stride, small.fusion, small.sigmas) == (config.grid_stride, config.fusion, config.sigmas)
