"""The folder that engines are kept in: they are built once, by one process, and used from there.

Engines that TensorRT-RTX built ahead of time for a compute capability (`export.engines`) are found when there is none
for this very GPU. To use such files, copy them into the cache's folder, or let PYISEG_CACHE name the folder they lie
in. There is nothing to import or convert: an engine for another model, size or version of TensorRT has another name
and is never looked at, and what is found under the right name is checked like any other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from pyiseg.errors import DeviceError
from pyiseg.paths import local_path, quoted
from pyiseg.tensorrt.file import OURS, EngineKey, EngineRefusedError, read_engine, read_header, write_engine
from pyiseg.tensorrt.ownership import who_else_writes, who_else_wrote

T = TypeVar("T")

LEFTOVERS = re.compile(rf"\.{OURS.pattern}(\.lock|\.[0-9a-f]{{8}}\.part)")
"""Names of locks and of files that were being written."""
LEFT_SECONDS = 3600
"""How old they are when whoever made them has surely ended."""
_KERNELS = re.compile(OURS.pattern.replace("engine", "kernels"))

_ROUND_SECONDS = 5.0
WAIT_SECONDS = 300.0
"""How long the lock of another process is waited for, and how often it is looked for its engine meanwhile."""

log = logging.getLogger("pyiseg")


@dataclasses.dataclass(frozen=True)
class Fetched(Generic[T]):
    """An engine, and where it came from.

    Attributes:
        engine: As it was opened.
        path: Its file; None where it could not be kept.
        seconds: How long it took to build; None where it was there.
    """

    engine: T
    path: Path | None
    seconds: float | None


def default_folder() -> Path:
    """Where engines are kept: PYISEG_CACHE or, without it, the platform's place for caches.

    Raises:
        DeviceError: That is in the home folder, and which this is cannot be told; or PYISEG_CACHE is no path.
    """
    try:
        if named := os.environ.get("PYISEG_CACHE"):
            return local_path(Path(named).expanduser()).absolute()
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pyiseg" / "cache"
        named = os.environ.get("XDG_CACHE_HOME", "")
        # The specification has relative paths ignored.
        return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "pyiseg"
    except (RuntimeError, ValueError) as error:
        raise DeviceError(f"no folder for engines ({error}); let PYISEG_CACHE name one, by its whole path") from error


class EngineCache:
    """A folder of engines. Whatever is in it may be deleted at any time.

    Engines are code. In the platform's place for caches, none are used where others may write, or that others may have
    written; a folder that the caller or PYISEG_CACHE names is taken as it is, with a warning.

    Args:
        folder: Made when the first engine is written. None stands for `default_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._named = folder is not None or bool(os.environ.get("PYISEG_CACHE"))
        self._warned = False

    @property
    def trusted(self) -> bool:
        """Whether engines of the folder are used."""
        return self._named or not who_else_writes(self.folder)

    @property
    def warning(self) -> str:
        """Who else may write to the folder, with the way out, and whether it is used all the same; "" for nobody."""
        if not (reason := who_else_writes(self.folder)):
            return ""
        use = "are used all the same, since it was named" if self._named else "are not used"
        return f"the engines in {quoted(self.folder)} {use}: {reason}"

    def distrust(self, path: Path) -> str:
        """Say who else may have written a file of the folder, which is not used then; "" for nobody."""
        return "" if self._named else who_else_wrote(path)

    def drop_distrusted(self, path: Path) -> None:
        """Delete a file of the folder that others may have written: what takes its place would have its permissions."""
        if self.distrust(path):
            path.unlink(missing_ok=True)

    def fetch(
        self,
        keys: Sequence[EngineKey],
        build: Callable[[], bytes],
        load: Callable[[bytes], T],
        model: Path | None = None,
    ) -> Fetched[T]:
        """Open the first of some engines that is there, or else build one; of several processes only one builds.

        What cannot be used is built again, and what cannot be kept is used all the same; both are warnings of the
        logger ``pyiseg``.

        Args:
            keys: Any of these will do. The first one is the one that is built.
            build: Gives the engine.
            load: Opens it; raises `EngineRefusedError` where it cannot be used.
            model: The model's folder, to be written down.

        Raises:
            DeviceError: It cannot be built, or not be opened when it has just been built.
        """
        if not self._warned and (warning := self.warning):
            log.warning("%s", warning)
            self._warned = True
        found, _ = self._look(keys, load)
        if found is not None:
            return found
        key = keys[0]
        with self._lock(key):
            # Another process may have built it meanwhile.
            found, trouble = self._look(keys, load)
            if found is not None:
                return found
            if trouble := trouble or self._outdated(key):
                log.warning("%s; it is built again", trouble)
            start = time.perf_counter()
            engine = build()
            seconds = time.perf_counter() - start
            try:
                loaded = load(engine)
            except EngineRefusedError as error:
                # Nothing that the next session would only have to build again.
                raise DeviceError(f"the engine {key.stem} was built, but cannot be used: {error}") from error
            path = None
            try:
                if self.trusted:
                    self.drop_distrusted(self.folder / key.name)
                    path = write_engine(self.folder, key, engine, seconds, model)
            except OSError as error:
                log.warning("the engine %s is not kept and will be built again next time: %s", key.stem, error)
        return Fetched(loaded, path, seconds)

    def files(self) -> list[Path]:
        """All files that are engines by their names, in order of these; no links."""
        return self.matching(OURS)

    def leftovers(self) -> list[Path]:
        """What processes that were killed have left, more than an hour ago; and kernels whose engine has gone."""
        old = time.time() - LEFT_SECONDS
        left = [path for path in self.matching(LEFTOVERS) if (_written(path) or old) < old]
        return left + [path for path in self.matching(_KERNELS) if not path.with_suffix(".engine").exists()]

    def matching(self, names: re.Pattern[str]) -> list[Path]:
        """Return the files in the folder whose names match a pattern, sorted; links are none."""
        try:
            found = [path for path in self.folder.iterdir() if names.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(path for path in found if path.is_file() and not path.is_symlink())

    def _look(self, keys: Sequence[EngineKey], load: Callable[[bytes], T]) -> tuple[Fetched[T] | None, str]:
        """The first engine that is there and can be used, and what is wrong with those that cannot."""
        trouble: list[str] = []
        for key in keys if self.trusted else ():
            path = self.folder / key.name
            try:
                if reason := self.distrust(path):
                    raise EngineRefusedError(reason)
                return Fetched(load(read_engine(path, key)), path, None), ""
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (EngineRefusedError, OSError) as error:
                trouble.append(f"the engine in {quoted(path)} cannot be used: {error}")
        return None, "; ".join(trouble)

    def _outdated(self, key: EngineKey) -> str:
        """Why an engine that looks the same by its name is not the one that is wanted; "" where there is none."""
        for path in self.files():
            if path.name.startswith(f"{key.stem}-") and path.name != key.name:
                with contextlib.suppress(EngineRefusedError, OSError):
                    return f"the engine in {quoted(path)} is out of date: {difference(read_header(path).key, key)}"
        return ""

    @contextmanager
    def _lock(self, key: EngineKey) -> Iterator[None]:
        """Keep other processes from building the same engine. Where there can be no lock, they may."""
        try:
            from filelock import FileLock, Timeout
        except ImportError as error:
            raise DeviceError("engines cannot be built without filelock: pip install filelock") from error
        if not self.trusted:  # nothing is kept there, and whoever may write there could hold the lock
            yield
            return
        path = self.folder / f".{key.name}.lock"
        lock = FileLock(path)
        engine = self.folder / key.name
        before, start = _written(engine), time.monotonic()
        # Not in a folder that cannot be written, as is said when the engine is to be kept there.
        with contextlib.suppress(OSError, NotImplementedError):
            # One by one, for parents=True makes those above with whatever permissions are usual.
            for folder in reversed((self.folder, *self.folder.parents)):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.warning("another process is building the engine %s; waiting for it", key.stem)
            # Older versions of filelock wait for ever on a file system that has no locks.
            while not lock.is_locked and _written(engine) in (None, before):
                if time.monotonic() - start > WAIT_SECONDS:
                    log.warning("'%s' is still locked; the engine is built without waiting any longer", path)
                    break
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=_ROUND_SECONDS)
        try:
            yield
        finally:
            if lock.is_locked:
                # Who waits for the file that goes here looks for the engine first; and that is there, unless building
                # failed. At worst two processes then build it.
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                lock.release()


def difference(old: EngineKey, new: EngineKey) -> str:
    """What the first difference of two keys is, for people."""
    if (old.package, old.version) != (new.package, new.version):
        return f"it was built by {old.package} {old.version}, and this is {new.package} {new.version}"
    devices = [f"{key.target} ({key.multiprocessors} multiprocessors, {key.machine})" for key in (old, new)]
    if devices[0] != devices[1]:
        return f"it was built for {devices[0]}, and this is {devices[1]}"
    if old.driver != new.driver:
        return f"it was built with a CUDA {old.driver} driver, and this is a CUDA {new.driver} driver"
    if old.files != new.files:
        return f"the files of the model {new.model} have changed"
    return f"it was built for other sizes than {new.spec.size}"


def _written(path: Path) -> float | None:
    """When a file was written; None where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
