"""Read what clients send: bodies within limits, JSON within limits, and the values of queries."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request

from pyiseg.files import json_fault
from pyiseg.geometry import Rect
from pyiseg.prompts import checked_rect, shortened
from pyiseg.server import limits
from pyiseg.server.errors import ApiError

_COLOR = re.compile(r"#[0-9a-f]{6}")


async def read_body(request: Request, most: int, what: str) -> bytes:
    """Return a request's body; refuse it as soon as it is too large.

    Args:
        request: The request.
        most: Bytes that it may have.
        what: It is, for the error.

    Raises:
        ApiError: It is larger, or it stopped coming.
    """
    chunks = bytearray()
    async for chunk in _chunks(request, most, what):
        chunks += chunk
    return bytes(chunks)


async def save_body(request: Request, path: Path, most: int, what: str) -> int:
    """Write a request's body to a file, and return its size; refuse it as `read_body` does."""
    size = 0
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in _chunks(request, most, what):
            await file.write(chunk)
            size += len(chunk)
    return size


async def _chunks(request: Request, most: int, what: str) -> Any:
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > most:
        raise _too_large(most, what)
    received, stream, start = 0, request.stream(), anyio.current_time()
    while True:
        # A byte now and then would keep a place among the uploads, and the image in memory, for ever.
        left = start + limits.SECONDS_TO_UPLOAD + received / limits.LEAST_RATE - anyio.current_time()
        try:
            with anyio.fail_after(max(0, min(left, limits.SECONDS_TO_UPLOAD))):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise ApiError(
                408,
                "Timeout",
                f"{what} came too slowly: nothing for {limits.SECONDS_TO_UPLOAD:.0f} seconds, or in all less than "
                f"{limits.LEAST_RATE} bytes a second; send it again",
            ) from None
        if chunk is None:
            return
        received += len(chunk)
        if received > most:
            raise _too_large(most, what)
        yield chunk


def _too_large(most: int, what: str) -> ApiError:
    return ApiError(
        413, "TooLarge", f"{what} is larger than the {most} bytes that this server takes; send a smaller one"
    )


async def read_json(request: Request, most: int = limits.MOST_JSON) -> dict[str, Any]:
    """Return a request's body as a JSON object.

    Raises:
        ApiError: It is too large.
        ValueError: It is no JSON object.
    """
    return json_object(await read_body(request, most, "the JSON"))


def json_object(text: bytes | str, most_depth: int = limits.MOST_DEPTH) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        text: Its text, of a size that was checked.
        most_depth: How deep lists and objects may be nested in it.

    Raises:
        ValueError: It is none, or it is nested too deep or has too many values.
    """
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > limits.MOST_VALUES:
        raise ValueError(f"the JSON has more than {limits.MOST_VALUES} values")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"the JSON is nested more than {most_depth} deep") from None
    except ValueError as error:
        raise ValueError(f"this is no JSON: {shortened(json_fault(error))[1:-1]}") from None
    if not isinstance(value, dict):
        raise ValueError(f"the JSON is {_shown(value)}; send an object, as in {{…}}")
    if _deeper(value, most_depth):
        raise ValueError(f"the JSON is nested more than {most_depth} deep")
    return value


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and objects are nested deeper; without recursion, which depth could break."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _shown(value: Any) -> str:
    return {list: "a list", str: "text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")


def check_query(request: Request, known: tuple[str, ...]) -> None:
    """Refuse a query that has a key besides the known ones, or one of them twice.

    Raises:
        ValueError: It has.
    """
    keys = [key for key, _ in request.query_params.multi_items()]
    unknown = sorted(set(keys) - set(known))
    if unknown:
        told = f"known are {', '.join(known)}" if known else "none is taken here"
        raise ValueError(f"the query has the unknown key {shortened(unknown[0])}; {told}")
    twice = next((key for key in known if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"the query has {twice} {keys.count(twice)} times; pass it once")


def name_of(text: Any, default: str) -> str:
    """Return a name without what cannot be shown; the default where nothing is left.

    Raises:
        ValueError: It is no text, or too long.
    """
    if text is None:
        return default
    if not isinstance(text, str):
        raise ValueError(f"name is {shortened(text)}; pass text")
    if len(text) > limits.MOST_NAME:
        raise ValueError(f"name has {len(text)} characters; pass at most {limits.MOST_NAME}")
    return "".join(char for char in text if char.isprintable()).strip() or default


def color_of(text: Any, default: str) -> str:
    """Return a color as ``#rrggbb``.

    Raises:
        ValueError: It is none.
    """
    if text is None:
        return default
    lower = text.lower() if isinstance(text, str) else ""
    if not _COLOR.fullmatch(lower):
        raise ValueError(f"color is {shortened(text)}; pass '#rrggbb', as in '#3a86ff'")
    return lower


def rect_of(text: str | None, shape: tuple[int, int]) -> Rect:
    """Return the rectangle of a query, ``top,left,bottom,right``; without one, all of the image.

    Raises:
        ValueError: It is none inside the image.
    """
    if text is None:
        return Rect(0, 0, *shape)
    try:
        values: Any = [int(value) for value in text.split(",", 4)]
    except ValueError:
        values = text
    return checked_rect(values, shape)


def number_of(query: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """Return a number of a query.

    Raises:
        ValueError: It is none, or out of range.
    """
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"{name} is {shortened(text)}; pass a number from {low:.10g} to {high:.10g}")
    return value


def one_of(query: Mapping[str, str], name: str, known: tuple[str, ...], default: str | None = None) -> str:
    """Return a word of a query.

    Raises:
        ValueError: It is not a known one.
    """
    value = query.get(name, default)
    if value is None or value not in known:
        told = "missing" if value is None else shortened(value)
        raise ValueError(f"{name} is {told}; pass one of {', '.join(known)}")
    return value


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder of its own for an upload, which only this user can read."""
    return tempfile.TemporaryDirectory(prefix="pyiseg-", ignore_cleanup_errors=True)
