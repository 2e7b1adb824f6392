"""engine_plan.py: which engines there are, and what they depend on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support import toy_model

import pyiseg
from pyiseg.model import Model
from pyiseg.runtime.engine import GUIDE_STRIP
from pyiseg.tensorrt.specs import EngineSpec, common_sizes, depends_on, engine_specs, engine_specs_for, network_file


def test_common_sizes_have_engines_of_their_own(model: Model) -> None:
    sizes = {(128, 128), (96, 128), (128, 96), (64, 128), (128, 64)}
    assert set(common_sizes(model)) == sizes
    for working in sizes:
        image, click, guide = engine_specs(model, working)
        assert image.min == image.opt == image.max == working
        assert (image.network, image.static, image.size) == ("image", True, "x".join(map(str, working)))
        assert click == EngineSpec("click", working, working, working, 2)
        assert guide.max == guide.min == (1, GUIDE_STRIP)


def test_all_other_sizes_share_engines(model: Model) -> None:
    found = engine_specs(model, (32, 128))
    assert found == engine_specs(model, (128, 32)) == engine_specs(model, None)
    image = found[0]
    assert (image.min, image.opt, image.max) == ((32, 32), (96, 128), (128, 128))
    assert (image.static, image.size) == (False, "32x32to128x128")
    assert image.grid(image.opt) == (48, 64)


def test_engines_for_image_sizes(model: Model, tmp_path: Path) -> None:
    assert {spec.size for spec in engine_specs_for(model, [])} == {
        *("128x128", "96x128", "128x96", "64x128", "128x64", "32x32to128x128"),
        f"1x{GUIDE_STRIP}",
    }
    assert len(engine_specs_for(model, [])) == 2 * 6 + 1
    assert {(320, 512), (512, 320)} <= set(common_sizes(dataclasses.replace(model, long_side=512)))
    assert engine_specs_for(model, ["480x640", "960x1280"]) == engine_specs(model, (96, 128))
    assert engine_specs_for(model, ["any"]) == engine_specs_for(model, ["10x400", "any"]) == engine_specs(model, None)
    for wrong in ("480", "480x", "0x10", "480X640", "-1x3", "4x4x4"):
        with pytest.raises(ValueError, match=f"size is '{wrong}'; .*480x640, or any"):
            engine_specs_for(model, ["any", wrong])
    early = pyiseg.load_model(toy_model.build(tmp_path / "early", early_fusion=True))
    assert [spec.network for spec in engine_specs(early, (64, 64))] == ["click", "guide"]


def test_an_engine_depends_on_the_files_it_is_built_from(model: Model, half: Model) -> None:
    assert set(depends_on(model, "image")) == {"image.onnx"}
    assert set(depends_on(model, "click")) == {"click.onnx", "image.onnx"}  # its inputs have the features' shapes
    assert depends_on(model, "guide") == {"guide.onnx": model.sha256["guide.onnx"]}
    assert set(depends_on(half, "image")) == {"image.fp16.onnx", "image.onnx"}
    assert set(depends_on(half, "click")) == {"click.fp16.onnx", "click.onnx", "image.fp16.onnx", "image.onnx"}
    assert set(depends_on(half, "guide")) == {"guide.onnx"}
    assert [network_file(half, part) for part in ("image", "guide")] == ["image.fp16.onnx", "guide.onnx"]
