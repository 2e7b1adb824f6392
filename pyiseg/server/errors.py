"""Errors as the API tells them: a status, and JSON with the library's own text."""

from __future__ import annotations

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from pyiseg.errors import DeviceError, PyisegError

log = logging.getLogger("pyiseg.server")

_UNEXPECTED = "the server failed in a way that it did not expect; its log says more"


class ApiError(Exception):
    """An error with a status of its own.

    Args:
        status: Of HTTP.
        kind: What clients tell it by, as "NotFound".
        message: For people: what was wrong, and the way out.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def told(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status of an error, and what the API says of it; what is unexpected is logged, and not told."""
    if isinstance(error, ApiError):
        return error.status, _json(error.kind, str(error))
    if isinstance(error, HTTPException):
        return error.status_code, _json("NotFound" if error.status_code == 404 else "HTTPError", error.detail)
    if isinstance(error, (ValueError, IndexError)):
        return 400, _json(type(error).__name__, str(error))
    if isinstance(error, MemoryError):
        return 503, _json("MemoryError", "not enough memory for this image; shrink it first")
    if isinstance(error, DeviceError):
        log.warning("the device failed: %s", error)
        return 503, _json("DeviceError", str(error))
    if isinstance(error, PyisegError):
        # Its text may name the model's folder, which is no client's affair.
        log.error("a request failed: %s", error)
        return 500, _json(type(error).__name__, "the model failed; the server's log says why")
    log.error("a request failed", exc_info=error)
    return 500, _json("InternalError", _UNEXPECTED)


def response_to(error: Exception) -> Response:
    """Return the response to a request that failed."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody reads it
    status, content = told(error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"error": content}, status, headers)


def _json(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "message": message}
