"""The description of the API: valid, whole, and true of what the server answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.served import Client, png
from support.toy_model import PHOTO

from pyiseg.server import create_app
from pyiseg.server.limits import Limits
from pyiseg.server.openapi import description

jsonschema = pytest.importorskip("jsonschema")


def test_it_is_valid() -> None:
    pytest.importorskip("openapi_spec_validator").validate(description(Limits()))


def routes_of(app: Any) -> set[tuple[str, str]]:
    """Methods and paths of the API, without the page and the socket."""
    found = {
        (method.lower(), re.sub(r":\w+}", "}", route.path))
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
    }
    return {(method, path) for method, path in found if method != "head" and not path.startswith("/static")}


def test_every_route_is_in_it(toy: Path) -> None:
    described = {
        (method, path)
        for path, item in description(Limits())["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert routes_of(create_app(model=toy, page=False)) == described
    assert routes_of(create_app(model=toy)) == described | {("get", "/")}


def test_every_route_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for path, item in description(Limits())["paths"].items():
        for method in item:
            if method != "parameters":
                short = path.replace("{image}", "IMAGE").replace("{object}", "OBJECT")
                assert f"{method.upper()} {short}" in text, f"{method.upper()} {short}"


def check(client: Client, method: str, path: str, status: int = 200, **options: Any) -> Any:
    """Ask, and hold the answer to the description; return it."""
    answer = client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    whole = description(Limits())
    template = re.sub(r"/objects/[^/?]+", "/objects/{object}", re.sub(r"/images/[^/?]+", "/images/{image}", path))
    response = whole["paths"][template.partition("?")[0]][method.lower()]["responses"][str(status)]
    if "$ref" in response:
        response = whole["components"]["responses"][str(status)]
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert (kind in response.get("content", {})) == bool(answer.content)
    if kind == "application/json":
        schema = {**response["content"][kind].get("schema", {}), "components": whole["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
        return answer.json()
    return answer


def test_answers_are_as_described(client: Client) -> None:
    check(client, "GET", "/api/info")
    check(client, "GET", "/openapi.json")
    image = f"/api/images/{check(client, 'POST', '/api/images', 201, content=png(PHOTO))['id']}"
    made = check(client, "POST", f"{image}/objects?name=a", 201)
    at = f"{image}/objects/{made['id']}"
    for prompt in (
        {"click": [20, 20, True]},
        {"local": [20, 22, False]},
        {"box": [3, 3, 30, 30]},
        {"scribble": [[4, 4], [9, 9]], "fg": True},
    ):
        check(client, "POST", f"{at}/prompts", json=prompt)
    mask = check(client, "POST", f"{image}/objects", 201, content=png(PHOTO[..., 0] // 128 * 255))
    check(client, "POST", f"{at}/remove", json={"index": 1})
    for what in ("undo", "redo"):
        check(client, "POST", f"{at}/{what}")
    saved = check(client, "GET", f"{at}/download?format=session")
    check(client, "POST", f"{image}/objects/{mask['id']}/session", json=saved)
    check(client, "POST", f"{at}/reset")
    check(client, "PATCH", at, json={"name": "b", "color": "#010203"})
    check(client, "GET", f"{at}/alpha")
    check(client, "GET", f"{at}/alpha?format=png")
    check(client, "GET", f"{image}/pixels")
    project = check(client, "GET", f"{image}/download?format=project")
    check(client, "POST", f"{image}/project", json=project)
    check(client, "GET", image)
    check(client, "POST", f"{at}/undo", 404)
    check(client, "POST", f"{image}/project", 400, json={})
    check(client, "POST", "/api/images", 400, content=b"no image")
    check(client, "DELETE", image, 204)
    check(client, "DELETE", image, 404)
    check(client, "GET", "/api/info", 403, headers={"Host": "evil.example"})


def test_paths_and_methods_that_are_none_are_told(client: Client) -> None:
    told = client.error(404, "GET", "/api/image")
    assert told == "there is nothing at '/api/image'; openapi.json lists what there is"
    answer = client.put("/api/images")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["error"] == {"type": "HTTPError", "message": "PUT is not taken here; send POST"}


def test_what_is_described_is_what_is_refused(client: Client) -> None:
    described = client.expect(200, "GET", "/openapi.json")
    [most] = [
        parameter["schema"]["maximum"]
        for parameter in described["paths"]["/api/images/{image}/pixels"]["get"]["parameters"]
        if parameter["name"] == "max_side"
    ]
    at = client.open(PHOTO)
    client.expect(200, "GET", f"{at}/pixels?max_side={most}")
    told = client.error(400, "GET", f"{at}/pixels?max_side={most + 1}")
    assert told == f"max_side is '{most + 1}'; pass a number from 1 to {most}"
