"""Time Session() and .click() at several image sizes, beside OpenCV's GrabCut, interleaved in one run.

    python benchmarks/bench_session.py -o benchmarks/results/session.json

Not timed: importing, reading the image, and the first session of the process, which loads the model.
The image is the photograph in tests/images, resized. Each timed answer is checked against the first one, bit for bit.
For the clicks that zoom in it is shrunk to a third, on gray: there the fourth click zooms in.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cat import CLICKS, PHOTO
from machine import describe, median_p95, write_json
from PIL import Image

import pyiseg
from pyiseg import Click, images

SIZES = ((640, 480), (4000, 3000))
# On the photograph: the tests', then one that zooms in, and one behind it.
SMALL_CLICKS = (*CLICKS, Click(200, 150, True), Click(235, 100, True))


def import_seconds() -> float:
    """Return what `import pyiseg` takes in a fresh interpreter, less the interpreter's own start."""
    code = "import time; t = time.perf_counter(); import pyiseg; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def grabcut(rgb: np.ndarray, clicks: list[tuple[int, int, bool]]) -> np.ndarray:
    """OpenCV's GrabCut from scratch, told what a person would tell it.

    Discs of 5 pixels at the clicks are certain, wide ones around selecting clicks probable foreground, the rest
    probable background.
    """
    mask = np.full(rgb.shape[:2], cv2.GC_PR_BGD, np.uint8)
    for x, y, fg in clicks:
        # Without probable foreground GrabCut has one pixel set to learn from: a wide disc gives it some.
        if fg:
            cv2.circle(mask, (x, y), rgb.shape[1] // 6, cv2.GC_PR_FGD, -1)
    for x, y, fg in clicks:
        cv2.circle(mask, (x, y), 5, cv2.GC_FGD if fg else cv2.GC_BGD, -1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(rgb[:, :, ::-1].copy(), mask, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    return (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)


def small_image(size: tuple[int, int]) -> tuple[np.ndarray, list[tuple[int, int, bool]]]:
    """The photograph at a third of an image's sides, on gray, and clicks on it."""
    width, height = size[0] // 3, size[1] // 3
    canvas = np.full((size[1], size[0], 3), 128, np.uint8)
    photo = Image.fromarray(images.to_rgb(PHOTO))
    scale = (width / photo.width, height / photo.height)
    inner = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC))
    canvas[height : 2 * height, width : 2 * width] = inner
    return canvas, [(width + int(c.x * scale[0]), height + int(c.y * scale[1]), c.fg) for c in SMALL_CLICKS]


def bench(size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time one image size."""
    photo = Image.fromarray(images.to_rgb(PHOTO))
    scale = (size[0] / photo.width, size[1] / photo.height)
    rgb = np.asarray(photo.resize(size, Image.Resampling.BICUBIC))
    clicks = [(int(c.x * scale[0]), int(c.y * scale[1]), c.fg) for c in CLICKS]
    small, small_clicks = small_image(size)
    made: list[float] = []
    clicked: list[float] = []
    cut: list[float] = []
    zoomed: list[float] = []
    closer: list[float] = []
    expected: list[np.ndarray] = []
    expected_small: list[np.ndarray] = []
    for i in range(rounds + 1):
        start = time.perf_counter()
        session = pyiseg.Session(rgb)
        end = time.perf_counter()
        if i:  # the first round warms up
            made.append(end - start)
        for k, click in enumerate(clicks):
            start = time.perf_counter()
            alpha = session.click(*click)
            end = time.perf_counter()
            if i:
                clicked.append(end - start)
                assert np.array_equal(alpha, expected[k]), "the same clicks gave another matte"
            else:
                expected.append(alpha)
        session = pyiseg.Session(small)
        *first, zooming, last = small_clicks
        for click in first:
            session.click(*click)
        for k, (click, times) in enumerate(((zooming, zoomed), (last, closer))):
            start = time.perf_counter()
            alpha = session.click(*click)
            end = time.perf_counter()
            assert session.crop.shape < session.shape, "this click was to zoom in"
            if i:
                times.append(end - start)
                assert np.array_equal(alpha, expected_small[k]), "the same clicks gave another matte"
            else:
                expected_small.append(alpha)
        if size[0] <= 640:
            start = time.perf_counter()
            mask = grabcut(rgb, clicks)
            end = time.perf_counter()
            assert mask.any()
            if i:
                cut.append(end - start)
    result: dict[str, Any] = {"session": median_p95(made), "click": median_p95(clicked)}
    result |= {"zooming_click": median_p95(zoomed), "click_in_crop": median_p95(closer)}
    if cut:
        result["opencv_grabcut"] = median_p95(cut)
        result["grabcut_over_click"] = round(result["opencv_grabcut"]["median_ms"] / result["click"]["median_ms"], 1)
    return result


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe(), "import_ms": median_p95([import_seconds() for _ in range(7)])}
    for size in SIZES:
        result["{}x{}".format(*size)] = bench(size, args.rounds)
        print(size, result["{}x{}".format(*size)], flush=True)
    print("import", result["import_ms"])
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    main()
