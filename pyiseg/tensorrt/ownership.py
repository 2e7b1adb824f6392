"""Who besides the user may write to a folder: an engine is code for the GPU, and comes from nobody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def who_else_writes(path: Path) -> str:
    """Say who besides the user and the administrator may change what is in a folder, and the way out.

    Args:
        path: A folder, or nothing yet.

    Returns:
        "" where nobody may, where there is nothing, and on Windows, where it is not looked at.
    """
    if os.name != "posix":
        return ""
    try:
        found = path.stat()
    except OSError:
        return ""  # whoever reads it says so
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to {_user(found.st_uid)}: use a folder of your own (PYISEG_CACHE names one)"
    others = bool(found.st_mode & stat.S_IWOTH)
    if others or (found.st_mode & stat.S_IWGRP and not _own_group(found)):
        who = "everyone" if others else f"the group {_group(found.st_gid)}"
        return f"{who} may write there: chmod go-w '{path}', once nothing in it is from others"
    return ""


def _own_group(found: os.stat_result) -> bool:
    """Whether a folder's group is its owner's alone, as many systems give each user one, and let it write."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return user.pw_gid == group.gr_gid and user.pw_name == group.gr_name and not set(group.gr_mem) - {user.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
