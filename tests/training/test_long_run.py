"""A run at a constant rate: made longer, changed, branched, kept from full disks; what it leaves on its way."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import toy_data

torch = pytest.importorskip("torch")

from support.toy_training import TINY, assert_equal, tiny, weights  # noqa: E402

from export.training import beside, trainer  # noqa: E402
from export.training.config import Settings, load_settings  # noqa: E402
from export.training.trainer import Trainer  # noqa: E402

CONSTANT = replace(TINY.optimizer, schedule="constant")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


def constant(pictures: int = 16, **run: object) -> Settings:
    clicks = replace(TINY.clicks, warmup_from=4)
    return replace(tiny(pictures, **run), optimizer=CONSTANT, clicks=clicks)


def decay(pictures: int, **run: object) -> Settings:
    return replace(constant(pictures, **run), optimizer=replace(CONSTANT, schedule="decay"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_made_longer_equals_one_that_was_as_long(data: Path, tmp_path: Path) -> None:
    sizes = ((0.0, 64), (10, 96))
    whole = Trainer(constant(16, sizes=sizes), data, tmp_path / "whole")
    assert whole.run()
    for length in (4, 12, 16):
        longer = Trainer(constant(length, sizes=sizes), data, tmp_path / "parts", resume=True)
        assert longer.run()
    assert_equal(whole, longer)
    assert longer.changes == []


def test_sizes_and_warmup_clicks_by_pictures(data: Path, tmp_path: Path) -> None:
    run = Trainer(constant(10**6, sizes=((0.0, 64), (4, 96), (8, 32))), data, tmp_path)
    numbers = run.batch_numbers()
    squares = [(64, 0), (64, 2), (96, 4), (96, 6), (32, 8)]
    assert [numbers()[0] for _ in range(5)] == [((side, side), first) for side, first in squares]
    free = [run.click_loop.warmup_clicks(first, 1.0) for first in range(0, 60, 2)]
    assert free[:3] == [0, 0, 0]
    assert set(free[3:]) == {0, 1, 2, 3}


def test_precision_may_change_at_a_constant_rate_only(data: Path, tmp_path: Path) -> None:
    for name, settings in (("constant", constant), ("cosine", tiny)):
        Trainer(settings(), data, tmp_path / name).save()
    resumed = Trainer(constant(precision="bf16"), data, tmp_path / "constant", resume=True)
    assert resumed.click_loop.precision == torch.bfloat16
    with pytest.raises(ValueError, match=r"began with run\.precision=fp32, now bf16"):
        Trainer(tiny(precision="bf16"), data, tmp_path / "cosine", resume=True)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "decay"])
def test_rates(schedule: str, data: Path, tmp_path: Path) -> None:
    Trainer(constant(), data, tmp_path / "from").save()
    settings = {"cosine": tiny(), "constant": constant(), "decay": decay(16)}[schedule]
    settings = replace(settings, optimizer=replace(settings.optimizer, warmup=10))
    branch = tmp_path / "from" / "checkpoint.pt" if schedule == "decay" else None
    optimizer = Trainer(settings, data, tmp_path / "to", branch=branch).optimizer
    warm = 1.0 if schedule == "decay" else 0.1
    assert optimizer.factor(0.0) == pytest.approx(warm)
    optimizer.updates = 20
    ends = {"cosine": (0.505, 0.01), "constant": (1.0, 1.0), "decay": (0.505, 0.01)}[schedule]
    assert (optimizer.factor(0.5), optimizer.factor(1.0)) == pytest.approx(ends)


def test_settings_are_changed_when_asked_and_recorded(data: Path, tmp_path: Path) -> None:
    first = Trainer(constant(8), data, tmp_path)
    first.run()
    after = weights(first)
    changed = replace(
        constant(12, batch=1),
        data=replace(TINY.data, merged=0.5),
        optimizer=replace(CONSTANT, lr=5e-4, weight_decay=0.02),
    )
    with pytest.raises(ValueError, match=r"data\.merged=0\.0, now 0\.5.*add --allow-changes"):
        Trainer(changed, data, tmp_path, resume=True)
    second = Trainer(changed, data, tmp_path, resume=True, allow_changes=True)
    for name, x in weights(second).items():
        assert torch.equal(x, after[name]), name
    assert second.optimizer.optimizer.state_dict()["state"][0]["step"] == 4
    assert {group["peak"] for group in second.optimizer.optimizer.param_groups} == {5e-4, TINY.optimizer.encoder_lr}
    assert {group["weight_decay"] for group in second.optimizer.optimizer.param_groups} == {0.02, 0.0}
    second.run()
    recorded = {
        "data.merged": "0.0, now 0.5",
        "optimizer.lr": "0.001, now 0.0005",
        "optimizer.weight_decay": "0.01, now 0.02",
        "run.batch": "2, now 1",
    }
    again = Trainer(changed, data, tmp_path, resume=True)
    assert again.changes == [{"pictures": 8, "changes": recorded}]
    assert again.pictures == 12


@pytest.mark.parametrize("what", ["network", "optimizer"])
def test_what_may_not_change(what: str, data: Path, tmp_path: Path) -> None:
    Trainer(constant(), data, tmp_path / "run").save()
    other = {
        "network": replace(constant(), network=replace(constant().network, eps=1e-3)),
        "optimizer": replace(constant(), optimizer=replace(CONSTANT, name="radam")),
    }[what]
    name = {"network": "network.eps", "optimizer": "optimizer.name"}[what]
    with pytest.raises(ValueError, match=rf"{name} must stay"):
        Trainer(other, data, tmp_path / "run", resume=True, allow_changes=True)
    with pytest.raises(ValueError, match=r"eps|optimizer\.name 'adamw'"):
        Trainer(other, data, tmp_path / "branch", branch=tmp_path / "run" / "checkpoint.pt")


def test_a_branch_goes_on_and_leaves_its_run_alone(data: Path, tmp_path: Path) -> None:
    trunk = Trainer(constant(8), data, tmp_path / "trunk", command="python -m export.train compact")
    trunk.run()
    before = contents(tmp_path / "trunk")
    origin = trunk.checkpoint

    # At the full rate and with the same samples it is the run itself, gone on.
    same = Trainer(constant(4), data, tmp_path / "same", branch=origin)
    same.run()
    longer = Trainer(constant(12), data, tmp_path / "trunk", resume=True)
    while longer.pictures < 12:
        longer.update([longer.data[n] for n in longer.batch_numbers()()])
    assert_equal(same, longer)

    whole = Trainer(decay(8), data, tmp_path / "whole", branch=origin)
    assert (whole.progress(), whole.pictures, whole.optimizer.updates) == (0, 8, 4)
    whole.run()
    assert whole.pictures == 16
    assert whole.optimizer.optimizer.param_groups[0]["lr"] < 0.5 * whole.optimizer.optimizer.param_groups[0]["peak"]
    assert whole.started_from.startswith("branch of checkpoint.pt: 8 pictures, 4 updates by python -m export.train")

    parts = Trainer(decay(8), data, tmp_path / "parts", branch=origin)
    for _ in range(2):
        parts.update([parts.data[n] for n in parts.batch_numbers()()])
    parts.save()
    resumed = Trainer(decay(8), data, tmp_path / "parts", branch=origin, resume=True)
    assert resumed.progress() == 0.5
    resumed.run()
    assert_equal(whole, resumed)
    assert contents(tmp_path / "trunk") == before


@pytest.mark.parametrize(("branch_settings", "kept"), [(decay(8), 0.1), (constant(8), 5 / 14)])
def test_average_of_a_decaying_branch_begins_anew(
    branch_settings: Settings, kept: float, data: Path, tmp_path: Path
) -> None:
    """After its first update a tenth of the run's average is left; a branch that stays constant averages on."""
    trunk = Trainer(constant(8), data, tmp_path / "trunk")
    trunk.run()
    branch = Trainer(branch_settings, data, tmp_path / "branch", branch=trunk.checkpoint)
    before = {name: mean.clone() for name, mean in branch.optimizer.ema.named_parameters()}
    branch.update([branch.data[n] for n in branch.batch_numbers()()])
    for name, mean in branch.optimizer.ema.named_parameters():
        now = branch.optimizer.network.get_parameter(name)
        torch.testing.assert_close(mean, kept * before[name] + (1 - kept) * now)


def test_branches_that_cannot_be(data: Path, tmp_path: Path) -> None:
    trunk = Trainer(constant(), data, tmp_path / "trunk")
    trunk.save()
    origin, out = trunk.checkpoint, tmp_path / "out"
    torch.save({"average": trunk.optimizer.ema.state_dict()}, tmp_path / "weights.pt")
    for arguments, message in (
        ({"branch": origin, "start": origin}, "not both"),
        ({"branch": origin, "out": tmp_path / "trunk", "resume": True}, "choose another --out"),
        ({"branch": tmp_path / "weights.pt"}, r"a branch needs the checkpoint\.pt of a run; .* --start"),
        ({}, "'decay' ends a run that there is"),
    ):
        with pytest.raises(ValueError, match=message):
            Trainer(decay(8), data, **{"out": out, **arguments})  # type: ignore[arg-type]
    assert not out.exists()


@pytest.mark.parametrize(("before", "kept"), [(0, 0.1), (10**6, 0.998)])
def test_an_average_to_start_from_is_kept(before: int, kept: float, data: Path, tmp_path: Path) -> None:
    """After the first update: of initial noise a tenth is left, of an average to start from nearly all."""
    settings = replace(constant(), optimizer=replace(CONSTANT, ema_updates=before))
    run = Trainer(settings, data, tmp_path)
    start = {name: x.clone() for name, x in run.optimizer.network.named_parameters()}
    run.update([run.data[64, 0], run.data[64, 1]])
    now = dict(run.optimizer.network.named_parameters())
    for name, mean in run.optimizer.ema.named_parameters():
        torch.testing.assert_close(mean, kept * start[name] + (1 - kept) * now[name], rtol=1e-4, atol=1e-6, msg=name)


def full(times: int, real: Callable[[Path, Any], None]) -> Callable[[Path, Any], None]:
    """Return a function that writes as the real one does, but for so many times of a full disk after the first."""
    calls = []

    def write(path: Path, state: Any) -> None:
        calls.append(path)
        if 1 < len(calls) <= 1 + times:
            raise OSError(errno.ENOSPC, "cannot write: No space left on device", str(path))
        real(path, state)

    return write


@pytest.mark.parametrize(("times", "ends_well"), [(3, True), (99, False)])
def test_a_full_disk_loses_nothing(
    times: int,
    ends_well: bool,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0)
    monkeypatch.setattr(trainer, "write_tensors", full(times, trainer.write_tensors))
    run = Trainer(constant(16), data, tmp_path)
    if ends_well:
        run.run()
    else:
        with pytest.raises(OSError, match="No space left"):
            run.run()
    assert run.pictures == 16, "training went on"
    assert "notice: no checkpoint after 4 images, the last one stays: " in capfd.readouterr().err
    assert Trainer(constant(16), data, tmp_path, resume=True).pictures == (16 if ends_well else 2)


def test_what_a_full_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause, not PyTorch's words on positions in a file; and the old content stays."""
    from export import cli as command

    path = tmp_path / "checkpoint.pt"
    command.write_tensors(path, {"a": torch.ones(3)})

    class Full:
        def write(self, _: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    real = command.atomic_write
    from contextlib import contextmanager

    @contextmanager
    def onto_a_full_disk(target: Path) -> Any:
        with real(target):
            yield Full()

    monkeypatch.setattr(command, "atomic_write", onto_a_full_disk)
    with pytest.raises(OSError, match=r"cannot write '.*checkpoint\.pt': No space left on device; make room"):
        command.write_tensors(path, {"a": torch.zeros(3)})
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_weights_every_so_often_and_at_the_end(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = beside.write_weights

    def write(path: Path, state: dict[str, Any], source: Path) -> dict[str, Any]:
        written.append(state["pictures"])
        return real(path, state, source)

    monkeypatch.setattr(beside, "write_weights", write)
    run = Trainer(constant(10, weights_every=1.0), data, tmp_path, command="python -m export.train compact")
    monkeypatch.setattr(run, "count_time", lambda stop: setattr(run, "seconds", run.seconds + 31) or False)
    run.run()
    assert written == [4, 8, 10]
    record = json.loads((tmp_path / "weights.json").read_text())
    assert (record["pictures"], record["updates"], record["command"]) == (10, 5, "python -m export.train compact")
    state = torch.load(tmp_path / "weights.pt", weights_only=True)
    for name, x in run.optimizer.ema.state_dict().items():
        assert torch.equal(state["average"][name], x.half() if x.is_floating_point() else x), name
    started = Trainer(constant(), data, tmp_path / "next", start=tmp_path / "weights.pt")
    assert started.started_from.startswith("weights.pt: 10 pictures, 5 updates by python -m export.train")


def test_weights_that_cannot_be_written_end_no_run(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.pt").mkdir()
    assert Trainer(constant(2, weights_every=9.0), data, tmp_path).run()
    assert "notice: no weights.pt after 2 images: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["optimizer.schedule=constant"],
            r"'run\.sizes=\[\[0, 256\], \[27000, 320\]\]' --set clicks\.warmup_from=6000",
        ),
        (["run.sizes=[[0.0, 64], [0.5, 96], [3000, 128]]"], "all above 1 but the first"),
        (["run.sizes=[[0.0, 64], [1.0, 96]]"], "stay below 1"),
        (["run.validate_every=-1"], "run.validate_every is -1; it must be at least 0"),
        (["run.weights_every=-1"], "run.weights_every is -1"),
        (["optimizer.ema_updates=-1"], "optimizer.ema_updates is -1"),
    ],
)
def test_settings_of_a_long_run_that_are_wrong(changes: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings("compact", changes)


def test_what_is_written_on_the_way_is_no_part_of_a_run() -> None:
    assert tiny().identity() == tiny(validate_every=100, weights_every=3.0, minutes=2.0).identity()
    assert tiny().identity() != tiny(18).identity()
    assert constant().identity() == constant(18, precision="auto").identity()
