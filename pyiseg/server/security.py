"""Who may ask: checks of Host and Origin, and the headers that keep a page to itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyiseg.paths import shown
from pyiseg.server.errors import ApiError, response_to

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Hosts of a server that only this machine reaches."""
ANY_ADDRESS = "<address>"
"""Stands for any host that is an IP address: no web site can take one, so a browser was told it by its user."""
SAFE = ("GET", "HEAD", "OPTIONS")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Security:
    """ASGI middleware: refuses requests of foreign hosts and pages, and adds headers to what is sent.

    A page on the web can send requests to a server on the user's own machine, and can have its own name point to that
    machine (DNS rebinding). So the Host header must be a known one; and what changes something, or opens a WebSocket,
    must come from the same host or an allowed origin, or from no browser (without the header Origin).

    Args:
        app: What is protected.
        hosts: Allowed hosts without port; ``*.example.com`` stands for all below it, ``*`` for all, `ANY_ADDRESS`.
        origins: Allowed origins besides the same host, as ``https://example.com``; ``*`` for all.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        for origin in self._origins - {"*"}:
            if urlsplit(origin).scheme not in ("http", "https") or not urlsplit(origin).netloc:
                raise ValueError(f"the allowed origin {origin!r} is none; pass one as 'https://example.com'")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ApiError as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": error.kind})
            else:
                await response_to(error)(scope, receive, self._with_headers(send))
            return
        await self._app(scope, receive, self._with_headers(send) if scope["type"] == "http" else send)

    def _check(self, scope: Scope) -> None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._allows(_name_of(hosts[0])):
            raise ApiError(
                403,
                "Forbidden",
                f"the host {shown(', '.join(hosts))} is not one that this server answers to: start it with "
                "--allow-host, or create_app with allowed_hosts",
            )
        if scope["type"] == "http" and scope["method"] in SAFE:
            return
        origins = headers.get("origin", [])
        own = not origins and headers.get("sec-fetch-site", ["none"])[0] in ("none", "same-origin")
        if not own and not (len(origins) == 1 and self._trusts(origins[0], hosts[0])):
            raise ApiError(
                403,
                "Forbidden",
                f"a page of {shown(', '.join(origins))} may not use this server: create_app takes allowed_origins",
            )

    def _allows(self, host: str) -> bool:
        if "*" in self._hosts or host in self._hosts:
            return True
        if ANY_ADDRESS in self._hosts and _is_address(host):
            return True
        return any(f"*.{host.split('.', count)[-1]}" in self._hosts for count in range(1, host.count(".") + 1))

    def _trusts(self, origin: str, host: str) -> bool:
        origin = origin.lower()
        if "*" in self._origins or origin in self._origins:
            return True
        # Not its scheme: behind a proxy that ends TLS the server does not know its own.
        return urlsplit(origin).netloc != "" and urlsplit(origin).netloc == _without_default(host.lower(), origin)

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CSP
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Frame-Options"] = "DENY"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "cross-origin" if self._origins else "same-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return sending


def _name_of(host: str) -> str:
    """A host without its port, in lower case and without brackets."""
    name = host.lower().strip()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _without_default(host: str, origin: str) -> str:
    """A host as an origin of that scheme names it: without the port where it is the usual one."""
    usual = ":443" if origin.startswith("https:") else ":80"
    return host.removesuffix(usual) if _name_of(host) != host else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
