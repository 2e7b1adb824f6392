"""Names from strangers: of images within a folder, and of objects, made into names of files."""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyiseg.paths import is_device, shown

LONGEST_NAME = 200
"""Characters that the name of an object or category may have."""

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".ppm", ".pgm")
"""Suffixes of what is taken for an image where none is named; a list may name any file."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # halves of surrogate pairs too, which no encoding has
# Bytes of a file's name before what is appended to it; most file systems take 255 in all.
_LONGEST_STEM, _LONGEST_OBJECT = 150, 60


def image_name(text: str) -> str:
    """Return the name of an image within its folder, as a list states it: ``photo.jpg`` or ``day 1/photo.jpg``.

    Args:
        text: Parts are separated by ``/``; ``./`` before it and double slashes are left out.

    Raises:
        ValueError: It is no plain relative name: an absolute path, one with ``..``, a backslash or a control character,
            a drive or a URL, a device of Windows such as ``CON.jpg``, or no name at all.
    """
    if not text:
        raise ValueError("the image has no name")
    if _CONTROL.search(text):
        raise ValueError(f"the image's name {shown(text)} has a character that a name cannot have")
    if "\\" in text:
        raise ValueError(f"the image's name {shown(text)} has a backslash; write folders with /, as in day1/photo.jpg")
    parts = PurePosixPath(text).parts
    if text.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:|[A-Za-z][\w+.-]+://", text) or not parts:
        raise ValueError(
            f"the image's name {shown(text)} is no name within the folder; write photo.jpg, or day1/photo.jpg for one "
            "in a folder of it"
        )
    if any(map(is_device, parts)):
        raise ValueError(f"the image's name {shown(text)} is that of a device on Windows; rename the image")
    if any(len(os.fsencode(part)) > 255 for part in parts) or len(text) > 1000:
        raise ValueError(f"the image's name {shown(text)} is longer than a file's name can be")
    return "/".join(parts)


def object_name(text: str) -> str:
    """Return the name of an object or category, white space in it made single spaces; it may be empty.

    Raises:
        ValueError: It has a control character, or more than `LONGEST_NAME` characters.
    """
    name = " ".join(text.split())
    if _CONTROL.search(name):
        raise ValueError(f"the name {shown(name)} has a character that a name cannot have")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name {shown(name)} has {len(name)} characters; it may have {LONGEST_NAME}")
    return name


def file_part(name: str) -> str:
    """Return an object's name as a part of a file's name: letters, digits, ``.``, ``-`` and ``_`` of any script.

    Args:
        name: Anything. What is left out becomes one ``_`` a run; of nothing left it is ``object``.
    """
    kept = [
        char if unicodedata.category(char)[0] in "LNM" or char in "._-" else " "
        for char in unicodedata.normalize("NFC", name)
    ]
    return _cut("_".join("".join(kept).split()), _LONGEST_OBJECT).strip(".-_") or "object"


def outside(folder: Path, name: str) -> bool:
    """Whether an image lies outside of its folder in truth, being a link, or in a folder that is one.

    Args:
        folder: As it is resolved, links followed.
        name: As `image_name` returned it.
    """
    return not Path(os.path.realpath(folder / name)).is_relative_to(folder)


def similar_name(file: Path) -> str:
    """Return which image beside a file that is not there may be meant by it, or nothing.

    Its name differs in case or in its suffix, as where a list leaves suffixes out. A folder is listed once, as long as
    nothing in it changes.
    """
    try:
        known = _by_stem(file.parent, file.parent.stat().st_mtime_ns)
    except OSError:
        return ""
    found = [*known.get(file.name.lower(), ()), *known.get(file.stem.lower(), ())]
    return next((name for name in found if name.lower() == file.name.lower()), found[0] if found else "")


@functools.lru_cache(maxsize=16)
def _by_stem(folder: Path, changed: int) -> dict[str, list[str]]:
    """Return the images of a folder by their names without suffix in lower case."""
    known = dict[str, list[str]]()
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name.lower())
        if suffix in IMAGES:
            known.setdefault(stem, []).append(name)
    return known


@dataclass(frozen=True)
class OutputNames:
    """What the files of an image are called, without suffix, ``/`` between folders.

    Attributes:
        image: Of a file for the image as a whole.
        objects: Of a file for each of its objects.
    """

    image: str
    objects: tuple[str, ...]


def allot(images: Mapping[str, Sequence[str]]) -> dict[str, OutputNames]:
    """Give names to what is written, no two the same, on file systems that do not tell cases apart either.

    They mirror those of the images: ``day1/photo.jpg`` gives ``day1/photo`` and, for an object that has a name,
    ``day1/photo-NAME``. Images that differ in their suffix only keep it, ``photo.jpg`` and ``photo.png``; what still is
    the same gets a number. The order of the images does not matter.

    Args:
        images: The names of each image's objects; an empty one for an object without name.
    """
    stems = {image: _stem(image) for image in images}
    common = Counter(folded(stem) for stem in stems.values())
    of_images, of_objects, names = dict[str, int](), dict[str, int](), {}
    for image in sorted(images):
        stem = stems[image]
        if common[folded(stem)] > 1:
            stem = _stem(image, keep_suffix=True)
        whole = _free(stem, of_images)
        objects = [_free(f"{whole}-{file_part(name)}" if name else whole, of_objects) for name in images[image]]
        names[image] = OutputNames(whole, tuple(objects))
    return names


def _stem(image: str, keep_suffix: bool = False) -> str:
    path = PurePosixPath(image)
    return str(path.with_name(_cut(path.name if keep_suffix else path.stem, _LONGEST_STEM)))


def _free(name: str, taken: dict[str, int]) -> str:
    """Return a name that is not taken, and take it; ``taken`` has the number that each one was last tried with."""
    found, base = name, folded(name)
    number = taken.get(base, 0)
    while folded(found) in taken:
        number += 1
        found = f"{name}-{number}"
    taken[folded(found)] = 1
    if found != name:
        taken[base] = number
    return found


def folded(name: str) -> str:
    """Return a name as file systems compare it that do not tell cases apart."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cut(text: str, length: int) -> str:
    """Cut a text to a number of bytes, between characters."""
    return os.fsencode(text)[:length].decode("utf-8", "ignore")
