"""The network in PyTorch, its training and its export. Skipped where the extra pyiseg[train] is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from support.cat import PHOTO  # noqa: E402

from export.conversion.folder import export_folder  # noqa: E402
from export.models import guided_filter, layers  # noqa: E402
from export.models.efficientnet_lite0 import LITE, Lite0  # noqa: E402
from export.models.network import Network  # noqa: E402
from export.models.presets import COMPACT  # noqa: E402
from pyiseg import Session, _core  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network(COMPACT, pretrained=False).eval()


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


@pytest.mark.parametrize("stream", LITE.values())
def test_image_stream_knows_a_cat(stream: type[Lite0]) -> None:
    """With the classifier of its package on top, the ImageNet weights must still classify."""
    package = pytest.importorskip(stream.package)
    state = torch.load(getattr(package, stream.file_class).get_model_file_path(), weights_only=True)
    with Image.open(PHOTO) as picture:
        rgb = np.array(picture.convert("RGB").resize((320, 224)).crop((48, 0, 272, 224)))
    with torch.no_grad():
        x = stream()(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)[32]
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
    _core.guided_filter_coefficients(guide, p, radius, eps, False, scratch, lines)
    pair = torch.from_numpy(guide)[None, None], torch.from_numpy(p)[None, None]
    ours = guided_filter.guided_filter_coefficients(*pair, radius, eps)
    np.testing.assert_allclose(ours[0].numpy(), lines, atol=1e-4)


def test_exported_folder_runs_and_agrees(network: Network, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    export_folder(network, folder, "test", "untrained", {"pictures": 0}, fp16=False)  # raises where parity fails
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
