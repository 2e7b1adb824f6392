"""examples/browser against the library: its parts bit for bit in Node, all of it within 1/255 in headless Chromium."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT

import pyiseg
from pyiseg import _core
from pyiseg.crop import in_force
from pyiseg.geometry import View
from pyiseg.runtime.click import ClickStage
from pyiseg.runtime.guide import ColorGuide
from pyiseg.runtime.guided_filter import ColorFilter
from pyiseg.runtime.noise import noise_level, unseen_noise
from pyiseg.runtime.resample import NUMPY, fixed_windows, windows, working_image

EXAMPLE = ROOT / "examples" / "browser"
OPS = EXAMPLE / "dist" / "ops.wasm"
RUNTIME = EXAMPLE / "dist" / "ort" / "ort-wasm-simd-threaded.wasm"


def needs(what: str, there: object) -> pytest.MarkDecorator:
    """Skip without something; under PYISEG_REQUIRE_BROWSER=1, as in .ci/wasm, fail."""
    if not there and os.environ.get("PYISEG_REQUIRE_BROWSER") == "1":
        raise RuntimeError(f"the tests of examples/browser need {what}")
    return pytest.mark.skipif(not there, reason=f"needs {what}")


needs_node = needs("node on PATH", shutil.which("node"))
needs_ops = needs(f"{OPS.relative_to(ROOT)}: see examples/browser/build.py", OPS.is_file())
needs_page = needs(f"{RUNTIME.relative_to(ROOT)}: see examples/browser/build.py", RUNTIME.is_file())
needs_chromium = needs("chromium on PATH", shutil.which("chromium"))


def in_node(tmp_path: Path, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(jobs))
    command = ["node", str(ROOT / "tests" / "browser" / "recorded.mjs"), str(EXAMPLE), str(OPS), str(job)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def decoded(text: str, dtype: Any, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


@needs_node
def test_windows_are_those_of_the_library(tmp_path: Path) -> None:
    asked: list[tuple[bool, tuple[Any, ...]]] = []
    for size, result in ((640, 512), (480, 384), (1000, 352), (300, 512), (37, 256), (1, 16), (4000, 256), (256, 256)):
        asked += [(False, (kind, size, result)) for kind in ("area", "bilinear") if kind != "area" or result < size]
        asked.append((True, ("lanczos", size, result)))
    asked.append((True, ("lanczos", 1366, 512, 4096 / 3)))
    answers = in_node(tmp_path, *({"kind": "windows", "fixed": fixed, "args": args} for fixed, args in asked))
    for (fixed, args), answer in zip(asked, answers, strict=True):
        expected = (fixed_windows if fixed else windows)(*args)
        np.testing.assert_array_equal(decoded(answer["starts"], np.int32, -1), expected.starts, str(args))
        weights = decoded(answer["weights"], np.int32 if fixed else np.float64, answer["taps"], args[2])
        np.testing.assert_array_equal(weights, expected.weights, str(args))


@needs_node
def test_sizes_and_clicks_are_placed_as_in_the_library(tmp_path: Path) -> None:
    sizes = {"long_side": 512, "multiple": 32, "grid_stride": 2}
    named = {"longSide": 512, "multiple": 32, "gridStride": 2}
    shapes = [(480, 640), (1000, 1500), (1, 1), (333, 77), (16, 4000), (3024, 4032)]
    rng = np.random.default_rng(5)
    jobs, expected = list[dict[str, Any]](), list[Any]()
    for shape in shapes:
        view = View.fit(shape, **sizes)
        jobs.append({"kind": "view", "shape": shape, "sizes": named})
        expected.append({"image": [*view.image], "working": [*view.working], "grid": [*view.grid]})
        # Close together, so that opposite ones share grid pixels.
        places = rng.integers(0, (min(shape[1], 12), min(shape[0], 12)), (40, 2))
        clicks = [(int(x), int(y), bool(fg)) for (x, y), fg in zip(places, rng.integers(0, 2, 40), strict=True)]
        placed = view.grid_clicks(clicks)
        asked = [{"x": x, "y": y, "fg": fg} for x, y, fg in clicks]
        jobs.append({"kind": "clicks", "view": expected[-1], "clicks": asked})
        expected.append({"placed": placed.ravel().tolist(), "kept": in_force(placed).tolist()})
    assert in_node(tmp_path, *jobs) == expected


def photograph(shape: tuple[int, int], noise: float) -> np.ndarray:
    rng = np.random.default_rng(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    rgb = np.stack((128 + 90 * np.sin(x / 17), 128 + 90 * np.cos(y / 23), 128 + 80 * np.sin((x + y) / 31)), axis=2)
    return np.clip(rgb + rng.normal(0, max(noise, 0.3), rgb.shape) + 0.5, 0, 255).astype(np.uint8)


@needs_node
@needs_ops
@pytest.mark.parametrize(
    ("shape", "noise"),
    [((480, 640), 12.0), ((700, 1100), 0.0), ((600, 100), 0.0), ((90, 60), 0.0), ((2, 3), 0.0), ((1700, 2600), 6.0)],
)
def test_between_the_networks_all_is_the_same_bit_for_bit(tmp_path: Path, shape: tuple[int, int], noise: float) -> None:
    rgb, (height, width) = photograph(shape, noise), shape
    params = pyiseg.load_model().click_params
    view = View.fit(shape, long_side=512, multiple=32, grid_stride=2)
    y, x = np.mgrid[: view.grid[0], : view.grid[1]]
    # Regions with soft edges, some of which no click lies in.
    outputs = [np.clip(0.5 + 2 * np.sin(x / a) * np.cos(y / a), 0, 1).astype(np.float32) for a in (21, 13, 34)]
    clicks = [(width // 2, height // 3, True), (width // 3, height // 2, False), (width // 2, height // 2, True)]
    rgba = np.concatenate((rgb, np.full((*shape, 1), 9, np.uint8)), axis=2)
    given = {
        "sizes": {"longSide": 512, "multiple": 32, "gridStride": 2},
        "sigmas": params.sigmas,
        "margin": params.margin,
        "radius": params.radius,
        "eps": params.eps,
    }
    steps = [*(("click", *click) for click in clicks), ("undo",), ("undo",), ("redo",)]
    job = {"kind": "session", "rgba": encoded(rgba), "shape": shape, "params": given, "steps": steps}
    (found,) = in_node(tmp_path, {**job, "outputs": [encoded(output) for output in outputs]})

    planes = np.empty((1, 3, *view.working), np.float32)
    working_image(NUMPY, view, rgb, planes)
    np.testing.assert_array_equal(decoded(found["image"][0], np.float32, *planes.shape), planes)
    level = noise_level(NUMPY, rgb)
    assert (unseen_noise(level, view) > 0) == (noise > 0), "the case is to have noise, or none"
    guide = ColorGuide(NUMPY, view, rgb, params.radius, params.eps, np.zeros, level)
    guided, stage = ColorFilter(guide, params.radius, _core, np.empty), ClickStage(params, view.grid)
    prediction, mattes = np.zeros(view.grid, np.float32), list[np.ndarray]()
    for made, output in enumerate(outputs, 1):
        on_image = np.array(clicks[:made], np.int32)
        kept = in_force(view.grid_clicks(on_image))
        on_image, answered = on_image[kept], int(kept[: made - 1].sum())
        placed = view.grid_clicks(on_image)
        stage.encode(placed, placed[:answered], prediction)
        for name, expected in (("click_maps", stage.maps), ("previous_alpha", stage.previous)):
            np.testing.assert_array_equal(decoded(found[name][made - 1], np.float32, *expected.shape), expected, name)
        stage.output[0, 0] = output
        prediction = np.empty(view.grid, np.float32)
        stage.postprocess(placed, prediction)
        matte = np.empty(shape, np.uint8)
        guided.apply(on_image, placed, prediction, matte)
        mattes.append(matte)
    assert any(0 < matte.mean() < 255 for matte in mattes)
    for index, text in zip((0, 1, 2, 1, 0, 1), found["alphas"], strict=True):
        np.testing.assert_array_equal(decoded(text, np.uint8, *shape), mattes[index], str(index))


@needs_node
@needs_ops
@pytest.mark.parametrize(
    ("shape", "click", "said"),
    [
        ((10, 100), (1, 1), "RangeError: the image has 100 x 10 pixels; it must be at most 6 times as long as wide"),
        ((10, 20), (20, 1), "RangeError: (x, y) is (20, 1); it must be a pixel of the 20 x 10 image"),
        ((10, 20), (1.5, 1), "RangeError: (x, y) is (1.5, 1); it must be a pixel of the 20 x 10 image"),
    ],
)
def test_what_it_cannot_do_is_refused(
    tmp_path: Path, shape: tuple[int, int], click: tuple[float, float], said: str
) -> None:
    params = {
        "sizes": {"longSide": 64, "multiple": 32, "gridStride": 2},
        "sigmas": [2.0],
        "margin": 1,
        "radius": 1,
        "eps": 1e-3,
    }
    rgba = encoded(np.zeros((*shape, 4), np.uint8))
    job = {
        "kind": "session",
        "rgba": rgba,
        "shape": shape,
        "params": params,
        "outputs": [],
        "steps": [("click", *click)],
    }
    assert in_node(tmp_path, job) == [{"error": said}]


@needs_ops
@needs_page
@needs_chromium
def test_alpha_in_chromium_is_the_librarys_within_a_255th() -> None:
    # Ended by a signal that it can answer, it ends the browser.
    command = [
        "timeout",
        "280",
        sys.executable,
        str(EXAMPLE / "compare.py"),
        "--cases",
        "cat",
        "synthetic",
        "--threads",
        "1",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 threads (isolated: False)" in done.stdout
    assert "2 threads (isolated: True)" in done.stdout


@needs_ops
@needs_page
@needs_chromium
def test_the_page_shows_what_the_library_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    from chromium import Browser

    rgb = photograph((200, 300), 0.0)
    rgb[60:140, 90:200] = (220, 40, 30)
    session = pyiseg.Session(rgb, model=dataclasses.replace(pyiseg.load_model(), zoom=None), device="cpu")

    def check(shown: np.ndarray, alpha: np.ndarray) -> None:
        expected = rgb * (0.3 + 0.7 * alpha[..., None] / 255)
        assert np.abs(shown.reshape(200, 300, 4)[..., :3] - expected).max() < 2

    def point(kind: str, said: str, x: int, y: int) -> np.ndarray:
        return browser.do("point", [said, kind, x, y]).alpha

    with Browser(2, page=ROOT / "tests" / "browser" / "drive.html") as browser:
        browser.do("open", ["This picture cannot be opened"])
        check(browser.do("open", ["Opened:"], rgb).alpha, session.alpha)
        check(point("click", "Selected:", 145, 100), first := session.click(145, 100))
        assert 0.05 < (first > 127).mean() < 0.9
        check(point("contextmenu", "Removed:", 20, 20), session.click(20, 20, False))
        check(browser.do("press", ["Undone:", "undo"]).alpha, session.undo())
        check(browser.do("press", ["Redone:", "redo"]).alpha, session.redo())
        browser.do("press", ["Redone:", "remove"])
        check(point("click", "Removed:", 280, 190), session.click(280, 190, False))
        # A picture that it cannot work on: no click lands on the one before.
        browser.do("open", ["the image has 200 x 20 pixels"], rgb[:20, :200])
        point("click", "no image was opened yet", 5, 5)
