"""How many clicks a batch comes to, which of them are predicted twice, and what each loss weighs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import toy_data

torch = pytest.importorskip("torch")

from support import toy_network  # noqa: E402

from export.data.dataset import Sample  # noqa: E402
from export.models.network import Network  # noqa: E402
from export.models.presets import COMPACT, scaled  # noqa: E402
from export.training.click_config import ClickConfig  # noqa: E402
from export.training.config import Settings, load_settings  # noqa: E402
from export.training.interaction import SimulatedUser, mirrored_pairs  # noqa: E402
from export.training.losses import mirror_difference  # noqa: E402
from export.training.trainer import Trainer  # noqa: E402
from pyiseg.runtime.guided_filter import ColorFilter  # noqa: E402

ALL = {
    "long": 0.5,
    "long_clicks": 9,
    "sampled": 0.4,
    "sampled_clicks": 6,
    "random_first": 0.5,
    "carried": 0.3,
    "damaged": 0.3,
    "two_passes": 0.5,
    "loss_growth": 1.5,
    "warmup_from": 0.0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


def tiny(**clicks: Any) -> Settings:
    settings = load_settings("compact", ["run.sizes=[[0.0, 64]]", "run.batch=2", "optimizer.warmup=1"])
    run, network = replace(settings.run, pictures=12), scaled(COMPACT, 8)
    return replace(settings, network=network, run=run, clicks=replace(settings.clicks, **clicks))


def free(data: Path, out: Path, progress: float = 0.5, **clicks: Any) -> list[int]:
    click_loop = Trainer(tiny(**clicks), data, out).click_loop
    return [click_loop.warmup_clicks(first, progress) for first in range(0, 1200, 4)]


def test_long_batches_come_to_many_clicks(data: Path, tmp_path: Path) -> None:
    before, some = free(data, tmp_path), free(data, tmp_path, long=0.3)
    assert set(before) == set(range(4))
    sampled = [int(np.random.default_rng([1, 1, first]).integers(4)) for first in range(0, 1200, 4)]
    assert before == sampled, "as it was before there were long batches"
    counts = Counter(some)
    assert set(counts) == set(range(18)), "3 clicks with a loss come to at most 20"
    longer = sum(count > 3 for count in some)
    assert 60 <= longer <= 120
    assert all(one == other for one, other in zip(before, some, strict=True) if other <= 3)
    assert set(free(data, tmp_path, long=1.0, long_clicks=8)) == {4, 5}
    assert set(free(data, tmp_path, progress=0.05, long=1.0)) == {0}, "not at the beginning of a run"


@pytest.mark.parametrize(
    ("growth", "weights"), [(1.0, (1, 1, 1)), (2.0, (3 / 7, 6 / 7, 12 / 7)), (0.0, (3, 0, 0))], ids=str
)
def test_later_clicks_may_weigh_more(growth: float, weights: tuple[float, ...], data: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(loss_growth=growth), data, tmp_path)
    lost: list[float] = []
    trainer.click_loop.backward = lambda loss: lost.append(float(loss.detach()))  # type: ignore[method-assign]
    trainer.optimizer.step = lambda progress: None  # type: ignore[method-assign]
    metrics = trainer.update([trainer.data[64, 0], trainer.data[64, 1]])
    assert lost == pytest.approx([metrics[f"loss_{k + 1}"] * weights[k] / 3 for k in range(3)], rel=1e-5)


@pytest.mark.parametrize("variant", ["compact", "small", "learned-residual", "compact-both"])
def test_a_second_pass_is_fed_the_first(variant: str, data: Path, tmp_path: Path) -> None:
    """For the same clicks; the first one makes no graph, the second one has the loss."""
    settings = replace(tiny(two_passes=1.0, clicks=2), network=toy_network.VARIANTS[variant])
    loss = replace(settings.loss, focal=0.0 if settings.network.output == "clip" else 1.0)
    trainer = Trainer(replace(settings, loss=loss), data, tmp_path)
    calls: list[tuple[Any, ...]] = []
    stream = trainer.optimizer.network.click
    with torch.no_grad():
        stream.head.bias.fill_(0.6)  # nearly all is selected, and so fed back
    stream.register_forward_hook(lambda module, inputs, output: calls.append((*inputs[:2], output)))
    metrics = trainer.update([trainer.data[64, 0], trainer.data[64, 1]])
    assert all(np.isfinite(value) for value in metrics.values())
    assert len(calls) == 4
    for (maps, previous, first), (same, fed, second) in zip(calls[::2], calls[1::2], strict=True):
        assert torch.equal(maps, same)
        assert not torch.equal(previous, fed)
        # What is fed back is the first prediction, but for forced clicks and regions without a click, which are gone.
        alpha = stream.activate(first)
        assert (fed[fed > 0] == alpha[fed > 0]).float().mean() > 0.8 or settings.network.filter_form == "averaged"
        assert not first.requires_grad
        assert second.requires_grad


def test_the_share_of_batches_with_two_passes_is_kept(data: Path, tmp_path: Path) -> None:
    click_loop = Trainer(tiny(two_passes=0.3), data, tmp_path).click_loop
    twice = [click_loop.has_two_passes(first) for first in range(0, 1200, 4)]
    assert 60 <= sum(twice) <= 120
    assert twice == [click_loop.has_two_passes(first) for first in range(0, 1200, 4)]


def test_resumed_equals_uninterrupted_with_everything_on(data: Path, tmp_path: Path) -> None:
    settings = tiny(**ALL)
    whole = Trainer(settings, data, tmp_path / "whole")
    whole.run()
    part = Trainer(settings, data, tmp_path / "part")
    for first in (0, 2):
        part.update([part.data[64, first], part.data[64, first + 1]])
    part.save()
    resumed = Trainer(settings, data, tmp_path / "part", resume=True)
    resumed.run()
    assert resumed.pictures == whole.pictures == 12
    state, other = (trainer.optimizer.network.state_dict() for trainer in (whole, resumed))
    for name, x in state.items():
        assert torch.equal(x, other[name]), name


def test_checkpoints_from_before_these_settings_go_on(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(), data, tmp_path)
    trainer.save()
    state = torch.load(trainer.checkpoint, weights_only=True)
    for name in set(ALL) - {"warmup_from", "damaged"}:
        del state["settings"]["clicks"][name]
    torch.save(state, trainer.checkpoint)
    assert Trainer(tiny(), data, tmp_path, resume=True).pictures == 0
    with pytest.raises(ValueError, match=r"began with clicks\.long=0\.0, now 0\.5"):
        Trainer(tiny(long=0.5), data, tmp_path, resume=True)


def samples(count: int) -> list[Sample]:
    result = []
    for i in range(count):
        image, index = toy_data.image_and_index(i)
        truth = ((index == 1) * np.uint8(255))[:, 8:72]
        valid = np.ones_like(truth)
        result.append(
            Sample(
                *(
                    np.ascontiguousarray(np.pad(x, [(2, 2), (0, 0), (0, 0)][: x.ndim]))
                    for x in (image[:, 8:72], truth, valid, 0 * valid)
                )
            )
        )
    return result


def test_the_filters_hold_the_color_guide_that_the_network_computes() -> None:
    network, batch = Network(scaled(COMPACT, 8), pretrained=False), samples(2)
    batch = [s._replace(image=cv2.GaussianBlur(s.image, (0, 0), 2)) for s in batch]  # has no noise
    image = torch.from_numpy(np.stack([s.image for s in batch])).permute(0, 3, 1, 2).float() / 255
    full, expected = network.guides(image)
    assert full is image or torch.equal(full, image)
    guides = SimulatedUser(COMPACT).start(batch, 0).color_guides(image)
    assert guides is not None
    torch.testing.assert_close(guides[0], image, atol=0, rtol=0)
    found = guides[1]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[:, :3], expected[:, :3], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:, 3:], expected[:, 3:], atol=1e-3 * float(expected.max()), rtol=1e-4)
    learned = toy_network.VARIANTS["learned"]
    assert SimulatedUser(learned).start(batch, 0).color_guides(image) is None


def test_training_fits_to_what_serves_under_noise() -> None:
    """One image with noise and one without: the guide of the first has less of it, that of the second is as it was."""
    clean = samples(2)[0]
    clean = clean._replace(image=cv2.GaussianBlur(clean.image, (0, 0), 2).clip(60, 190))
    noise = 9 * np.random.default_rng(0).standard_normal(clean.image.shape)
    noisy = clean._replace(image=(clean.image + noise).round().astype(np.uint8))
    image = torch.from_numpy(np.stack([noisy.image, clean.image])).permute(0, 3, 1, 2).float() / 255
    before = image.clone()
    steps = SimulatedUser(COMPACT).start([noisy, clean], 0)
    guides = steps.color_guides(image)
    assert guides is not None
    assert torch.equal(image, before)
    assert torch.equal(guides[0][1], image[1])
    apart = [float((x - image[1]).square().mean().sqrt()) for x in (guides[0][0], image[0])]
    assert apart[0] < 0.6 * apart[1]
    for i, episode in enumerate(steps.episodes):
        assert isinstance(episode.filter, ColorFilter)
        assert (episode.filter.guide.noise > 0) == (i == 0)
        np.testing.assert_array_equal(episode.filter.guide.statistics, guides[1][i, 3:])


STARTS = {"robot": {}, "sampled": {"sampled": 1.0}, "damaged": {"damaged": 1.0}, "carried": {"carried": 1.0}}


@pytest.mark.parametrize("name", STARTS)
def test_mirrored_pairs_are_clicked_alike(name: str) -> None:
    pairs = mirrored_pairs(samples(4))
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        assert all((a[:, ::-1] == b).all() for a, b in zip(one[:4], other[:4], strict=True))
    steps = SimulatedUser(COMPACT, ClickConfig(**STARTS[name]), batch=4).start(pairs, 0, pairs=True)
    alone = SimulatedUser(COMPACT, ClickConfig(**STARTS[name])).start(pairs[::2], 0)
    for k in range(3):
        maps, previous, clicks = steps.inputs()
        if k == 0 and name == "robot":
            assert torch.equal(maps[::2], alone.inputs()[0])
        torch.testing.assert_close(clicks[::2], clicks[1::2].flip(3))
        torch.testing.assert_close(maps[::2], maps[1::2].flip(3), atol=1e-6, rtol=0)
        if k == 0:
            torch.testing.assert_close(previous[::2], previous[1::2].flip(3), atol=1e-6, rtol=0)
            assert previous.any() == (name in ("damaged", "carried"))
        # Their answers differ: what is clicked next is the first one's.
        alpha = torch.zeros_like(previous)
        alpha[:, :, 4:8, 4:8] = 0.8
        steps.postprocess(alpha, (alpha, alpha))
    for one, other in zip(steps.episodes[::2], steps.episodes[1::2], strict=True):
        assert len(one.clicks) == len(other.clicks) >= 3
        np.testing.assert_array_equal(one.clicks[:, 0], 63 - other.clicks[:, 0])
        np.testing.assert_array_equal(one.clicks[:, 1:], other.clicks[:, 1:])


def test_the_mirror_term_by_hand() -> None:
    alpha = torch.tensor([[[[1.0, 1.0, 0.0]]], [[[0.0, 0.5, 0.5]]]], requires_grad=True)
    # The mirror image of the second is 0.5, 0.5, 0; the mean 0.75, 0.75, 0.
    terms = mirror_difference(alpha)
    torch.testing.assert_close(terms, torch.full((2,), 2 * 0.25**2 / 1.5))
    terms.sum().backward()
    assert alpha.grad is not None
    assert alpha.grad[0, 0, 0].tolist() == pytest.approx([0.5 / 1.5, 0.5 / 1.5, 0])
    assert alpha.grad[1, 0, 0].tolist() == pytest.approx([0, -0.5 / 1.5, -0.5 / 1.5])
    same = torch.cat([alpha.detach()[:1], alpha.detach()[:1].flip(3)])
    assert mirror_difference(same).tolist() == [0, 0]


def test_a_run_with_mirrored_pairs_trains(data: Path, tmp_path: Path) -> None:
    settings = tiny(**ALL)
    settings = replace(settings, loss=replace(settings.loss, mirror=1.0))
    trainer = Trainer(settings, data, tmp_path)
    trainer.run()
    assert trainer.pictures == 12
    with pytest.raises(ValueError, match=r"loss\.mirror is 1\.0 and run\.batch 3: images come in pairs"):
        load_settings("compact", ["loss.mirror=1", "run.batch=3"])
