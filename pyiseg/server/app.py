"""The ASGI app: routes, and what they are put together from."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

import pyiseg
from pyiseg import backend, images
from pyiseg.model import Model, load_model
from pyiseg.paths import shown
from pyiseg.server import pages
from pyiseg.server.downloads import Downloads
from pyiseg.server.errors import response_to
from pyiseg.server.http import Api, answered
from pyiseg.server.limits import Limits
from pyiseg.server.openapi import description, query_keys
from pyiseg.server.security import LOCAL, Security
from pyiseg.server.store import Store, opened
from pyiseg.server.websocket import serve_socket

_IMAGE = "/api/images/{image}"
_OBJECT = _IMAGE + "/objects/{object}"


def create_app(
    *,
    model: str | os.PathLike[str] | Model = "default",
    device: str = "cpu",
    initial: images.ImageLike | None = None,
    max_bytes: int = Limits.max_bytes,
    max_pixels: int = Limits.max_pixels,
    memory_limit: int = Limits.memory_limit,
    max_images: int = Limits.max_images,
    max_objects: int = Limits.max_objects,
    max_sockets: int = Limits.max_sockets,
    allowed_hosts: Iterable[str] = LOCAL,
    allowed_origins: Iterable[str] = (),
    page: bool = True,
) -> ASGIApp:
    """Make the app: to run with any ASGI server, or to mount in another app. There is no login.

    Args:
        model: ``"default"``, the path of a model folder, or a `pyiseg.Model`.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that is available.
        initial: An image that is open from the beginning and leaves for no other, as `pyiseg.Image` takes it. It is
            opened here.
        max_bytes: Of an uploaded file.
        max_pixels: Of an image.
        memory_limit: Bytes that all open images may hold. Those used longest ago leave for others.
        max_images: Open at once; those used longest ago leave.
        max_objects: On one image.
        max_sockets: WebSockets that are open at once.
        allowed_hosts: Names by which the app is reached, without port: the header Host must be one of them, or requests
            are refused. ``*.example.com`` stands for all below, ``*`` for any.
        allowed_origins: Other web sites whose pages may use the API, as ``https://example.com``; ``*`` for any.
        page: Whether the page comes along; else there is only the API.

    Returns:
        An ASGI app. It needs no lifespan events, so it can be mounted anywhere. Images live in it: run one process.

    Raises:
        ValueError: An option is wrong, or ``initial`` is no image or has more than ``max_pixels``.
        FileNotFoundError: ``initial`` is a path at which there is no file.
        pyiseg.ModelError, pyiseg.DeviceError: The model or the device cannot be used.

    Example:
        >>> app = Starlette(routes=[Mount("/select", pyiseg.server.create_app(allowed_hosts=["example.com"]))])
    """
    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        memory_limit=memory_limit,
        max_images=max_images,
        max_objects=max_objects,
        max_sockets=max_sockets,
    )
    origins = _listed("allowed_origins", allowed_origins)
    middleware = [Middleware(Security, hosts=_listed("allowed_hosts", allowed_hosts), origins=origins)]
    if origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=["Content-Type"],
                expose_headers=["X-Pyiseg-Rect", "X-Pyiseg-Version", "Location"],
            )
        )
    Security(_nothing, LOCAL, origins)  # wrong ones are refused now, not with the first request
    chosen, loaded, store = backend.resolve(device), load_model(model), Store(limits)
    if initial is not None:
        _open_initial(store, initial, loaded, chosen)
    routes = _routes(Api(store, loaded, chosen), page)
    return Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _http_error})


def _routes(api: Api, page: bool) -> list[BaseRoute]:
    downloads = Downloads(api)

    async def socket(websocket: WebSocket) -> None:
        await serve_socket(api, websocket)

    async def openapi(request: Request) -> Response:
        return JSONResponse(description(api.limits))

    table: list[tuple[str, str, Any]] = [
        ("GET", "/api/info", api.info),
        ("GET", "/openapi.json", openapi),
        ("POST", "/api/images", api.open_image),
        ("GET", _IMAGE, api.image),
        ("DELETE", _IMAGE, api.close_image),
        ("GET", f"{_IMAGE}/pixels", api.pixels),
        ("GET", f"{_IMAGE}/download", downloads.image),
        ("POST", f"{_IMAGE}/project", downloads.load_project),
        ("POST", f"{_IMAGE}/objects", api.make_object),
        ("PATCH", _OBJECT, api.change_object),
        ("DELETE", _OBJECT, api.remove_object),
        ("POST", f"{_OBJECT}/prompts", api.prompt),
        ("POST", f"{_OBJECT}/undo", api.undo),
        ("POST", f"{_OBJECT}/redo", api.redo),
        ("POST", f"{_OBJECT}/reset", api.reset),
        ("POST", f"{_OBJECT}/remove", api.remove),
        ("POST", f"{_OBJECT}/session", api.load_session),
        ("GET", f"{_OBJECT}/alpha", api.alpha),
        ("GET", f"{_OBJECT}/download", downloads.object),
    ]
    if page:
        files = pages.Pages({**pages.load(), **pages.example()})
        table += [("GET", "/", files.index), ("GET", "/static/{name:path}", files.file)]
    by_path: dict[str, dict[str, Any]] = {}
    keys = query_keys(api.limits)
    for method, path, endpoint in table:
        by_path.setdefault(path, {})[method] = answered(endpoint, keys.get((method, path)))
    routes: list[BaseRoute] = [
        Route(path, _by_method(endpoints), methods=list(endpoints)) for path, endpoints in by_path.items()
    ]
    return [*routes, WebSocketRoute(f"{_IMAGE}/ws", socket)]


def _by_method(endpoints: dict[str, Any]) -> Any:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        response: Response = await endpoints[method](request)
        return response

    return endpoint


def _open_initial(store: Store, initial: images.ImageLike, model: Model, device: str) -> None:
    start = time.perf_counter()
    name = Path(initial).name if isinstance(initial, (str, os.PathLike)) else "image"
    image = pyiseg.Image(initial, model=model, device=device, max_pixels=store.limits.max_pixels)
    entry = opened(image, name, start, pinned=True)
    store.put(entry)
    store.initial = entry.id


def _listed(name: str, values: Iterable[str]) -> list[str]:
    listed = [] if isinstance(values, str) else list(values)
    if isinstance(values, str) or not all(isinstance(value, str) and value for value in listed):
        raise ValueError(f"{name} is {values!r}; pass a list of texts, as in ['example.com']")
    return listed


async def _http_error(request: Request, error: Exception) -> Response:
    """Say of a path or method that is none what there is instead."""
    if isinstance(error, HTTPException) and error.status_code == 404:
        where = f"there is nothing at {shown(request.url.path)}; openapi.json lists what there is"
        error = HTTPException(404, where, error.headers)
    elif isinstance(error, HTTPException) and error.status_code == 405:
        known = (error.headers or {}).get("Allow", "")
        error = HTTPException(405, f"{request.method} is not taken here; send {known}", error.headers)
    return response_to(error)


async def _nothing(*_: Any) -> None:
    pass
