"""Folders that cannot be written into, for the administrator either, who runs the tests in containers."""

from __future__ import annotations

import builtins
import errno
import os
from pathlib import Path
from typing import Any

import pytest


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int = errno.EACCES) -> None:
    """Make a folder such that no file and no folder can be made in it.

    Args:
        monkeypatch: Takes it back.
        folder: That exists.
        number: Of the error.
    """
    opened, made = builtins.open, os.mkdir

    def within(path: Any) -> bool:
        return not isinstance(path, int) and Path(os.path.realpath(os.path.dirname(os.fsdecode(path)))) == inside

    def opening(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode[0] != "r" and within(file):
            raise OSError(number, os.strerror(number), os.fsdecode(file))
        return opened(file, mode, *more, **options)

    def making(path: Any, *more: Any, **options: Any) -> None:
        if within(path):
            raise OSError(number, os.strerror(number), os.fsdecode(path))
        made(path, *more, **options)

    inside = folder.resolve()
    monkeypatch.setattr(builtins, "open", opening)
    monkeypatch.setattr(os, "mkdir", making)
