"""The page of `pyiseg serve` in a real browser: skipped where there is none, unless PYISEG_REQUIRE_BROWSER=1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from support import browser
from support.browser import Server, UserPage
from support.paths import ROOT

import pyiseg


def missing() -> str | None:
    """Why there is no browser to test in."""
    for name in ("playwright", "starlette", "uvicorn", "websockets"):
        try:
            __import__(name)
        except ImportError:
            return f"{name} is not installed: pip install -e '.[browser-test]'"
    if not os.path.exists(browser.CHROMIUM):
        return f"there is no {browser.CHROMIUM}: apt-get install chromium"
    return None


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser, of one file: as long as Playwright runs, other tests in this thread cannot start an event loop."""
    reason = missing()
    if reason and os.environ.get("PYISEG_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser.CHROMIUM, args=list(browser.FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def served(chromium: Any) -> Iterator[Server]:
    """A server with the model that ships."""
    from pyiseg.server import create_app

    server = Server(create_app())
    yield server
    server.stop()


@pytest.fixture
def visit(chromium: Any, served: Server) -> Iterator[Callable[..., UserPage]]:
    """Return a function that opens the page in a window of its own; nothing may go wrong in any, unless expected."""
    contexts, pages = [], []

    def make(url: str = served.url, path: str = "", context: Any = None, **options: Any) -> UserPage:
        if context is None:
            options = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **options}
            context = chromium.new_context(**options)
            contexts.append(context)
        user = UserPage(context.new_page(), url)
        pages.append(user)
        user.visit(path)
        return user

    yield make
    unexpected = [error for user in pages for error in user.errors if not any(part in error for part in user.expected)]
    for context in contexts:
        context.close()
    assert unexpected == []


@pytest.fixture
def user(visit: Callable[..., UserPage]) -> UserPage:
    """One window."""
    return visit()


@pytest.fixture(scope="module")
def otter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The otter, 600 x 400: it fits into a window pixel for pixel."""
    path = tmp_path_factory.mktemp("images") / "otter.png"
    PIL.Image.open(ROOT / "pyiseg/assets/otter.jpg").resize((600, 400)).save(path)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 12 megapixels."""
    path = tmp_path_factory.mktemp("images") / "large.jpg"
    PIL.Image.open(ROOT / "pyiseg/assets/otter.jpg").resize((4000, 3000)).save(path, quality=90)
    return path


@pytest.fixture
def session(otter: Path) -> pyiseg.Session:
    """What the library makes of the otter."""
    return pyiseg.Session(otter)
