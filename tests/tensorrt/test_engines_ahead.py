"""export/engines.py: engines built ahead of time, by tensorrt_rtx itself where it is installed."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import toy_model
from support.engine_files import states
from support.fake_tensorrt import with_fp16

import pyiseg
from pyiseg import cli
from pyiseg.cli import engines as engines_cli
from pyiseg.model import Model
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.specs import engine_specs

LAYERS = """Layers:
Name: a, LayerType: kgen, Inputs: [ { Name: x, Dimensions: [1,3], Datatype: Float, Format: f }], Constants: [], \
Outputs: [ { Name: y, Datatype: Half, Format: f }], TacticName: a, StreamId: 0, Metadata: none
Name: b, LayerType: correlation, Inputs: [ { Name: y, Dimensions: [1,3,5,5], Datatype: Half, Format: f }], Constants: \
[ { Name: c, Datatype: Float, Format: f }], Outputs: [ { Name: z, Datatype: Half, Format: f }], TacticName: b
Name: c, LayerType: wait, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 0, Metadata: none
Name: d, LayerType: gemm, Inputs: [ { Name: y, Datatype: Float, Format: f }], Constants: [], Outputs: [ { Name: z, \
Datatype: Float, Format: f }, { Name: i, Datatype: Int32, Format: f }], TacticName: b
Name: e, LayerType: ShapeHostToDevice, Inputs: [], Outputs: [ { Name: z, Datatype: Int64 }], ParameterType: S
I/O Tensors:
 Name: x, IOMode: Input, DataType: Float, Dimensions: [1,3]
"""


def test_precisions_of_layers() -> None:
    engines = pytest.importorskip("export.engines")
    assert engines.precisions(LAYERS) == (Counter(mixed=1, FP16=1, FP32=1), Counter(FP16=1, FP32=1))
    assert engines.precisions("") == (Counter(), Counter())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    engines = pytest.importorskip("export.engines")
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr(sys, "argv", ["engines", *map(str, arguments)])
    engines.main()


@pytest.mark.parametrize("fp16", [False, True])
def test_engines_built_ahead_of_time(
    tmp_path: Path,
    cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fp16: bool,
) -> None:
    folder = toy_model.build(tmp_path / "toy", long_side=128, fp16=fp16)
    run(monkeypatch, folder, cache.folder, "--sm", 80, 120, "--size", "480x640")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(cache.files()) == 6
    assert printed[1].startswith("toy-click-96x128-sm80: ")
    assert "kB in " in printed[1]
    assert (") FP16" in printed[1]) == fp16
    for path in cache.files():
        report = json.loads(path.with_suffix(".json").read_text())
        assert report["engine"] == path.name
        half = fp16 and report["plan"]["part"] != "guide"
        assert set(report["layers"]) == ({"FP16", "mixed"} if half else {"FP32"})
        assert set(report["layers_with_weights"]) <= set(report["layers"])
        assert report["bytes"] > 1000
        assert (report["gpu"], report["compute_capability"] in ("8.0", "12.0")) == (None, True)
    assert len(os.listdir(cache.folder)) == 12
    monkeypatch.setattr(engines_cli, "gpu_here", lambda: None)
    assert cli.main(["engines", "list"]) == 0
    assert set(states(capsys.readouterr().out).values()) == {"no GPU here"}


def test_the_default_model_computes_in_fp16() -> None:
    """Its weights lie in other files of the folder."""
    engines = pytest.importorskip("export.engines")
    pytest.importorskip("tensorrt_rtx")
    model = pyiseg.load_model()
    spec = next(spec for spec in engine_specs(model, (384, 512)) if spec.network == "click")
    built = tensorrt.find_package("tensorrt_rtx").build(model, spec, (8, 9), describe=True)
    every, weighted = engines.precisions(built.layers)
    # In FP32 are pooling and the comparison with clicked places, which are sums over the image, as matrix products.
    assert weighted["FP16"] >= 3 * weighted["FP32"]
    assert every["FP32"] > 0  # norms too


def test_fp16_files_that_compute_in_fp32_are_refused(
    tmp_path: Path,
    model: Model,
    cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    half = with_fp16(model.folder)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, half.folder, cache.folder, "--sm", "89", "--size", "480x640")
    assert "export.engines: error: toy-image-96x128-sm89: 2 of 2 layers compute in FP32, though" in str(stop.value.code)
    assert not cache.folder.exists()


def test_compute_capabilities_it_cannot_build_for(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, model.folder, tmp_path / "out", "--sm", "80", "90", "8.9")
    assert "export.engines: error: --sm 90 8.9: tensorrt_rtx 1." in str(stop.value.code)
    assert " builds for 75, 80, 86, 89, 120, 121" in str(stop.value.code)
