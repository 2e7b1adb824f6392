"""Downloads equal what the library and `pyiseg.formats` write; sessions and projects come back as they were."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.served import Client
from support.toy_model import PHOTO

import pyiseg
from pyiseg import Session, formats
from pyiseg.server.downloads import IMAGE_FORMATS, OBJECT_FORMATS

HEIGHT, WIDTH = PHOTO.shape[:2]
RED, BLUE = (255, 0, 0), (0, 0, 255)


class Pair:
    """An image with two objects, on the server and in the library."""

    def __init__(self, client: Client, toy: Path) -> None:
        self.image = client.open(PHOTO, "my photo.jpg")
        image = pyiseg.Image(PHOTO, model=toy)
        self.ats, self.sessions = [], []
        for name, color, x in (("a dog", "#ff0000", 20), ("кот", "#0000ff", 60)):
            at, session = client.object(self.image, params={"name": name, "color": color}), Session(image)
            client.expect(200, "POST", f"{at}/prompts", json={"click": [x, 30, True]})
            session.click(x, 30)
            self.ats.append(at)
            self.sessions.append(session)
        self.named = [("a dog", self.sessions[0].alpha), ("кот", self.sessions[1].alpha)]


@pytest.fixture(scope="module")
def pair(client: Client, toy: Path) -> Pair:
    return Pair(client, toy)


def pixels(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image)


def test_of_one_object(client: Client, pair: Pair) -> None:
    session, (name, alpha) = pair.sessions[0], pair.named[0]

    def get(kind: str, **more: Any) -> bytes:
        return client.get(f"{pair.ats[0]}/download", params={"format": kind, **more}).content

    np.testing.assert_array_equal(pixels(get("cutout-png")), session.cutout())
    estimated = session.cutout(foreground="estimate")
    np.testing.assert_array_equal(pixels(get("cutout-png", foreground="estimate")), estimated)
    np.testing.assert_array_equal(pixels(get("cutout-webp")), session.cutout())
    np.testing.assert_array_equal(pixels(get("matte-png")), alpha)
    assert get("matte16-png") == formats.matte_png(alpha, bits=16)
    assert get("svg", tolerance=2).decode() == formats.svg([(name, alpha)], (HEIGHT, WIDTH), colors=[RED], tolerance=2)
    assert get("yolo").decode() == formats.yolo_segmentation([(name, alpha)])
    listed = [formats.AnnotatedImage("my photo.jpg", (HEIGHT, WIDTH), [(name, alpha)])]
    assert json.loads(get("coco")) == formats.coco_dataset(listed)
    polygons = formats.coco_dataset(listed, segmentation="polygons", tolerance=0)
    assert json.loads(get("coco", segmentation="polygons", tolerance=0)) == json.loads(json.dumps(polygons))
    labelme = formats.labelme([(name, alpha)], file_name="my photo.jpg", shape=(HEIGHT, WIDTH))
    assert json.loads(get("labelme")) == json.loads(json.dumps(labelme))


def test_of_all_objects(client: Client, pair: Pair) -> None:
    def get(kind: str) -> bytes:
        return client.get(f"{pair.image}/download", params={"format": kind}).content

    assert get("label-map") == formats.label_map_png(pyiseg.label_map(pair.sessions), colors=[RED, BLUE])
    assert get("svg").decode() == formats.svg(pair.named, (HEIGHT, WIDTH), colors=[RED, BLUE])
    assert get("yolo").decode() == formats.yolo_segmentation(pair.named)
    listed = [formats.AnnotatedImage("my photo.jpg", (HEIGHT, WIDTH), pair.named)]
    assert json.loads(get("coco")) == formats.coco_dataset(listed)
    labelme = formats.labelme(pair.named, file_name="my photo.jpg", shape=(HEIGHT, WIDTH))
    assert json.loads(get("labelme")) == json.loads(json.dumps(labelme))


@pytest.mark.parametrize("kind", OBJECT_FORMATS)
def test_files_of_an_object_have_a_name(client: Client, pair: Pair, kind: str) -> None:
    answer = client.get(f"{pair.ats[1]}/download", params={"format": kind})
    told = answer.headers["content-disposition"]
    assert told.startswith('attachment; filename="my photo-___')
    assert "filename*=UTF-8''my%20photo-%D0%BA%D0%BE%D1%82" in told
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_of_an_image_without_objects(client: Client, kind: str) -> None:
    image = client.open(PHOTO, '../"\r\n\x00<script>')
    if kind == "project":
        answer = client.get(f"{image}/download", params={"format": kind})
        assert answer.json()["objects"] == []
        assert answer.headers["content-disposition"].startswith('attachment; filename="___script_-project.json"; ')
    else:
        assert client.error(400, "GET", f"{image}/download?format={kind}").startswith("there are no objects")


def test_a_session_goes_to_the_library_and_back(client: Client, pair: Pair, toy: Path, tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    file.write_bytes(client.get(f"{pair.ats[0]}/download?format=session").content)
    session = Session.load(file, PHOTO, model=toy)
    np.testing.assert_array_equal(session.alpha, pair.named[0][1])
    session.box(5, 5, 30, 30)
    session.click(50, 30)
    session.undo()
    session.save(file)
    at = client.object(pair.image)
    client.expect(200, "POST", f"{at}/prompts", json={"click": [70, 50, True]})
    before = client.alpha(at)
    step = client.expect(200, "POST", f"{at}/session", content=file.read_bytes())
    assert (step["version"], step["can_redo"], len(step["prompts"])) == (2, True, 2)
    after = client.alpha(at)
    np.testing.assert_array_equal(after, session.alpha)
    top, left, bottom, right = step["changed"]
    before[top:bottom, left:right] = after[top:bottom, left:right]
    np.testing.assert_array_equal(before, after)
    client.expect(200, "POST", f"{at}/redo")
    np.testing.assert_array_equal(client.alpha(at), session.redo())
    client.expect(204, "DELETE", at)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{}", "the saved session is no saved session, or it is damaged"),
        (b"no JSON", "this is no JSON"),
        (b'{"format": "pyiseg session", "version": 9}', "the saved session is a session of format 9"),
    ],
)
def test_a_session_that_is_none_changes_nothing(client: Client, pair: Pair, content: bytes, told: str) -> None:
    before = client.expect(200, "GET", pair.image)
    message = client.error(400, "POST", f"{pair.ats[0]}/session", content=content)
    assert message.startswith(told)
    assert "/tmp" not in message
    assert client.expect(200, "GET", pair.image) == before


def test_a_session_of_another_image_is_refused(client: Client, pair: Pair) -> None:
    other = client.object(client.open(255 - PHOTO))
    saved = client.get(f"{pair.ats[0]}/download?format=session").content
    message = client.error(400, "POST", f"{other}/session", content=saved)
    assert message.startswith(f"the saved session was made on another image of {WIDTH} x {HEIGHT} pixels")


def test_a_project_comes_back(client: Client, pair: Pair) -> None:
    project = client.get(f"{pair.image}/download?format=project").json()
    assert [(made["name"], made["color"]) for made in project["objects"]] == [("a dog", "#ff0000"), ("кот", "#0000ff")]
    image = client.open(PHOTO)
    gone = client.object(image)
    with client.socket(image) as socket:
        socket.ask(seq=1, ping=True)
        loaded = client.expect(200, "POST", f"{image}/project", json=project)
        assert socket.next() == {"objects": loaded["objects"]}
    client.error(404, "GET", f"{gone}/alpha")
    for made, (name, alpha) in zip(loaded["objects"], pair.named, strict=True):
        assert made["name"] == name
        np.testing.assert_array_equal(client.alpha(f"{image}/objects/{made['id']}"), alpha)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "x"}, "this is no project: its format is 'x'"),
        ({"version": 2}, "the project is of version 2"),
        ({"version": True}, "the project is of version True"),
        ({"objects": {}}, "objects is {}"),
        ({"objects": [{}]}, "objects[0] is {}"),
        ({"objects": [{"session": {}}]}, "objects[0]: the saved session is no saved session"),
        ({"objects": [{"session": {}, "color": "red"}]}, "objects[0]: color is 'red'"),
    ],
)
def test_a_project_that_is_none_changes_nothing(client: Client, pair: Pair, change: dict[str, Any], told: str) -> None:
    before = client.expect(200, "GET", pair.image)
    project = client.get(f"{pair.image}/download?format=project").json()
    assert client.error(400, "POST", f"{pair.image}/project", json={**project, **change}).startswith(told)
    assert client.expect(200, "GET", pair.image) == before


def test_a_project_of_too_many_objects_or_bytes(client: Client, pair: Pair) -> None:
    project = client.get(f"{pair.image}/download?format=project").json()
    many = {**project, "objects": project["objects"] * 51}
    assert client.error(409, "POST", f"{pair.image}/project", json=many).startswith("the project has 102 objects")
    brackets = b"[" + b"[]," * 1_000_001 + b"[]]"
    assert "more than 2000000 values" in client.error(400, "POST", f"{pair.image}/project", content=brackets)
