"""Some minutes on a rented GPU, rehearsed on the CPU: from shards and weights to parts that come back."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support import toy_data
from support.paths import ROOT

torch = pytest.importorskip("torch")

from support.toy_training import tiny  # noqa: E402

from export import train  # noqa: E402
from export.training.config import Settings  # noqa: E402
from export.training.trainer import Trainer  # noqa: E402
from tools import gpu_train  # noqa: E402
from tools.pack import pack  # noqa: E402
from tools.weight_parts import join, split  # noqa: E402

TRUNK = replace(
    tiny(4), optimizer=replace(tiny().optimizer, schedule="constant"), clicks=replace(tiny().clicks, warmup_from=0.0)
)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """Lay out what is brought: shards of the data; the tests add what to go on from."""
    data = toy_data.build(tmp_path / "data")
    pack(data, tmp_path / "in", 0.2)
    trunk = Trainer(TRUNK, data, tmp_path / "trunk")
    trunk.run()
    return tmp_path / "in"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Have the command line ask for toy sizes; return the list of the changes that it was given."""
    given: list[list[str]] = []

    def load(name: str, changes: list[str]) -> Settings:
        given.append(changes)
        precision = [c.partition("=")[2] for c in changes if c.startswith("run.precision")][-1]
        return replace(TRUNK, run=replace(TRUNK.run, precision=precision))

    monkeypatch.setattr(train, "load_settings", load)
    return given


@pytest.mark.parametrize("begin", ["checkpoint.pt", "weights.pt", "parts"])
def test_from_shards_to_parts(begin: str, brought: Path, tmp_path: Path, settings: list[list[str]]) -> None:
    origin = tmp_path / "trunk" / "checkpoint.pt"
    if begin == "parts":
        split(origin, brought, 0.2)
    else:
        (brought / begin).write_bytes(origin.read_bytes())
    out = tmp_path / "out"
    command = ["compact", str(brought), str(out), "--max-mb", "0.2", "--set", "run.seed=3"]
    gpu_train.main(command)
    assert settings == [["run.precision=bf16", "run.seed=3"]]
    parts = sorted((out / "parts").glob("*.part"))
    assert len(parts) > 1
    join(parts, tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    branched = begin == "checkpoint.pt"
    assert (back["pictures"], back["updates"]) == ((8, 4) if branched else (4, 2))
    assert back["started_from"].startswith("branch of checkpoint.pt" if branched else "weights.pt: 4 pictures")
    assert back["settings"]["optimizer"]["schedule"] == "constant"
    assert Trainer(TRUNK, tmp_path / "data", tmp_path / "next", start=tmp_path / "back.pt").pictures == 0
    # Called again it is over; the parts are made anew.
    gpu_train.main(command)
    assert sorted((out / "parts").glob("*.part")) == parts


def test_several_processes_train_together(tmp_path: Path) -> None:
    """Two processes, here on the CPU, share each update."""
    data, folder, out = tmp_path / "data", tmp_path / "in", tmp_path / "out"
    pack(toy_data.build(data), folder, 0.2)
    # Processes of their own cannot be told to use a toy network: this is the one that ships.
    (folder / "weights.pt").write_bytes((ROOT / "export" / "weights" / "compact.pt").read_bytes())
    command = ["compact", str(folder), str(out), "--processes", "2", "--workers", "0", "--set", "run.sizes=[[0.0, 64]]"]
    command += ["--set", "run.batch=1", "--set", "clicks.clicks=1", "--set", "data.close=0.0"]
    gpu_train.main([*command, "--set", "run.pictures=2"])
    join(sorted((out / "parts").glob("*.part")), tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert (back["pictures"], back["updates"]) == (2, 1)
    assert torch.load(out / "run" / "checkpoint.pt", weights_only=True)["around"]["processes"] == 2


def test_processes_that_fail_are_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    (folder / "data").mkdir(parents=True)
    (folder / "weights.pt").touch()
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="training by 3 processes ended with exit code 7; what they"):
        gpu_train.main(["compact", str(folder), str(tmp_path / "out"), "--processes", "3", "--set", "run.batch=1"])
    assert commands[0][commands[0].index("--nproc-per-node") + 1] == "3"
    assert commands[0][-4:] == ["--set", "run.precision=bf16", "--set", "run.batch=1"]


@pytest.mark.parametrize("processes", ["0", "-1", "two"])
def test_a_number_of_processes_that_is_none(processes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu_train.main(["compact", str(tmp_path), str(tmp_path / "out"), "--processes", processes])
    assert "--processes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), r"must hold one of checkpoint\.pt, weights\.pt and \*\.part, it holds none"),
        (("checkpoint.pt", "weights.pt"), r"it holds checkpoint\.pt and weights\.pt"),
        (("a.part",), r"a\.part is no part of weights"),
    ],
)
def test_what_was_brought_is_wrong(files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "data").mkdir(parents=True)
    for name in files:
        (folder / name).write_text("no weights")
    with pytest.raises(SystemExit, match=message):
        gpu_train.main(["compact", str(folder), str(tmp_path / "out")])


def test_shards_that_are_missing_are_named(brought: Path, tmp_path: Path) -> None:
    sorted(brought.glob("*.tar"))[0].unlink()
    with pytest.raises(SystemExit, match="lacks shards 1: bring them too"):
        gpu_train.main(["compact", str(brought), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no data in"):
        gpu_train.main(["compact", str(tmp_path / "trunk"), str(tmp_path / "out")])
