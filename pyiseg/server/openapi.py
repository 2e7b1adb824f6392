"""The description of the HTTP API in OpenAPI 3.1; what things look like stands in `pyiseg.server.schemas`."""

from __future__ import annotations

from typing import Any

import pyiseg
from pyiseg import foreground
from pyiseg.formats.coco import SEGMENTATIONS
from pyiseg.server.downloads import IMAGE_FORMATS, OBJECT_FORMATS
from pyiseg.server.http import MOST_SIDE, PIXEL_FORMATS
from pyiseg.server.limits import Limits
from pyiseg.server.schemas import SCHEMAS, ref

_ABOUT = """Select things in images: open an image, make an object on it, make prompts on the object, fetch its alpha.

Coordinates are pixels of the image as it is seen, x to the right and y down, whole numbers are pixel centers. A
rectangle is [top, left, bottom, right], rows top to bottom - 1 and columns left to right - 1.

GET /api/images/{image}/ws is a WebSocket, which OpenAPI cannot describe: see docs/server.md."""

_ERRORS = {
    400: "A value is wrong",
    403: "The host or the page that asks is not allowed",
    404: "The image or object is not here, or has left",
    408: "The body stopped coming",
    409: "There are as many as there may be",
    413: "Too many bytes or pixels",
    500: "The server failed",
    503: "The device failed, or no memory is free now",
    507: "The memory limit is reached",
}
_ALWAYS = (400, 403, 500, 503)


def description(limits: Limits) -> dict[str, Any]:
    """Return the description of an app with some limits."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in _operations(limits):
        item = paths.setdefault(path, {})
        item[method] = operation
        names = [name for name in ("image", "object") if f"{{{name}}}" in path]
        if names:
            item["parameters"] = [ref(name, "parameters") for name in names]
    return {
        "openapi": "3.1.0",
        "info": {"title": "pyiseg", "version": pyiseg.__version__, "description": _ABOUT},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": {name: _in_path(name) for name in ("image", "object")},
            "responses": {
                str(status): {"description": text, "content": _json(ref("Error"))} for status, text in _ERRORS.items()
            },
        },
    }


def query_keys(limits: Limits) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return which keys the query of each method and path may have."""
    return {
        (method.upper(), path): tuple(
            one["name"] for one in operation.get("parameters", ()) if one.get("in") == "query"
        )
        for method, path, operation in _operations(limits)
    }


def _operations(limits: Limits) -> list[tuple[str, str, dict[str, Any]]]:
    image, obj = "/api/images/{image}", "/api/images/{image}/objects/{object}"
    name = _query("name", {"type": "string", "maxLength": 200}, "A name for people")
    color = _query("color", SCHEMAS["Color"], "Its color; one of eight in turn without")
    tolerance = _query("tolerance", _number(0, 1000, 1.0), "Pixels that outlines may be off; 0 is exact")
    segmentation = _query("segmentation", {"enum": list(SEGMENTATIONS), "default": "rle"}, "Of COCO")
    step = _json(ref("Step"))
    return [
        ("get", "/api/info", _operation("What the server is, and what it takes", {200: _json(ref("Info"))})),
        ("get", "/openapi.json", _operation("This description", {200: _json({"type": "object"})})),
        (
            "post",
            "/api/images",
            _operation(
                f"Open an image: at most {limits.max_bytes} bytes and {limits.max_pixels} pixels",
                {201: _json(ref("Image"))},
                [name],
                _file("The image file's bytes: PNG, JPEG, WebP, TIFF, …"),
                errors=(408, 413),
            ),
        ),
        ("get", image, _operation("An image and its objects", {200: _json(ref("Image"))}, errors=(404,))),
        ("delete", image, _operation("Close an image", {204: None}, errors=(404,))),
        (
            "get",
            f"{image}/pixels",
            _operation(
                "The image as the library sees it",
                {200: {f"image/{kind}": {} for kind in PIXEL_FORMATS}},
                [
                    _query(
                        "max_side",
                        {"type": "integer", "minimum": 1, "maximum": MOST_SIDE},
                        "Shrink it to this long side",
                    ),
                    _query("format", {"enum": list(PIXEL_FORMATS)}, "JPEG, or WebP where it is transparent, without"),
                ],
                errors=(404,),
            ),
        ),
        (
            "get",
            f"{image}/download",
            _operation(
                "All objects of an image in one file",
                {200: {kind: {} for kind in ("image/png", "image/svg+xml", "application/json", "text/plain")}},
                [
                    _query("format", {"enum": list(IMAGE_FORMATS)}, "Of the file", required=True),
                    tolerance,
                    segmentation,
                ],
                errors=(404,),
            ),
        ),
        (
            "post",
            f"{image}/project",
            _operation(
                "Put the objects of a project in the place of those of the image",
                {200: _json(ref("Image"))},
                body=_body(ref("Project")),
                errors=(404, 408, 409, 413, 507),
            ),
        ),
        (
            "post",
            f"{image}/objects",
            _operation(
                "Make an object, from nothing or from a mask",
                {201: _json(ref("Object"))},
                [name, color],
                _file("Nothing, or a mask image of the same size, white where selected", required=False),
                errors=(404, 408, 409, 413, 507),
            ),
        ),
        (
            "patch",
            obj,
            _operation(
                "Rename an object, or color it",
                {200: _json(ref("Object"))},
                body=_body(ref("Change")),
                errors=(404, 413),
            ),
        ),
        ("delete", obj, _operation("Remove an object", {204: None}, errors=(404,))),
        (
            "post",
            f"{obj}/prompts",
            _operation("Make a prompt", {200: step}, body=_body(ref("Prompt")), errors=(404, 409, 413, 507)),
        ),
        ("post", f"{obj}/undo", _operation("Take back what was done last", {200: step}, errors=(404,))),
        ("post", f"{obj}/redo", _operation("Do again what was undone last", {200: step}, errors=(404,))),
        ("post", f"{obj}/reset", _operation("Forget all prompts; cannot be undone", {200: step}, errors=(404,))),
        (
            "post",
            f"{obj}/remove",
            _operation("Take back any prompt", {200: step}, body=_body(ref("Removal")), errors=(404, 409, 413)),
        ),
        (
            "post",
            f"{obj}/session",
            _operation(
                "Put a saved session in the place of the object's prompts",
                {200: step},
                body=_body({"type": "object", "description": "What pyiseg.Session.save wrote on this image"}),
                errors=(404, 408, 413, 507),
            ),
        ),
        (
            "get",
            f"{obj}/alpha",
            _operation(
                "Alpha: uint8 rows deflated with zlib, or a gray PNG",
                {200: {"application/octet-stream": {}, "image/png": {}}},
                [
                    _query("rect", {"type": "string", "examples": ["0,0,480,640"]}, "top,left,bottom,right; or all"),
                    _query("format", {"enum": ["deflate", "png"], "default": "deflate"}, "Of the body"),
                ],
                errors=(404,),
                headers={"X-Pyiseg-Rect": "The rectangle", "X-Pyiseg-Version": "Of the object, see Object"},
            ),
        ),
        (
            "get",
            f"{obj}/download",
            _operation(
                "One object as a file",
                {
                    200: {
                        kind: {}
                        for kind in ("image/png", "image/webp", "image/svg+xml", "application/json", "text/plain")
                    }
                },
                [
                    _query("format", {"enum": list(OBJECT_FORMATS)}, "Of the file", required=True),
                    _query("foreground", {"enum": list(foreground.CHOICES)}, "Colors of a cut-out's soft edges"),
                    tolerance,
                    segmentation,
                ],
                errors=(404,),
            ),
        ),
    ]


def _operation(
    summary: str,
    answers: dict[int, dict[str, Any] | None],
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    *,
    errors: tuple[int, ...] = (),
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, content in answers.items():
        response = responses[str(status)] = {"description": summary} | ({} if content is None else {"content": content})
        if headers:
            response["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
            }
    responses |= {str(status): ref(str(status), "responses") for status in sorted({*_ALWAYS, *errors})}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": _json(schema)}


def _file(text: str, *, required: bool = True) -> dict[str, Any]:
    return {"description": text, "required": required, "content": {"application/octet-stream": {}, "image/*": {}}}


def _number(low: float, high: float, default: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high, "default": default}


def _query(name: str, schema: dict[str, Any], text: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "required": required, "schema": schema}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": "Its id", "schema": {"type": "string"}}
