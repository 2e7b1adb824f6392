"""The app inside of others, and behind a proxy under a prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from support.served import Client, running
from support.toy_model import PHOTO

from pyiseg import Session
from pyiseg.server import create_app


def use(client: Client, toy: Path, prefix: str) -> None:
    """Make a selection, by HTTP and by a socket."""
    answer = client.post("/api/images", content=_png())
    assert answer.status_code == 201
    image = f"/api/images/{answer.json()['id']}"
    assert answer.headers["location"] == prefix + image
    at, session = client.object(image), Session(PHOTO, model=toy)
    client.expect(200, "POST", f"{at}/prompts", json={"click": [20, 20, True]})
    with client.socket(image) as socket:
        alpha = client.alpha(at)
        step = socket.ask(seq=1, object=at.rpartition("/")[2], prompt={"click": [60, 40, True]})["step"]
        socket.apply(step["changed"], alpha)
    session.click(20, 20)
    np.testing.assert_array_equal(alpha, session.click(60, 40))
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.expect(200, "GET", "/openapi.json")["servers"] == [{"url": "."}]


def test_mounted_in_starlette_under_a_prefix(toy: Path) -> None:
    async def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse("home")

    routes = [Route("/", home), Mount("/tools/select", create_app(model=toy))]
    with running(Starlette(routes=routes), "/tools/select") as client:
        use(client, toy, "/tools/select")
        redirected = client.get(f"http://127.0.0.1:{client.port}/tools/select")
        assert redirected.status_code == 307
        assert redirected.headers["location"].endswith("/tools/select/")
        assert client.get(f"http://127.0.0.1:{client.port}/").text == "home"


def test_two_apps_beside_each_other_share_nothing(toy: Path) -> None:
    routes = [Mount("/a", create_app(model=toy)), Mount("/b", create_app(model=toy))]
    with running(Starlette(routes=routes), "/a") as client:
        image = client.open(PHOTO)
        with Client(client.port, "/b") as other:
            other.error(404, "GET", image)


@pytest.mark.parametrize("root_path", ["", "/select"])
def test_behind_a_proxy_that_takes_the_prefix_off(toy: Path, root_path: str) -> None:
    with running(create_app(model=toy), root_path=root_path) as client:
        use(client, toy, root_path)


def _png() -> bytes:
    from support.served import png

    return png(PHOTO)
