"""Files are written whole: whoever reads one finds the old content or the new, never half of it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write to that takes its name only when the block ends well; otherwise no trace of it stays.

    Args:
        path: Its folder must exist; an existing file is replaced.

    Raises:
        OSError: It cannot be written; the message names ``path``.
    """
    # Through a link, and with the permissions of what is replaced: only the content is to change.
    target = Path(os.path.realpath(path))
    # Opened here rather than by tempfile, whose files only their owner can read. The token keeps two writers apart.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            yield file
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, f"cannot write: {os.strerror(error.errno)}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
