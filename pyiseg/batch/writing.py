"""The content of the files that a run over a folder writes: those of an image, and those of all images together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pyiseg import foreground, formats, images
from pyiseg.batch.names import OutputNames
from pyiseg.batch.output_folder import OutputFolder
from pyiseg.batch.outputs import OF_OBJECTS, Alpha, OutputOptions, folder_of, path_of
from pyiseg.formats import by_name
from pyiseg.formats.saving import encoded
from pyiseg.image import Image
from pyiseg.labels import Labels


@dataclass(frozen=True)
class Selected:
    """An object that was selected.

    Attributes:
        name, category: As in `pyiseg.batch.prompt_list.ObjectPrompts`.
        alpha: uint8, shape (H, W).
    """

    name: str
    category: str
    alpha: Alpha


@dataclass
class Made:
    """What came of an image.

    Attributes:
        files: Bytes of each file, by its name within the output folder.
        empty: The names of objects of which nothing is selected, or their categories where they have none.
        shape: Height and width of the image.
        objects: For each its category and, for the format "coco", what `pyiseg.formats.rle` says of it.
    """

    files: dict[str, int] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    shape: tuple[int, int] = (0, 0)
    objects: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return asdict(self)


def is_made(value: Any) -> bool:
    """Whether a value that a journal gives back has the form that `Made.as_json` gave it."""
    return (
        isinstance(value, dict)
        and set(value) == {made.name for made in fields(Made)}
        and isinstance(value["files"], dict)
        and all(isinstance(value[key], list) for key in ("empty", "shape", "objects"))
    )


@dataclass(frozen=True)
class ImageFiles:
    """Where an image's selections go.

    Attributes:
        options: What is written.
        names: What the files are called.
        source: The image's name as formats state it that name the image; Labelme looks for it from its own file.
        output: The output folder.
        file: The image's file.
        classes: Numbers of the categories, for "yolo".
    """

    options: OutputOptions
    names: OutputNames
    source: str
    output: OutputFolder
    file: Path
    classes: Mapping[str, int]


def write_image(to: ImageFiles, image: Image, selected: Iterable[Selected]) -> Made:
    """Write the files of an image, each object's as soon as it is selected.

    Args:
        to: Where.
        image: The image.
        selected: Its objects, in the order of the names.

    Raises:
        Exception: Whatever selecting and writing raise; files that were written before it are deleted again.
    """
    made = Made(shape=image.shape)
    try:
        _write_all(to, image, selected, made)
    except BaseException:
        for name in made.files:
            to.output.remove(name)
        raise
    return made


def _write_all(to: ImageFiles, image: Image, selected: Iterable[Selected], made: Made) -> None:
    wanted = to.options.formats
    whole: list[Selected] = []
    labels = Labels(image.shape) if "label-map" in wanted else None

    def put(name: str, content: bytes) -> None:
        to.output.write(name, content)
        made.files[name] = len(content)

    for thing, name in zip(selected, to.names.objects, strict=True):
        if not (thing.alpha >= 128).any():
            made.empty.append(thing.name or thing.category)
        for kind in wanted:
            if kind in OF_OBJECTS:
                put(path_of(to.options, kind, name), _of_object(kind, image, thing.alpha, to.options.foreground))
        if labels is not None:
            labels.add(thing.alpha)
        described: dict[str, Any] = {"category": thing.category}
        if "coco" in wanted:
            described["rle"] = formats.rle(thing.alpha)
        made.objects.append(described)
        if to.options.needs_outlines:
            whole.append(thing)
    for kind in wanted:
        if kind not in OF_OBJECTS and kind != "coco":
            path = path_of(to.options, kind, to.names.image)
            if labels is not None and kind == "label-map":
                put(path, formats.label_map_png(labels.map))
            else:
                put(path, _of_image(kind, to, path, image.shape, whole))


def _of_object(kind: str, image: Image, alpha: Alpha, colors: str) -> bytes:
    if kind in by_name.MATTES:
        return by_name.matte(kind, alpha)
    rgba = images.cut_out(image.rgb, image.rgba, alpha)
    if colors == "estimate":
        rgba[..., :3] = foreground.estimate(rgba[..., :3], alpha)
    return by_name.cutout(kind, rgba)


def _of_image(kind: str, to: ImageFiles, path: str, shape: tuple[int, int], things: list[Selected]) -> bytes:
    return by_name.outlines(
        kind,
        [(thing.category, thing.alpha) for thing in things],
        shape,
        file_name=_seen_from(to.output.path / path, to.file, to.source),
        names=list(to.classes),
        tolerance=to.options.tolerance,
    )


def _seen_from(file: Path, image: Path, name: str) -> str:
    """Return the path of an image relative to the folder of another file, as Labelme looks for it."""
    try:
        return Path(
            os.path.relpath(os.path.realpath(image.parent), os.path.realpath(file.parent)), image.name
        ).as_posix()
    except ValueError:  # on another drive
        return name


def write_together(
    options: OutputOptions,
    made: Mapping[str, Mapping[str, Any]],
    classes: Mapping[str, int],
    ids: Mapping[str, Mapping[str, int]],
    output: OutputFolder,
) -> None:
    """Write the files that hold all images, `together_of` them.

    Args:
        options: What is written.
        made: What came of each image, as `Made.as_json` has it and a journal gives it back.
        classes: Numbers of the categories.
        ids: As in `pyiseg.batch.prompt_list.PromptList`.
        output: The output folder.
    """
    files = {}
    names = list(classes)
    if "coco" in options.formats:
        files[f"{folder_of(options, 'coco')}coco.json"] = encoded(_coco(made, names, ids))
    if "yolo" in options.formats:
        listed = "".join(f"  {number}: {_yaml(name)}\n" for number, name in enumerate(names))
        folder = folder_of(options, "yolo")
        files[f"{folder}classes.txt"] = "".join(f"{name}\n" for name in names).encode()
        files[f"{folder}data.yaml"] = (
            "# The images, or a link to their folder, go beside this file and labels/, and are called images.\n"
            f"path: .\ntrain: images\nval: images\nnames:\n{listed}"
        ).encode()
    for name, content in files.items():
        output.write(name, content)


def together_of(options: OutputOptions) -> list[str]:
    """Return the files that `write_together` writes, by their names within the output folder."""
    names = {"coco": ("coco.json",), "yolo": ("classes.txt", "data.yaml")}
    return [f"{folder_of(options, kind)}{name}" for kind in options.formats for name in names.get(kind, ())]


def _coco(
    made: Mapping[str, Mapping[str, Any]], categories: Sequence[str], ids: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    def annotated() -> Iterator[formats.AnnotatedImage]:
        for image, found in made.items():
            objects = [(thing["category"], formats.mask_from_rle(thing["rle"])) for thing in found["objects"]]
            height, width = found["shape"]
            yield formats.AnnotatedImage(image, (height, width), objects)

    data = formats.coco_dataset(annotated(), categories=categories)
    # Boxes that came from a data set go back into it.
    for listed, name, key in (("images", "file_name", "image_id"), ("categories", "name", "category_id")):
        given = ids.get(listed, {})
        if all(entry[name] in given for entry in data[listed]):
            numbers = {entry["id"]: given[entry[name]] for entry in data[listed]}
            for entry in data[listed]:
                entry["id"] = numbers[entry["id"]]
            for annotation in data["annotations"]:
                annotation[key] = numbers[annotation[key]]
    return data


def _yaml(name: str) -> str:
    """Return a text as YAML has it in quotation marks, which is as JSON has it but for line separators."""
    return json.dumps(name, ensure_ascii=not name.isprintable())
