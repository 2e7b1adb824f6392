"""engine_cache.py where several want the same engine: one builds, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
from support.engine_files import ENGINE, KEY, Builder, fetch
from support.paths import ROOT

from pyiseg.errors import DeviceError
from pyiseg.tensorrt import cache as engine_cache
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.file import write_engine


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def test_without_filelock_it_says_what_to_install(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(DeviceError, match="without filelock: pip install filelock"):
        fetch(cache, Builder())


@pytest.mark.skipif(os.name != "posix", reason="who may write is not looked at elsewhere")
def test_others_cannot_have_it_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a folder that others may write to, whose engines are not used anyway."""
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engine_cache, "WAIT_SECONDS", 0.1)
    cache = EngineCache()
    cache.folder.mkdir()
    cache.folder.chmod(0o777)
    with filelock.FileLock(cache.folder / f".{KEY.name}.lock"):
        before = sorted(os.listdir(cache.folder))
        assert fetch(cache, Builder()) == ENGINE
        assert sorted(os.listdir(cache.folder)) == before
    (record,) = caplog.records
    assert "are not used: everyone may write there" in record.getMessage()


PROCESS = """
import logging, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.engine_files import ENGINE, KEY
from pyiseg.tensorrt.cache import EngineCache
logging.basicConfig(format="%(message)s")
folder, how = Path(sys.argv[2]), sys.argv[3]

def build():
    with open(folder / "built", "a") as log:
        log.write("x")
    if how == "die":
        os._exit(9)
    (folder / "started").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    return ENGINE

print(len(EngineCache(folder / "cache").fetch([KEY], build, bytes).engine))
"""


def start(folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(ROOT / "tests"), str(folder), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_builds(tmp_path: Path) -> None:
    first = start(tmp_path, "build")
    while not (tmp_path / "started").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = start(tmp_path, "build")
    assert second.stderr is not None
    assert second.stderr.readline() == f"another process is building the engine {KEY.stem}; waiting for it\n"
    (tmp_path / "go").touch()
    assert first.communicate(timeout=30) == (f"{len(ENGINE)}\n", "")
    assert second.communicate(timeout=30) == (f"{len(ENGINE)}\n", "")
    assert (tmp_path / "built").read_text() == "x"
    assert os.listdir(tmp_path / "cache") == [KEY.name]


def test_a_process_that_dies_leaves_no_lock_behind(tmp_path: Path) -> None:
    with start(tmp_path, "die") as process:
        assert process.wait(timeout=30) == 9
    assert fetch(EngineCache(tmp_path / "cache"), Builder()) == ENGINE
    assert os.listdir(tmp_path / "cache") == [KEY.name]


def test_of_two_threads_one_builds(cache: EngineCache) -> None:
    built: list[int] = []

    def build() -> bytes:
        built.append(1)
        time.sleep(0.1)
        return ENGINE

    threads = [threading.Thread(target=fetch, args=(cache, build)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]


class NoLocks:
    """What filelock below 4 does where the file system has no locks: for ever like somebody else's lock."""

    is_locked = False

    def __init__(self, path: Path) -> None:
        pass

    def acquire(self, timeout: float) -> None:
        raise filelock.Timeout("lock")


def test_it_does_not_wait_for_ever(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(filelock, "FileLock", NoLocks)
    monkeypatch.setattr(engine_cache, "WAIT_SECONDS", 0.02)
    assert fetch(cache, Builder()) == ENGINE
    waits, goes_on = (record.getMessage() for record in caplog.records)
    assert waits.startswith("another process is building")
    lock = cache.folder / f".{KEY.name}.lock"
    assert goes_on == f"'{lock}' is still locked; the engine is built without waiting any longer"


@pytest.mark.parametrize("there", [None, b"damaged"])
def test_an_engine_that_appears_ends_the_wait(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, there: bytes | None
) -> None:
    if there is not None:
        cache.folder.mkdir()
        (cache.folder / KEY.name).write_bytes(there)
        os.utime(cache.folder / KEY.name, (1, 1))

    class Builds(NoLocks):
        def acquire(self, timeout: float) -> None:
            if timeout > 0:
                write_engine(cache.folder, KEY, ENGINE, 1.0)
            super().acquire(timeout)

    monkeypatch.setattr(filelock, "FileLock", Builds)
    build = Builder()
    assert fetch(cache, build) == ENGINE
    assert build.built == 0
