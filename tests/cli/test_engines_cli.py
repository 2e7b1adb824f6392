"""engines_cli.py: what is said of engines, and that nothing else is deleted."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
from pathlib import Path

import pytest
from support import toy_model
from support.engine_files import states
from support.fake_tensorrt import GPU, Package, opened

import pyiseg
from pyiseg import cli
from pyiseg.cli import engines as engines_cli
from pyiseg.model import Model
from pyiseg.tensorrt import cache as engine_cache
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.file import EngineKey, runtime_cache_of, write_engine
from pyiseg.tensorrt.specs import engine_specs

DRIVER = "there is no NVIDIA driver; install one"
HERE = f"multiprocessors, {platform.machine()}"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    """A machine with TensorRT 10 and a GPU."""
    package = Package()
    trt = opened(package)
    monkeypatch.setattr(tensorrt, "find_package", lambda name=None: trt)
    monkeypatch.setattr(engines_cli, "gpu_here", lambda: GPU)
    monkeypatch.setattr(engines_cli, "why_not_cuda", lambda: "")
    return package


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither."""

    def find_package(name: str | None = None) -> None:
        raise pyiseg.DeviceError("TensorRT is not installed: pip install it")

    monkeypatch.setattr(tensorrt, "find_package", find_package)
    monkeypatch.setattr(engines_cli, "gpu_here", lambda: None)
    monkeypatch.setattr(engines_cli, "why_not_cuda", lambda: DRIVER)


def key_of(model: Model, part: str = "guide") -> EngineKey:
    spec = next(spec for spec in engine_specs(model, (96, 128)) if spec.network == part)
    return EngineKey.of(model, spec, "tensorrt", "10.16.1", GPU)


def keep(cache: EngineCache, key: EngineKey, folder: Path | None = None) -> Path:
    return write_engine(cache.folder, key, b"{}" * 500_000, 1.0, folder)


def test_build_list_and_clean(
    package: Package, cache: EngineCache, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["engines", "build", "--model", str(model.folder), "--size", "480x640"]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert f"for NVIDIA A100, with tensorrt 10.16.1, in {cache.folder}\n" in printed
    assert re.search(r"^image 96x128: built in \d\.\d s, 0\.0 MB\nclick 96x128: built in ", printed, re.MULTILINE)
    assert "guide 1x131072: built" in printed
    assert len(cache.files()) == 3
    assert cli.main([*command, "--size", "any"]) == 0
    printed = capsys.readouterr().out
    assert "click 96x128: was there, 0.0 MB\n" in printed
    assert "click 32x32to128x128: built" in printed
    assert printed.count("guide") == 1
    assert cli.main(["engines", "list"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"folder  {cache.folder}\n")
    assert "  0.0 MB  toy click 96x128, tensorrt 10.16.1, NVIDIA A100, CUDA 13.0 driver: usable\n" in printed
    assert printed.endswith("  0.0 MB  in 5 engines\n")
    assert set(states(printed)) == {path.name for path in cache.files()}
    assert cli.main(["engines", "clean"]) == 0
    assert capsys.readouterr().out == f"0.0 MB freed; 5 engines left in {cache.folder}\n"
    assert cli.main(["engines", "clean", "--all"]) == 0
    assert capsys.readouterr().out.endswith(f"0.0 MB freed; 0 engines left in {cache.folder}\n")
    assert os.listdir(cache.folder) == []


def test_build_takes_the_common_sizes(package: Package, cache: EngineCache, model: Model) -> None:
    assert cli.main(["engines", "build", "--model", str(model.folder)]) == 0
    assert len(package.built) == len(cache.files()) == 2 * 6 + 1


def test_what_can_be_used_and_what_is_cleaned(
    package: Package, cache: EngineCache, model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_of(model)
    moved = shutil.copytree(model.folder, tmp_path / "moved")
    kept = {
        keep(cache, key, moved): "usable",
        keep(cache, dataclasses.replace(key, model="gone"), tmp_path / "gone"): "usable",
        keep(cache, dataclasses.replace(key, gpu="NVIDIA T4")): "for another GPU than NVIDIA A100",
        keep(cache, dataclasses.replace(key, compute_capability="7.5")): "for another GPU than NVIDIA A100",
        keep(cache, dataclasses.replace(key, package="tensorrt_rtx")): (
            "tensorrt_rtx is not installed, or not the one in use"
        ),
        keep(cache, dataclasses.replace(key, gpu=None, multiprocessors=None, driver=None)): "usable",
        keep(cache, dataclasses.replace(key, machine="alpha")): (
            f"it was built for NVIDIA A100 (108 multiprocessors, alpha), and this is NVIDIA A100 (108 {HERE})"
        ),
        keep(cache, dataclasses.replace(key, multiprocessors=98)): (
            f"it was built for NVIDIA A100 (98 {HERE}), and this is NVIDIA A100 (108 {HERE})"
        ),
    }
    version, driver = dataclasses.replace(key, version="10.3.0"), dataclasses.replace(key, driver="12.0")
    stale = {
        keep(cache, version): "it was built by tensorrt 10.3.0, and this is tensorrt 10.16.1",
        keep(cache, driver): "it was built with a CUDA 12.0 driver, and this is a CUDA 13.0 driver",
        keep(cache, key_of(model, "click"), model.folder): f"its model in '{model.folder}' has changed",
        keep(cache, dataclasses.replace(key, model="damaged")): "its SHA-256 is not the one that was written down",
        keep(cache, dataclasses.replace(key, model="empty")): "it is damaged, or was not written by pyiseg",
        keep(cache, dataclasses.replace(key, model="older", format=0)): "another version of pyiseg wrote it",
    }
    names = {path.name.split("-")[0]: path for path in stale}
    names["damaged"].write_bytes(names["damaged"].read_bytes()[:-1] + b"x")
    names["empty"].write_bytes(b"")
    toy_model.build(model.folder, long_side=128, bias=1.0)  # another click.onnx
    others = [cache.folder / name for name in ("notes.txt", "model.engine", "toy-click.json", ".hidden")]
    for path in others:
        path.write_text("mine")

    assert cli.main(["engines", "list"]) == 0
    printed = capsys.readouterr().out
    assert states(printed) == {path.name: state.rpartition(": ")[2] for path, state in (kept | stale).items()}
    assert "unknown: it is damaged, or was not" in printed
    assert printed.endswith(" MB  in 14 engines\n")
    assert cli.main(["engines", "clean", "--stale"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("deleted ") == 6
    assert "(it was built by tensorrt 10.3.0, and this is tensorrt 10.16.1)" in printed
    assert printed.endswith(f"5.0 MB freed; 8 engines left in {cache.folder}\n")
    assert set(cache.folder.iterdir()) == {*kept, *others}
    assert cli.main(["engines", "clean", "--all"]) == 0
    assert set(cache.folder.iterdir()) == set(others)
    assert {path.read_text() for path in others} == {"mine"}


def test_without_tensorrt_and_gpu(
    bare: None, cache: EngineCache, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_of(model)
    keep(cache, key)
    damaged = keep(cache, dataclasses.replace(key, model="damaged"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert cli.main(["engines", "list"]) == 0
    printed = capsys.readouterr().out
    assert "CUDA 13.0 driver: tensorrt is not installed, or not the one in use\n" in printed
    assert "it is cut off or too long: 999999 bytes where there should be 1000000\n" in printed
    assert cli.main(["engines", "clean"]) == 0
    assert cache.files() == [cache.folder / key.name]
    assert cli.main(["engines", "build", "--model", str(model.folder)]) == 2
    assert capsys.readouterr().err == f"pyiseg: error: engines cannot be built here: {DRIVER}\n"


def test_without_a_gpu(
    package: Package,
    cache: EngineCache,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engines_cli, "gpu_here", lambda: None)
    keep(cache, key_of(model))
    assert cli.main(["engines", "list"]) == 0
    assert list(states(capsys.readouterr().out).values()) == ["no GPU here"]


@pytest.mark.skipif(os.name != "posix", reason="who may write is not looked at elsewhere")
def test_what_others_may_have_written_is_said(
    bare: None, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = EngineCache()
    path = keep(cache, key_of(model))
    cache.folder.chmod(0o755)
    path.chmod(0o666)
    assert cli.main(["engines", "list"]) == 0
    assert "not used, for others may have written it: everyone may write to it\n" in capsys.readouterr().out


def test_an_empty_cache(bare: None, cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["engines", "list"]) == cli.main(["engines", "clean"]) == 0
    assert capsys.readouterr().out == (
        f"folder  {cache.folder}\n  0.0 MB  in 0 engines\n0.0 MB freed; 0 engines left in {cache.folder}\n"
    )
    assert not cache.folder.exists()


def test_what_cannot_be_deleted(
    package: Package,
    cache: EngineCache,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = keep(cache, key_of(model))

    def unlink(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", unlink)
    assert cli.main(["engines", "clean", "--all"]) == 1
    assert capsys.readouterr().out.startswith(f"cannot delete {path}: Permission denied\n0.0 MB freed; 1 engine left")


def test_files_that_vanish_meanwhile(
    package: Package,
    cache: EngineCache,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stays, goes = keep(cache, key_of(model)), keep(cache, key_of(model, "click"))
    judge = engines_cli.Environment.check

    def judged(self: engines_cli.Environment, path: Path) -> engines_cli.EngineStatus:
        goes.unlink(missing_ok=True)
        return judge(self, path)

    monkeypatch.setattr(engines_cli.Environment, "check", judged)
    assert cli.main(["engines", "list"]) == 0
    assert set(states(capsys.readouterr().out)) == {stays.name}
    keep(cache, key_of(model, "click"))
    assert cli.main(["engines", "clean", "--all"]) == 0
    assert capsys.readouterr().out.count("deleted ") == 1


def test_kernels_are_counted_and_cleaned(
    package: Package, cache: EngineCache, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime_cache_of(keep(cache, key_of(model))).write_bytes(bytes(2_000_000))
    assert cli.main(["engines", "list"]) == 0
    assert capsys.readouterr().out.endswith("  3.0 MB  in 1 engine\n")
    assert cli.main(["engines", "clean"]) == 0
    assert len(os.listdir(cache.folder)) == 2
    assert cli.main(["engines", "clean", "--all"]) == 0
    assert os.listdir(cache.folder) == []


def test_leftovers_are_cleaned(bare: None, cache: EngineCache, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.folder.mkdir()
    (cache.folder / f".{key_of(model).name}.lock").touch()
    assert cli.main(["engines", "clean"]) == 0
    assert len(os.listdir(cache.folder)) == 1
    monkeypatch.setattr(engine_cache, "LEFT_SECONDS", -10)
    assert cli.main(["engines", "clean"]) == 0
    assert os.listdir(cache.folder) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "COMMAND"),
        ("drop", "'drop'"),
        ("clean --all --stale", "not allowed with argument"),
        ("build --size 480", "size is '480'; pass height and width of an image, as in 480x640, or any"),
        ("build --model gone", "gone' does not exist"),
    ],
)
def test_wrong_arguments(
    package: Package, cache: EngineCache, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    try:
        code = cli.main(["engines", *arguments.split()])
    except SystemExit as stop:
        code = int(stop.code or 0)
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("pyiseg: error: ")
    assert words in error


@pytest.mark.parametrize("command", ["list", "clean --all"])
def test_a_cache_that_is_a_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("PYISEG_CACHE", str(tmp_path / "file"))
    assert cli.main(["engines", *command.split()]) == 2
    assert "file' is a file; let PYISEG_CACHE name a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
