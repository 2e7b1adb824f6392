"""The authors' checkpoint as a model folder: imported, exported whole, and run by the session that runs every model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import toy_model

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from support.paths import GOLDEN  # noqa: E402
from support.published import assert_as_recorded  # noqa: E402
from support.sessions import predictions  # noqa: E402

from export import import_published  # noqa: E402
from export.conversion.folder import export_folder  # noqa: E402
from export.import_published import LICENSE, network_of, read_published, record_of  # noqa: E402
from export.models.presets import PAPER  # noqa: E402
from export.models.published import our_state, published_shapes  # noqa: E402
from export.random_model import random_weights  # noqa: E402
from export.to_onnx import load_network  # noqa: E402
from pyiseg import Image, Session, _core, load_model  # noqa: E402
from pyiseg.runtime.click import ClickStage  # noqa: E402
from pyiseg.runtime.guide import ClickGuide  # noqa: E402
from pyiseg.runtime.ort import networks_of  # noqa: E402
from pyiseg.runtime.resample import NUMPY  # noqa: E402
from pyiseg.runtime.scratch import Scratch  # noqa: E402

Weights = dict[str, "torch.Tensor"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights()


@pytest.fixture(scope="module")
def folder(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole network, FP32; the exporter takes its time over 65 convolutions."""
    base = tmp_path_factory.mktemp("published")
    torch.save({"state_dict": {f"module.{name}": x for name, x in weights.items()}}, base / "weights.pth")
    network = network_of(read_published(base / "weights.pth"))
    record = record_of(base / "weights.pth")
    small = ((64, 96), (96, 32))
    export_folder(
        network, base / "model", "published", "", record, precision="fp32", licence=LICENSE, sizes=small, fp16=False
    )
    return base / "model"


def recording(case: int) -> dict[str, npt.NDArray[Any]]:
    with np.load(GOLDEN / "published_network.npz") as recorded:
        return {name[2:]: recorded[name] for name in recorded if name.startswith(f"{case}_")}


def image_on(folder: Path, golden: dict[str, npt.NDArray[Any]]) -> Image:
    """An image at whose sizes nothing is resized."""
    rgb = golden["image_rgb_uint8"]
    toy_model.change_manifest(folder, input={"long_side": max(rgb.shape), "multiple": 32})
    image = Image(rgb, model=folder)
    view = image.encoded.view
    assert view.image == view.working == view.grid
    return image


def test_the_model_folder(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"model.json", "click.onnx", "guide.onnx"}
    model = load_model(folder)
    assert "MIT" in model.licence
    assert "weights.pth" in model.training["started_from"]
    assert model.click_params == PAPER.click_params
    assert 150e6 < len(model.files["click.onnx"]) < 155e6  # 37.7 million values of 4 bytes


def guide_of(image: Image, clicks: npt.NDArray[np.int32]) -> ClickGuide:
    """The guide that serves, for some clicks."""
    model, rgb = image.model, np.ascontiguousarray(image.rgb)
    network = networks_of(model).guide(rgb.size // 3, Scratch())
    working = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None] / np.float32(255))
    guide = ClickGuide(NUMPY, image.encoded.view, network, rgb, working, model.click_params.sigmas[0])
    guide.on_grid(clicks)
    return guide


def output_of(image: Image, stage: ClickStage) -> npt.NDArray[np.float32]:
    """What the click network makes of a click stage's inputs, shape (h, w)."""
    features = image.encoded.features
    networks_of(image.model).click(
        {**features, "click_maps": stage.maps, "previous_alpha": stage.previous}, stage.output
    )
    return stage.output[0, 0].copy()


def test_the_first_click_is_that_of_the_recording(folder: Path) -> None:
    golden = recording(0)
    image = image_on(folder, golden)
    clicks = np.ascontiguousarray(golden["clicks_x_y_fg"], np.int32)
    ((x, y, fg),) = clicks.tolist()
    assert not golden["prev_alpha"].any()
    stage = ClickStage(image.model.click_params, image.shape)
    stage.encode(clicks, clicks[:0], np.zeros(image.shape, np.float32))
    np.testing.assert_allclose(output_of(image, stage), golden["alpha_before_guided_filter"], atol=1e-4)
    guide = guide_of(image, clicks)
    expected_guide = golden["guide"] - golden["guide"].mean(dtype=np.float64)
    np.testing.assert_allclose(guide.on_grid(clicks), expected_guide, atol=1e-4)
    np.testing.assert_array_equal(guide.at_image(), guide.on_grid(clicks))

    # The recording is of the filter's result; what no click asked for is dropped after it.
    expected = np.empty(image.shape, np.float32)
    _core.keep_clicked_components(golden["alpha"].copy(), clicks, 0, np.empty(image.shape, np.int32), expected)
    assert 0.01 < (expected > 0).mean() < (golden["alpha"] > 0).mean()
    rendered = Session(image).click(x, y, bool(fg))
    alpha = image.encoded.pipeline().on_grid(clicks, predictions(image, [(x, y, bool(fg))])[0].prediction)
    assert_as_recorded(alpha, expected)
    assert np.abs(rendered - 255 * alpha).max() <= 0.501


def test_a_later_click_with_its_previous_alpha(folder: Path) -> None:
    """No clicks lead to the recorded previous alpha, so it is put where the click stage puts its own."""
    golden = recording(1)
    image = image_on(folder, golden)
    stage, clicks = (
        ClickStage(image.model.click_params, image.shape),
        np.ascontiguousarray(golden["clicks_x_y_fg"], np.int32),
    )
    assert golden["prev_alpha"].any()
    stage.encode(clicks, clicks[:0], np.zeros(image.shape, np.float32))
    np.testing.assert_allclose(stage.maps[0], golden["click_maps_bg3_fg3"], atol=5e-4)  # recorded in FP16
    stage.previous[0, 0] = golden["prev_alpha"]
    alpha = output_of(image, stage)
    np.testing.assert_allclose(alpha, golden["alpha_before_guided_filter"], atol=1e-4)
    guide = guide_of(image, clicks).on_grid(clicks)
    _core.force_clicks(clicks, alpha)
    lines, scratch, final = (np.empty((n, *alpha.shape), np.float32) for n in (2, 2, 1))
    _core.guided_filter_coefficients(guide, alpha, PAPER.radius, PAPER.eps, False, scratch, lines)
    _core.apply_coefficients(lines, guide, final[0])
    assert_as_recorded(final[0], golden["alpha"])


# Reading the file


def test_the_published_list_is_that_of_the_network() -> None:
    lines = (GOLDEN / "published_parameters.txt").read_text().splitlines()
    assert {name: str(shape) for name, shape in published_shapes().items()} == dict(s.split("\t") for s in lines)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s}])
def test_layouts_of_the_file(weights: Weights, tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(weights), tmp_path / "weights.pth")
    found = read_published(tmp_path / "weights.pth")
    assert found.keys() == weights.keys()
    assert all(torch.equal(x, weights[name]) for name, x in found.items())


def test_faults_are_named(weights: Weights, tmp_path: Path) -> None:
    state = dict(weights)
    del state["encoder.conv1.weight"]
    state["decoder.extra"] = torch.zeros(1)
    state["encoder.bn1.bias"] = torch.zeros(32)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="not the parameters of the published network") as caught:
        read_published(tmp_path / "weights.pth")
    for words in (
        "weights.pth: ",
        "1 missing: encoder.conv1.weight",
        "1 unexpected: decoder.extra",
        "1 of another shape: encoder.bn1.bias (32,), not (64,)",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no checkpoint, or damaged"),
        (b"not a checkpoint", "is no checkpoint, or damaged"),
        (None, "no table of tensors"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "weights.pth"
    if content is None:
        torch.save({"epoch": 3}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_published(path)


def test_the_command_writes_weights_for_training(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    out = tmp_path / "runs" / "published.pt"
    monkeypatch.setattr(sys, "argv", ["import_published", str(tmp_path / "weights.pth"), "--weights", str(out)])
    import_published.main()
    assert "213 tensors" in capsys.readouterr().out
    state = torch.load(out, weights_only=True)
    network = load_network(state)
    assert network.config == PAPER
    assert "MIT" in state["training"]["started_from"]
    ours = network.state_dict()
    assert all(torch.equal(ours[name], x) for name, x in our_state(weights).items())
    monkeypatch.setattr(sys, "argv", ["import_published", str(tmp_path / "gone.pth")])
    with pytest.raises(SystemExit, match=r"gone\.pth"):
        import_published.main()
