"""Whose engines are used: those that nobody else may have written or put there, or that a named folder holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.engine_files import ENGINE, KEY, Builder, fetch

from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.file import read_engine, write_engine
from pyiseg.tensorrt.ownership import who_else_writes, who_else_wrote

posix = pytest.mark.skipif(os.name != "posix", reason="who may write is not looked at elsewhere")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


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
    # Of the user's name, but not the user's group.
    monkeypatch.setattr(pwd, "getpwuid", lambda number: pwd.struct_passwd(("me", "x", user, group + 1, "", "", "")))
    monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group(("me", "x", group, [])))
    assert "the group me may write there" in who_else_writes(tmp_path)


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


def of_another(
    monkeypatch: pytest.MonkeyPatch,
    *paths: Path,
    user: int = 12345,
    group: int | None = None,
    looks: tuple[str, ...] = ("stat", "lstat"),
) -> None:
    """Have paths belong to somebody else, as far as one can see."""

    def pretend(look: Any) -> Any:
        def looked(path: Path, **named: Any) -> os.stat_result:
            found = list(look(path, **named))
            if path in paths:
                found[4], found[5] = user, found[5] if group is None else group
            return os.stat_result(found)

        return looked

    for name in looks:
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
def test_what_containers_have_above(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    """Homes that the group of number 0 may write to, and sticky folders of an owner that is not known there."""
    (open_place / "home" / "caches").mkdir(parents=True, mode=0o755)
    me = open_place.stat().st_uid
    (open_place / "home").chmod(0o775)
    for group, words in ((0, ""), (12345, f"may write to '{open_place / 'home'}' above it")):
        with monkeypatch.context() as patched:
            of_another(patched, open_place / "home", user=me, group=group)
            assert words in who_else_writes(open_place / "home" / "caches")
            assert words or not who_else_writes(open_place / "home" / "caches")
    (open_place / "home").chmod(0o1777)
    of_another(monkeypatch, open_place / "home", user=65534)
    assert who_else_writes(open_place / "home" / "caches") == ""


@posix
def test_what_nobody_else_reaches_may_be_writable(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    """A home that is closed to others, with folders in it that are not, is usual."""
    cache = usual_cache(monkeypatch, open_place / "home" / "caches")
    fetch(cache, Builder())
    (open_place / "home" / "caches").chmod(0o777)
    assert cache.warning == ""
    deeper = open_place / "home" / "caches" / "more" / "cache"
    deeper.mkdir(parents=True)
    deeper.parent.chmod(0o777)
    assert who_else_writes(deeper) == ""
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
    (open_place / "first").symlink_to("link")
    assert f"everyone may write to '{open_place / 'far'}' above it" in who_else_writes(open_place / "first" / "away")
    (open_place / "far").chmod(0o755)
    assert who_else_writes(open_place / "first" / "away") == ""
    of_another(monkeypatch, link)
    assert f"the link '{link}' on the way there belongs to the user 12345: make it" in cache.warning
    monkeypatch.undo()
    link.unlink()
    link.symlink_to("link/deeper")  # for ever
    assert isinstance(who_else_writes(link / "away"), str)


@posix
@pytest.mark.parametrize("count", [1, 4, 12])
def test_links_in_links(count: int, open_place: Path) -> None:
    """From four on, all that lies behind them was taken for the user's alone."""
    way = real = open_place
    for _ in range(count):
        (real / "real").mkdir(mode=0o755)
        (real / "link").symlink_to("real")
        way, real = way / "link", real / "real"
    (real / "open" / "cache").mkdir(parents=True)
    for folder in (real / "open", real):
        folder.chmod(0o777)
        assert f"everyone may write to '{folder}' above it" in who_else_writes(way / "open" / "cache")
        folder.chmod(0o755)
    assert who_else_writes(way / "open" / "cache") == ""


@posix
def test_a_link_out_of_a_closed_folder(open_place: Path) -> None:
    """What it leads to by way of ``..`` was taken for a part of the folder, which nobody else comes to."""
    for folder in ("home", "shared", "shared/cache"):
        (open_place / folder).mkdir()
        (open_place / folder).chmod(0o755)
    (open_place / "home").chmod(0o700)
    (open_place / "home" / "link").symlink_to("../shared")
    assert who_else_writes(open_place / "home" / "link" / "cache") == ""
    (open_place / "shared").chmod(0o777)
    words = f"everyone may write to '{open_place / 'shared'}' above it"
    assert words in who_else_writes(open_place / "home" / "link" / "cache")


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
@pytest.mark.parametrize("look", ["stat", "lstat"])
def test_a_link_and_what_it_leads_to(look: str, monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    (open_place / "engine").write_bytes(b"")
    (open_place / "link").symlink_to("engine")
    assert who_else_wrote(open_place / "link") == ""
    of_another(monkeypatch, open_place / "link", looks=(look,))
    assert who_else_wrote(open_place / "link") == "it belongs to the user 12345"


@posix
def test_files_that_others_may_write_but_not_reach(monkeypatch: pytest.MonkeyPatch, open_place: Path) -> None:
    cache = usual_cache(monkeypatch, open_place)
    fetch(cache, Builder())
    (cache.folder / KEY.name).chmod(0o666)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert fetch(cache, build := Builder()) == ENGINE
    assert build.built == 0
