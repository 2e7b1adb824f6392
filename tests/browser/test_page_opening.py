"""Images of all kinds, and files that are none: opened by the chooser, by drop, by a link."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from support.browser import UserPage

import pyiseg


def drop(user: UserPage, name: str, content: bytes, kind: str) -> None:
    """Drop a file on the page."""
    user.page.evaluate(
        """([name, content, type]) => {
            const dataTransfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            dataTransfer.items.add(new File([bytes], name, { type }));
            for (const event of ["dragenter", "dragover", "drop"]) {
                document.getElementById("stage").dispatchEvent(
                    new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
            }
        }""",
        [name, base64.b64encode(content).decode(), kind],
    )


def test_the_first_sight(user: UserPage) -> None:
    assert user.page.get_by_role("heading", name="Drop an image here, or open one").is_visible()
    assert user.page.get_by_role("button", name="Download").is_disabled()
    user.page.mouse.click(600, 300)  # nothing is there to be clicked on, and nothing fails
    assert user.notices == []


def test_opening_by_the_buttons(user: UserPage, otter: Path) -> None:
    for name in ("Open an image", "Open"):
        with user.page.expect_file_chooser() as chooser:
            user.page.get_by_role("button", name=name, exact=True).click()
        chooser.value.set_files(otter)
        user.shows("otter.png")
        user.says("Opened otter.png, 600 by 400 pixels")
    assert user.page.title() == "otter.png · pyiseg"
    assert user.page.locator("#file").inner_text().split() == ["otter.png", "600", "×", "400"]
    assert not user.page.locator("#empty").is_visible()


def test_dropping(user: UserPage, otter: Path) -> None:
    drop(user, "dropped.png", otter.read_bytes(), "image/png")
    user.shows("dropped.png")
    assert user.page.locator("#drop").is_hidden()


@pytest.mark.parametrize("name", ["notes.txt", "broken.png", "nothing.png"])
def test_a_wrong_file(user: UserPage, otter: Path, tmp_path: Path, name: str) -> None:
    contents = {"notes.txt": b"no image at all", "broken.png": otter.read_bytes()[:500], "nothing.png": b""}
    user.expected = ("400 (Bad Request)",)
    user.open(otter)
    wrong = tmp_path / name
    wrong.write_bytes(contents[name])
    user.page.set_input_files("#file-input", wrong)
    alert = user.page.get_by_role("alert")
    alert.wait_for()
    assert name in alert.inner_text()
    assert user.get("pyiseg.page.opened.name") == "otter.png"  # what was open still is
    user.click(340, 248)
    alert.get_by_role("button", name="Dismiss this notice").click()
    assert user.notices == []


def test_a_file_that_is_too_large_is_not_sent(user: UserPage, otter: Path) -> None:
    user.get("pyiseg.page.info.max_bytes = 1000")
    user.page.set_input_files("#file-input", otter)
    user.notes("this server takes at most 1 kB")


def test_turned_transparent_and_gray_images_are_seen_as_the_library_sees_them(user: UserPage, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    smooth = PIL.Image.fromarray(rng.integers(0, 255, (4, 6, 3), np.uint8)).resize(
        (300, 200), PIL.Image.Resampling.BICUBIC
    )
    turned = tmp_path / "turned.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    smooth.save(turned, quality=95, exif=exif)
    transparent = tmp_path / "transparent.png"
    rgba = smooth.convert("RGBA")
    rgba.putalpha(PIL.Image.linear_gradient("L").resize((300, 200)))
    rgba.save(transparent)
    tiff = tmp_path / "gray.tiff"  # browsers do not know it: the server's pixels are shown
    smooth.convert("L").save(tiff)
    for path in (turned, transparent, tiff):
        user.open(path)
        session = pyiseg.Session(path)
        assert user.get("[pyiseg.page.opened.height, pyiseg.page.opened.width]") == list(session.shape)
        difference = np.abs(user.seen()[..., :3].astype(int) - session.image.astype(int))
        assert difference.mean() < 2, path.name
        assert difference.max() < 40, path.name


def test_a_reload_keeps_the_image_and_what_was_done(user: UserPage, otter: Path, session: pyiseg.Session) -> None:
    expected = session.click(340, 248)
    user.open(otter)
    user.click(340, 248)
    user.page.reload()
    user.shows("otter.png")
    user.says("Opened otter.png")
    assert np.array_equal(user.alpha(), expected)
    with user.step():
        user.page.get_by_role("button", name="Undo", exact=True).click()
    assert not user.alpha().any()


def test_a_link_to_an_image_that_never_was(visit: Callable[..., UserPage], otter: Path) -> None:
    user = visit()
    user.expected = ("404 (Not Found)",)
    user.page.goto("about:blank")
    user.page.goto(user.url + "#image=nothing")
    user.notes("The server no longer has this image")
    assert user.page.locator("#empty").is_visible()
    assert user.get("location.hash") == ""
    user.open(otter)  # and one goes on


def test_the_example(user: UserPage) -> None:
    user.page.get_by_role("button", name="Try the example").click()
    user.shows("otter.jpg")
    assert user.get("[pyiseg.page.opened.width, pyiseg.page.opened.height]") == [1500, 1000]


def test_12_megapixels_only_the_changed_rectangle_travels(user: UserPage, large: Path) -> None:
    session = pyiseg.Session(large)
    user.open(large)
    user.press("n")
    user.says("Object 1 is new")
    user.until("pyiseg.page.view.tiles.painted > 0 && !pyiseg.page.view.scheduled")
    for x, y, fg, local in ((2260, 1860, True, False), (700, 1150, False, False), (300, 2800, True, True)):
        prompt = (pyiseg.LocalClick if local else pyiseg.Click)(x, y, fg)
        rect = session.add(prompt)
        user.page.get_by_label("Only what is connected").set_checked(local)
        received, painted = len(user.frames), user.get("pyiseg.page.view.tiles.painted")
        user.click(x, y, button="left" if fg else "right")
        binary = [frame for frame in user.frames[received:] if isinstance(frame, bytes)]
        assert len(binary) == 1
        rows = np.frombuffer(zlib.decompress(binary[0]), np.uint8)
        assert rows.size == (rect.bottom - rect.top) * (rect.right - rect.left) < 12e6
        assert np.array_equal(rows, session.alpha_in(rect).ravel())
        assert len(binary[0]) < 1_500_000
        user.until("!pyiseg.page.view.scheduled")
        # Zoomed out, the smaller mattes are painted, and of those the rectangle with an edge around it.
        seen = rows.size / 4 ** user.get("pyiseg.page.view.level")
        assert user.get("pyiseg.page.view.tiles.painted") - painted < 1.1 * seen + 20_000
    assert np.array_equal(user.alpha(), session.alpha)


def test_back_and_forward_between_images(user: UserPage, otter: Path, session: pyiseg.Session) -> None:
    user.open(otter)
    user.click(340, 248)
    user.page.get_by_role("button", name="Open", exact=True).focus()
    user.get("document.getElementById('example').click()")
    user.shows("otter.jpg")
    user.page.go_back()
    user.shows("otter.png")
    user.says("Opened otter.png")
    assert np.array_equal(user.alpha(), session.click(340, 248))
    user.page.go_forward()
    user.shows("otter.jpg")


def test_of_two_files_the_last_is_shown(user: UserPage, large: Path, otter: Path) -> None:
    user.page.set_input_files("#file-input", large)
    user.page.set_input_files("#file-input", otter)
    user.until("pyiseg.page.opened && document.getElementById('busy').hidden")  # both have come
    user.shows("otter.png")
    assert user.get("pyiseg.page.view.photo.width") == 600


def test_an_empty_file_is_not_sent(user: UserPage, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    user.page.set_input_files("#file-input", empty)
    user.notes("“empty.jpg” is empty; choose another file.")


def test_how_much_of_a_file_is_sent_is_told(user: UserPage, large: Path) -> None:
    network = user.page.context.new_cdp_session(user.page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": 300_000}
    network.send("Network.emulateNetworkConditions", slow)
    user.page.set_input_files("#file-input", large)
    user.until(r"/Opening large.jpg, .* [1-9]\d? % sent/.test(document.getElementById('busy').textContent)")
    assert user.get("getComputedStyle(document.getElementById('empty')).visibility") == "hidden"
    assert user.page.text_content("#message").startswith("Opening large.jpg")
    user.shows("large.jpg")


def test_a_server_that_is_not_there_is_told(user: UserPage, otter: Path) -> None:
    user.expected = ("ERR_INTERNET_DISCONNECTED",)
    user.page.context.set_offline(True)
    user.page.set_input_files("#file-input", otter)
    user.notes("“otter.png”: The server cannot be reached. Check that it runs, then try again.")
    user.page.context.set_offline(False)
    user.open(otter)
