"""A server that the tests of a file share, on the stand-in model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
pytest.importorskip("websockets")

from support.served import Client, running

from pyiseg.server import create_app


@pytest.fixture(scope="module")
def client(toy: Path) -> Iterator[Client]:
    """A client of a server with usual limits."""
    with running(create_app(model=toy)) as client:
        yield client
