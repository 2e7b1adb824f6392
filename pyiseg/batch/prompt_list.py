"""Which prompts are to be made on which images: what a list from a file, or from Python, says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pyiseg.batch.names import image_name, object_name
from pyiseg.paths import local_path, shown
from pyiseg.prompts import Box, Click, LocalClick, Prompt, Scribble, shortened

UNNAMED = "object"
"""The category of an object that has neither a category nor a name."""

MOST_BYTES = 1 << 30
"""Of a list's file."""

MOST_SHOWN = 20
"""Wrong entries that are said one by one."""


class Placed(NamedTuple):
    """A prompt, and where it comes from: for messages, as in "prompts.csv, line 7"."""

    prompt: Prompt
    where: str


@dataclass(frozen=True)
class ObjectPrompts:
    """What is to be selected as one object of an image.

    Attributes:
        name: Its own; empty if it has none. Two objects of an image may have the same.
        category: What kind of thing it is, for formats that say so.
        prompts: In the order they are to be made; at least one.
    """

    name: str
    category: str
    prompts: tuple[Placed, ...]


@dataclass(frozen=True)
class ImagePrompts:
    """What is to be selected in an image.

    Attributes:
        image: Its name within the folder, see `pyiseg.batch.names.image_name`.
        objects: In order; at least one.
    """

    image: str
    objects: tuple[ObjectPrompts, ...]


@dataclass(frozen=True)
class PromptList:
    """The prompts of a run.

    Attributes:
        images: Those with prompts, each once, in the order of the list.
        categories: Of all objects, each once, in the order of the list.
        notes: What of the list is not used, for the user to know.
        ids: Of a COCO data set: the numbers that it gives its images and categories, by name.
    """

    images: tuple[ImagePrompts, ...]
    categories: tuple[str, ...]
    notes: tuple[str, ...] = ()
    ids: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class WrongPromptsError(ValueError):
    """A list of prompts has wrong entries; nothing of it is used.

    Attributes:
        lines: For each wrong entry where it is and why it is wrong, up to `MOST_SHOWN` of them, then how many more.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class WrongEntries:
    """Wrong entries of a list, which are collected so that all of them can be mended at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0

    def add(self, where: str, reason: object) -> None:
        """Note that an entry is wrong, and why."""
        self._count += 1
        if self._count <= MOST_SHOWN:
            self._lines.append(f"{where}: {' '.join(str(reason).split())}")

    def check(self) -> None:
        """Raise if there was one.

        Raises:
            WrongPromptsError: There was.
        """
        if self._count:
            more = self._count - len(self._lines)
            raise WrongPromptsError([*self._lines, *([f"and {more} more"] if more else [])])


class Collector:
    """Prompts by image and object, as they come."""

    def __init__(self) -> None:
        self._images: dict[str, dict[object, tuple[str, str, list[Placed]]]] = {}

    def add(self, image: str, key: object, name: str, category: str, placed: Placed) -> None:
        """Add a prompt.

        Args:
            image: As `image_name` returned it.
            key: Of the object within the image; prompts of one key are one object's.
            name, category: Of the object, as `object_name` returned them; an empty category is that of the object's
                other prompts or, if they have none either, its name.
            placed: The prompt.

        Raises:
            ValueError: The object's other prompts have another category.
        """
        objects = self._images.setdefault(image, {})
        _, before, prompts = objects.get(key, (name, "", []))
        if before and category and before != category:
            raise ValueError(f"its category is {shown(category)}, and {shown(before)} for the same object before")
        prompts.append(placed)
        objects[key] = (name, category or before, prompts)

    def prompt_list(self, notes: Iterable[str] = (), ids: Mapping[str, Mapping[str, int]] | None = None) -> PromptList:
        """Return what was added."""
        images = tuple(
            ImagePrompts(
                image,
                tuple(
                    ObjectPrompts(name, category or name or UNNAMED, tuple(prompts))
                    for name, category, prompts in objects.values()
                ),
            )
            for image, objects in self._images.items()
        )
        categories = dict.fromkeys(thing.category for image in images for thing in image.objects)
        return PromptList(images, tuple(categories), tuple(notes), ids or {})


Prompts: TypeAlias = "Iterable[Prompt] | Mapping[str, Iterable[Prompt]]"
"""Those of one object, or of several by name."""


def read_prompts(prompts: str | os.PathLike[str] | Mapping[str, Prompts] | PromptList) -> PromptList:
    """Read which prompts are to be made on which images.

    Args:
        prompts: The path of a CSV or COCO JSON file, see `pyiseg.batch.prompt_csv` and `pyiseg.batch.prompt_coco`; or
            for each image, by its name within the folder, a list of prompts, or such lists by the names of objects.

    Raises:
        WrongPromptsError: Entries are wrong: all of them are named.
        ValueError: It is no list of prompts at all.
        OSError: It cannot be read.
    """
    from pyiseg.batch import prompt_coco, prompt_csv

    if isinstance(prompts, PromptList):
        return prompts
    if isinstance(prompts, Mapping):
        return _from_mapping(prompts)
    if not isinstance(prompts, (str, os.PathLike)):
        raise ValueError(
            f"prompts is {shortened(prompts)}; pass the path of a CSV or JSON file, or prompts by image, as in "
            '{"photo.jpg": [pyiseg.Box(10, 10, 90, 80)]}'
        )
    path = local_path(prompts)
    content = _content(path)
    # By what it is, not by its suffix, which some mail and download programs change.
    begins = content[:1000].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()[:1]  # also as UTF-16
    read = prompt_coco.read if begins in (b"{", b"[") else prompt_csv.read
    found = read(content, path.name)
    if not found.images:
        raise ValueError(f"'{path}' holds no prompt, so there is nothing to select")
    return found


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder; pass the CSV or JSON file with the prompts")
    if not path.exists():
        raise FileNotFoundError(
            f"no list of prompts at '{path}'; check the path (the working folder is '{Path.cwd()}')"
        )
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"'{path}' has more than {MOST_BYTES} bytes; split it")
    return content


def _from_mapping(prompts: Mapping[Any, Any]) -> PromptList:
    found, wrong = Collector(), WrongEntries()
    for image, given in prompts.items():
        by_name = given if isinstance(given, Mapping) else {"": given}
        for name, listed in by_name.items():
            where = f"prompts[{shortened(image)}]" + (f"[{shortened(name)}]" if by_name is given else "")
            try:
                if isinstance(listed, (str, bytes, Click, LocalClick, Box, Scribble)):
                    raise ValueError(f"{shortened(listed)} is no list of prompts; pass [pyiseg.Click(320, 240)]")
                for number, prompt in enumerate(listed):
                    if not isinstance(prompt, (Click, LocalClick, Box, Scribble)):
                        raise ValueError(f"{shortened(prompt)} is no pyiseg.Click, LocalClick, Box or Scribble")
                    label = object_name(str(name))
                    found.add(image_name(str(image)), label, label, "", Placed(prompt, f"{where}[{number}]"))
            except (ValueError, TypeError) as error:
                wrong.add(where, error)
    wrong.check()
    listed = found.prompt_list()
    if not listed.images:
        raise ValueError("prompts holds no prompt, so there is nothing to select")
    return listed
