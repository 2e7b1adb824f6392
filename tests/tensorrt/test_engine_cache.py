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
from pyiseg.tensorrt.file import EngineRefusedError, read_engine, read_header, runtime_cache_of, write_engine
from pyiseg.tensorrt.ownership import who_else_writes, who_else_wrote


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


posix = pytest.mark.skipif(os.name != "posix", reason="who may write is not looked at elsewhere")


@posix
def test_a_folder_of_its_own_is_the_users_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = EngineCache()
    assert fetch(cache, Builder()) == ENGINE
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert cache.warning == ""


@posix
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
def test_engines_that_others_may_have_written(
    mode: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They were used: whoever could write there had his code run on the GPU of whoever used the folder."""
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = EngineCache()
    path = write_engine(cache.folder, KEY, b"of another", 1.0)
    cache.folder.chmod(mode)
    builder = Builder()
    assert fetch(cache, builder) == ENGINE
    assert builder.built == 1
    assert read_engine(path) == b"of another", "nothing is written there either"
    words = f"the engines in '{cache.folder}' are not used: everyone may write there: chmod go-w '{cache.folder}'"
    assert words in caplog.text
    cache.folder.chmod(0o755)
    assert fetch(cache, Builder()) == b"of another"


@posix
def test_a_folder_that_was_named_is_used_with_a_warning(cache: EngineCache, caplog: pytest.LogCaptureFixture) -> None:
    write_engine(cache.folder, KEY, b"there", 1.0)
    assert fetch(cache, Builder()) == b"there"
    assert not caplog.records
    cache.folder.chmod(0o777)
    for _ in range(2):
        assert fetch(cache, Builder()) == b"there"
    (record,) = caplog.records
    assert "are used all the same, since it was named: everyone may write there" in record.getMessage()


@posix
def test_whose_folder_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert who_else_writes(tmp_path / "none yet") == ""
    owner = tmp_path.stat().st_uid
    for user, words in ((owner, ""), (owner + 12345, "it belongs to the user" if owner else "")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert who_else_writes(tmp_path).startswith(words)
    monkeypatch.undo()
    before = Path.stat

    def of_another(path: Path, **named: Any) -> os.stat_result:
        found = list(before(path, **named))
        found[4] = 12345
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", of_another)
    assert (
        who_else_writes(tmp_path) == "it belongs to the user 12345: use a folder of your own (PYISEG_CACHE names one)"
    )


@posix
def test_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A group that is the user's alone, as many systems give each user one, is no one else."""
    import grp
    import pwd

    tmp_path.chmod(0o775)
    user, group = tmp_path.stat().st_uid, tmp_path.stat().st_gid
    own = pwd.struct_passwd(("me", "x", user, group, "", "", ""))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: own)
    for name, members, alone in (("me", [], True), ("me", ["me"], True), ("me", ["you"], False), ("staff", [], False)):
        found = grp.struct_group((name, "x", group, members))
        monkeypatch.setattr(grp, "getgrgid", lambda number, found=found: found)
        assert (who_else_writes(tmp_path) == "") is alone
    assert "the group staff may write there: chmod go-w" in who_else_writes(tmp_path)


def usual_cache(monkeypatch: pytest.MonkeyPatch, place: Path) -> EngineCache:
    """The cache in the platform's place for them, which is not one that was named."""
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return EngineCache()


@pytest.fixture
def open_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that others reach; pytest's own are closed to them, where nothing below matters."""
    from pyiseg.tensorrt import ownership

    closed = ownership.closed_to_others
    above = [place.lstat() for place in (tmp_path, *tmp_path.parents)]

    def closed_to_others(found: os.stat_result) -> bool:
        return closed(found) and not any(os.path.samestat(found, place) for place in above)

    monkeypatch.setattr(ownership, "closed_to_others", closed_to_others)
    (tmp_path / "place").mkdir(mode=0o755)
    return tmp_path / "place"


def of_another(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Have paths belong to somebody else, as far as one can see."""

    def pretend(look: Any) -> Any:
        def looked(path: Path, **named: Any) -> os.stat_result:
            found = list(look(path, **named))
            if path in paths:
                found[4] = 12345
            return os.stat_result(found)

        return looked

    for name in ("stat", "lstat"):
        monkeypatch.setattr(Path, name, pretend(getattr(Path, name)))


@posix
@pytest.mark.parametrize("depth", [0, 1])
def test_who_writes_above_may_put_another_folder_there(
    depth: int, monkeypatch: pytest.MonkeyPatch, open_place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the folder itself was looked at: whoever may rename it can have his own in its place."""
    for folder in (open_place / "shared", open_place / "shared" / "caches"):
        folder.mkdir()
        folder.chmod(0o755)
    cache = usual_cache(monkeypatch, open_place / "shared" / "caches")
    assert fetch(cache, Builder()) == ENGINE
    assert cache.warning == ""
    above = (open_place / "shared", open_place / "shared" / "caches")[depth]
    above.chmod(0o777)
    assert fetch(usual_cache(monkeypatch, open_place / "shared" / "caches"), Builder(b"new")) == b"new"
    assert f"are not used: everyone may write to '{above}' above it: chmod go-w '{above}', or let" in caplog.text
    above.chmod(0o1777)  # as /tmp is
    assert cache.warning == ""
    of_another(monkeypatch, above)
    assert "everyone may write to" in cache.warning  # whom a sticky folder belongs to may move what is in it


@posix
def test_what_nobody_else_reaches_may_be_writable(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    """A home that is closed to others, with folders in it that are not, is usual."""
    cache = usual_cache(monkeypatch, open_place / "home" / "caches")
    fetch(cache, Builder())
    (open_place / "home" / "caches").chmod(0o777)
    assert cache.warning == ""
    (open_place / "home").chmod(0o711)
    assert f"everyone may write to '{open_place / 'home' / 'caches'}' above it" in cache.warning
    (open_place / "home").chmod(0o700)
    open_place.chmod(0o777)  # the closed folder may itself be moved
    assert f"everyone may write to '{open_place}' above it" in cache.warning


@posix
def test_links_on_the_way(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    (open_place / "far" / "away").mkdir(parents=True)
    link = open_place / "link"
    link.symlink_to("far")
    cache = usual_cache(monkeypatch, link / "away")
    fetch(cache, Builder())
    assert cache.folder.resolve() == (open_place / "far" / "away" / "pyiseg").resolve()
    assert cache.warning == ""
    (open_place / "far").chmod(0o777)
    assert f"everyone may write to '{open_place / 'far'}' above it" in cache.warning
    (open_place / "far").chmod(0o755)
    of_another(monkeypatch, link)
    assert f"the link '{link}' on the way there belongs to the user 12345: make it" in cache.warning
    monkeypatch.undo()
    link.unlink()
    link.symlink_to("link/deeper")  # for ever
    assert isinstance(who_else_writes(link / "away"), str)


@posix
def test_folders_above_are_made_for_the_user_alone(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    before = os.umask(0)
    try:
        cache = usual_cache(monkeypatch, open_place / "new" / "caches")
        assert fetch(cache, Builder()) == ENGINE
    finally:
        os.umask(before)
    for folder in (open_place / "new", open_place / "new" / "caches", cache.folder):
        assert folder.stat().st_mode & 0o777 == 0o700
    build = Builder(b"again")
    assert fetch(cache, build) == ENGINE
    assert build.built == 0


@posix
@pytest.mark.parametrize("how", ["theirs", "writable", "a link of theirs"])
def test_files_of_others_are_not_used(
    how: str, monkeypatch: pytest.MonkeyPatch, open_place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The way out was chmod go-w; what others had put there before was trusted from then on."""
    cache = usual_cache(monkeypatch, open_place)
    path = write_engine(cache.folder, KEY, b"of another", 1.0)
    cache.folder.chmod(0o755)
    if how == "a link of theirs":
        (open_place / path.name).write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(open_place / path.name)
    if how == "writable":
        path.chmod(0o666)
        words = "everyone may write to it"
    else:
        with monkeypatch.context() as patched:
            of_another(patched, path)
            words = "it belongs to the user 12345"
            assert who_else_wrote(path) == words
            assert fetch(cache, build := Builder()) == ENGINE
            assert build.built == 1
    if how == "writable":
        assert fetch(cache, Builder()) == ENGINE
    assert f"the engine in '{path}' cannot be used: {words}; it is built again" in caplog.text
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o022 == 0
    assert fetch(cache, build := Builder()) == ENGINE
    assert build.built == 0
    assert EngineCache(cache.folder).distrust(path) == ""


@posix
def test_files_that_others_may_write_but_not_reach(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    cache = usual_cache(monkeypatch, open_place)
    fetch(cache, Builder())
    (cache.folder / KEY.name).chmod(0o666)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert fetch(cache, build := Builder()) == ENGINE
    assert build.built == 0
