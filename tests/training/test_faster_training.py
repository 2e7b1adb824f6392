"""What training computes in another way than serving, because it is faster, is the same."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from support import toy_network  # noqa: E402
from torch import nn  # noqa: E402

from export.models.efficientnet_lite0 import Lite0, Lite2  # noqa: E402
from export.models.layers import FoldedConv, StandardizedConv  # noqa: E402
from export.models.presets import COMPACT, scaled  # noqa: E402
from export.training import gradients  # noqa: E402
from export.training.frozen import FrozenLayers  # noqa: E402


@pytest.mark.parametrize(("channels", "out", "shape"), [(32, 40, (9, 13)), (48, 32, (1, 7)), (40, 64, (64, 5))])
@pytest.mark.parametrize("kind", [FoldedConv, StandardizedConv])
def test_the_weight_gradient_by_products_is_that_of_pytorch(
    monkeypatch: pytest.MonkeyPatch, kind: type[FoldedConv], channels: int, out: int, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = kind(channels, out, 3, 1, 1)
    image = torch.randn(2, channels, *shape)
    found = []
    for most in (64, 0):
        monkeypatch.setattr(gradients, "MOST_PIXELS", most)
        x = image.clone().requires_grad_()
        conv.zero_grad()
        y = conv(x)
        assert ("Conv3x3" in y.grad_fn.name()) == (most == 64)
        (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
        found.append((y.detach(), x.grad, conv.weight.grad, conv.bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    ("conv", "x"),
    [
        (FoldedConv(32, 32, 3, 2, 1), torch.zeros(1, 32, 8, 8)),
        (FoldedConv(32, 32, 1), torch.zeros(1, 32, 8, 8)),
        (FoldedConv(8, 64, 3, 1, 1), torch.zeros(1, 8, 8, 8)),
        (FoldedConv(32, 32, 3, 1, 1), torch.zeros(1, 32, 65, 8)),
        (FoldedConv(32, 32, 3, 1, 1).double(), torch.zeros(1, 32, 8, 8).double()),
        (FoldedConv(32, 32, 3, 1, 1).eval(), torch.zeros(1, 32, 8, 8)),
        (FoldedConv(32, 32, 3, 1, 1, groups=32), torch.zeros(1, 32, 8, 8)),
        (FoldedConv(32, 32, 3, 1, 2, dilation=2), torch.zeros(1, 32, 8, 8)),
    ],
)
def test_other_convolutions_are_left_to_pytorch(conv: FoldedConv, x: torch.Tensor) -> None:
    assert "Conv3x3" not in conv(x).grad_fn.name()


def test_what_is_convolved_once_for_all_clicks_changes_no_prediction_and_no_gradient() -> None:
    network = toy_network.build(scaled(COMPACT, 4), shallow=True).train()
    image, maps, previous = torch.rand(2, 3, 64, 96), torch.rand(2, 6, 32, 48), torch.rand(2, 1, 32, 48)
    found = []
    for shares in (False, True):
        network.zero_grad()
        features = network.image(image)
        features = network.click.share(features) if shares else features
        logits = sum(network.click(maps * k, previous, features) for k in (1.0, 0.5))
        logits.square().mean().backward()
        found.append([logits.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) > 40
    for whole, split in zip(*found, strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-4 * max(1e-3, float(whole.abs().max())))


def test_shared_features_replace_those_they_are_made_of() -> None:
    network = toy_network.build(scaled(COMPACT, 8), shallow=True)
    shared = network.click.share(network.image(torch.rand(1, 3, 64, 64)))
    assert {name for name in shared if name.startswith("shared")} == {f"shared_{stride}" for stride in (16, 8, 4, 2)}
    assert {name for name in shared if name.startswith("image")} == {"image_32"}


@pytest.mark.parametrize(
    ("stream", "blocks"), [(Lite0, 1), (Lite0, 3), (Lite0, 5), (Lite0, 16), (Lite2, 4), (Lite2, 21)]
)
def test_frozen_layers_are_those_of_the_network(stream: type[Lite0], blocks: int) -> None:
    torch.manual_seed(0)
    encoder = stream(pretrained=False).eval()
    image = torch.rand(1, 3, 64, 96)
    expected = encoder(image)
    kept = encoder.freeze(blocks)
    assert not any(p.requires_grad for p in kept)
    assert sum(p.requires_grad for p in encoder.parameters()) == len(list(encoder.parameters())) - len(kept)
    encoder.lower = FrozenLayers(encoder, 1)
    for image_ in (image, torch.rand(3, 3, 32, 64)):
        found = encoder(image_)
        encoder.lower, lower = None, encoder.lower
        expected = encoder(image_)
        encoder.lower = lower
        assert found.keys() == expected.keys()
        for stride, x in expected.items():
            torch.testing.assert_close(found[stride], x, rtol=1e-3, atol=1e-3 * max(1.0, float(x.detach().abs().max())))


def test_only_what_is_there_can_be_frozen() -> None:
    with pytest.raises(ValueError, match=r"optimizer\.frozen is 17; the image encoder has 16 blocks"):
        Lite0(pretrained=False).freeze(17)
    early = Lite0(pretrained=False, click_channels=6)
    assert early.freeze(3) == []
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in early.parameters())
