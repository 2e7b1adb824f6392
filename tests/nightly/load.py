"""The web server with everybody at it: users, and those who send junk, stop halfway, or come from elsewhere.

    PYTHONPATH=.:tests python -m nightly.load

At the end it still answers, its memory is within its limit and what it took before, and its log has no traceback.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from support import toy_model
from support.served import Client, png

from nightly.settings import SECONDS, fail, generator

LIMIT_MB, SLACK_MB = 60, 120
"""Of open images; and what requests under way, the heap and clients' unsent messages may take beside them."""
USERS, ROGUES = 6, 6
STATUSES = {200, 201, 204, 307, 400, 403, 404, 405, 408, 409, 413, 503}

Counts = collections.Counter[str]
Work = Callable[[int, random.Random, Counts], None]


def resident_mb(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found[1]) / 1000 if found else 0


def user(port: int, chance: random.Random, counts: Counts) -> None:
    """Open an image, click by HTTP and by socket, download."""
    with Client(port) as client:
        height, width = chance.randrange(1, 500), chance.randrange(1, 500)
        pixels = np.random.default_rng(chance.randrange(1 << 30)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        made = client.post("/api/images", params={"name": "a.png"}, content=png(pixels))
        counts[f"images {made.status_code}"] += 1
        if made.status_code != 201:
            return
        image = f"/api/images/{made.json()['id']}"
        thing = client.post(f"{image}/objects")
        if thing.status_code != 201:
            counts[f"objects {thing.status_code}"] += 1
            return
        at = f"{image}/objects/{thing.json()['id']}"
        with contextlib.suppress(Exception), client.socket(image) as opened:  # the image may have had to leave
            for seq in range(chance.randrange(1, 20)):
                prompt = {"click": [chance.randrange(width), chance.randrange(height), chance.random() < 0.7]}
                key = chance.choice(["prompt", "preview"])
                opened.raw.send(json.dumps({"seq": seq, "object": thing.json()["id"], key: prompt}))
                if chance.random() < 0.8:
                    opened.raw.recv(20)
                counts["messages"] += 1
        for url in (f"{at}/alpha", f"{at}/download?format=cutout-png", f"{image}/download?format=coco"):
            answer = client.get(url)
            counts[f"downloads {answer.status_code}"] += 1
            if answer.status_code not in STATUSES:
                raise AssertionError((url, answer.status_code, answer.text))


def junk(port: int, chance: random.Random, counts: Counts) -> None:
    """Send bytes that are no HTTP, or frames that are no frames, or half of a request, and go away."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        head = f"Host: 127.0.0.1:{port}\r\n"
        kinds: list[bytes] = [
            chance.randbytes(chance.randrange(1, 3000)),
            f"GET /static/{'../' * chance.randrange(1, 30)}etc/passwd HTTP/1.1\r\n{head}\r\n".encode(),
            f"GET /{'a' * chance.randrange(1, 90000)} HTTP/1.1\r\n{head}\r\n".encode(),
            f"POST /api/images HTTP/1.1\r\n{head}Content-Length: 100000000000\r\n\r\n".encode(),
            f"POST /api/images HTTP/1.1\r\n{head}Content-Length: 5000\r\n\r\nabc".encode(),
            f"POST /api/images HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nfffffff\r\nabc".encode(),
            f"POST /api/images HTTP/1.1\r\n{head}Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n".encode(),
            b"GET /api/info HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            f"GET /api/images/x/ws HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            + chance.randbytes(200),
        ]
        raw.sendall(chance.choice(kinds))
        counts["junk"] += 1
        if chance.random() < 0.5:
            with contextlib.suppress(TimeoutError):
                raw.settimeout(0.2)
                answer = raw.recv(4000)
                if b"root:" in answer or (b"evil" in answer and b" 200 " in answer[:20]):
                    raise AssertionError(answer)


def slow(port: int, chance: random.Random, counts: Counts) -> None:
    """Send a request byte by byte, for some seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        text = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 900\r\n\r\n".encode()
        for byte in text:
            raw.sendall(bytes([byte]))
            time.sleep(chance.uniform(0, 0.05))
        counts["slow"] += 1


def many(port: int, chance: random.Random, counts: Counts) -> None:
    """Hold 200 connections open for a while."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            counts["connections"] += 1
        time.sleep(chance.uniform(0, 1))


def again_and_again(work: Work, port: int, name: str, end: float, counts: Counts, wrong: list[str]) -> None:
    chance = generator(name)
    while time.monotonic() < end and not wrong:
        try:
            work(port, chance, counts)
        except (ConnectionError, TimeoutError):
            counts["broken off"] += 1  # by the server, as it should with what is none
        except Exception as error:
            wrong.append(f"{name}: {error!r}")


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pyiseg-load-"))
    toy = toy_model.build(folder / "toy")
    log = folder / "log.txt"
    command = [sys.executable, "-u", "-m", "pyiseg", "serve", "--model", str(toy), "--memory-limit", str(LIMIT_MB)]
    with open(log, "w") as errors:
        process = subprocess.Popen(
            [*command, "--port", str(free_port())], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert process.stdout is not None
        port = int(re.findall(r":(\d+)/", process.stdout.readline())[0])
        counts, wrong, end, most = Counts(), list[str](), time.monotonic() + SECONDS, 0.0
        user(port, generator("first"), counts)
        before = resident_mb(process.pid)
        kinds = [user] * USERS + [junk] * (ROGUES - 2) + [slow, many]
        threads = [
            threading.Thread(target=again_and_again, args=(work, port, f"{work.__name__} {n}", end, counts, wrong))
            for n, work in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            most = max(most, resident_mb(process.pid))
        if wrong or process.poll() is not None:
            fail("load", wrong or f"the server ended with {process.returncode}: {log.read_text()[-3000:]}")
        with Client(port) as client:
            used = client.expect(200, "GET", "/api/info")["memory_used"]
        said = log.read_text()
        if "Traceback" in said:
            fail("load", said[-3000:])
        if most > before + LIMIT_MB + SLACK_MB or used > LIMIT_MB * 1e6:
            fail("load", f"{most:.0f} MB of memory, {before:.0f} before, {used} bytes of images")
    finally:
        process.kill()
        process.wait()
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"load: {SECONDS:.0f} s, {told}; memory {before:.0f} MB before, {most:.0f} MB at most", flush=True)
    return 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
