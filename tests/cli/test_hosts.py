"""serve --allow-host: what can be no host is refused, and what can be is compared as browsers send it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.responses import PlainTextResponse

from pyiseg import cli
from pyiseg.cli.hosts import host_name
from pyiseg.server.security import Security


def status_of(allowed: str, sent: str) -> int:
    """What a server that allows a host answers to a request with a header Host."""
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", sent.encode())]}
    asyncio.run(Security(PlainTextResponse("ok"), [host_name(allowed)])(scope, receive, send))  # type: ignore[arg-type]
    return found[0]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("box.example", "box.example:8000"),
        ("Box.EXAMPLE", "box.example"),
        ("box", "box"),
        ("my_service", "my_service:8000"),
        ("3com.example", "3com.example"),
        ("*.box.example", "a.b.box.example"),
        ("*", "whatever.example"),
        ("192.168.1.5", "192.168.1.5:8000"),
        ("::1", "[::1]:8000"),
        ("[::1]", "[::1]"),
        ("2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:8000"),
        ("bücher.example", "xn--bcher-kva.example:8000"),
        ("*.BÜCHER.example", "www.xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_hosts_are_found_again(given: str, sent: str) -> None:
    """Those in other letters, and addresses that are not as short as can be, were accepted and never found."""
    if given == "faß.example":
        pytest.importorskip("idna")
    assert status_of(given, sent) == 200
    assert status_of(given, "evil.test") == (200 if given == "*" else 403)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("a b", "'a b' cannot be the name of a host; pass one as in box.example"),
        ("", "the host is empty"),
        (" ", "the host is empty"),
        ("a,b", "cannot be the name of a host"),
        ("a\nb", r"'a\nb' cannot be the name of a host"),
        ("http://box.example", "leave out scheme, user, port and path: 'box.example'"),
        ("https://me@box.example:8000/page?a#b", ": 'box.example'"),
        ("box.example/", ": 'box.example'"),
        ("box.example:8000", ": 'box.example'"),
        ("[::1]:8000", ": '[::1]'"),
        ("http://", "'http://' names no host"),
        (":8000", "':8000' names no host"),
        ("/", "'/' names no host"),
        ("*.", "cannot be the name of a host"),
        ("a*.example", "cannot be the name of a host"),
        ("*.*.example", "cannot be the name of a host"),
        ("a..example", "cannot be the name of a host"),
        (".example", "cannot be the name of a host"),
        (f"{'a' * 64}.example", "cannot be the name of a host"),
        (f"{'a.' * 130}example", "cannot be the name of a host"),
        ("bü cher.example", "cannot be the name of a host"),
        ("<address>", "cannot be the name of a host"),
        ("1.2.3.256", "cannot be an address; write all four numbers"),
        ("127.1", "cannot be an address"),
        ("12345", "cannot be an address"),
        ("::g", "cannot be the name of a host"),
        ("[box]", "cannot be the name of a host"),
        ("fe80::1%eth0", "has a zone, which browsers do not send; pass 'fe80::1'"),
    ],
)
def test_what_can_be_no_host(
    given: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of these were accepted, and the page was refused to whoever came by the name that was meant."""
    monkeypatch.setattr("pyiseg.cli.serve.run", lambda *_: pytest.fail("it was accepted"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["serve", "--allow-host", given])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("pyiseg: error: argument --allow-host: ")
    assert words in error
    assert error.count("\n") == 1


def test_names_are_found_without_the_package_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "idna", None)
    assert host_name("Bücher.example") == "xn--bcher-kva.example"
