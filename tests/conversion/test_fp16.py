"""The FP16 variant of a model folder's networks: types, shared weights, answers, and where there are none."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto  # noqa: E402
from support import toy_model, toy_network  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.sessions import run_sessions  # noqa: E402

from export import add_fp16, random_model  # noqa: E402
from export.conversion.conversion import HALF_PARITY, Conversion  # noqa: E402
from export.conversion.folder import export_folder  # noqa: E402
from export.conversion.modules import folded  # noqa: E402
from export.conversion.parity import file_outputs  # noqa: E402
from export.conversion.precision import halved  # noqa: E402
from export.conversion.writer import exported_networks, point_into  # noqa: E402
from export.models.config import Conv, Level, NetworkConfig  # noqa: E402
from export.models.network import Network  # noqa: E402
from export.models.presets import PAPER  # noqa: E402
from export.models.resnet import Bottleneck  # noqa: E402
from export.to_onnx import load_network  # noqa: E402
from pyiseg import ModelError, load_model  # noqa: E402
from pyiseg.manifest import Manifest  # noqa: E402

SIZES = ((64, 96),)
# Few layers: the exporter takes its time over each.
LATE = NetworkConfig(
    neck=((2, 16),),
    interaction=(Conv(16),),
    embedding=None,
    pool_scales=(2,),
    pool_channels=8,
    decoder=(Level(2, (16, 16)),),
    groups=2,
    output="clip",
    long_side=96,
)


@pytest.fixture(scope="module")
def network() -> Network:
    return toy_network.build(LATE, shallow=True)


@pytest.fixture(scope="module")
def folder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants") / "late"
    export_folder(network, folder, "late", "untrained", {}, sizes=SIZES)
    return folder


def types_of(model: Any) -> dict[str, set[int]]:
    """The types that each kind of node computes in."""
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.value_info, *inferred.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    found: dict[str, set[int]] = {}
    for node in inferred.graph.node:
        found.setdefault(node.op_type, set()).add(types[node.output[0]])
    return found


def ends_of(model: Any) -> dict[str, int]:
    return {value.name: value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}


def test_the_folder_runs_in_a_session(folder: Path) -> None:
    model = load_model(folder)
    assert model.has_fp16
    assert set(model.files) == {f"{part}.onnx" for part in ("image", "image.fp16", "click", "click.fp16", "guide")}
    run_sessions(folder)


def test_types(folder: Path) -> None:
    image, click = (onnx.load(folder / f"{part}.fp16.onnx") for part in ("image", "click"))
    features = {"image_2": TensorProto.FLOAT16}
    assert ends_of(image) == {"image": TensorProto.FLOAT, **features}
    maps = {"click_maps": TensorProto.FLOAT16, "previous_alpha": TensorProto.FLOAT16}
    assert ends_of(click) == {**maps, **features, "alpha": TensorProto.FLOAT}
    assert types_of(image)["Conv"] == types_of(click)["Conv"] == {TensorProto.FLOAT16}
    assert types_of(click)["InstanceNormalization"] == {TensorProto.FLOAT}
    assert types_of(click)["ReduceSum"] == {TensorProto.FLOAT}
    assert types_of(click)["Clip"] == {TensorProto.FLOAT}  # the output function
    for part in ("image", "click", "guide"):  # as ever
        whole = onnx.load(folder / f"{part}.onnx")
        assert set(ends_of(whole).values()) == {TensorProto.FLOAT}
        assert types_of(whole)["Conv"] == {TensorProto.FLOAT}


@pytest.mark.parametrize("part", ["image", "click"])
def test_weights_are_those_of_the_other_file(folder: Path, part: str) -> None:
    main, variant = folder / f"{part}.onnx", folder / f"{part}.fp16.onnx"
    graph = onnx.load(variant, load_external_data=False).graph
    inside = [w for w in graph.initializer if w.data_location != TensorProto.EXTERNAL]
    outside = {w.name: {e.key: e.value for e in w.external_data} for w in graph.initializer if w not in inside}
    assert {entry["location"] for entry in outside.values()} == {main.name}
    # Biases of a convolution before a norm are scaled, and so are others; what is larger is not there twice.
    assert all(len(w.raw_data) < 256 or w.data_type == TensorProto.FLOAT for w in inside)
    assert sum(int(entry["length"]) for entry in outside.values()) > 0.5 * main.stat().st_size
    content = main.read_bytes()
    for weight in onnx.load(variant).graph.initializer:
        if weight.name in outside:
            offset, length = (int(outside[weight.name][key]) for key in ("offset", "length"))
            assert weight.raw_data == content[offset : offset + length]


def test_answers(network: Network, folder: Path) -> None:
    """Both of the files and of the arithmetic, which ONNX Runtime does not have on the CPU."""
    conversion = Conversion(network, "fp16-weights", ((96, 32),))
    for _, mean in (conversion.differences(folder, fp16=True), conversion.differences(conversion.half)):
        assert 0 < mean <= HALF_PARITY


def test_sums_beyond_fp16_are_shrunk(network: Network) -> None:
    """The norm behind takes out what a standardized convolution's input is scaled by; unscaled, this one overflows."""
    whole = copy.deepcopy(folded(network))
    stage = whole.click.stages["2"]
    with torch.no_grad():
        stage[0][0].weight.mul_(2.0**9)
        stage[0][1].eps *= 2.0**18
    sums: list[float] = []
    stage[0][0].register_forward_hook(lambda module, inputs, output: sums.append(float(output.abs().max())))
    conversion = Conversion(whole, sizes=((32, 64),))
    _, mean = conversion.differences(conversion.half)
    assert mean <= HALF_PARITY
    factor = conversion.half.click.stages["2"][0][0].factor
    assert sums[0] * factor < 65504
    assert factor == 2.0 ** round(torch.tensor(factor).log2().item())


def test_left_out_where_fp16_does_not_do(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing fails, and it is said what that means. No other file is needed: the arithmetic is looked at first."""
    overflows, cancels = copy.deepcopy(folded(network)), copy.deepcopy(folded(network))
    with torch.no_grad():
        overflows.click.interaction.convs[0][0].weight.mul_(1e7)
        last, head = cancels.click.stages["2"][-1][1], cancels.click.head
        last.bias.add_(1000)
        head.bias.sub_(1000 * head.weight.sum())
    for whole, words in ((overflows, "not a number: a value exceeds 65504"), (cancels, r"0\.\d+ off on average")):
        assert not Conversion(whole, sizes=SIZES).add_fp16(tmp_path)
        said = capsys.readouterr().out
        assert re.match(rf"no FP16 variant: with FP16 arithmetic alpha is {words} \(allowed 2e-03\); ", said)
        assert "TensorRT will run this model in FP32" in said
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_nowhere_else_stay_inside(folder: Path, tmp_path: Path) -> None:
    """As beside weights that are FP32."""
    model, file = onnx.load(folder / "click.fp16.onnx"), tmp_path / "click.onnx"
    file.write_bytes(onnx.load(folder / "click.onnx").graph.initializer[0].raw_data)
    point_into(model, file)
    external = [w.name for w in model.graph.initializer if w.data_location == TensorProto.EXTERNAL]
    assert external == [model.graph.initializer[0].name]


def test_early_fusion() -> None:
    """Without the export itself: there is no image part, and the click part takes the FP32 image."""
    early = replace(LATE, early_clicks=True, interaction=(), feedback=False)
    whole = folded(toy_network.build(early, shallow=True))
    (exported,) = exported_networks(whole, halved(whole))
    assert exported.name == "click"
    assert {name: x.dtype for name, x in exported.inputs.items()} == {
        "click_maps": torch.float16,
        "image": torch.float32,
    }
    with torch.no_grad():
        assert exported.module(*(x for x in exported.inputs.values())).dtype == torch.float32


def test_added_to_a_folder(network: Network, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    for name in ("image.fp16.onnx", "click.fp16.onnx"):
        (bare / name).unlink()
    manifest = json.loads(whole["model.json"])
    files = {name: entry for name, entry in manifest["files"].items() if "fp16" not in name}
    toy_model.change_manifest(bare, files=files)
    assert not load_model(bare).has_fp16
    other = toy_network.build(LATE, shallow=True, seed=1)
    with pytest.raises(ValueError, match=r"bare predict otherwise than the checkpoint .*was exported from"):
        add_fp16.add_to_folder(other, bare, SIZES)
    assert not load_model(bare).has_fp16

    def copied(*_: Any) -> list[Path]:
        return [Path(shutil.copy(folder / name, bare / name)) for name in ("image.fp16.onnx", "click.fp16.onnx")]

    monkeypatch.setattr(Conversion, "write_fp16", copied)  # the exporter takes its time
    assert add_fp16.add_to_folder(network, bare, SIZES)
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == whole
    toy_model.change_manifest(bare, author="me")  # what is not ours is kept
    assert add_fp16.add_to_folder(network, bare, SIZES)
    assert json.loads((bare / "model.json").read_text()) == manifest | {"author": "me"}

    def interrupted(*_: Any) -> list[Path]:
        (bare / "image.fp16.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Conversion, "write_fp16", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_fp16.add_to_folder(network, bare, SIZES)
    assert not load_model(bare).has_fp16

    (tmp_path / "x.pt").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["add_fp16", str(tmp_path / "x.pt"), str(bare)])
    with pytest.raises(SystemExit, match=r"^export\.add_fp16: error: .*x\.pt is no checkpoint"):
        add_fp16.main()
    with pytest.raises(ModelError, match="does not exist"):
        add_fp16.add_to_folder(network, tmp_path / "gone")


def test_added_to_a_folder_that_was_sharpened(
    network: Network, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest says by how much, and the checkpoint's network is sharpened as much."""
    seen = []
    monkeypatch.setattr(Conversion, "differences", lambda self, _: (seen.append(self.network), (0.0, 0.0))[1])
    monkeypatch.setattr(Conversion, "add_fp16", lambda self, _: True)
    sharpened = Path(shutil.copytree(folder, tmp_path / "sharpened"))
    toy_model.change_manifest(sharpened, training={"sharpened": 1.5})
    as_trained = copy.deepcopy(network)
    as_trained.config = replace(as_trained.config, output="sigmoid")
    expected = 1.5 * network.click.head.weight.detach()
    add_fp16.add_to_folder(as_trained, sharpened, SIZES)
    torch.testing.assert_close(seen[0].click.head.weight, expected, rtol=1e-3, atol=1e-5)  # as stored


def test_wrong_values_leave_what_was_there(
    network: Network, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fail when the manifest is written, before the old folder makes way."""

    def copied(_: Conversion, work: Path) -> None:
        for name in ("image.onnx", "click.onnx", "guide.onnx"):
            shutil.copy(folder / name, work / name)

    monkeypatch.setattr(Conversion, "write", copied)  # the exporter takes its time
    old = Path(shutil.copytree(folder, tmp_path / "old"))
    wrong: dict[str, Any] = {"licence": 3}
    with pytest.raises(ValueError, match="'licence' must be text, not 3"):
        export_folder(network, old, "late", "untrained", {}, sizes=SIZES, fp16=False, **wrong)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    export_folder(network, old, "late", "untrained", {}, sizes=SIZES, fp16=False, licence="MIT")
    assert not load_model(old).has_fp16
    stated = replace(Manifest.read(folder), licence="MIT", files=Manifest.read(old).files)
    assert Manifest.read(old) == stated


def test_the_color_guide_has_no_file(network: Network, folder: Path, tmp_path: Path) -> None:
    """Nothing of the image's own colors is a network: the folder says so, and compares with its checkpoint without."""
    config = replace(LATE, filter_form="residual", filter_guide="color", radius=1, eps=3e-4)
    colored, there = toy_network.build(config, shallow=True), tmp_path / "colored"
    export_folder(colored, there, "colored", "untrained", {}, sizes=SIZES)
    model = load_model(there)
    assert set(model.files) == {f"{part}.onnx" for part in ("image", "image.fp16", "click", "click.fp16")}
    assert model.click_params == config.click_params
    assert {path.name for path in there.iterdir()} == {*model.files, "model.json"}
    (outputs,) = file_outputs(there, Conversion(colored, sizes=SIZES).inputs)
    assert set(outputs) == {"alpha"}
    for one, other in ((network, there), (colored, folder)):
        with pytest.raises(ValueError, match=r"has a guided filter with the guide .*was exported from"):
            add_fp16.add_to_folder(one, other, SIZES)


def test_the_shipped_weights_do_in_fp16() -> None:
    """As trained, a sum behind the pyramid pooling is beyond 65504."""
    state = torch.load(ROOT / "export" / "weights" / "compact.pt", weights_only=True)
    conversion = Conversion(load_network(state), "fp16-weights", ((64, 96),))
    _, mean = conversion.differences(conversion.half)
    assert mean <= 5e-4


def test_drawn_weights_are_damped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the export itself, which takes more than a minute."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(random_model, "export_folder", lambda *args, **named: calls.append(args))
    monkeypatch.setattr(sys, "argv", ["random_model", str(tmp_path / "model")])
    random_model.main()
    ((network, folder, *_),) = calls
    assert (network.config, folder) == (PAPER, tmp_path / "model")
    weights = random_model.random_weights()
    ours = network.image.encoder.layer1[0]
    assert isinstance(ours, Bottleneck)
    assert torch.equal(ours.bn3.weight, random_model.DAMPING * weights["encoder.layer1.0.bn3.weight"])
    assert torch.equal(ours.bn2.weight, weights["encoder.layer1.0.bn2.weight"])
