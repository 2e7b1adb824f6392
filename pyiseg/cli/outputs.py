"""Files and folders that commands write: refused before the work that they are for, and written one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pyiseg import images, saving
from pyiseg.errors import PyisegError
from pyiseg.paths import local_path, quoted, shown_path
from pyiseg.places import check_place, try_folder, try_writing


def image(path: Path) -> Path:
    """Return the path of an image that can be written.

    Raises:
        ValueError, OSError: It cannot; the message says the way out.
    """
    return try_writing(images.check_writable(path))


def session(path: Path) -> Path:
    """Return the path of a saved session that can be written.

    Raises:
        ValueError, OSError: It cannot, or another kind of file would be lost.
    """
    return try_writing(saving.check_writable(path))


def file(path: Path, suffix: str, what: str) -> Path:
    """Return the path of a file that can be written.

    Args:
        path: Of the file.
        suffix: Its name must end in, as in ``.json``.
        what: It is, as in "a report".

    Raises:
        ValueError, OSError: It cannot.
    """
    if path.suffix != suffix:
        raise ValueError(
            f"cannot write {quoted(path)}: {what} is a {suffix} file; choose a name that ends so, as in "
            f"{shown_path(path.stem)}{suffix}"
        )
    return try_writing(check_place(path))


def journal(path: Path) -> Path:
    """Return the path of a file that lines can be added to.

    Raises:
        ValueError, OSError: They cannot.
    """
    check_place(local_path(path))  # its name is longer than that which the user chose
    if not path.exists():
        return try_writing(path)
    try:
        with open(path, "ab"):
            return path
    except OSError as error:
        raise type(error)(
            f"cannot go on with {quoted(path)}: {error.strerror}; move it away, or make it yours"
        ) from None


def images_in(path: Path, *names: str) -> list[Path]:
    """Return the paths of images that can be written into a folder, which is made if need be, but not here.

    Raises:
        ValueError, OSError: They cannot.
    """
    try_folder(path)
    return [image(path / name) if path.exists() else path / name for name in names]


def write_all(writes: Iterable[tuple[Path | None, Callable[[Path], None]]], say: Callable[[str], None]) -> None:
    """Write files, all that can be: one that fails takes no other along, and is told when the others are written.

    Args:
        writes: Paths, and what writes to each; those without a path are left out.
        say: Called with what to tell the user.

    Raises:
        OSError, ValueError, MemoryError, pyiseg.PyisegError: Of one file, as it came; of several, one `OSError` that
            tells of all.
    """
    failed: list[Exception] = []
    for path, write in writes:
        if path is None:
            continue
        try:
            write(path)
        except (OSError, ValueError, MemoryError, PyisegError) as error:
            failed.append(error)
        else:
            say(f"wrote   {shown_path(path)}")
    if len(failed) > 1:
        raise OSError("; ".join(str(error) or "not enough memory" for error in failed)) from failed[0]
    if failed:
        raise failed[0]
