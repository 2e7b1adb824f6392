"""Who besides the user may write to a folder: an engine is code for the GPU, and comes from nobody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MOST_LINKS = 40  # as many as Linux follows
_THEIR_LINK = "the link '{}' on the way there belongs to {}: make it anew"
_WRITABLE_ABOVE = "{0} may write to '{1}' above it: chmod go-w '{1}'"


def who_else_writes(path: Path) -> str:
    """Say who besides the user and the administrator may change what is in a folder, and the way out.

    That is also whoever may put another folder in its place: by writing to a folder above it that others reach, or by
    owning a link that leads there. Who owns the folders above is not looked at.

    Args:
        path: A folder, or nothing yet.

    Returns:
        "" where nobody may, and on Windows, where it is not looked at.
    """
    if os.name != "posix":
        return ""
    try:
        found = path.stat()
    except OSError:
        pass  # nothing yet; or whoever reads it says what is wrong
    else:
        if found.st_uid not in (0, os.geteuid()):
            return f"it belongs to {_user(found.st_uid)}: use a folder of your own (PYISEG_CACHE names one)"
        if who := _writers(found):
            return f"{who} may write there: chmod go-w '{path}', once nothing in it is from others"
    return _who_replaces(path)


def who_else_wrote(path: Path) -> str:
    """Say who besides the user and the administrator may have written a file, in a folder where nobody else writes now.

    Args:
        path: A file, or nothing yet.

    Returns:
        "" where nobody may have, and on Windows, where it is not looked at.
    """
    if os.name != "posix":
        return ""
    try:
        link, found, folder = path.lstat(), path.stat(), path.parent.stat()
    except OSError:
        return ""
    for owner in (link.st_uid, found.st_uid):
        if owner not in (0, os.geteuid()):
            return f"it belongs to {_user(owner)}"
    who = _writers(found)
    return f"{who} may write to it" if who and not closed_to_others(folder) else ""


def _who_replaces(path: Path) -> str:
    """Say who else may put something in the place of a path, by the folders and links on the way there."""
    passed: list[tuple[Path, bool]] = []  # folders on the way, and whether nobody else comes to what is in them
    ahead, links = [*reversed(path.absolute().parts)], 0
    while ahead:
        name = ahead.pop()
        if name == os.pardir:  # of a link; out of a folder that is closed, too
            passed = passed[:-1] or passed
            continue
        if os.path.isabs(name):
            passed = []
        place, closed = (passed[-1][0] / name, passed[-1][1]) if passed else (Path(name), False)
        try:
            found = place.lstat()
            target = Path(os.readlink(place)) if stat.S_ISLNK(found.st_mode) else None
        except OSError:
            return ""  # nothing yet
        wrong = ""
        if target is not None:
            ahead += reversed(target.parts)
            links += 1
            if found.st_uid not in _trusted():
                wrong = _THEIR_LINK.format(place, _user(found.st_uid))
        else:
            passed.append((place, closed or closed_to_others(found)))
            wrong = _replaces_in(place, found) if ahead else ""
        if wrong and not closed:
            return f"{wrong}, or let PYISEG_CACHE name the folder to use"
        if links > _MOST_LINKS:
            return ""  # nothing that the system would find
    return ""


def _replaces_in(place: Path, found: os.stat_result) -> str:
    """Say who else may put something in the place of what is in a folder."""
    who = _writers(found, administrators=True)
    # Where it is sticky, only the owners of a folder and of what is in it may put something in its place.
    if who and not (found.st_mode & stat.S_ISVTX and found.st_uid in _trusted()):
        return _WRITABLE_ABOVE.format(who, place)
    return ""


def _trusted() -> tuple[int, ...]:
    """The user, the administrator, and 65534, which is what Linux says of owners that a container does not know."""
    return 0, os.geteuid(), 65534


def _writers(found: os.stat_result, *, administrators: bool = False) -> str:
    """Who besides the owner may write to something; "" for nobody.

    With ``administrators`` the group of number 0 is no one else. Images of containers let it write to home folders.
    """
    if found.st_mode & stat.S_IWOTH:
        return "everyone"
    alone = _own_group(found) or (administrators and found.st_gid == 0)
    return f"the group {_group(found.st_gid)}" if found.st_mode & stat.S_IWGRP and not alone else ""


def closed_to_others(found: os.stat_result) -> bool:
    """Whether a folder lets nobody through but its owner."""
    return not (found.st_mode & stat.S_IXOTH or (found.st_mode & stat.S_IXGRP and not _own_group(found)))


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
