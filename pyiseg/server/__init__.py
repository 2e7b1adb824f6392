"""The web server of pyiseg: an ASGI app with an HTTP and WebSocket API, and a page that uses it.

Needs the extra ``pyiseg[serve]``. ``pyiseg serve`` runs it; `create_app` makes it, to run or to mount elsewhere. The
API is written down in docs/server.md and, at ``/openapi.json``, by the app itself.
"""

from __future__ import annotations

try:
    from pyiseg.server.app import create_app
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"pyiseg.server needs {error.name}: pip install 'pyiseg[serve]'", name=error.name
    ) from error

__all__ = ["create_app"]
