"""The folder that a run writes into: what in it is the run's own, and files that are written whole."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any

from pyiseg.batch.names import folded, image_name, outside
from pyiseg.errors import PyisegError
from pyiseg.files import atomic_write, read_json
from pyiseg.paths import shown

STATE = ".pyiseg-batch"
"""The folder in it that keeps what is done, so that a run goes on where it was stopped."""

FAILURES = "failures.csv"

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_ELSEWHERE = "choose another output folder (-o)"
# What systems put into folders by themselves.
_OF_SYSTEMS = ("thumbs.db", "desktop.ini")
_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part", re.DOTALL)


class OutputError(PyisegError):
    """The output folder cannot be written to any more, as when the disk is full."""


def is_output(path: Path) -> bool:
    """Whether a folder is what a run writes into, or one has written into."""
    return os.path.isdir(path / STATE)


class OutputFolder:
    """A folder that is written into by one run at a time, and whose other files stay as they are.

    Nothing is changed before ``with`` is entered.

    Args:
        path: Of the folder; made if need be.
        planned: The files that are to be written for each image, by their names within the folder.
        together: Those that are written for all images.

    Raises:
        ValueError: The folder holds files that no such run has written, or it is a file.
        OutputError: It cannot be read.
    """

    def __init__(self, path: Path, planned: Mapping[str, Iterable[str]], together: Iterable[str]) -> None:
        self.path = path
        self._planned = {image: list(files) for image, files in planned.items()}
        self._together = [*together, FAILURES]
        self._ours = {name for files in [*self._planned.values(), self._together] for name in files}
        self._ours_folded = {folded(name): name for name in self._ours}
        self._lock: IO[bytes] | None = None
        self._resolved = Path(os.path.realpath(path))
        if os.path.lexists(path) and not os.path.isdir(path):
            found = "is a file" if os.path.exists(path) else "is a link that leads to nothing"
            raise ValueError(f"'{path}' {found}; name a folder to write into")
        self._before = self._read() if is_output(path) else {}
        try:
            self._check()
        except OSError as error:
            raise OutputError(f"cannot read '{path}': {_reason(error)}; {_ELSEWHERE}") from error

    @property
    def journal(self) -> Path:
        """The file that keeps what is done."""
        return self.path / STATE / "journal.jsonl"

    def __enter__(self) -> OutputFolder:
        """Make the folder this run's own.

        Raises:
            ValueError: Another run is writing into it.
            OutputError: It cannot be written to.
        """
        try:
            (self.path / STATE).mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / STATE / "lock", "ab")  # closed by __exit__
            self._acquire(self._lock)
            # Before anything is written: after a kill it says which files are ours.
            known = {image: list(files) for image, files in self._before.items()}
            for image, files in [*self._planned.items(), ("", self._together)]:
                known[image] = list(dict.fromkeys([*known.get(image, ()), *files]))
            self._keep(known)
            self._remove_parts()
        except OSError as error:
            self._release()
            raise self.error(error) from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # From here on only what is there is ours: what a user puts where a file was only planned is the user's.
        try:
            with suppress(OSError):
                self._keep({image: self._there(image) for image in {"": None, **self._before, **self._planned}})
        finally:
            self._release()

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, its folder too. Threads may call it.

        Args:
            name: Within the folder.
            content: Of the file.

        Raises:
            OutputError: It cannot be written: not this one, nor probably any other.
        """
        target = self.path / name
        try:
            if outside(self._resolved, name):
                raise ValueError(
                    f"'{target}' leads out of the output folder by a link; delete the link, or {_ELSEWHERE}"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as file:
                file.write(content)
        except OSError as error:
            raise self.error(error, target) from error

    def error(self, error: OSError, path: Path | None = None) -> OutputError:
        """Return the error of what cannot be written, with the way out.

        Args:
            error: Why.
            path: Of the file; None for the folder.
        """
        goes_on = "and the same command goes on: what was written is kept" if self._has_results() else ""
        if error.errno in _FULL:
            return OutputError(f"the disk of '{self.path}' is full; make room there, {goes_on or f'or {_ELSEWHERE}'}")
        way_out = f"mend it, {goes_on}; or {_ELSEWHERE}" if goes_on else _ELSEWHERE
        return OutputError(f"cannot write '{path or self.path}': {_reason(error)}; {way_out}")

    def holds(self, files: Mapping[str, int]) -> bool:
        """Whether files of these names and numbers of bytes are in the folder."""
        with suppress(OSError, ValueError):
            return all((self.path / name).stat().st_size == size for name, size in files.items())
        return False

    def clear(self, image: str) -> None:
        """Delete what earlier runs have written for an image, but for what now belongs to another one."""
        for name in {*self._planned.get(image, ()), *self._stale(image)}:
            self.remove(name)

    def clear_stale(self, images: Iterable[str]) -> None:
        """Delete what earlier runs have written and this one does not, and folders that are empty by that.

        Not while threads write.

        Args:
            images: Those whose files are looked at, besides the files that are written for all images.
        """
        stale = [name for image in ("", *images) for name in self._stale(image)]
        for name in stale:
            self.remove(name)
        for folder in sorted(_folders(stale), key=len, reverse=True):  # those within others first
            with suppress(OSError):
                if not outside(self._resolved, folder):
                    (self.path / folder).rmdir()

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with suppress(OSError):
            if not outside(self._resolved, name):
                (self.path / name).unlink(missing_ok=True)

    def _stale(self, image: str) -> list[str]:
        """Return which files of earlier runs for an image, or "" for all of them, are none of this one's."""
        return [name for name in self._before.get(image, ()) if not self._is_ours(name)]

    def _is_ours(self, name: str) -> bool:
        """Whether a file is one of this run's, by another name perhaps where file systems do not tell cases apart."""
        if name in self._ours:
            return True
        twin = self._ours_folded.get(folded(name))
        with suppress(OSError):
            return twin is not None and os.path.samefile(self.path / name, self.path / twin)
        return False

    def _there(self, image: str) -> list[str]:
        """Return which files that this run or earlier ones have written for an image, or "" for all, are there."""
        planned = self._planned.get(image, ()) if image else self._together
        return [name for name in dict.fromkeys([*planned, *self._stale(image)]) if os.path.lexists(self.path / name)]

    def _has_results(self) -> bool:
        """Whether an image is done: the files of one that is not are deleted when writing them fails."""
        with suppress(OSError), open(self.journal, "rb") as file:
            file.readline()  # what all results depend on
            return file.readline().endswith(b"\n")
        return False

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _read(self) -> dict[str, list[str]]:
        """Read which files are ours. What is damaged is not: its files are taken for a stranger's."""
        found = dict[str, list[str]]()
        with suppress(OSError, ValueError):
            kept = read_json(self.path / STATE / "files.json")
            for image, files in kept.items() if isinstance(kept, dict) else ():
                found[image] = [name for name in files if _is_plain(name)] if isinstance(files, list) else []
        return found

    def _keep(self, known: Mapping[str, list[str]]) -> None:
        with atomic_write(self.path / STATE / "files.json") as file:
            file.write((json.dumps(known) + "\n").encode())

    def _check(self) -> None:
        if not self.path.exists():
            return
        if not is_output(self.path):
            found = sorted(entry.name for entry in self.path.iterdir())
            foreign = [name for name in found if not name.startswith(".") and name.lower() not in _OF_SYSTEMS]
        else:
            ours = {name for files in self._before.values() for name in files}
            foreign = [name for name in sorted(self._ours - ours) if os.path.lexists(self.path / name)]
            foreign += [name for name in sorted(_folders(self._ours) - ours) if self._is_no_folder(name)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise ValueError(
                f"'{self.path}' holds {shown(foreign[0])}{more}, which no pyiseg batch has written; nothing is "
                "overwritten: name a new folder, or move what is there"
            )

    def _acquire(self, lock: IO[bytes]) -> None:
        """Keep other runs out, as long as the file is open; a kill lets go of it too."""
        try:
            import fcntl
        except ImportError:  # Windows: two runs would do everything twice, with the same files in the end
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another pyiseg batch is writing into '{self.path}'; wait for it, or end it") from None
        except OSError as error:  # a file system without locks
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise

    def _remove_parts(self) -> None:
        """Delete the halves of files that a kill left."""
        names = dict[Path, set[str]]()
        for name in self._ours:
            path = self.path / name
            names.setdefault(path.parent, set()).add(path.name)
        for folder, ours in names.items():
            for entry in folder.iterdir() if folder.is_dir() else ():
                match = _PART.fullmatch(entry.name)
                if match and match[1] in ours:
                    entry.unlink(missing_ok=True)

    def _is_no_folder(self, name: str) -> bool:
        return os.path.lexists(self.path / name) and not os.path.isdir(self.path / name)


def _folders(names: Iterable[str]) -> set[str]:
    """Return the folders that files of these names lie in, and those that these lie in."""
    innermost = {PurePosixPath(name).parent for name in names}
    return {str(folder) for inner in innermost for folder in (inner, *inner.parents) if folder.name}


def _reason(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "something else stands where a folder is wanted"
    return str(error) if error.errno is None else os.strerror(error.errno)


def _is_plain(name: Any) -> bool:
    """Whether a text is a name within the folder: what is read here may come from a stranger, and is deleted from."""
    try:
        return isinstance(name, str) and image_name(name) == name
    except ValueError:
        return False
