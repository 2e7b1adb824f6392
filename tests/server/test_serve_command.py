"""``pyiseg serve``: what it prints, when it refuses to begin, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from support.served import Client
from support.toy_model import PHOTO

from pyiseg import cli
from pyiseg.cli import serve


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the command, and give it with the lines that it prints until it serves."""
    command = [sys.executable, "-u", "-m", "pyiseg", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = process.stdout.readline()
            if not line:
                assert process.stderr is not None
                pytest.fail(process.stderr.read())
            lines.append(line)
        yield process, lines
    finally:
        process.kill()
        process.communicate()


def port_of(lines: list[str]) -> int:
    found = re.search(r"http://[^/]+:(\d+)/", lines[-1])
    assert found is not None
    return int(found[1])


def test_it_serves_a_photo_until_ctrl_c(photo: Path, toy: Path) -> None:
    with serving(str(photo), "--model", str(toy), "--memory-limit", "300", "--max-megapixels", "2") as (process, lines):
        assert len(lines) == 1
        assert lines[0].startswith("pyiseg on http://127.0.0.1:")
        with Client(port_of(lines)) as client:
            info = client.expect(200, "GET", "/api/info")
            assert (info["memory_limit"], info["max_pixels"]) == (300_000_000, 2_000_000)
            image = f"/api/images/{info['initial']}"
            assert client.expect(200, "GET", image)["name"] == "photo.png"
            assert "server" not in client.get("/").headers
            with client.socket(image) as opened:  # one that is open does not keep it from ending
                assert opened.ask(seq=1, ping=True)["pong"]
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 0
        _, told = process.communicate()
        assert "Traceback" not in told


def test_a_request_under_way_is_told_that_the_server_ends(toy: Path) -> None:
    with serving("--model", str(toy)) as (process, lines):
        port = port_of(lines)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as upload:
            head = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 900\r\n\r\n"
            upload.sendall(head.encode() + b"\x89PNG")
            with Client(port) as client:  # the server has taken the upload's head once it answers this
                client.expect(200, "GET", "/api/info")
            process.send_signal(signal.SIGINT)
            answer = b"".join(iter(lambda: upload.recv(4000), b"")).decode()
        assert process.wait(30) == 0
        _, told = process.communicate()
        assert answer.startswith("HTTP/1.1 503 ")
        assert '"type":"Ending","message":"the server is ending; send the request again once it runs again"' in answer
        assert "Traceback" not in told


def test_the_port_that_is_asked_for(toy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with serving("--port", str(port), "--model", str(toy)) as (_, lines):
        assert lines == [f"pyiseg on http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"]


def test_other_machines_are_let_in_with_a_warning(toy: Path) -> None:
    with serving("--host", "0.0.0.0", "--allow-host", "box.example", "--model", str(toy)) as (_, lines):
        assert lines[0].startswith("warning: there is no login: whoever reaches this port can use the server")
        with Client(port_of(lines)) as client:
            for host, status in (
                ("box.example", 200),
                ("10.0.0.7:8000", 200),
                (socket.gethostname(), 200),
                ("evil.example", 403),
            ):
                client.expect(status, "GET", "/api/info", headers={"Host": host})


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["serve", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_what_is_wrong_is_told_before_the_server_starts(
    taken: int, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("the server was started")

    monkeypatch.setattr(uvicorn.Server, "run", never)
    (tmp_path / "text.jpg").write_text("no image")
    assert "no image at" in error_of(capsys, str(tmp_path / "none.jpg"))
    assert "is not an image of a format" in error_of(capsys, str(tmp_path / "text.jpg"), "--model", str(toy))
    wide = tmp_path / "wide.png"
    Image.new("L", (2000, 600)).save(wide)
    told = error_of(capsys, str(wide), "--model", str(toy), "--max-megapixels", "1")
    assert "2000 x 600 are 1200000 pixels, and the limit is 1000000; shrink it, or raise the limit" in told
    assert "--max-megapixels" in told
    assert f"port {taken} is in use; pass another one with --port" in error_of(capsys, "--port", str(taken))
    assert "there is no host 'no such host' to listen on" in error_of(capsys, "--host", "no such host")
    assert "cannot listen on 192.0.2.1, port 8000" in error_of(capsys, "--host", "192.0.2.1", "--port", "8000")
    assert "does not exist; check the path" in error_of(capsys, "--model", str(tmp_path / "none"))


def test_without_a_port_the_next_free_one_is_taken(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PORT", taken)
    with serve.listening("127.0.0.1", None) as listener:
        assert taken < listener.getsockname()[1] < taken + serve.TRIED
    monkeypatch.setattr(serve, "TRIED", 1)
    with pytest.raises(OSError, match="are all in use; pass a free one with --port"):
        serve.listening("127.0.0.1", None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0"], "'0' is not a port"),
        (["--port", "65536"], "'65536' is not a port"),
        (["--port", "http"], "'http' is not a port"),
        (["--memory-limit", "0"], "'0' is not a number greater than 0"),
        (["--max-megapixels", "nan"], "'nan' is not a number greater than 0"),
    ],
)
def test_options_that_are_wrong(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", *arguments])
    assert told in capsys.readouterr().err


def test_it_says_what_to_install(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pyiseg serve needs uvicorn: pip install 'pyiseg[serve]'" in error_of(capsys)


def test_open_opens_the_page(toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import threading

    opened: list[str] = []
    seen = threading.Event()

    def run(server: Any, sockets: Any) -> None:
        server.started = True
        assert seen.wait(20)

    def browse(url: str) -> None:
        opened.append(url)
        seen.set()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr(webbrowser, "open", browse)
    assert cli.main(["serve", "--open", "--model", str(toy)]) == 0
    assert opened[0] in capsys.readouterr().out
