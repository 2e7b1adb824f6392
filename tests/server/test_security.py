"""Who may ask: Host, Origin, and paths that try to leave the page's files."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import Client, running
from support.toy_model import PHOTO
from websockets.exceptions import InvalidStatus

from pyiseg.server import create_app, pages
from pyiseg.server.security import ANY_ADDRESS, LOCAL, Security


@pytest.fixture(scope="module")
def named(toy: Path) -> Iterator[Client]:
    """A server with names of its own, and a web site that may use it."""
    hosts = [*LOCAL, "box.example", "*.corp.example", ANY_ADDRESS]
    with running(create_app(model=toy, allowed_hosts=hosts, allowed_origins=["https://app.example"])) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:8000"])
def test_hosts_of_this_machine_are_answered(client: Client, host: str) -> None:
    client.expect(200, "GET", "/api/info", headers={"Host": host})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "", "localhost@evil.example"],
)
def test_other_hosts_are_refused(client: Client, host: str) -> None:
    for method, url in (("GET", "/api/info"), ("GET", "/"), ("POST", "/api/images"), ("GET", "/static/app.js")):
        assert "is not one that this server answers to" in client.error(403, method, url, headers={"Host": host})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("box.example:80", 200),
        ("a.corp.example", 200),
        ("a.b.corp.example", 200),
        ("corp.example", 403),
        ("corp.example.evil", 403),
        ("10.1.2.3:8000", 200),
        ("[fe80::1]", 200),
        ("10.1.2.3.evil.example", 403),
    ],
)
def test_names_and_addresses_that_are_allowed(named: Client, host: str, status: int) -> None:
    named.expect(status, "GET", "/api/info", headers={"Host": host})


def test_two_hosts_or_none_are_refused(client: Client) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as raw:
            raw.sendall(b"GET /api/info HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
            assert raw.recv(1000).split()[1] in (b"400", b"403")


ORIGINS = [
    ({}, True),
    ({"Origin": "http://127.0.0.1:PORT"}, True),
    ({"Origin": "https://127.0.0.1:PORT"}, True),  # behind a proxy that ends TLS
    ({"Origin": "http://127.0.0.1:1"}, False),
    ({"Origin": "http://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "https://app.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
]


@pytest.mark.parametrize(("headers", "allowed"), ORIGINS)
def test_pages_of_other_origins_change_nothing_and_open_no_socket(
    client: Client, headers: dict[str, str], allowed: bool
) -> None:
    headers = {name: value.replace("PORT", str(client.port)) for name, value in headers.items()}
    image = client.open(PHOTO)
    at = client.object(image)
    for method, url in (("POST", f"{at}/undo"), ("PATCH", at), ("DELETE", at), ("DELETE", image)):
        status = 403 if not allowed else 204 if method == "DELETE" else 200
        client.expect(status, method, url, headers=headers, **({"json": {}} if method == "PATCH" else {}))
    image = client.open(PHOTO)
    if allowed:
        with client.socket(image, additional_headers=headers) as opened:
            assert opened.ask(seq=1, ping=True)["pong"]
    else:
        with pytest.raises(InvalidStatus) as refused, client.socket(image, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403


def test_a_web_site_that_is_allowed(named: Client) -> None:
    mine = {"Origin": "https://app.example"}
    asked = {**mine, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "content-type"}
    preflight = named.request("OPTIONS", "/api/images/x/objects/y", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    answer = named.get("/api/info", headers=mine)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "X-Pyiseg-Rect" in answer.headers["access-control-expose-headers"]
    assert (
        "access-control-allow-origin" not in named.get("/api/info", headers={"Origin": "https://evil.example"}).headers
    )
    image = named.open(PHOTO)
    with named.socket(image, additional_headers=mine) as opened:
        assert opened.ask(seq=1, ping=True)["pong"]


@pytest.mark.parametrize("origins", ["https://a.example", ["a.example"], ["ftp://a.example"], [""], [3]])
def test_origins_that_are_none_are_refused(toy: Path, origins: object) -> None:
    with pytest.raises(ValueError, match="origin"):
        create_app(model=toy, allowed_origins=origins)  # type: ignore[arg-type]


def test_all_answers_have_the_headers(client: Client) -> None:
    for url in ("/", "/api/info", "/nothing", "/api/images/none"):
        headers = client.get(url).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in client.get("/api/info", headers={"Host": "evil.example"}).headers or True


TRICKS = [
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/static/..%5capp.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/./../../__init__.py",
    "/static/app.js%00.html",
    "/static/",
    "/static/..",
    "/../../etc/passwd",
    "/api/images/..%2f..%2fetc%2fpasswd",
    "/api/images/%2e%2e/%2e%2e/info",
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_path_leads_out_of_the_page(client: Client, path: str) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as raw:  # httpx would tidy the path
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := raw.recv(100_000):
            answer += part
    assert answer.split()[1] in (b"404", b"307")
    assert b"create_app" not in answer
    assert b"root:" not in answer


def test_the_page_is_what_was_there_when_the_app_was_made(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "index.html").write_bytes(b"<p>")
    (tmp_path / "parts" / "a.js").write_bytes(b"1")
    (tmp_path / "secret.py").write_bytes(b"2")
    found = pages.load(tmp_path)
    assert sorted(found) == ["index.html", "parts/a.js"]
    assert found["parts/a.js"].kind.startswith("text/javascript")


def test_the_page_is_asked_for_again_only_where_it_changed(client: Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_app_without_the_page(toy: Path) -> None:
    with running(create_app(model=toy, page=False)) as client:
        client.error(404, "GET", "/")
        client.error(404, "GET", "/static/index.html")
        client.expect(200, "GET", "/api/info")


def test_any_host_and_any_origin(toy: Path) -> None:
    with running(create_app(model=toy, allowed_hosts=["*"], allowed_origins=["*"])) as client:
        headers = {"Host": "any.example", "Origin": "https://other.example"}
        client.expect(201, "POST", "/api/images", headers=headers, content=_png())


def _png() -> bytes:
    from support.served import png

    return png(PHOTO)


def test_other_protocols_pass() -> None:
    import anyio

    seen = []

    async def app(scope: dict[str, str], receive: object, send: object) -> None:
        seen.append(scope["type"])

    anyio.run(Security(app, []), {"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
