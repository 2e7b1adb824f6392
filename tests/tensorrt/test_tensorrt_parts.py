"""tensorrt.py: engines for crops that are zoomed in on."""

from __future__ import annotations

import dataclasses

import pytest
from support.fake_tensorrt import GPU, PACKAGES, Package, opened

from pyiseg.geometry import View
from pyiseg.model import Model, Zoom
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.provider import TensorRT


@pytest.mark.parametrize("name", PACKAGES)
def test_a_model_that_zooms_is_prepared_for_parts_of_any_size(name: str, model: Model, cache: EngineCache) -> None:
    package = Package(*PACKAGES[name])
    engines = TensorRT(GPU, cache, opened(package))
    assert engines.prepare(model) == {}, "this one does not zoom"
    assert package.built == []
    zooms = dataclasses.replace(model, zoom=Zoom())
    kept = engines.prepare(zooms)
    assert list(kept) == ["image", "click", "guide"]
    assert len(package.built) == 3
    assert engines.prepare(zooms) == kept
    odd = View.fit((10, 1000), long_side=zooms.long_side, multiple=32, grid_stride=zooms.grid_stride)
    assert engines.load(zooms, odd)["click"] is kept["click"]
    assert len(package.built) == 3


@pytest.mark.parametrize("name", PACKAGES)
def test_a_long_image_is_prepared_for_windows_of_any_size(name: str, model: Model, cache: EngineCache) -> None:
    package = Package(*PACKAGES[name])
    assert model.zoom is None
    assert list(TensorRT(GPU, cache, opened(package)).prepare(model, windows=True)) == ["image", "click", "guide"]
    assert len(package.built) == 3
