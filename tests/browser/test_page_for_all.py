"""By keyboard alone, by touch, for screen readers, dark and light, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.browser import UserPage

import pyiseg

OTTER = (340, 248)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.fixture
def opened(user: UserPage, otter: Path) -> UserPage:
    user.open(otter)
    return user


@pytest.fixture
def phone(visit: Callable[..., UserPage], otter: Path) -> UserPage:
    user = visit(**PHONE)
    user.open(otter)
    return user


def touch(user: UserPage, kind: str, *places: tuple[float, float]) -> None:
    """Send what fingers do, as the system would."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    user.page.touch_session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_keyboard_alone(visit: Callable[..., UserPage], otter: Path, session: pyiseg.Session) -> None:
    """Open, click, remove, box, undo, a second object, its name, and a download, without a mouse."""
    user = visit()
    with user.page.expect_file_chooser() as chooser:
        user.press("o")
    chooser.value.set_files(otter)
    user.shows("otter.png")
    user.until("document.activeElement.id === 'stage'")
    user.press("ArrowRight")  # the first one shows where it is: in the middle
    user.says("Crosshair at 300, 200")
    user.press("Shift+ArrowDown", "ArrowDown", "Control+ArrowDown", "ArrowRight", "ArrowRight")
    x, y = user.get("pyiseg.page.marks.crosshair")
    step = round(8 / user.get("pyiseg.page.view.scale"))
    assert (x, y) == (300 + 2 * step, 200 + 7 * step + 1)
    user.says(f"Crosshair at {x}, {y}")
    with user.step():
        user.press("Enter")
    assert np.array_equal(user.alpha(), session.click(x, y))
    user.press(*["Shift+ArrowDown"] * 2)
    x, y = user.get("pyiseg.page.marks.crosshair")
    with user.step():
        user.press("Delete")
    assert np.array_equal(user.alpha(), session.click(x, y, fg=False))
    with user.step():
        user.press("Backspace")
    with user.step():
        user.press("Control+z")
    with user.step():
        user.press("Shift+Enter")
    assert np.array_equal(user.alpha(), session.click(x, y, fg=False))
    with user.step():
        user.press("Control+z")

    user.press("n")
    user.says("Object 2 is new")
    user.press("b")
    user.says(f"Box begun at {x}, {y}")
    user.press("Shift+ArrowUp", "Shift+ArrowLeft")
    with user.step():
        user.press("b")
    [prompt] = user.prompts
    assert prompt["box"] == [x - 6 * step, y - 6 * step, x, y]
    user.press("b", "ArrowLeft", "Escape")
    user.says("Left off")
    user.press("s", "ArrowLeft", "ArrowLeft")
    with user.step():
        user.press("s")
    assert len(user.prompts[-1]["scribble"]) == 3
    with user.step():
        user.press("Control+z")

    user.page.get_by_label("Name of Object 2").focus()
    user.press("Control+a")
    user.page.keyboard.type("Undo z and x")  # letters in a name are no keys of the page
    user.press("Enter")
    user.until("pyiseg.page.opened.objects[1].name === 'Undo z and x'")
    user.until("document.activeElement.id === 'stage'")
    assert user.get("pyiseg.page.tools.fg") is True
    user.press("[")
    user.says("Object 1 is active")
    user.press("v")
    user.says("Shown: matte")
    user.press("+", "+", "0", "?")
    assert user.page.get_by_role("dialog", name="How it works").is_visible()
    user.press("Escape")
    user.press("d")
    user.until("document.activeElement.textContent === 'Cut-out, PNG'")
    user.press("Escape")
    user.until("document.activeElement.id === 'download'")


def test_tab_reaches_everything_that_can_be_done(opened: UserPage) -> None:
    opened.click(*OTTER)
    opened.page.evaluate("document.activeElement.blur()")
    reached: list[str] = []
    for _ in range(60):
        opened.press("Tab")
        name = opened.get(
            "document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.textContent"
        )
        if name in reached:
            break
        reached.append(name)
    for wanted in (
        "open",
        "download",
        "theme",
        "undo",
        "stage",
        "add",
        "add-mask",
        "reset",
        "local",
        "preview",
        "Brush",
        "Remove",
        "Matte",
        "Color of Object 1",
        "Delete Object 1",
        "help-button",
    ):
        assert wanted in reached, wanted


def test_single_keys_can_be_switched_off(opened: UserPage) -> None:
    """WCAG 2.1.4: who speaks to a computer presses letters that are not meant."""
    opened.press("?")
    opened.page.get_by_label("Single letters and digits are shortcuts").uncheck()
    opened.press("Escape")
    opened.page.reload()
    opened.shows("otter.png")
    opened.page.locator("#stage").focus()
    opened.press("x", "n", "v", "2")
    assert opened.get("[pyiseg.page.tools.fg, pyiseg.page.tools.tool, pyiseg.page.view.mode]") == [
        True,
        "select",
        "overlay",
    ]
    with opened.step():
        opened.press("Enter")  # on the canvas it is no shortcut
    assert opened.get("pyiseg.page.opened.objects.length") == 1
    with opened.step():
        opened.press("Control+z")
    opened.press("?")
    opened.page.get_by_label("Single letters and digits are shortcuts").check()
    opened.press("Escape")
    opened.press("x")
    assert opened.get("pyiseg.page.tools.fg") is False


def test_the_focus_stays_where_something_was_taken_away(opened: UserPage) -> None:
    for x in (300, 340, 380):
        opened.click(x, 248)
    opened.page.get_by_role("button", name="Take back: Click 2").focus()
    for _ in range(3):
        with opened.step():
            opened.press("Enter")
    assert opened.prompts == []
    assert opened.get("document.activeElement.id") == "stage"
    opened.page.get_by_role("button", name="Delete Object 1").focus()
    opened.press("Enter")
    opened.says("Deleted Object 1")
    assert opened.get("document.activeElement.id") == "stage"


def test_many_prompts_do_not_push_the_options_away(opened: UserPage) -> None:
    with opened.step(25):
        for x in range(25):
            opened.page.mouse.click(*opened.place(200 + 8 * x, 248))
    last = opened.page.get_by_role("button", name="Take back: Click 25").bounding_box()
    options = opened.page.get_by_label("Preview while the pointer rests").bounding_box()
    assert last["y"] + last["height"] < options["y"] < 780


def test_downloads_close_when_the_focus_leaves_them(opened: UserPage) -> None:
    opened.press("d")
    menu = opened.page.get_by_role("dialog", name="Downloads")
    assert menu.is_visible()
    opened.page.get_by_role("button", name="Open session…").focus()
    opened.page.locator("#theme").focus()
    assert menu.is_hidden()


def test_space_does_not_stay_pressed(opened: UserPage) -> None:
    opened.page.locator("#stage").focus()
    opened.page.keyboard.down(" ")
    assert opened.get("pyiseg.page.pointer.spaceHeld")
    opened.page.locator("#theme").focus()  # where the key is let go
    opened.get("dispatchEvent(new KeyboardEvent('keyup', { key: ' ' }))")
    assert not opened.get("pyiseg.page.pointer.spaceHeld")


def test_everything_has_a_name_and_each_label_once(opened: UserPage) -> None:
    opened.click(*OTTER)
    nameless = opened.page.evaluate(
        """() => [...document.querySelectorAll("button, input, [role=application], ul, ol, dialog, nav, aside")]
            .filter((element) => !(element.ariaLabel || element.getAttribute("aria-labelledby") ||
                element.labels?.length || element.textContent.trim()))
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    assert opened.page.locator("[id]").count() == opened.get(
        "new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size"
    )
    broken = opened.page.evaluate(
        """() => ["aria-labelledby", "aria-controls", "aria-describedby"]
            .flatMap((name) => [...document.querySelectorAll(`[${name}]`)].map((element) => element.getAttribute(name)))
            .filter((id) => !document.getElementById(id))"""
    )
    assert broken == []
    assert opened.page.locator("#live").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrasts(visit: Callable[..., UserPage], otter: Path, scheme: str) -> None:
    """WCAG AA: all text that is shown has at least 4.5 : 1 against what is behind it."""
    user = visit(color_scheme=scheme)
    user.open(otter)
    user.click(*OTTER)
    user.page.evaluate("import('./static/notices.js').then(({ fail }) => fail(new Error('Something went wrong')))")
    user.page.get_by_role("button", name="Download", exact=True).click()
    poor = user.page.evaluate(
        """() => {
            const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const rgba = (color) => {
                probe.clearRect(0, 0, 1, 1); probe.fillStyle = color; probe.fillRect(0, 0, 1, 1);
                return [...probe.getImageData(0, 0, 1, 1).data];
            };
            const behind = (element) => {
                for (let at = element; at; at = at.parentElement) {
                    const color = rgba(getComputedStyle(at).backgroundColor);
                    if (color[3] > 250) return color;
                }
                return [255, 255, 255, 255];
            };
            const luminance = (color) => {
                const [r, g, b] = color.slice(0, 3).map((v) => v / 255)
                    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            return [...document.querySelectorAll("body *")].filter((element) =>
                element.checkVisibility() && !element.closest(":disabled, svg, script") &&
                (element.value || [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())))
                .map((element) => {
                    const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(behind(element))];
                    return [element.outerHTML.slice(0, 90), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
                }).filter(([, ratio]) => ratio < 4.5);
        }"""
    )
    assert poor == []
    stage = user.page.evaluate("getComputedStyle(document.getElementById('dropzone')).backgroundColor")
    corner = user.get("[...pyiseg.page.view.context.getImageData(1, 1, 1, 1).data].slice(0, 3)")
    assert stage == f"rgb({corner[0]}, {corner[1]}, {corner[2]})"


def test_dark_and_light_by_the_button_are_kept(opened: UserPage) -> None:
    color = "getComputedStyle(document.querySelector('.bar')).backgroundColor"
    light = opened.get(color)
    opened.page.get_by_role("button", name="Change to dark colors").click()
    dark = opened.get(color)
    assert dark != light
    opened.page.reload()
    opened.shows("otter.png")
    assert opened.get(color) == dark
    opened.page.get_by_role("button", name="Change to light colors").click()
    assert opened.get(color) == light
    assert opened.get("localStorage.getItem('pyiseg-theme')") is None  # as the system has it


def test_touch(phone: UserPage, session: pyiseg.Session) -> None:
    phone.page.touch_session = phone.page.context.new_cdp_session(phone.page)
    with phone.step():
        phone.page.touchscreen.tap(*phone.place(*OTTER))
    [[x, y, fg]] = [prompt["click"] for prompt in phone.prompts]
    assert abs(x - OTTER[0]) <= 2
    assert abs(y - OTTER[1]) <= 2
    assert fg is True
    assert np.array_equal(phone.alpha(), session.click(x, y))
    with phone.step():  # a finger that rests removes
        touch(phone, "touchStart", phone.place(300, 350))
        phone.until("pyiseg.page.opened.active.prompts.length === 2")
        touch(phone, "touchEnd")
    assert phone.prompts[1]["click"][2] is False
    with phone.step():
        phone.page.get_by_role("button", name="Remove", exact=True).tap()
        phone.page.touchscreen.tap(*phone.place(200, 350))
    assert phone.prompts[2]["click"][2] is False

    scale, (left, top) = phone.get("pyiseg.page.view.scale"), phone.place(300, 200)
    touch(phone, "touchStart", (left - 40, top), (left + 40, top))
    for apart in (60, 80, 100, 120):
        touch(phone, "touchMove", (left - apart, top), (left + apart, top))
    touch(phone, "touchEnd")
    phone.until(f"pyiseg.page.view.scale > {2.5 * scale}")
    assert abs(phone.place(300, 200)[0] - left) < 6
    touch(phone, "touchStart", (left - 40, top), (left + 40, top))
    for moved in (10, 20, 30):
        touch(phone, "touchMove", (left - 40, top + moved), (left + 40, top + moved))
    touch(phone, "touchEnd")
    assert abs(phone.place(300, 200)[1] - top - 30) < 6
    assert len(phone.prompts) == 3  # two fingers make no prompt


def test_a_phone_zooms_with_one_finger_too(phone: UserPage) -> None:
    """WCAG 2.5.1: nothing needs two fingers."""
    whole = phone.get("pyiseg.page.view.scale")
    phone.page.locator("#handle").tap()
    phone.until(f"pyiseg.page.view.scale < {whole}")  # fitted into what the sheet leaves
    scale = phone.get("pyiseg.page.view.scale")
    phone.page.get_by_role("button", name="Zoom in").tap()
    assert phone.get("pyiseg.page.view.scale") > 1.2 * scale
    phone.page.get_by_role("button", name="Zoom out").tap()
    assert phone.get("pyiseg.page.view.scale") == pytest.approx(scale)
    assert phone.page.get_by_role("heading", level=1).inner_text() == "pyiseg"


def test_a_phone_has_the_panel_as_a_sheet(phone: UserPage) -> None:
    handle = phone.page.locator("#handle")
    assert handle.is_visible()
    assert phone.page.locator("#panel-content").is_hidden()
    closed = phone.page.locator("#dropzone").bounding_box()["height"]
    assert closed > 500
    handle.tap()
    assert phone.page.get_by_role("button", name="Matte", exact=True).is_visible()
    phone.page.get_by_role("button", name="Matte", exact=True).tap()
    assert phone.get("pyiseg.page.view.mode") == "matte"
    handle.tap()
    assert phone.page.locator("#panel-content").is_hidden()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_reaches_out_of_the_window(visit: Callable[..., UserPage], otter: Path, width: int) -> None:
    user = visit(viewport={"width": width, "height": 844})
    long_name = otter.with_name(f"{'photo of the river ' * 8}.png")
    long_name.write_bytes(otter.read_bytes())
    user.open(long_name)
    user.page.evaluate("pyiseg.page.actions.add()")
    user.says("Object 1 is new")
    user.page.evaluate("pyiseg.page.opened.change(pyiseg.page.opened.active, { name: 'Very long '.repeat(18) })")
    if user.page.locator("#handle").is_visible():
        user.page.locator("#handle").click()
    outside: list[Any] = user.page.evaluate(
        """() => [...document.querySelectorAll("button, input:not(.spoken), p, h1, h2, li")]
            .filter((element) => element.checkVisibility() && !element.matches(".spoken, .skip"))
            .filter((element) => { const { left, right } = element.getBoundingClientRect();
                return left < -1 || right > innerWidth + 1; })
            .map((element) => element.outerHTML.slice(0, 90))"""
    )
    assert outside == []
    assert user.get("document.documentElement.scrollWidth <= innerWidth")
    small = user.page.evaluate(
        """() => [...document.querySelectorAll(".tools button, .bar button")]
            .filter((element) => element.checkVisibility()).map((element) => element.getBoundingClientRect())
            .filter(({ width, height }) => width < 30 || height < 30).length"""
    )
    assert small == 0  # WCAG 2.5.8 asks for 24
