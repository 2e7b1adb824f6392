"""The page's files: a list that is made when the app is, so that no request names a file of the server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).with_name("static")
EXAMPLE = Path(__file__).parents[1] / "assets" / "otter.jpg"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
NO_PAGE = b"<!doctype html><title>pyiseg</title><p>This pyiseg has no page; its API is at /openapi.json.\n"


@dataclass(frozen=True)
class Page:
    """A file of the page."""

    content: bytes
    kind: str
    tag: str


def load(folder: Path = FOLDER) -> dict[str, Page]:
    """Read all files of a folder that belong to a page, by their names with ``/`` between."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in KINDS:
            files[path.relative_to(folder).as_posix()] = page_of(path.read_bytes(), KINDS[path.suffix])
    return files


def example() -> dict[str, Page]:
    """Read the example image, which the page opens as users open their own."""
    return {EXAMPLE.name: page_of(EXAMPLE.read_bytes(), "image/jpeg")}


def page_of(content: bytes, kind: str) -> Page:
    """Return a file of the page."""
    return Page(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


class Pages:
    """The endpoints.

    Args:
        files: By name; ``index.html`` is the page itself.
    """

    def __init__(self, files: dict[str, Page]) -> None:
        self._files = files

    async def index(self, request: Request) -> Response:
        """Send the page."""
        return self._send(request, self._files.get("index.html") or page_of(NO_PAGE, KINDS[".html"]))

    async def file(self, request: Request) -> Response:
        """Send a file of the page."""
        page = self._files.get(request.path_params["name"])
        if page is None:
            raise HTTPException(404, "the page has no such file")
        return self._send(request, page)

    @staticmethod
    def _send(request: Request, page: Page) -> Response:
        headers = {"ETag": page.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == page.tag:
            return Response(status_code=304, headers=headers)
        return Response(page.content, 200, headers, page.kind)
