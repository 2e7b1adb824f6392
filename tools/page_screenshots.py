"""Take the pictures of the web page that the README and docs show: python -m tools.page_screenshots docs/images.

The page is served on this machine and used in Debian's Chromium as a user would: the otter and the stone are two
objects. Needs `pip install -e '.[browser-test]'` and `apt-get install chromium fonts-inter`. Look at what comes out.
"""

from __future__ import annotations

import argparse
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyiseg.pil_images import open_image

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
OBJECTS = (
    ("Stone", ((300, 830, "left"), (1100, 850, "right"))),
    ("Otter", ((850, 620, "left"), (1240, 680, "right"))),
)
MOST_BYTES = 300_000


@contextmanager
def served() -> Iterator[str]:
    """Serve the page, and give its address."""
    import uvicorn

    from pyiseg.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("the server has not started; its log says why")
        time.sleep(0.02)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


class Window:
    """The page in a window of the browser."""

    def __init__(self, browser: Any, url: str, options: dict[str, Any]) -> None:
        self.page = browser.new_context(**options).new_page()
        self.page.goto(url)
        self.until("window.pyiseg?.page.info")
        # The page takes the system's font; Debian's own looks like that of no system that users have.
        self.page.evaluate("document.body.style.fontFamily = 'Inter, system-ui, sans-serif'")

    def until(self, condition: str) -> None:
        """Wait for a condition in JavaScript."""
        wait = f"async () => {{ while (!({condition})) await new Promise((go) => setTimeout(go, 20)); }}"
        self.page.evaluate(wait)

    def select(self) -> None:
        """Open the example and select the objects in it."""
        self.page.get_by_role("button", name="Try the example").click()
        self.until("pyiseg.page.view.photo && pyiseg.page.opened.socket.isOpen")
        for name, clicks in OBJECTS:
            self.page.evaluate("pyiseg.page.actions.add()")
            self.page.evaluate("(name) => pyiseg.page.opened.change(pyiseg.page.opened.active, { name })", name)
            for x, y, button in clicks:
                count = self.page.evaluate("pyiseg.page.actions.answered")
                box = self.page.locator("#stage").bounding_box()
                across, down = self.page.evaluate("([x, y]) => pyiseg.page.view.toCanvas(x, y)", [x, y])
                self.page.mouse.click(box["x"] + across, box["y"] + down, button=button)
                self.until(f"pyiseg.page.actions.answered > {count}")
        self.page.mouse.move(0, 0)

    def save(self, path: Path) -> None:
        """Write what is seen, as a JPEG of good quality."""
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        image = open_image(io.BytesIO(self.page.screenshot()), str(path)).convert("RGB")
        image.save(path, quality=88, optimize=True, subsampling=0)
        size = path.stat().st_size
        print(f"{path}: {image.width} x {image.height}, {size} bytes")
        if size > MOST_BYTES:
            raise SystemExit(f"{path} has {size} bytes, more than {MOST_BYTES}; lower its quality")


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with served() as url, sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=options.chromium, args=flags)
        wide = Window(browser, url, WIDE)
        wide.select()
        wide.save(options.folder / "page-1280.jpg")
        wide.page.get_by_role("button", name="Cut-out", exact=True).click()
        wide.page.mouse.move(0, 0)
        wide.save(options.folder / "page-1280-cutout.jpg")
        dark = Window(browser, url, {**WIDE, "color_scheme": "dark"})
        dark.select()
        dark.save(options.folder / "page-1280-dark.jpg")
        phone = Window(browser, url, PHONE)
        phone.select()
        phone.save(options.folder / "page-390.jpg")
        browser.close()


if __name__ == "__main__":
    main()
