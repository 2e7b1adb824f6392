"""Measure what noise does to the edge of a mask: one click of the default model on a disc, at several sizes.

    python benchmarks/grain.py -o benchmarks/results/grain.json

Each row is a disc on a ground, in colors far apart or alike, with Gaussian noise and, in some, JPEG. The prediction of
one click in its middle is brought to the image's resolution in three ways: as it is served; by the same filter without
`pyiseg.runtime.noise`, as version 0.2 did; and enlarged bilinearly.

Columns: the noise that is measured; of each way the connected pieces of the mask (alpha >= 128 of 255) and holes in
it, of which a perfect disc has 1, the IoU with the disc, and glow: how far from the disc's edge alpha of more than
10 % is found, in pixels of the grid. With --seconds N instead: how long the filter of a click takes with both guides on
12 megapixels, turn by turn for so long, and their ratio; and how long noise takes once an image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from ceiling_images import SEED, Array, Rgb, as_jpeg, pieces
from machine import describe, write_json
from numpy.typing import NDArray

from export.cli import run_main
from pyiseg import Image, _core, load_model
from pyiseg.evaluation.metrics import iou
from pyiseg.runtime.guide import ColorGuide
from pyiseg.runtime.guided_filter import ColorFilter
from pyiseg.runtime.noise import noise_level, reduce_noise, unseen_noise
from pyiseg.runtime.resample import NUMPY

SIZES = ((640, 480), (2000, 1500), (3000, 2000), (4000, 3000))
COLORS = {"far": ((200, 60, 50), (90, 120, 90)), "near": ((130, 120, 110), (110, 120, 125))}
SIGMAS = (0, 2, 4, 8, 15)
QUALITIES = (None, 85, 60)
WAYS = ("served", "without", "enlarged")


def disc(width: int, height: int) -> tuple[Array, Array]:
    """Return how much of each pixel a disc of 0.3 heights covers, about, and how far inside its edge the center is."""
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    inside = 0.3 * height - np.hypot(x - width / 2 - 0.3, y - height / 2 + 0.2)
    return np.clip(inside + 0.5, 0, 1), inside


def painted(coverage: Array, colors: tuple[Any, Any], sigma: float, quality: int | None, seed: int) -> Rgb:
    """Return the disc on its ground, with noise, through JPEG of a quality."""
    mixed = np.multiply.outer(coverage, colors[0]) + np.multiply.outer(1 - coverage, colors[1])
    mixed += sigma * np.random.default_rng(seed).standard_normal(mixed.shape)
    rgb = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return rgb if quality is None else as_jpeg(rgb, quality)


def color_filter(image: Image, noise: float) -> ColorFilter:
    """Return the filter of an image, with the guide of some noise."""
    params, view = image.model.click_params, image.encoded.view
    guide = ColorGuide(NUMPY, view, image.rgb, params.radius, params.eps, np.zeros, noise)
    return ColorFilter(guide, params.radius, _core, np.empty)


def mattes(image: Image, click: NDArray[np.int32]) -> dict[str, NDArray[np.uint8]]:
    """Return alpha after one click, in each of the three ways."""
    pipeline, view = image.encoded.pipeline(), image.encoded.view
    prediction: Any = pipeline.predict(click, None)
    without, enlarged = np.empty(image.shape, np.uint8), np.empty(image.shape, np.uint8)
    color_filter(image, 0.0).apply(click, view.grid_clicks(click), prediction, without)
    flat = np.zeros((4, *view.grid), np.float32)
    flat[3] = prediction
    _core.apply_coefficients(flat, image.rgb, enlarged)
    return {"served": pipeline.matte(click, prediction), "without": without, "enlarged": enlarged}


def measure(size: tuple[int, int], colors: str, sigma: float, quality: int | None, seed: int) -> dict[str, Any]:
    """Return one row."""
    coverage, inside = disc(*size)
    image = Image(painted(coverage, COLORS[colors], sigma, quality, seed))
    row: dict[str, Any] = {"size": list(size), "colors": colors, "sigma": sigma, "jpeg": quality}
    row["measured"] = round(noise_level(NUMPY, image.rgb), 2)
    pixel = size[0] / image.encoded.view.grid[1]
    click = np.array([[size[0] // 2, size[1] // 2, 1]], np.int32)
    for way, alpha in mattes(image, click).items():
        mask = alpha >= 128
        row[way] = {
            "pieces": pieces(mask),
            "iou": round(iou(mask, coverage >= 0.5, np.zeros_like(mask)), 5),
            "glow": round(max(0.0, -float(inside[alpha > 25].min())) / pixel, 2),
        }
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    metrics = ("pieces", "iou", "glow")
    lines = ["| size | colors | noise | JPEG | measured | " + " | ".join(f"{m}: {', '.join(WAYS)}" for m in metrics)]
    lines = [lines[0] + " |", "| --- |" + " --- |" * (4 + len(metrics))]
    for row in rows:
        size = " x ".join(map(str, row["size"]))
        cells = [size, row["colors"], str(row["sigma"]), str(row["jpeg"] or "none"), str(row["measured"])]
        cells += [", ".join(str(row[way][metric]) for way in WAYS) for metric in metrics]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _timed(seconds: float) -> dict[str, float]:
    """Return medians in milliseconds, of what is done by turns."""
    image = Image(painted(disc(4000, 3000)[0], COLORS["far"], 8.0, None, SEED))
    click = np.array([[2000, 1500, 1]], np.int32)
    placed, level = image.encoded.view.grid_clicks(click), noise_level(NUMPY, image.rgb)
    prediction: Any = image.encoded.pipeline().predict(click, None)
    out, smooth = np.empty(image.shape, np.uint8), np.empty_like(image.rgb)
    unseen = unseen_noise(level, image.encoded.view)
    filters = {"without": color_filter(image, 0.0), "served": color_filter(image, level)}
    calls: dict[str, Callable[[], Any]] = {
        **{name: lambda f=f: f.apply(click, placed, prediction, out) for name, f in filters.items()},  # type: ignore[misc]
        "noise_level": lambda: noise_level(NUMPY, image.rgb),
        "reduce_noise": lambda: reduce_noise(NUMPY, image.rgb, unseen, smooth),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times["without"]) < 3:
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - begun))
    found = {f"{name}_ms": round(median(values), 2) for name, values in times.items()}
    return {"ratio": round(found["served_ms"] / found["without_ms"], 3), **found}


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help="of the noise (default: %(default)s)")
    parser.add_argument("--width", type=int, default=SIZES[-1][0], help="leave out wider images (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="measure times instead, for so long")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    run_main("grain", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    cv2.setNumThreads(1)
    if args.seconds is not None:
        found: Any = _timed(args.seconds)
        print(found)
    else:
        found = []
        for size in (one for one in SIZES if one[0] <= args.width):
            for colors in COLORS:
                found += [measure(size, colors, sigma, jpeg, args.seed) for jpeg in QUALITIES for sigma in SIGMAS]
        print(table(found))
    if args.output:
        seconds = "" if args.seconds is None else f" --seconds {args.seconds:g}"
        command = f"python benchmarks/grain.py --seed {args.seed} --width {args.width}{seconds} -o OUT"
        facts = {"machine": describe(), "command": command, "seed": args.seed}
        write_json(args.output, {**facts, "model": dict(load_model().sha256), "rows": found})


if __name__ == "__main__":
    main()
