"""engine_cache.py and engine_file.py: with engines that are any bytes, and builders that are functions."""

from __future__ import annotations

import dataclasses
import errno
import io
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from support.engine_files import AHEAD, DAMAGE, ENGINE, KEY, SPEC, Builder, fetch

from pyiseg import files
from pyiseg.errors import DeviceError
from pyiseg.tensorrt import cache as engine_cache
from pyiseg.tensorrt.cache import EngineCache, default_folder
from pyiseg.tensorrt.file import EngineRefusedError, read_header, runtime_cache_of, write_engine


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def names(cache: EngineCache) -> list[str]:
    """Everything in the folder."""
    return sorted(os.listdir(cache.folder))


def test_an_engine_is_built_once(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    build = Builder()
    first = cache.fetch([KEY], build, bytes.hex, Path("/models/compact"))
    assert first.engine == ENGINE.hex()
    assert first.path == cache.folder / KEY.name
    assert first.seconds is not None
    assert names(cache) == [KEY.name]
    again = EngineCache(cache.folder).fetch([KEY], build, bytes.hex)
    assert (again.engine, again.path, again.seconds) == (first.engine, first.path, None)
    assert build.built == 1
    assert caplog.records == []
    header = read_header(first.path)
    assert (header.key, header.length, header.folder) == (KEY, len(ENGINE), "/models/compact")


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_built_again(cache: EngineCache, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    change, words = DAMAGE[damage]
    path = write_engine(cache.folder, KEY, ENGINE, 1.0)
    path.write_bytes(change(path.read_bytes()))
    build = Builder()
    assert fetch(cache, build) == fetch(cache, build) == ENGINE
    assert build.built == 1
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pyiseg", logging.WARNING)
    assert record.getMessage().startswith(f"the engine in '{path}' cannot be used: ")
    assert re.search(f"{words}.*; it is built again$", record.getMessage())
    assert "\n" not in record.getMessage()


def test_another_engine_under_the_name_is_not_used(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    other = dataclasses.replace(KEY, driver="12000")
    write_engine(cache.folder, other, b"other", 1.0).rename(cache.folder / KEY.name)
    assert fetch(cache, Builder()) == ENGINE
    assert "it is another engine under this name; it is built again" in caplog.text


def test_a_folder_under_the_name_does_no_harm(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    (cache.folder / KEY.name).mkdir(parents=True)
    assert fetch(cache, Builder()) == ENGINE
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["the", "the"]
    assert "is not kept and will be built again next time" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "10.3.0"}, "built by tensorrt 10.3.0, and this is tensorrt 10.9.0.34"),
        ({"package": "tensorrt_rtx", "version": "1.2"}, "built by tensorrt_rtx 1.2, and this is tensorrt 10.9.0.34"),
        ({"driver": "12.4"}, "built with a CUDA 12.4 driver, and this is a CUDA 13.0 driver"),
        ({"multiprocessors": 64}, "built for NVIDIA GeForce RTX 4090 .64 multiprocessors, x86_64., and this is NVIDIA"),
        ({"files": (("click.onnx", "0d" * 32),)}, "the files of the model Compact v2 have changed"),
        ({"spec": dataclasses.replace(SPEC, grid_stride=4)}, "built for other sizes than 384x512"),
    ],
)
def test_what_is_out_of_date_is_built_again_and_kept(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, change: dict[str, Any], words: str
) -> None:
    old = dataclasses.replace(KEY, **change)
    write_engine(cache.folder, old, b"old", 1.0)
    assert fetch(cache, Builder()) == ENGINE
    (record,) = caplog.records
    words = f"' is out of date: {'' if 'files' in words else 'it was '}{words}.*; it is built again"
    assert re.search(words, record.getMessage())
    assert fetch(cache, Builder(), old) == b"old"  # another installation may use it still


def test_engines_for_other_gpus_are_not_out_of_date(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    write_engine(cache.folder, dataclasses.replace(KEY, gpu="NVIDIA T4"), b"other", 1.0)
    fetch(cache, Builder())
    assert caplog.records == []


def test_an_engine_built_ahead_of_time_will_do(cache: EngineCache) -> None:
    write_engine(cache.folder, AHEAD, b"ahead", 1.0)
    build = Builder()
    assert fetch(cache, build, KEY, AHEAD) == b"ahead"
    assert build.built == 0
    write_engine(cache.folder, KEY, b"its own", 1.0)
    assert fetch(cache, build, KEY, AHEAD) == b"its own"


def test_what_tensorrt_refuses_is_built_again(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    def load(engine: bytes) -> bytes:
        if engine == b"refused":
            raise EngineRefusedError("wrong magic")
        return engine

    write_engine(cache.folder, KEY, b"refused", 1.0)
    assert cache.fetch([KEY], Builder(), load).engine == ENGINE
    assert "cannot be used: wrong magic; it is built again" in caplog.text
    (cache.folder / KEY.name).unlink()
    with pytest.raises(DeviceError, match=r"was built, but cannot be used: wrong magic$"):
        cache.fetch([KEY], Builder(b"refused"), load)
    assert names(cache) == []


@pytest.mark.parametrize("error", [DeviceError("out of memory"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing(cache: EngineCache, error: BaseException) -> None:
    def build() -> bytes:
        raise error

    with pytest.raises(type(error)):
        fetch(cache, build)
    assert names(cache) == []
    assert fetch(cache, Builder()) == ENGINE  # and no lock is held


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/pyiseg")):
        caplog.clear()
        cache = EngineCache(folder)
        fetched = cache.fetch([KEY], Builder(), bytes)
        assert (fetched.engine, fetched.path) == (ENGINE, None)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "is not kept and will be built again next time: " in record.getMessage()
        assert cache.files() == cache.leftovers() == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_be_read_only(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    write_engine(cache.folder, KEY, ENGINE, 1.0)
    cache.folder.chmod(0o500)
    try:
        assert fetch(cache, Builder(b"new")) == ENGINE
        assert fetch(cache, Builder(b"new"), dataclasses.replace(KEY, driver="1")) == b"new"
        assert "is not kept" in caplog.text
    finally:
        cache.folder.chmod(0o700)


class FullDisk(io.FileIO):
    """A file that fails after its header."""

    def __init__(self, path: Path, mode: str, error: BaseException) -> None:
        super().__init__(path, mode)
        self.error = error

    def write(self, content: Any) -> int:
        if self.tell():
            super().write(content[:100])
            raise self.error
        return super().write(content)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_engine(cache.folder, AHEAD, b"kept", 1.0)
    monkeypatch.setattr(files, "open", lambda path, mode: FullDisk(path, mode, error), raising=False)
    if isinstance(error, OSError):
        assert fetch(cache, Builder()) == ENGINE
        assert "No space left on device" in caplog.text
    else:
        with pytest.raises(KeyboardInterrupt):
            fetch(cache, Builder())
    assert names(cache) == [AHEAD.name]


def test_only_engines_are_listed(cache: EngineCache, tmp_path: Path) -> None:
    assert cache.files() == []
    path = write_engine(cache.folder, KEY, ENGINE, 1.0)
    for name in ("model.engine", "notes.txt", KEY.name + ".bak", f"x{KEY.name}y", KEY.name.replace("-click-", "-x-")):
        (cache.folder / name).write_bytes(b"not ours")
    (cache.folder / AHEAD.name).mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    link = dataclasses.replace(KEY, driver="1").name
    (cache.folder / link).symlink_to(tmp_path / "elsewhere")
    assert cache.files() == [path]


def test_what_killed_processes_left(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.folder.mkdir()
    left = [f".{KEY.name}.0123abcd.part", f".{KEY.name}.lock"]
    for name in (*left, f".{KEY.name}.part", ".notes.0123abcd.part", "x.lock", KEY.name):
        (cache.folder / name).touch()
    matching, gone = cache.matching, cache.folder / f".{AHEAD.name}.lock"  # gone when it is looked at
    monkeypatch.setattr(cache, "matching", lambda names: matching(names) + [gone] * (names is engine_cache.LEFTOVERS))
    assert cache.leftovers() == []  # it may be in use
    now = time.time()
    monkeypatch.setattr(engine_cache.time, "time", lambda: now + 3700)
    assert [path.name for path in cache.leftovers()] == left


def test_kernels_go_with_their_engine(cache: EngineCache) -> None:
    kernels = runtime_cache_of(write_engine(cache.folder, KEY, ENGINE, 1.0))
    others = runtime_cache_of(cache.folder / AHEAD.name), cache.folder / "my.kernels"
    for path in (kernels, *others):
        path.touch()
    assert cache.leftovers() == [others[0]]
    assert len(cache.files()) == 1


def test_a_home_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "PYISEG_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(DeviceError, match=r"no folder for engines .*home directory.*PYISEG_CACHE name one"):
        EngineCache()


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "/home/me/.cache/pyiseg"),
        ("linux", {"XDG_CACHE_HOME": "/var/cache/me"}, "/var/cache/me/pyiseg"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/pyiseg"),
        ("linux", {"XDG_CACHE_HOME": "/var/cache/me", "PYISEG_CACHE": "/data/engines"}, "/data/engines"),
        ("linux", {"PYISEG_CACHE": "~/engines"}, "/home/me/engines"),
        ("linux", {"PYISEG_CACHE": ""}, "/home/me/.cache/pyiseg"),
        ("linux", {"PYISEG_CACHE": "engines"}, str(Path.cwd() / "engines")),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/pyiseg/cache"),
    ],
)
def test_the_folder(monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], folder: str) -> None:
    for name in ("XDG_CACHE_HOME", "PYISEG_CACHE", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(engine_cache.sys, "platform", platform)
    assert default_folder() == Path(folder)
    assert EngineCache().folder == Path(folder)
