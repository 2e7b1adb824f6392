"""Measure how good soft edges are after clicks: fur, hair and leaves, for several models on the same images.

    python benchmarks/soft_edges.py --data DATA MODEL [MODEL ...] -o benchmarks/results/soft_edges.json

MODEL is the path of a model folder or "default". DATA is laid out as in docs/data.md; the images are the objects of
alphamatting.com's training set (`train/objects/matting_AM27_*`), which training leaves out, each laid over a photograph
of `train/backgrounds`. Training does use these photographs, with other objects. The robot user of the evaluation clicks
on each image; where nothing is wrong any more it stops, and its last matte counts on.

Columns, each a mean over images, after clicks 1, 3 and 8; errors are mean absolute errors of alpha, from 0 to 1:

* all: over all pixels.
* soft: where the true alpha is neither 0 nor 1.
* band: there and up to 4 pixels around.
* IoU: of the masks, alpha >= 128 of 255.

Differences are those to the first model, image by image, with their 95 % confidence interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ceiling_images import SEED, Array, Rgb, measured_objects, soft
from machine import check_output, describe, write_json
from numpy.typing import NDArray
from tqdm import tqdm

from export.cli import run_main
from pyiseg import Model, Session, load_model
from pyiseg.evaluation.evaluate import to_the_limit
from pyiseg.evaluation.metrics import iou, mean_with_interval
from pyiseg.evaluation.robot import next_click

OBJECTS = "matting_AM27_*"
CLICKS = 8
AFTER = (1, 3, 8)
AROUND = 4
METRICS = {"all": "all", "soft": "soft", "band": "band", "iou": "IoU"}
"""Names of the metrics, and their headers."""

Values = NDArray[np.float64]


class Truth:
    """The true alpha of an image, and where it is judged.

    Args:
        alpha: From 0 to 1, float32, shape (H, W).
        name: Named in errors.

    Attributes:
        mask: Where alpha is above 127 of 255, bool, shape (H, W).

    Raises:
        ValueError: Nothing is selected, or no pixel is soft.
    """

    def __init__(self, alpha: Array, name: str) -> None:
        self.alpha, self.mask = alpha, alpha > 0.5
        self.soft = (alpha > 0) & (alpha < 1)
        if not self.mask.any():
            raise ValueError(f"{name} has no pixel with alpha above 127: there is nothing to select; leave it out")
        if not self.soft.any():
            raise ValueError(f"{name} has no pixel with alpha between 0 and 255: its edge is not soft; leave it out")
        kernel = np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
        self.band = cv2.dilate(self.soft.astype(np.uint8), kernel) > 0

    def judge(self, alpha: NDArray[np.uint8]) -> dict[str, float]:
        """Return the metrics of a matte."""
        error = np.abs(alpha.astype(np.float32) / 255 - self.alpha)
        means = {"all": error, "soft": error[self.soft], "band": error[self.band]}
        overlap = iou(alpha >= 128, self.mask)
        return {name: float(values.mean(dtype=np.float64)) for name, values in means.items()} | {"iou": overlap}


def click_through(image: Rgb, truth: Truth, model: Model) -> list[dict[str, float]]:
    """Let the robot user click, and return the metrics after each click; fewer than CLICKS where nothing is wrong."""
    session = Session(image, model=model)
    found: list[dict[str, float]] = []
    while len(found) < CLICKS:
        click = next_click(session.mask, truth.mask)
        if click is None:
            break
        found.append(truth.judge(session.click(*click)))
    return found


def measure(data: Path, objects: Sequence[Path], models: dict[str, Model]) -> dict[str, list[list[dict[str, float]]]]:
    """Return the metrics after each click, for each model and object."""
    found: dict[str, list[list[dict[str, float]]]] = {name: [] for name in models}
    with tqdm(total=len(objects) * len(models), unit="image") as bar:
        for path, (image, alpha) in zip(objects, soft(data, objects), strict=True):
            truth = Truth(alpha, path.name)
            for name, model in models.items():
                found[name].append(click_through(image, truth, model))
                bar.update()
    return found


def rows(found: dict[str, list[list[dict[str, float]]]]) -> list[dict[str, Any]]:
    """Return the means of each model after some clicks, and their differences to those of the first model."""
    # Each of shape (objects, clicks).
    values: dict[str, dict[str, Values]] = {
        name: {m: to_the_limit([[after[m] for after in run] for run in runs], CLICKS) for m in METRICS}
        for name, runs in found.items()
    }
    first = next(iter(values))
    result = []
    for clicks in AFTER:
        for name, of_model in values.items():
            row: dict[str, Any] = {"model": name, "clicks": clicks}
            for metric, measured in of_model.items():
                row[metric] = round(float(measured[:, clicks - 1].mean()), 5)
                if name != first:
                    apart = (measured - values[first][metric])[:, clicks - 1]
                    mean, interval = mean_with_interval(apart)
                    row[f"{metric}_difference"] = round(mean, 5)
                    row[f"{metric}_difference_ci95"] = None if interval is None else round(interval, 5)
            result.append(row)
    return result


def table(found: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    headers = [*METRICS.values(), *(f"{header}, difference" for header in METRICS.values())]
    lines = [f"| clicks | model | {' | '.join(headers)} |", "| --- |" + " --- |" * (len(headers) + 1)]
    for row in found:
        cells = [str(row["clicks"]), row["model"], *(f"{row[m]:.4f}" for m in METRICS)]
        for metric in METRICS:
            name = f"{metric}_difference"
            interval = row.get(f"{name}_ci95")
            around = "" if interval is None else f" ± {interval:.4f}"
            cells.append(f"{row[name]:+.4f}{around}" if name in row else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read_models(given: Sequence[str]) -> dict[str, Model]:
    """Read models, and return them by name: "default", or that of the folder.

    Raises:
        ValueError: Two have the same name.
        pyiseg.ModelError: One cannot be used.
    """
    models: dict[str, Model] = {}
    for one in given:
        model = load_model(one)
        name = one if one == "default" else model.folder.name
        if name in models:
            raise ValueError(f"two models are named '{name}', and results tell them apart by name; rename a folder")
        models[name] = model
    return models


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a model folder, or default")
    parser.add_argument("--data", type=Path, required=True, help="the training data, with train/objects")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    run_main("soft_edges", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    check_output(args.output)
    models = read_models(args.models)
    objects = measured_objects(args.data, OBJECTS)
    found = measure(args.data, objects, models)
    means = rows(found)
    print(f"{len(objects)} objects\n\n{table(means)}")
    if args.output:
        command = f"python benchmarks/soft_edges.py --data DATA {' '.join(models)} -o OUT"
        facts = {"machine": describe(), "command": command, "seed": SEED, "clicks": CLICKS, "around": AROUND}
        named = [{"name": name, "sha256": dict(m.sha256), "serving": m.serving} for name, m in models.items()]
        cases = [
            {"object": path.stem, "after_each_click": {name: _rounded(runs[i]) for name, runs in found.items()}}
            for i, path in enumerate(objects)
        ]
        write_json(args.output, {**facts, "models": named, "rows": means, "cases": cases})


def _rounded(run: list[dict[str, float]]) -> dict[str, list[float]]:
    return {metric: [round(after[metric], 5) for after in run] for metric in METRICS}


if __name__ == "__main__":
    main()
