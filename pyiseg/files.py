"""Files are written whole: whoever reads one finds the old content or the new, never half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write to that takes its name only when the block ends well; otherwise no trace of it stays.

    Args:
        path: Its folder must exist; an existing file is replaced.
    """
    # Opened here rather than by tempfile, whose files only their owner can read. The token keeps two writers apart.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
