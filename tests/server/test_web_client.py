"""The example of a client in JavaScript, run by Node against a server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.served import Client
from support.toy_model import PHOTO

from pyiseg import Session

CLIENT = ROOT / "examples" / "web-client" / "client.mjs"
NODE = shutil.which("node")


def node_version() -> int:
    if NODE is None:
        return 0
    told = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.strip().lstrip("v").partition(".")[0])


needs_node = pytest.mark.skipif(node_version() < 20, reason="needs Node 20 or newer")


def run(client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    url = f"http://127.0.0.1:{client.port}/"
    return subprocess.run([NODE, str(CLIENT), url, *arguments], capture_output=True, text=True, timeout=60, check=False)


@needs_node
def test_its_matte_is_the_library_s(client: Client, toy: Path, tmp_path: Path) -> None:
    photo, matte = tmp_path / "photo.png", tmp_path / "matte.pgm"
    Image.fromarray(PHOTO).save(photo)
    done = run(client, str(photo), str(matte), "60,40", "20,20", "3,4,bg")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"changed [\d,]+ in [\d.]+ ms", done.stdout)) == 3
    session = Session(PHOTO, model=toy)
    for x, y, fg in ((60, 40, True), (20, 20, True), (3, 4, False)):
        session.click(x, y, fg)
    with Image.open(matte) as written:
        np.testing.assert_array_equal(np.asarray(written), session.alpha)


@needs_node
def test_it_shows_the_server_s_errors(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"no image")
    done = run(client, str(photo), str(tmp_path / "x.pgm"))
    assert done.returncode != 0
    assert "is not an image of a format" in done.stderr


FOLLOWING = """
import { Selection } from "CLIENT";
const image = await (await fetch("URL")).json();
const one = new Selection("URL", image, image.objects[0]);
const socket = one.follow((step) => {
  console.log(step.version, one.alpha.reduce((sum, value) => sum + value, 0));
  socket.close();
});
const body = JSON.stringify({ click: [60, 40] });
socket.onopen = () => fetch(`${one.object}/prompts`, { method: "POST", body });
"""


@needs_node
def test_it_follows_what_others_do(client: Client, toy: Path, tmp_path: Path) -> None:
    image = client.open(PHOTO)
    client.object(image)
    script = FOLLOWING.replace("CLIENT", CLIENT.as_uri()).replace("URL", f"http://127.0.0.1:{client.port}{image}")
    (tmp_path / "follow.mjs").write_text(script)
    assert NODE is not None
    flags = ["--experimental-websocket", "--no-warnings"] if node_version() < 22 else []
    done = subprocess.run(
        [NODE, *flags, str(tmp_path / "follow.mjs")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    total = int(Session(PHOTO, model=toy).click(60, 40).astype(int).sum())
    assert done.stdout.split() == ["1", str(total)]
