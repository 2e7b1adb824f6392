"""Measure the colors of cut-outs at soft edges, and what they cost, beside pymatting's.

    pip install pymatting
    python benchmarks/foreground.py --data DATA -o benchmarks/results/foreground.json

Both are given the same image and alpha: `pyiseg.foreground.estimate`, which `Session.cutout(foreground="estimate")`
calls, and pymatting's `estimate_foreground_ml` (Germer et al. 2020) with its defaults, whose conversion from bytes to
floats and back is not timed. It runs on one thread; ours on as many as `_core.get_num_threads()` says, and on one.

Times are of a generated image of 4000 x 3000 pixels with two mattes, taken in turns: a disc with an edge 3 pixels wide,
and a disc with hair. The processor's time, of all threads together, is measured as well: it hardly depends on what else
the machine does. Errors are of the objects with true alpha and colors (`train/objects/matting_*` of DATA, which is
laid out as in docs/data.md), each laid over a photograph: the mean absolute error of the colors, in units of 255, where
alpha is neither 0 nor 255; and the same weighted by alpha, which is what is seen on a new background.

A matte of our own is not the true one. Errors on new backgrounds are of the objects `matting_AM27_*`, which training
leaves out: the default model's matte after CLICKS clicks of the robot user, composed with each kind of colors over
black, gray and white, against the true alpha and colors over the same; mean absolute errors where our alpha is soft.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ceiling_images import SEED, Rgb, matting_objects, measured_objects, soft
from machine import check_output, describe, median_p95, write_json
from numpy.typing import NDArray
from soft_edges import OBJECTS
from tqdm import tqdm

from export.cli import run_main
from export.data.io import read_rgba
from pyiseg import Session, _core, foreground
from pyiseg.evaluation.robot import next_click

HEIGHT, WIDTH = 3000, 4000
ROUNDS = 5
HAIRS = 400
CLICKS = 8
BACKGROUNDS = {"black": 0, "gray": 128, "white": 255}

Alpha = NDArray[np.uint8]
Colors = NDArray[np.float64]


def crisp() -> Alpha:
    """Return a disc with an edge 3 pixels wide."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    inside = 1000 - np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    return np.asarray(np.clip(inside / 3 + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)


def hair() -> Alpha:
    """Return a disc with curved hairs that begin inside of it, blurred."""
    rng = np.random.default_rng(SEED)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(alpha, (WIDTH // 2, HEIGHT // 2), 800, 255, -1)
    way = np.linspace(0, 1, 12)
    for _ in range(HAIRS):
        angle = rng.uniform(0, 2 * np.pi) + way * rng.uniform(-0.3, 0.3)
        radius = 700 + way * rng.uniform(300, 800)
        points = np.stack([WIDTH / 2 + radius * np.cos(angle), HEIGHT / 2 + radius * np.sin(angle)], axis=1)
        cv2.polylines(alpha, [np.round(points * 16).astype(np.int32)], False, 255, 2, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 2))


def photograph() -> Rgb:
    """Return colors that change everywhere."""
    coarse = np.random.default_rng(SEED).integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def times(alpha: Alpha) -> dict[str, Any]:
    """Time all ways on a matte, in turns, after one round that is not counted."""
    from pymatting import estimate_foreground_ml

    rgb = photograph()
    floats = rgb / 255.0, alpha / 255.0
    threads = _core.get_num_threads()

    def ours(count: int) -> None:
        _core.set_num_threads(count)
        foreground.estimate(rgb, alpha)

    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(threads),
        "ours, one thread": lambda: ours(1),
        "pymatting": lambda: estimate_foreground_ml(*floats),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            start = time.perf_counter(), time.process_time()
            way()
            if number:
                seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    _core.set_num_threads(threads)
    found: dict[str, Any] = {}
    for name, taken in seconds.items():
        wall, processor = np.transpose(taken)
        ratio, processor_ratio = np.median(np.divide(taken, seconds["ours"]), axis=0)
        found[name] = median_p95(list(wall)) | {"processor_ms": round(1e3 * float(np.median(processor)), 1)}
        found[name] |= {"ratio": round(float(ratio), 1), "processor_ratio": round(float(processor_ratio), 1)}
    share = float(((alpha > 0) & (alpha < 255)).mean())
    return {"soft_share": round(share, 4), "threads": threads, "ways": found}


def errors(data: Path, objects: list[Path]) -> list[dict[str, Any]]:
    """Return the errors of the image's own colors, of ours and of pymatting's, for each object."""
    found = []
    for path, (rgb, share) in zip(tqdm(objects, unit="image"), soft(data, objects), strict=True):
        alpha = (share * 255 + 0.5).astype(np.uint8)
        truth = read_rgba(path)[:, :, :3].astype(np.float64)
        named = {name: error(truth, alpha, colors) for name, colors in estimates(rgb, alpha).items()}
        found.append({"object": path.stem} | named)
    return found


def on_new_backgrounds(data: Path, objects: list[Path]) -> dict[str, dict[str, float]]:
    """Return the mean errors of cut-outs of our own mattes on black, gray and white, for each kind of colors."""
    found: dict[str, list[list[float]]] = {}
    for path, (rgb, share) in zip(tqdm(objects, unit="image"), soft(data, objects), strict=True):
        session = Session(rgb)
        for _ in range(CLICKS):
            click = next_click(session.mask, share > 0.5)
            if click is None:
                break
            session.click(*click)
        truth, ours, chosen = read_rgba(path)[:, :, :3], session.alpha, (session.alpha > 0) & (session.alpha < 255)
        for name, colors in estimates(rgb, ours).items():
            off = [over(colors, ours / 255, level) - over(truth, share, level) for level in BACKGROUNDS.values()]
            found.setdefault(name, []).append([float(np.abs(of_one)[chosen].mean()) for of_one in off])
    means = {name: np.mean(values, axis=0).round(3).tolist() for name, values in found.items()}
    return {name: dict(zip(BACKGROUNDS, mean, strict=True)) for name, mean in means.items()}


def over(colors: NDArray[Any], alpha: NDArray[Any], level: int) -> Colors:
    """Return colors laid over a gray background."""
    share = alpha[:, :, None].astype(np.float64)
    return np.asarray(colors * share + level * (1 - share))


def estimates(rgb: Rgb, alpha: Alpha) -> dict[str, NDArray[Any]]:
    """Return the image's own colors, ours and pymatting's, from 0 to 255."""
    from pymatting import estimate_foreground_ml

    pymatting = estimate_foreground_ml(rgb / 255.0, alpha / 255.0).clip(0, 1) * 255
    return {"image": rgb, "ours": foreground.estimate(rgb, alpha), "pymatting": pymatting}


def error(truth: Colors, alpha: Alpha, colors: NDArray[Any]) -> dict[str, float]:
    """Return the mean error at soft pixels, plain and weighted by alpha."""
    chosen = (alpha > 0) & (alpha < 255)
    off = np.abs(colors.astype(np.float64) - truth)[chosen].mean(axis=1)
    plain, weighted = off.mean(), np.average(off, weights=alpha[chosen])
    return {"plain": round(float(plain), 3), "weighted": round(float(weighted), 3)}


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the training data, with train/objects")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    run_main("foreground", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    try:
        pymatting = version("pymatting")
    except ImportError:
        raise ValueError("this compares with pymatting; install it: pip install pymatting") from None
    check_output(args.output)
    objects = measured_objects(args.data)
    timed = {"crisp": times(crisp()), "hair": times(hair())}
    for name, taken in timed.items():
        print(f"{name} ({100 * taken['soft_share']:.1f} % soft):")
        for way, row in taken["ways"].items():
            print(
                f"  {way}: {row['median_ms']:.0f} ms, {row['ratio']:.1f} times ours; "
                f"processor {row['processor_ms']:.0f} ms, {row['processor_ratio']:.1f} times ours"
            )
    cases = errors(args.data, objects)
    means = {
        way: {kind: round(float(np.mean([case[way][kind] for case in cases])), 3) for kind in ("plain", "weighted")}
        for way in ("image", "ours", "pymatting")
    }
    print(f"{len(cases)} objects, mean error of the colors (plain, weighted by alpha):")
    for way, mean in means.items():
        print(f"{way}: {mean['plain']:.2f}, {mean['weighted']:.2f}")
    composed = on_new_backgrounds(args.data, matting_objects(args.data, OBJECTS))
    print(f"cut-outs of our mattes after {CLICKS} clicks, mean error on {', '.join(BACKGROUNDS)}:")
    for way, by_background in composed.items():
        print(f"{way}: {', '.join(f'{value:.2f}' for value in by_background.values())}")
    if args.output:
        facts = {"machine": describe(), "pymatting": pymatting, "seed": SEED, "size": [HEIGHT, WIDTH], "rounds": ROUNDS}
        command = "python benchmarks/foreground.py --data DATA -o OUT"
        write_json(
            args.output,
            {**facts, "command": command, "times": timed, "errors": means, "new_backgrounds": composed, "cases": cases},
        )


if __name__ == "__main__":
    main()
