"""Where files can be written: places that cannot be are refused before any work, with the reason and the way out."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from pyiseg.paths import quoted


def check_place(path: Path) -> Path:
    """Refuse a path at which there cannot be a file; whether it could be made is tried by `try_writing` only.

    Returns:
        The path.

    Raises:
        ValueError: It is a folder, a device or a pipe.
        FileNotFoundError, NotADirectoryError: Its folder does not exist, or is a file.
        OSError: Its folder cannot be looked into.
    """
    if os.path.isdir(path):
        raise ValueError(f"cannot write {quoted(path)}: it is a folder; pass the name of a file in it")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"cannot write {quoted(path)}: it is a device or a pipe; pass the name of a file")
    try:
        os.stat(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.isdir(there := _nearest(path.parent)):
            raise _not_a_folder(path, there) from None
        raise FileNotFoundError(
            f"cannot write {quoted(path)}: the folder {quoted(path.parent)} does not exist; make it first, or choose "
            "another one"
        ) from None
    except OSError as error:
        raise cannot_write(path, error) from error
    if not os.path.isdir(path.parent):
        raise _not_a_folder(path, path.parent)
    return path


def try_writing(path: Path) -> Path:
    """Refuse a file that could not be written, before the work that it is for: another one is made beside it.

    That one is deleted at once. Nothing else tells, for all file systems, whether there may be files in a folder.

    Args:
        path: What `check_place` does not refuse.

    Returns:
        The path.

    Raises:
        OSError: It could not be written.
    """
    try:
        _make_and_delete(temporary_of(Path(os.path.realpath(path))))
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def try_folder(folder: Path) -> Path:
    """Refuse a folder that could not be written into, or be made, before the work that it is for; it is not made.

    Returns:
        The path.

    Raises:
        ValueError: It is a file, or lies in one.
        OSError: Files, or the folder itself, could not be made.
    """
    there = _nearest(folder)
    if not os.path.isdir(there):
        raise ValueError(f"{quoted(there)} is {_kind(there)}; name a folder to write into")
    try:
        _make_and_delete(temporary_of(there / "folder"))
    except OSError as error:
        doing = "write into" if there == folder else "make the folder"
        raise _because(f"cannot {doing} {quoted(folder)}", error) from error
    return folder


def temporary_of(target: Path) -> Path:
    """What a file is called while it is written: a token keeps two writers apart."""
    # Cut, since a name may have 255 bytes in most file systems, and the target's may have that many.
    name = os.fsencode(target.name)[:230].decode("utf-8", "ignore")
    return target.with_name(f".{name}.{secrets.token_hex(4)}.part")


def _make_and_delete(path: Path) -> None:
    try:
        with open(path, "xb"):
            pass
    finally:
        with suppress(OSError):  # there is none where it could not be made
            path.unlink()


def _nearest(path: Path) -> Path:
    """The path itself or the innermost folder above it of which there is something."""
    return next((part for part in (path, *path.parents) if os.path.lexists(part)), path)


def _kind(path: Path) -> str:
    return "a file" if os.path.exists(path) else "a link that leads nowhere"


def _not_a_folder(path: Path, found: Path) -> OSError:
    error = NotADirectoryError(
        f"cannot write {quoted(path)}: {quoted(found)} is {_kind(found)}, not a folder; choose a folder that exists"
    )
    error.errno = errno.ENOTDIR
    return error


_ANOTHER = "choose another folder"
_WAYS_OUT = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), f"{_ANOTHER}, or change the permissions of this one"),
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)), f"make room there, or {_ANOTHER}"),
    errno.EFBIG: f"{_ANOTHER}, on a disk that takes larger files, or raise the limit (ulimit -f)",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def cannot_write(path: Path, error: OSError) -> OSError:
    """The error of a file that cannot be written, with its name: a full disk says nothing but that it is full."""
    return _because(f"cannot write {quoted(path)}", error)


def _because(what: str, error: OSError) -> OSError:
    """An error of the same kind that says what cannot be done, why, and the way out."""
    if error.errno is None:
        return type(error)(f"{what}: {error}")
    told = type(error)(f"{what}: {os.strerror(error.errno)}; {_WAYS_OUT.get(error.errno, _ANOTHER)}")
    told.errno = error.errno  # set here, it is kept out of the message
    return told
