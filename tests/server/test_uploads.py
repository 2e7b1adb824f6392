"""Images by HTTP: opened, shown, closed, and refused where they are too large or none."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.served import Client, png, running
from support.toy_model import PHOTO

import pyiseg
from pyiseg import images
from pyiseg.server import create_app, limits, opening

HEIGHT, WIDTH = PHOTO.shape[:2]


def saved(pixels: np.ndarray[Any, np.dtype[np.uint8]], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image)


def huge_png(width: int, height: int) -> bytes:
    """The beginning of a PNG file of any size, with hardly any bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(10_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def test_info_tells_the_limits(client: Client) -> None:
    info = client.expect(200, "GET", "/api/info")
    assert info["version"] == pyiseg.__version__
    assert (info["device"], info["initial"]) == ("cpu", None)
    assert info["max_pixels"] == 100_000_000
    assert 0 < info["max_bytes"] < info["memory_limit"]


def test_an_image_is_opened_and_closed(client: Client) -> None:
    before = client.expect(200, "GET", "/api/info")
    answer = client.post("/api/images", params={"name": "my photo.png"}, content=png(PHOTO))
    made = answer.json()
    assert answer.status_code == 201
    assert made | {"id": "", "ms": 0} == {
        "id": "",
        "name": "my photo.png",
        "width": WIDTH,
        "height": HEIGHT,
        "transparent": False,
        "objects": [],
        "ms": 0,
    }
    assert re.fullmatch(r"[\w-]{22}", made["id"])
    at = answer.headers["location"]
    assert client.expect(200, "GET", at) == made
    info = client.expect(200, "GET", "/api/info")
    assert info["memory_used"] >= before["memory_used"] + PHOTO.nbytes
    assert info["images"] == before["images"] + 1
    client.expect(204, "DELETE", at)
    assert client.expect(200, "GET", "/api/info")["memory_used"] == before["memory_used"]
    for method, url in (("GET", at), ("DELETE", at), ("GET", f"{at}/pixels"), ("POST", f"{at}/objects")):
        assert client.error(404, method, url).startswith("this image is not open")


def test_pixels_are_what_the_library_sees(client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(PHOTO, "JPEG", exif=exif)
    made = client.expect(201, "POST", "/api/images", content=turned)
    assert (made["width"], made["height"]) == (HEIGHT, WIDTH)
    at = f"/api/images/{made['id']}"
    seen = images.load(Image.open(io.BytesIO(turned))).rgb
    np.testing.assert_array_equal(pixels_of(client.get(f"{at}/pixels?format=png").content), seen)
    answer = client.get(f"{at}/pixels")
    assert answer.headers["content-type"] == "image/jpeg"
    assert np.abs(pixels_of(answer.content).astype(int) - seen).mean() < 12
    small = client.get(f"{at}/pixels?max_side=20&format=webp")
    assert small.headers["content-type"] == "image/webp"
    assert max(pixels_of(small.content).shape) == 20
    assert client.error(400, "GET", f"{at}/pixels?max_side=0").startswith("max_side is '0'")


def test_a_transparent_image_keeps_its_alpha(client: Client) -> None:
    rgba = np.dstack((PHOTO, np.where(np.arange(WIDTH) < 20, 0, 255)[None].repeat(HEIGHT, 0))).astype(np.uint8)
    at = client.open(rgba)
    assert client.expect(200, "GET", at)["transparent"] is True
    np.testing.assert_array_equal(pixels_of(client.get(f"{at}/pixels?format=png").content), rgba)
    assert client.get(f"{at}/pixels").headers["content-type"] == "image/webp"
    jpeg = pixels_of(client.get(f"{at}/pixels?format=jpeg").content)
    assert jpeg[:, :10].min() > 230  # over white


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_formats_that_are_opened(client: Client, kind: str) -> None:
    made = client.expect(201, "POST", "/api/images", content=saved(PHOTO, kind))
    assert (made["width"], made["height"]) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the body is empty"),
        (b"<html>", "'x' is not an image of a format that is read here"),
        (saved(PHOTO, "EPS"), "'x' is not an image of a format that is read here"),
        (saved(PHOTO, "PDF"), "'x' is not an image of a format that is read here"),
        (png(PHOTO)[:400], "'x' cannot be decoded, the file may be damaged"),
    ],
)
def test_what_is_no_image_is_refused(client: Client, content: bytes, told: str) -> None:
    before = client.expect(200, "GET", "/api/info")["memory_used"]
    message = client.error(400, "POST", "/api/images", params={"name": "x"}, content=content)
    assert message.startswith(told)
    assert "array" not in message  # which is for programs in Python
    assert "/" not in message.replace("and/or", "")
    assert client.expect(200, "GET", "/api/info")["memory_used"] == before


def test_a_form_is_refused(client: Client) -> None:
    message = client.error(400, "POST", "/api/images", files={"f": ("photo.png", png(PHOTO))})
    assert message == "the body is a form; send the file's bytes alone, as curl --data-binary @photo.jpg does"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 5_001), (1_000_000, 1_000_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(client: Client, size: tuple[int, int]) -> None:
    message = client.error(413, "POST", "/api/images", params={"name": "bomb"}, content=huge_png(*size))
    assert message.startswith("'bomb' ")
    assert "shrink it first" in message


@pytest.fixture(scope="module")
def small(toy: Path) -> Iterator[Client]:
    with running(create_app(model=toy, max_bytes=20_000, max_pixels=WIDTH * HEIGHT)) as client:
        yield client


def test_as_many_pixels_as_there_may_be(small: Client) -> None:
    small.open(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    wide = np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)
    message = small.error(413, "POST", "/api/images", params={"name": "wide"}, content=png(wide))
    assert message == (
        f"'wide' has {WIDTH + 1} x {HEIGHT} pixels, more than the {WIDTH * HEIGHT} that this server takes; "
        "shrink it first"
    )


def test_a_length_that_is_too_large_is_refused_at_once(small: Client) -> None:
    message = small.error(413, "POST", "/api/images", content=bytes(20_001))
    assert "larger than the 20000 bytes" in message


def test_a_body_without_length_is_refused_before_it_ends(small: Client) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=30) as raw:
        raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            raw.sendall(b"1f40\r\n" + bytes(8000) + b"\r\n")
        answer = raw.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 413")
    small.expect(200, "GET", "/api/info")


def test_an_upload_that_stops_is_given_up(small: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS_TO_UPLOAD", 0.2)
    with socket.create_connection(("127.0.0.1", small.port), timeout=30) as raw:
        raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\nabc")
        assert raw.recv(10_000).startswith(b"HTTP/1.1 408")


def test_an_upload_of_a_byte_now_and_then_is_given_up(small: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep one of the places for uploads for as long as it likes."""
    monkeypatch.setattr(limits, "SECONDS_TO_UPLOAD", 0.5)
    with socket.create_connection(("127.0.0.1", small.port), timeout=0.1) as raw:
        raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(100):
            raw.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                answer = raw.recv(10_000)
                break
        else:
            pytest.fail("the server still takes it")
        raw.settimeout(30)
        while not answer.endswith(b"}}") and (more := raw.recv(10_000)):  # the head may come alone
            answer += more
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"less than 4000 bytes a second" in answer


def test_a_client_that_goes_away_in_the_middle_breaks_nothing(
    small: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of this test alone: other servers come and go
    with socket.create_connection(("127.0.0.1", small.port), timeout=30) as raw:
        raw.sendall(b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\nabc")
        for _ in range(100):
            if any(tmp_path.iterdir()):
                break
            time.sleep(0.05)
        else:
            pytest.fail("the upload has no folder")
    for _ in range(100):
        if not any(tmp_path.iterdir()):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the upload's folder is still there")
    small.open(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def test_a_mask_is_limited_too(small: Client) -> None:
    at = small.open(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert "the mask is larger" in small.error(413, "POST", f"{at}/objects", content=bytes(20_001))
    assert "'mask' has 9000 x 9000 pixels" in small.error(413, "POST", f"{at}/objects", content=huge_png(9_000, 9_000))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "this is no JSON"),
        (b"{", "this is no JSON"),
        (b"\xff\xfe", "this is no JSON"),
        (b"[1]", "the JSON is a list; send an object"),
        (b"null", "the JSON is null; send an object"),
        (b'{"click": ' + b"[" * 13 + b"]" * 13 + b"}", "the JSON is nested more than 12 deep"),
        (b'{"click": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "the JSON is nested more than 12 deep"),
        (b'{"click": [1, ' + b"9" * 10_000 + b", true]}", "this is no JSON: it holds a number of thousands of digits"),
        (b'{"click": [1, 1e999, true]}', "y is inf; pass a finite number"),
        (b'{"click": [NaN, 1, true]}', "x is nan; pass a finite number"),
    ],
)
def test_broken_json_is_told(client: Client, body: bytes, told: str) -> None:
    at = client.object(client.open(PHOTO))
    message = client.error(400, "POST", f"{at}/prompts", content=body)
    assert message.startswith(told)
    assert len(message) < 400


def test_json_that_is_too_large_is_refused(client: Client) -> None:
    at = client.object(client.open(PHOTO))
    assert "the JSON is larger" in client.error(413, "POST", f"{at}/prompts", content=b" " * 500_001)


@pytest.mark.parametrize(
    ("query", "told"),
    [({"name": "x" * 201}, "name has 201 characters"), ({"color": "red"}, "color is 'red'; pass '#rrggbb'")],
)
def test_a_wrong_name_or_color_is_told(client: Client, query: dict[str, str], told: str) -> None:
    at = client.open(PHOTO)
    assert client.error(400, "POST", f"{at}/objects", params=query).startswith(told)


@pytest.mark.parametrize(
    ("method", "path", "query", "told"),
    [
        ("POST", "/objects", "colour=red", "the query has the unknown key 'colour'; known are name, color"),
        ("GET", "/pixels", "maxside=9", "the query has the unknown key 'maxside'; known are max_side, format"),
        ("GET", "/download", "format=coco&foreground=image", "the query has the unknown key 'foreground'; known are"),
        ("GET", "", "format=png", "the query has the unknown key 'format'; none is taken here"),
        ("GET", "/pixels", "format=png&format=jpeg", "the query has format 2 times; pass it once"),
    ],
)
def test_unknown_keys_of_a_query_are_told(client: Client, method: str, path: str, query: str, told: str) -> None:
    at = client.open(PHOTO)
    assert client.error(400, method, f"{at}{path}?{query}").startswith(told)


def test_the_page_takes_any_query(client: Client) -> None:
    client.expect(200, "GET", "/?from=mail")


def test_unknown_routes_and_methods(client: Client) -> None:
    client.error(404, "GET", "/api/nothing")
    client.error(404, "GET", "/api/images/none")
    client.error(405, "PUT", "/api/info")
    assert client.request("HEAD", "/api/info").status_code == 200
    assert client.expect(200, "GET", "/openapi.json")["openapi"] == "3.1.0"


def test_an_initial_image_is_there_from_the_beginning(toy: Path) -> None:
    with running(create_app(model=toy, initial=PHOTO)) as client:
        at = f"/api/images/{client.expect(200, 'GET', '/api/info')['initial']}"
        assert client.expect(200, "GET", at)["width"] == WIDTH
        client.expect(204, "DELETE", at)
        assert client.expect(200, "GET", "/api/info")["initial"] is None
    with pytest.raises(ValueError, match="image has shape"):
        create_app(model=toy, initial=np.zeros((2, 2, 7), np.uint8))
    with pytest.raises(FileNotFoundError, match="no image at"):
        create_app(model=toy, initial="nothing.jpg")


def png_with_large_notes() -> bytes:
    """Notes of more than 1 MB, as programs keep a drawing or a workflow in them; Pillow refuses these."""
    content = b"workflow\0\0" + zlib.compress(bytes(2_000_000))
    note = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    whole = saved(PHOTO, "PNG")
    return whole[:33] + note + whole[33:]


def test_notes_beside_the_pixels_refuse_nothing(client: Client) -> None:
    """What `pyiseg.Session` opened, the server called damaged."""
    made = client.expect(201, "POST", "/api/images", content=png_with_large_notes())
    assert (made["width"], made["height"]) == (WIDTH, HEIGHT)


def test_a_size_that_pillow_itself_refuses_is_too_large(client: Client) -> None:
    """Of WebP it compares the size while it opens the file: the server called that damaged."""
    frames = [Image.new("RGBA", (16, 16), color) for color in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    content = bytearray(buffer.getvalue())
    at = content.index(b"VP8X") + 12
    content[at : at + 6] = (15_999).to_bytes(3, "little") * 2
    message = client.error(413, "POST", "/api/images", content=bytes(content))
    assert message.startswith("'image' is too large")
    assert message.endswith("; shrink it")


def test_the_servers_folders_are_not_told_whatever_they_are_called(tmp_path: Path, toy: Path) -> None:
    folder = tmp_path / "odd\nfolder"
    folder.mkdir()
    (folder / "image").write_bytes(png(PHOTO)[:400])
    with pytest.raises(ValueError, match=r"^'x' cannot be decoded") as caught:
        opening.open_image(folder / "image", "x", pyiseg.load_model(toy), "cpu", 10**6)
    assert "folder" not in str(caught.value)
