"""Downloads: what was selected, of one object or of all, in the formats of `pyiseg.formats`; and projects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import pyiseg
from pyiseg import foreground, formats, saving
from pyiseg.files import parse_json
from pyiseg.formats import by_name
from pyiseg.formats.coco import SEGMENTATIONS
from pyiseg.formats.saving import encoded
from pyiseg.prompts import shortened
from pyiseg.server import bodies
from pyiseg.server.errors import ApiError
from pyiseg.server.http import Api
from pyiseg.server.objects import Object, loaded
from pyiseg.server.store import OpenImage
from pyiseg.server.work import in_opening_thread, in_thread

PROJECT, VERSION = saving.SEVERAL, 1
OBJECT_FORMATS = (
    "cutout-png",
    "cutout-webp",
    "matte-png",
    "matte16-png",
    "svg",
    "coco",
    "labelme",
    "yolo",
    "session",
)
IMAGE_FORMATS = ("label-map", "coco", "labelme", "yolo", "svg", "project")

OUTLINED = {
    "svg": ("image/svg+xml", ".svg"),
    "yolo": ("text/plain", ".txt"),
    "labelme": ("application/json", "-labelme.json"),
}
"""Media types of outlines, and what the names of their files end with."""

Selected = list[tuple[str, npt.NDArray[np.uint8]]]
File = tuple[bytes, str, str]
"""Content, media type, and what the file's name ends with."""


class Outlines(NamedTuple):
    """How outlines are to be written.

    Attributes:
        tolerance: Pixels that they may be off.
        segmentation: Of COCO, "rle" or "polygons".
    """

    tolerance: float
    segmentation: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Outlines:
        """Return what a query asks for."""
        tolerance = bodies.number_of(query, "tolerance", 1.0, 0, 1000)
        return cls(tolerance, bodies.one_of(query, "segmentation", SEGMENTATIONS, "rle"))


class Downloads:
    """The endpoints.

    Args:
        api: What they share with the others.
    """

    def __init__(self, api: Api) -> None:
        self._api, self._store = api, api.store

    async def object(self, request: Request) -> Response:
        """Send one object."""
        query = request.query_params
        kind = bodies.one_of(query, "format", OBJECT_FORMATS)
        estimate = bodies.one_of(query, "foreground", foreground.CHOICES, "image")
        outlines = Outlines.of(query)
        with self._store.use(request.path_params["image"]) as entry:
            made = entry.object(request.path_params["object"])

            def write() -> File:
                if kind == "session":
                    return made.saved(), "application/json", "-session.json"
                if kind.startswith("cutout"):
                    return cutout(kind, made.session.cutout(foreground=estimate))
                alpha = made.session.alpha
                if kind.startswith("matte"):
                    return matte(kind, alpha)
                return outlined(kind, entry, [(made.name, alpha)], [made.color], outlines)

            async with made.lock:
                file = await in_thread(write)
            return _attached(file, f"{_stem(entry.name)}-{made.name}")

    async def image(self, request: Request) -> Response:
        """Send all objects of an image."""
        query = request.query_params
        kind = bodies.one_of(query, "format", IMAGE_FORMATS)
        outlines = Outlines.of(query)
        with self._store.use(request.path_params["image"]) as entry:
            async with entry.lock, AsyncExitStack() as locked:
                objects = list(entry.objects.values())
                if not objects and kind != "project":
                    raise ValueError("there are no objects on this image; select something first")
                for made in objects:
                    await locked.enter_async_context(made.lock)

                def write() -> File:
                    if kind == "project":
                        return project(objects), "application/json", "-project.json"
                    if kind == "label-map":
                        return label_map(objects)
                    selected = [(made.name, made.session.alpha) for made in objects]
                    return outlined(kind, entry, selected, [made.color for made in objects], outlines)

                return _attached(await in_thread(write), _stem(entry.name))

    async def load_project(self, request: Request) -> Response:
        """Put the objects of a project in the place of those on the image."""
        with self._store.use(request.path_params["image"]) as entry:
            with self._store.uploading():
                body = await bodies.read_body(request, self._api.limits.max_bytes, "the project")
            listed = self._checked(await in_thread(bodies.json_object, body))
            self._store.check_room(entry)

            def make() -> list[Object]:
                return [self._object(entry, number, value) for number, value in enumerate(listed)]

            async with entry.lock:
                made = await in_opening_thread(make)  # all prompts are made again, which may take long
                old = list(entry.objects.values())
                for before in old:
                    async with before.lock:
                        entry.drop(before.id)
                        before.close()
                for one in made:
                    entry.put(one)
            entry.tell({"objects": entry.described_objects()})
            return JSONResponse(entry.described())

    def _checked(self, content: Mapping[str, Any]) -> list[Any]:
        if content.get("format") != PROJECT:
            raise ValueError(f"this is no project: its format is {shortened(content.get('format'))}, not '{PROJECT}'")
        if content.get("version") != VERSION or isinstance(content["version"], bool):
            raise ValueError(
                f"the project is of version {shortened(content.get('version'))}, this server reads {VERSION}: install "
                "a newer pyiseg"
            )
        listed = content.get("objects")
        if not isinstance(listed, list):
            raise ValueError(f"objects is {shortened(listed)}; send what the download format=project gave")
        if len(listed) > self._api.limits.max_objects:
            raise ApiError(
                409,
                "TooMany",
                f"the project has {len(listed)} objects, more than the {self._api.limits.max_objects} "
                "that an image may have",
            )
        return listed

    def _object(self, entry: OpenImage, number: int, value: Any) -> Object:
        where = f"objects[{number}]"
        if not isinstance(value, Mapping) or not isinstance(value.get("session"), Mapping):
            raise ValueError(f"{where} is {shortened(value)}; send what the download format=project gave")
        try:
            name = bodies.name_of(value.get("name"), f"object {number + 1}")
            color = value.get("color")
            color = entry.next_color() if color is None else bodies.color_of(color, "")
            session = loaded(json.dumps(value["session"]).encode(), entry.image)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        return Object(entry.image, name, color, self._api.limits, session=session)


def cutout(kind: str, rgba: npt.NDArray[np.uint8]) -> File:
    """Return a cut-out as a file."""
    suffix = by_name.CUTOUTS[kind]
    return by_name.cutout(kind, rgba), f"image/{suffix[1:]}", f"-cutout{suffix}"


def matte(kind: str, alpha: npt.NDArray[np.uint8]) -> File:
    """Return a matte as a file."""
    return by_name.matte(kind, alpha), "image/png", "-matte16.png" if kind == "matte16-png" else "-matte.png"


def label_map(objects: list[Object]) -> File:
    """Return which object each pixel belongs to, as a file."""
    labels = pyiseg.label_map(made.session for made in objects)
    return formats.label_map_png(labels, colors=_rgb(made.color for made in objects)), "image/png", "-labels.png"


def outlined(kind: str, entry: OpenImage, selected: Selected, colors: list[str], how: Outlines) -> File:
    """Return outlines of selections as a file."""
    shape, name = entry.image.shape, entry.name
    if kind == "coco":
        found = formats.coco_dataset(
            [formats.AnnotatedImage(name, shape, selected)], segmentation=how.segmentation, tolerance=how.tolerance
        )
        return encoded(found), "application/json", "-coco.json"
    media, end = OUTLINED[kind]
    content = by_name.outlines(kind, selected, shape, file_name=name, colors=_rgb(colors), tolerance=how.tolerance)
    return content, media, end


def _rgb(colors: Iterable[str]) -> list[tuple[int, int, int]]:
    """Red, green and blue of colors in the form #rrggbb."""
    return [(int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)) for color in colors]


def project(objects: list[Object]) -> bytes:
    """Return all objects, with their saved sessions, as JSON."""
    listed = [{"name": made.name, "color": made.color, "session": parse_json(made.saved())} for made in objects]
    return json.dumps({"format": PROJECT, "version": VERSION, "objects": listed}).encode()


def _attached(file: File, stem: str) -> Response:
    content, kind, end = file
    name = "".join("_" if char in '/\\"' else char for char in stem).lstrip(".") + end
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_. ()") else "_" for char in name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(content, 200, {"Content-Disposition": disposition}, kind)


def _stem(name: str) -> str:
    """A file's name without what says its format."""
    stem, _, suffix = name.rpartition(".")
    return stem if suffix.isalnum() and stem.strip(". ") else name
