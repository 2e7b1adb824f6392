"""Which images of a folder a run may take, and which others there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pyiseg.batch.names import IMAGES, image_name, outside, similar_name
from pyiseg.batch.output_folder import is_output
from pyiseg.batch.prompt_list import PromptList, WrongEntries
from pyiseg.paths import local_path, shown


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the path of the folder of images.

    Raises:
        ValueError: It is not there, or no folder.
    """
    path = local_path(folder)
    if not path.is_dir():
        there = "is a file; name the folder it lies in" if path.exists() else "does not exist"
        raise ValueError(f"the folder of images '{path}' {there}")
    return path


def check_links(folder: Path, listed: PromptList) -> None:
    """Refuse images that are links out of the folder.

    Raises:
        pyiseg.batch.prompt_list.WrongPromptsError: Some are; all of them are named.
    """
    wrong, resolved = WrongEntries(), folder.resolve()
    for image in listed.images:
        if outside(resolved, image.image):
            wrong.add(
                image.objects[0].prompts[0].where,
                f"{shown(image.image)} leads out of '{folder}' by a link; if it may, add --follow-links",
            )
    wrong.check()


def check_outputs(folder: Path, output: Path, listed: PromptList) -> None:
    """Refuse images that lie where the run writes: they would be read while they are made.

    Raises:
        pyiseg.batch.prompt_list.WrongPromptsError: Some do; all of them are named.
    """
    wrong, is_inside = WrongEntries(), _inside(output, folder)
    for image in listed.images:
        if is_inside(folder / image.image):
            wrong.add(
                image.objects[0].prompts[0].where,
                f"{shown(image.image)} lies in the output folder '{output}', where nothing is taken for an image; "
                "choose another output folder (-o), or leave it out",
            )
    wrong.check()


def _inside(output: Path, folder: Path) -> Callable[[Path], bool]:
    """Return whether a path lies in the output folder.

    Nothing does where the images lie in it themselves, as those beside labels for YOLO may.
    """
    own = Path(os.path.realpath(output))
    if Path(os.path.realpath(folder)).is_relative_to(own):
        return lambda path: False
    return lambda path: Path(os.path.realpath(path)).is_relative_to(own)


def without_prompts(folder: Path, output: Path, listed: set[str]) -> tuple[list[str], list[str]]:
    """Return the images of a folder that are not listed, and those that no list may name, each sorted.

    Hidden files are none of them, nor are those of this run's output and of any other.
    """
    found, unlistable, is_inside = list[str](), list[str](), _inside(output, folder)
    for root, folders, files in os.walk(folder):
        at = Path(root)
        folders[:] = [
            name for name in folders if not (name.startswith(".") or is_output(at / name) or is_inside(at / name))
        ]
        for name in files:
            if not name.lower().endswith(IMAGES) or name.startswith("."):
                continue
            image = (at / name).relative_to(folder).as_posix()
            # Folders are known by now; a link may lead into the output still.
            if image in listed or ((at / name).is_symlink() and is_inside(at / name)):
                continue
            (found if _is_listable(image) else unlistable).append(image)
    return sorted(found), sorted(unlistable)


def similar(image: str, file: Path) -> str:
    """Return which image beside one that is not there may be meant, or nothing, as where outputs lie.

    Args:
        image: Its name within the folder.
        file: Its path.
    """
    within = file.parents[: image.count("/")]
    return "" if any(map(is_output, within)) else similar_name(file)


def _is_listable(image: str) -> bool:
    try:
        return image_name(image) == image
    except ValueError:
        return False
