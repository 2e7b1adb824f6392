"""Training configurations: the files that come along, and what is said about wrong ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.paths import ROOT

torch = pytest.importorskip("torch")

from export.models.presets import COMPACT, PAPER  # noqa: E402
from export.parsing import from_dict  # noqa: E402
from export.training.config import CONFIGS, Settings, available, load_settings  # noqa: E402

WIDE = [
    "network.interaction=[{channels=24}, {channels=36, stride=2}, {channels=72, stride=2}, {channels=144, stride=2}, "
    "{channels=192, stride=2}]",
    "network.neck=[[32, 192], [16, 144], [8, 96], [4, 48], [2, 12]]",
    "network.decoder=[{stride=32, convs=[192, 192, 192], reduce=144}, {stride=16, convs=[144, 144], reduce=72}, "
    "{stride=8, convs=[96], reduce=48}, {stride=4, convs=[48], reduce=24}, {stride=2, convs=[24], norm=false}]",
]


def test_the_configurations_of_the_paper_and_the_default_are_there() -> None:
    ablations = {f"ablation-{name}" for name in ("baseline", "t", "t-i", "t-i-f", "t-i-f-g")}
    assert {*ablations, "sbd", "synth", "synth-sbd", "compact", "default"} <= set(available())


@pytest.mark.parametrize("name", available())
def test_each_loads_and_survives_a_checkpoint(name: str) -> None:
    settings = load_settings(name)
    assert settings.name == name
    assert from_dict(Settings, asdict(settings)) == settings


def test_the_paper_in_figures() -> None:
    """Section 3.4 of Forte et al. 2020."""
    settings = load_settings("ablation-t-i-f-g")
    optimizer, run = settings.optimizer, settings.run
    assert settings.network == PAPER
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay, optimizer.norm_decay) == ("radam", 1e-5, 0.005, 1e-5)
    assert [share * run.epochs for share in optimizer.steps] == pytest.approx([14, 17, 20])
    assert (run.epochs, run.batch, run.sizes) == (25, 1, ((0.0, 352),))
    assert (settings.clicks.clicks, optimizer.update) == (4, "click")


def test_the_ablations_differ_in_one_thing_each() -> None:
    names = ("baseline", "t", "t-i", "t-i-f", "t-i-f-g")
    settings = [load_settings(f"ablation-{name}") for name in names]
    assert [s.clicks.strategy for s in settings] == ["bundled", *["robot"] * 4]
    assert [bool(s.network.interaction) for s in settings] == [False, False, True, True, True]
    assert [s.network.feedback for s in settings] == [False, False, False, True, True]
    assert [s.network.radius > 0 for s in settings] == [False] * 4 + [True]
    assert [s.network.fusion for s in settings] == ["early", "early", "both", "both", "both"]
    assert len({(s.optimizer, s.run, s.data) for s in settings}) == 1


def test_settings_can_be_changed_one_by_one() -> None:
    changes = ["run.batch=8", "network.base=compact", "run.precision=bf16", "run.sizes=[[0.0, 64]]", "loss.click=2"]
    settings = load_settings("compact", changes)
    assert (settings.run.batch, settings.run.precision, settings.run.sizes) == (8, "bf16", ((0.0, 64),))
    assert settings.network == COMPACT
    assert settings.loss.click == 2.0


def test_a_click_network_one_and_a_half_times_as_wide() -> None:
    """The settings of docs/training.md, "Larger networks"."""
    network = load_settings("compact", WIDE).network

    def wide(channels: int) -> int:
        return channels * 3 // 2

    assert network == replace(
        COMPACT,
        interaction=tuple(replace(conv, channels=wide(conv.channels)) for conv in COMPACT.interaction),
        neck=tuple((stride, wide(channels)) for stride, channels in COMPACT.neck or ()),
        decoder=tuple(
            replace(level, convs=tuple(map(wide, level.convs)), reduce=level.reduce and wide(level.reduce))
            for level in COMPACT.decoder
        ),
    )


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('name = "base"\n[run]\nbatch = 2\nseed = 5\n')
    (tmp_path / "mine.toml").write_text('base = "base"\nname = "mine"\n[run]\nbatch = 3\n')
    settings = load_settings(tmp_path / "mine.toml")
    assert (settings.name, settings.run.batch, settings.run.seed) == ("mine", 3, 5)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("nothing", "", "no configuration 'nothing'.*compact"),
        ("compact", "run.batches=8", "run has no setting 'batches'; did you mean run.batch"),
        ("compact", "run.batch=2.5", "run.batch is 2.5; it must be a whole number"),
        ("compact", "run.batch=0", "run.batch is 0; it must be at least 1"),
        ("compact", "run.minutes=-5", "run.minutes is -5"),
        ("compact", "optimizer.ema=1.5", "optimizer.ema is 1.5; it must be from 0 to 1"),
        ("compact", "optimizer.steps=[14, 17]", "optimizer.steps"),
        ("compact", "run.sizes=[[0.5, 64], [0.0, 96]]", "must rise from 0"),
        ("compact", "run.sizes=[[0.0, 0]]", "multiples of 32"),
        ("paper", "loss={iou=0.0, click=0.0}", "nothing would be learnt"),
        ("compact", "run.precision=fp8", "run.precision is 'fp8'; it may be 'fp32'"),
        ("compact", "run.sizes=[[0.0, 100]]", "multiples of 32"),
        ("compact", "run.sizes=[[0.0]]", r"run.sizes\[0\]"),
        ("compact", "run.epochs=-3", "give one"),
        ("compact", "optimizer.lr=nan", "optimizer.lr is nan"),
        ("compact", "optimizer.lr=inf", "optimizer.lr is inf"),
        ("compact", "run.sizes=64", "a list of a list of a number and a whole number"),
        ("compact", "run=8", "run is 8; it must be a section: set run.epochs"),
        ("compact", "pictures=8", "the configuration has no setting 'pictures'; did you mean run.pictures"),
        ("compact", "optimizer.rate=0.1", "optimizer has no setting 'rate'; did you mean optimizer.lr"),
        ("compact", "learning_rate=0.1", "did you mean optimizer.lr"),
        ("compact", "run.batch_size=8", "did you mean run.batch"),
        ("compact", "optimizer.warm_up=8", "did you mean optimizer.warmup"),
        ("./mine.toml", "", "no file at 'mine.toml'"),
        ("compact", "run.batch", "is no change"),
        ("compact", "network.base=huge", "network.base is 'huge'; there are compact"),
        ("compact", "network.interaction=[]", "interaction"),
        ("compact", "clicks.strategy=bundled", "predicts once per image"),
        ("paper", "loss.focal=1.0", "network.output 'clip'"),
    ],
)
def test_what_is_wrong_is_named(name: str, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings(name, [change] if change else [])


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = \n")
    with pytest.raises(ValueError, match="is not TOML"):
        load_settings(tmp_path / "bad.toml")


def test_none_can_be_written() -> None:
    settings = load_settings("compact", ["network.embedding=none"])
    assert settings.network.embedding is None


def test_files_that_name_themselves_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b"\n')
    (tmp_path / "b.toml").write_text('base = "a"\nname = "b"\n')
    with pytest.raises(ValueError, match="builds on itself"):
        load_settings(tmp_path / "a.toml")
    (tmp_path / "c.toml").write_text("[run]\nbatch = 2\n")
    with pytest.raises(ValueError, match="lacks 'name'"):
        load_settings(tmp_path / "c.toml")


def test_a_length_given_one_way_takes_back_the_other() -> None:
    assert load_settings("paper", ["run.pictures=600"]).run.epochs == 0
    assert load_settings("compact", ["run.epochs=2"]).run.pictures == 0


def test_settings_go_on_working_under_their_old_names(tmp_path: Path) -> None:
    now = load_settings("compact", ["optimizer.lr=2e-3", "optimizer.ema=0.5", "clicks.warmup_clicks=1"])
    old = ["optimiser.lr=2e-3", "optimiser.average=0.5", "clicks.free_clicks=1"]
    assert load_settings("compact", old) == now
    (tmp_path / "compact.toml").write_text((CONFIGS / "compact.toml").read_text())
    own = tmp_path / "own.toml"
    own.write_text('base = "compact"\n[optimiser]\nlr = 2e-3\naverage = 0.5\n[clicks]\nfree_clicks = 1\n')
    assert load_settings(own) == now
    # As checkpoints hold them.
    plain = asdict(now)
    plain["optimiser"] = plain.pop("optimizer")
    plain["optimiser"]["average"] = plain["optimiser"].pop("ema")
    plain["clicks"]["free_clicks"] = plain["clicks"].pop("warmup_clicks")
    assert from_dict(Settings, plain) == now


def test_a_setting_under_both_of_its_names_is_refused() -> None:
    values = {**asdict(load_settings("compact")), "optimiser": {"lr": 1.0}}
    with pytest.raises(ValueError, match="'optimizer' was called 'optimiser': give it once"):
        from_dict(Settings, values)


@pytest.mark.parametrize("name", ["compact.pt", "long-run.pt"])
def test_settings_of_weights_that_were_written_before(name: str) -> None:
    training = torch.load(ROOT / "export" / "weights" / name, weights_only=True)["training"]
    settings, then = from_dict(Settings, training["settings"]), training["settings"]
    names = ("optimiser", "lr", "average") if "optimiser" in then else ("optimizer", "lr", "ema")
    section = then[names[0]]
    assert (settings.optimizer.lr, settings.optimizer.ema) == (section[names[1]], section[names[2]])
