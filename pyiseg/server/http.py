"""The HTTP API: images, objects and steps. Downloads stand in `pyiseg.server.downloads`."""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import pyiseg
from pyiseg import saving
from pyiseg.model import Model
from pyiseg.prompts import shortened
from pyiseg.server import bodies, limits, opening
from pyiseg.server.errors import ApiError, response_to
from pyiseg.server.limits import Limits
from pyiseg.server.objects import Object, Outcome
from pyiseg.server.prompt_json import prompt_of
from pyiseg.server.store import OpenImage, Store, opened
from pyiseg.server.work import in_opening_thread, in_thread

Endpoint = Callable[[Request], Awaitable[Response]]

MOST_SIDE = 1_000_000
"""Of pixels that are asked for."""
PIXEL_FORMATS = ("jpeg", "webp", "png")
_SAVED: dict[str, dict[str, int]] = {
    "jpeg": {"quality": 92},
    "webp": {"quality": 90, "method": 0},
    "png": {"compress_level": 1},
}
DEFLATED = "application/octet-stream"


def answered(endpoint: Endpoint, keys: tuple[str, ...] | None) -> Endpoint:
    """Turn whatever goes wrong in an endpoint into a response.

    Args:
        endpoint: Answers requests.
        keys: That their queries may have; None for any.
    """

    async def answer(request: Request) -> Response:
        try:
            if keys is not None:
                bodies.check_query(request, keys)
            return await endpoint(request)
        except Exception as error:
            return response_to(error)

    return answer


class Api:
    """Endpoints, and what they share.

    Args:
        store: The open images.
        model, device: To encode images with.
    """

    def __init__(self, store: Store, model: Model, device: str) -> None:
        self.store, self.model, self.device = store, model, device

    @property
    def limits(self) -> Limits:
        """Of the server."""
        return self.store.limits

    async def info(self, request: Request) -> Response:
        """Tell what the server is, and what it takes."""
        store = self.store
        return JSONResponse(
            {
                "version": pyiseg.__version__,
                "model": self.model.name,
                "device": self.device,
                "initial": store.initial,
                "memory_used": store.used,
                "images": len(store),
                "sockets": store.sockets,
                "max_json": limits.MOST_JSON,
                **vars(self.limits),
            }
        )

    async def open_image(self, request: Request) -> Response:
        """Take an image file, and encode it."""
        name = bodies.name_of(request.query_params.get("name"), "image")
        max_pixels = self.limits.max_pixels
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise ValueError("the body is a form; send the file's bytes alone, as curl --data-binary @photo.jpg does")
        with self.store.uploading(), bodies.temporary_folder() as folder:
            path = Path(folder) / "image"
            if not await bodies.save_body(request, path, self.limits.max_bytes, f"'{name}'"):
                raise ValueError("the body is empty; send the bytes of an image file")
            start = time.perf_counter()
            width, height = await in_thread(opening.size_of, path, name, max_pixels)
            with self.store.room_for(width * height):
                image = await in_opening_thread(opening.open_image, path, name, self.model, self.device, max_pixels)
            entry = opened(image, name, start)
            self.store.put(entry)
        return JSONResponse(entry.described(), 201, {"Location": f"{request.url.path.rstrip('/')}/{entry.id}"})

    async def image(self, request: Request) -> Response:
        """Tell what an image is, and its objects."""
        return JSONResponse(self.store.find(request.path_params["image"]).described())

    async def close_image(self, request: Request) -> Response:
        """Let an image go."""
        self.store.remove(request.path_params["image"])
        return Response(status_code=204)

    async def pixels(self, request: Request) -> Response:
        """Send the image as the library sees it."""
        query = request.query_params
        with self.store.use(request.path_params["image"]) as entry:
            default = "webp" if entry.image.rgba is not None else "jpeg"
            kind = bodies.one_of(query, "format", PIXEL_FORMATS, default)
            max_side = int(bodies.number_of(query, "max_side", max(entry.image.shape), 1, MOST_SIDE))
            content = await in_thread(encoded_pixels, entry.image, kind, max_side)
        return Response(content, media_type=f"image/{kind}")

    async def make_object(self, request: Request) -> Response:
        """Make an object, from nothing or from a mask."""
        query = request.query_params
        with self.store.use(request.path_params["image"]) as entry, bodies.temporary_folder() as folder:
            name = bodies.name_of(query.get("name"), f"object {len(entry.objects) + 1}")
            color = query.get("color")
            color = bodies.color_of(color, "") if color is not None else entry.next_color()
            path, shape = Path(folder) / "mask", entry.image.shape
            with self.store.uploading():
                size = await bodies.save_body(request, path, self.limits.max_bytes, "the mask")
            self.store.check_room(entry)
            async with entry.lock:
                if len(entry.objects) >= self.limits.max_objects:
                    raise ApiError(
                        409, "TooMany", f"this image has {len(entry.objects)} objects, as many as it may: remove some"
                    )

                def make() -> Object:
                    mask = opening.open_mask(path, self.limits.max_pixels) if size else None
                    if mask is not None:
                        _check_same_shape(mask.shape, shape)
                    return Object(entry.image, name, color, self.limits, mask)

                made = await in_thread(make)
                entry.put(made)
            entry.tell({"objects": entry.described_objects()})
            return JSONResponse(made.described(), 201)

    async def change_object(self, request: Request) -> Response:
        """Rename an object, or color it."""
        with self.store.use(request.path_params["image"]) as entry:
            changes = await bodies.read_json(request)
            made = entry.object(request.path_params["object"])
            _check_keys(changes, ("name", "color"))
            for key, value in changes.items():
                if value is None:
                    raise ValueError(f"{key} is null; leave it out, and it stays as it is")
            name, color = (
                bodies.name_of(changes.get("name"), made.name),
                bodies.color_of(changes.get("color"), made.color),
            )
            made.name, made.color = name, color
            entry.tell({"objects": entry.described_objects()})
            return JSONResponse(made.described())

    async def remove_object(self, request: Request) -> Response:
        """Remove an object."""
        with self.store.use(request.path_params["image"]) as entry:
            made = entry.object(request.path_params["object"])
            async with entry.lock, made.lock:
                entry.drop(made.id)
                made.close()
            entry.tell({"objects": entry.described_objects()})
            return Response(status_code=204)

    async def prompt(self, request: Request) -> Response:
        """Make a prompt."""
        value = await bodies.read_json(request)
        return await self._http_step(request, {"prompt": value})

    async def undo(self, request: Request) -> Response:
        """Take back what was done last."""
        return await self._http_step(request, {"do": "undo"})

    async def redo(self, request: Request) -> Response:
        """Do again what was undone last."""
        return await self._http_step(request, {"do": "redo"})

    async def reset(self, request: Request) -> Response:
        """Forget all prompts."""
        return await self._http_step(request, {"do": "reset"})

    async def remove(self, request: Request) -> Response:
        """Take back any prompt."""
        value = await bodies.read_json(request)
        _check_keys(value, ("index",))
        return await self._http_step(request, {"do": "remove", "index": value.get("index")})

    async def load_session(self, request: Request) -> Response:
        """Put a saved session in the place of an object's."""
        with self.store.use(request.path_params["image"]) as entry:
            made = entry.object(request.path_params["object"])
            height, width = entry.image.shape
            with self.store.uploading():
                saved = await bodies.read_body(request, saving.MOST_BYTES + 2 * height * width, "the saved session")
            await in_thread(bodies.json_object, saved)
            self.store.check_room(entry)
            step, _ = await self.step(entry, made, lambda: made.replace(saved), run=in_opening_thread)
            return JSONResponse(step)

    async def alpha(self, request: Request) -> Response:
        """Send alpha of an object, all of it or within a rectangle."""
        query = request.query_params
        with self.store.use(request.path_params["image"]) as entry:
            made = entry.object(request.path_params["object"])
            rect = bodies.rect_of(query.get("rect"), entry.image.shape)
            kind = bodies.one_of(query, "format", ("deflate", "png"), "deflate")
            async with made.lock:
                version = made.version
                content = await in_thread(made.packed_in if kind == "deflate" else made.png_in, rect)
        headers = {"X-Pyiseg-Rect": ",".join(map(str, rect)), "X-Pyiseg-Version": str(version)}
        return Response(content, 200, headers, DEFLATED if kind == "deflate" else "image/png")

    async def _http_step(self, request: Request, message: dict[str, Any]) -> Response:
        with self.store.use(request.path_params["image"]) as entry:
            made = entry.object(request.path_params["object"])
            step, _ = await self.step(entry, made, self.action(entry, made, message))
            return JSONResponse(step)

    def action(self, entry: OpenImage, made: Object, message: dict[str, Any]) -> Callable[[], Outcome]:
        """Return what a message asks to be done with an object.

        Raises:
            ValueError: It asks for nothing known.
        """
        if "prompt" in message:
            prompt = prompt_of(message["prompt"], entry.image.shape)
            self.store.check_room(entry)
            return lambda: made.add(prompt)
        what = message.get("do")
        if what == "remove":
            index = message.get("index")
            return lambda: made.remove(index)
        known = {"undo": made.undo, "redo": made.redo, "reset": made.reset}
        if not isinstance(what, str) or what not in known:
            raise ValueError(f"do is {shortened(what)}; send one of 'undo', 'redo', 'reset' and 'remove'")
        return known[what]

    async def step(
        self, entry: OpenImage, made: Object, action: Callable[[], Outcome], by: Any = None, run: Any = in_thread
    ) -> tuple[dict[str, Any], bytes]:
        """Make a step of an object, in its turn, and tell all sockets on the image.

        Args:
            entry: The image, in use.
            made: The object.
            action: Makes the step.
            by: The channel of whoever asked for it, which is told nothing here.
            run: Calls a function in a thread.

        Returns:
            What the asker is told, ``STEP`` in docs/server.md, and alpha within what changed, deflated.
        """

        def work() -> tuple[Outcome, int]:
            return action(), made.nbytes

        async with made.lock:
            if made.id not in entry.objects:
                raise ApiError(404, "NotFound", "the object was removed meanwhile; make another")
            outcome, nbytes = await run(work)
            # Nothing is waited for from here on, so that all sockets get the steps of an object in their order.
            entry.measured(made, nbytes)
            step = {**made.described(), "changed": list(outcome.changed), "ms": outcome.ms}
            entry.tell_step(made, step, outcome.packed, by)
        return step, outcome.packed


def encoded_pixels(image: pyiseg.Image, kind: str, max_side: int) -> bytes:
    """Return an image as a file, no side of it longer than told."""
    from PIL import Image

    transparent = image.rgba is not None and kind != "jpeg"
    pixels = Image.fromarray(image.rgba if transparent and image.rgba is not None else image.rgb)
    if max_side < max(pixels.size):
        scale = max_side / max(pixels.size)
        size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
        pixels = pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    most = {"webp": 16383, "jpeg": 65500}.get(kind)
    if most is not None and max(pixels.size) > most:
        raise ValueError(f"{kind} holds at most {most} pixels a side: pass max_side={most}, or format=png")
    buffer = io.BytesIO()
    options = _SAVED[kind]
    pixels.save(buffer, kind.upper(), **options)
    return buffer.getvalue()


def _check_same_shape(shape: tuple[int, ...], image: tuple[int, int]) -> None:
    if shape != image:
        raise ValueError(
            f"the mask has {shape[1]} x {shape[0]} pixels, and the image {image[1]} x {image[0]}; resize it first"
        )


def _check_keys(value: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ValueError(f"the JSON has the unknown key {shortened(unknown[0])}; known are {', '.join(known)}")
