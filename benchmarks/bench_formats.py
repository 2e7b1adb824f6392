"""Measure how long polygons, RLE and changes of edges of masks of 12 megapixels take.

    OMP_NUM_THREADS=1 python benchmarks/bench_formats.py -o benchmarks/results/formats.json

A figure is processor time of one thread, so that other work on the machine weighs little: median and 95th percentile
of several rounds in which all take turns. OpenCV's outlines and pycocotools' RLE stand beside; OpenCV's run through
the middles of pixels, and may cross one another where they are simplified. What is timed is checked: exact polygons
and RLE are read back and must be the mask.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pycocotools
import pycocotools.mask
from machine import check_output, describe, median_p95, write_json
from PIL import Image

from pyiseg import formats

Mask = npt.NDArray[np.bool_]
HEIGHT, WIDTH = 3000, 4000


def masks() -> dict[str, Mask]:
    """Return a smooth thing with a hole, and one with a frayed outline, thousands of specks and holes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    y, x = y - HEIGHT / 2, x - WIDTH / 2
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    smooth = (distance < 1000 + 200 * np.sin(7 * angle) + 40 * np.sin(53 * angle)) & (np.hypot(y + 100, x + 200) > 150)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 4, WIDTH // 4), dtype=np.uint8)
    rough = np.asarray(Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return {"smooth": smooth, "frayed": distance + (rough - 128) * 1.2 < 1100, "all": np.ones_like(smooth)}


def by_opencv(mask: Mask, tolerance: float) -> list[Any]:
    """Return OpenCV's outlines, simplified by Douglas and Peucker's rule."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [cv2.approxPolyDP(outline, tolerance, True) for outline in outlines] if tolerance else list(outlines)


def cases(mask: Mask) -> dict[str, Callable[[], Any]]:
    """Return what is timed."""
    alpha = mask * np.uint8(255)
    return {
        "polygons, exact": lambda: formats.polygons(mask, tolerance=0),
        "polygons, tolerance 1": lambda: formats.polygons(mask, tolerance=1),
        "OpenCV's outlines": lambda: by_opencv(mask, 0),
        "OpenCV's outlines, tolerance 1": lambda: by_opencv(mask, 1),
        "RLE": lambda: formats.rle(mask),
        "pycocotools' RLE": lambda: pycocotools.mask.encode(np.asfortranarray(mask.view(np.uint8))),
        "feather 2": lambda: formats.feather(alpha, 2),
        "grow 5": lambda: formats.grow(alpha, 5),
        "fill holes": lambda: formats.fill_holes(alpha),
        "keep largest": lambda: formats.keep_largest(alpha),
    }


def check(mask: Mask) -> dict[str, int]:
    """Return how many regions and corners there are, once what was timed has been found right."""
    exact, near = (formats.polygons(mask, tolerance=tolerance) for tolerance in (0, 1))
    assert np.array_equal(formats.mask_from_polygons(exact, mask.shape), mask)
    assert (
        formats.rle(mask)["counts"].encode()
        == pycocotools.mask.encode(np.asfortranarray(mask.view(np.uint8)))["counts"]
    )
    corners = [sum(len(p.exterior) + sum(map(len, p.holes)) for p in found) for found in (exact, near)]
    return {"regions": len(exact), "corners": corners[0], "corners, tolerance 1": corners[1]}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    check_output(options.output)
    cv2.setNumThreads(1)
    result: dict[str, object] = {"machine": describe(), "opencv": cv2.__version__, "size": [WIDTH, HEIGHT]}
    for name, mask in masks().items():
        timed = cases(mask)
        seconds: dict[str, list[float]] = {case: [] for case in timed}
        for number in range(options.rounds + 1):
            for case, call in timed.items():
                start = time.process_time()
                call()
                if number:  # the first is to warm up
                    seconds[case].append(time.process_time() - start)
        result[name] = {**check(mask), "times": {case: median_p95(taken) for case, taken in seconds.items()}}
        print(name, result[name], flush=True)
    if options.output:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
