"""A web server in a thread, and the page of it in a browser, as its users have it."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LONGEST = 20.0
"""Seconds that anything may take, on two cores that others use too."""


class Server:
    """An app on a port of this machine, in a thread; it can be stopped and started anew on the same port."""

    def __init__(self, app: Any, port: int = 0) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            port=port,
            log_level="critical",
            lifespan="off",
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + LONGEST
        while not self._server.started:
            assert self._thread.is_alive(), "the server has not started"
            assert time.monotonic() < end, "the server has not started in time"
            time.sleep(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://localhost:{self.port}/"

    def stop(self) -> None:
        """End it and all its connections."""
        self._server.should_exit = True
        self._thread.join(LONGEST)
        assert not self._thread.is_alive(), "the server has not ended in time"


class UserPage:
    """The page as a user has it: opens files, clicks on pixels of the image, reads what is said."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.frames: list[bytes | str] = []
        page.set_default_timeout(LONGEST * 1000)
        # Playwright tells the browser to report file choosers when the first listener comes, and does not wait for it:
        # a key that follows at once may be faster.
        page.on("filechooser", lambda _: None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.frames.append(frame)))

    def visit(self, path: str = "") -> None:
        """Go to the page, and wait for it to know its server."""
        self.page.goto(self.url + path)
        self.until("window.pyiseg?.page.info")
        self._painted()  # Chromium drops keys that come before anything is seen

    def until(self, condition: str) -> Any:
        """Wait for a condition in JavaScript, and return it. The page's CSP forbids Playwright's own waiting."""
        waiting = (
            "async (longest) => { const end = performance.now() + longest; let value;"
            f"while (!(value = {condition})) {{ if (performance.now() > end) return '__late__';"
            "await new Promise((resolve) => setTimeout(resolve, 10)); }"
            "return typeof value === 'object' ? true : value; }"
        )
        value = self.page.evaluate(waiting, LONGEST * 1000)
        assert value != "__late__", f"not in {LONGEST} s: {condition}; the page says {self.said!r}, {self.notices!r}"
        return value

    def _painted(self) -> None:
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def get(self, expression: str) -> Any:
        """Return the value of an expression."""
        return self.page.evaluate(f"() => ({expression})")

    @property
    def said(self) -> str:
        """What screen readers were told last."""
        return str(self.page.text_content("#live"))

    @property
    def notices(self) -> list[str]:
        """Texts of the notices that are shown."""
        return [text.strip() for text in self.page.locator(".notice p").all_text_contents()]

    def says(self, text: str) -> None:
        """Wait until screen readers are told a text."""
        self.until(f"document.getElementById('live').textContent.includes({json.dumps(text)})")

    def notes(self, text: str) -> None:
        """Wait for a notice with a text."""
        self.until(f"document.getElementById('notices').textContent.includes({json.dumps(text)})")

    def shows(self, name: str) -> None:
        """Wait until an image is shown, with its mattes and its connection."""
        self.until(f"pyiseg.page.opened?.name === {json.dumps(name)} && pyiseg.page.view.photo")
        self.until("pyiseg.page.opened.socket.isOpen && document.getElementById('busy').hidden")

    def open(self, path: Path) -> None:
        """Open an image file with the file chooser."""
        before = self.get("pyiseg.page.opened?.id ?? null")
        self.page.set_input_files("#file-input", path)
        self.until(f"pyiseg.page.opened && pyiseg.page.opened.id !== {json.dumps(before)}")
        self.shows(path.name)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pixel of the image is in the window."""
        box = self.page.locator("#stage").bounding_box()
        across, down = self.page.evaluate("([x, y]) => pyiseg.page.view.toCanvas(x, y)", [x, y])
        return box["x"] + across, box["y"] + down

    @contextlib.contextmanager
    def step(self, count: int = 1) -> Iterator[None]:
        """Wait for so many steps that the server answers."""
        before = self.get("pyiseg.page.actions.answered")
        yield
        self.until(f"pyiseg.page.actions.answered >= {before + count}")

    def click(self, x: float, y: float, button: str = "left") -> None:
        """Click on a pixel of the image, and wait for the answer."""
        with self.step():
            self.page.mouse.click(*self.place(x, y), button=button)

    def drag(self, *points: tuple[float, float], button: str = "left") -> None:
        """Press at the first pixel, move over the others and let go."""
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=4)
        self.page.mouse.up(button=button)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """Prompts of the active object."""
        prompts: list[dict[str, Any]] = self.get("pyiseg.page.opened.active?.prompts ?? []")
        return prompts

    def _bytes(self, expression: str) -> npt.NDArray[np.uint8]:
        packed = self.page.evaluate(
            "async () => { const blob = new Blob([" + expression + "]); const reader = new FileReader();"
            "return new Promise((resolve) => { reader.onload = () => resolve(reader.result.split(',')[1] ?? '');"
            "reader.readAsDataURL(blob); }); }"
        )
        return np.frombuffer(base64.b64decode(packed), np.uint8)

    def alpha(self, index: int | None = None) -> npt.NDArray[np.uint8]:
        """Return the matte of an object, the active one if left out, as the page has it."""
        which = "" if index is None else f"pyiseg.page.opened.objects[{index}].id"
        height, width = self.get("[pyiseg.page.opened.height, pyiseg.page.opened.width]")
        return self._bytes(f"pyiseg.alpha({which})").reshape(height, width)

    def seen(self) -> npt.NDArray[np.uint8]:
        """Return the image as the canvas shows it, at 100 %: uint8 (H, W, 4)."""
        self.page.locator("#stage").focus()
        self.press("9")
        self.until("pyiseg.page.view.scale === 1")
        self._painted()
        view = self.get("[pyiseg.page.view.left, pyiseg.page.view.top]")
        height, width = self.get("[pyiseg.page.opened.height, pyiseg.page.opened.width]")
        assert min(view) >= 0, "the window is too small for this image at 100 %"
        pixels = self._bytes(f"pyiseg.page.view.context.getImageData({view[0]}, {view[1]}, {width}, {height}).data")
        return pixels.reshape(height, width, 4)
