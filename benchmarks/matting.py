"""Measure mattes after clicks on hair, fur and leaves: ours, ours without the guided filter, and closed-form matting.

    pip install pymatting
    python benchmarks/matting.py --data DATA -o benchmarks/results/matting.json

DATA is laid out as in docs/data.md; the images are those of `soft_edges.py`: the objects of alphamatting.com's training
set, which our training leaves out, each laid over a photograph at the object's own size (long side at most 640). The
robot user of the evaluation clicks on each image; where nothing is wrong any more it stops, and its last matte counts
on. All methods are given the same clicks, those that it makes on our matte:

* ours: `Session.click`.
* bilinear: the same prediction enlarged bilinearly from its grid, without the guided filter.
* closed-form: pymatting's `estimate_alpha_cf` (Levin et al. 2008) with a trimap made of our mask: unknown within TRIMAP
  pixels of its border, on both sides. Where the mask leaves no known foreground or background, the mask itself counts.

Columns, each a mean over images, after clicks 1, 3, 5 and 10, with the definitions of Rhemann et al. 2009; they judge
the unknown pixels of a given trimap, but here there is none, so all pixels are judged:

* SAD: sum of absolute errors of alpha (0 to 1), in thousands.
* MSE: mean squared error of alpha, times 1000.
* Grad: sum of squared differences of the gradient's magnitude, in thousands; of Gaussian derivatives, sigma 1.4, whose
  squared weights sum to 1.
* SAD, band: SAD where the true alpha is neither 0 nor 1 and up to BAND pixels around. What was selected by mistake
  elsewhere, which no filter can change, is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ceiling_images import SEED, Array, Rgb, measured_objects, soft
from machine import check_output, describe, median_p95, write_json
from numpy.typing import NDArray
from soft_edges import OBJECTS
from tqdm import tqdm

from export.cli import run_main
from pyiseg import Click, Image, Model, load_model
from pyiseg.crop import CropPrediction
from pyiseg.crops import Crops
from pyiseg.evaluation.robot import next_click

AFTER = (1, 3, 5, 10)
TRIMAP = 10
BAND = 10
SIGMA = 1.4
METRICS = {"sad": "SAD", "mse": "MSE", "gradient": "Grad", "sad_band": "SAD, band"}
"""Names of the metrics, and their headers."""

Matte = Callable[[Rgb, NDArray[np.bool_]], Array]


class Truth:
    """The true alpha of an image.

    Args:
        alpha: From 0 to 1, float32, shape (H, W).
    """

    def __init__(self, alpha: Array) -> None:
        self.alpha, self.mask = alpha, alpha > 0.5
        self._gradient = gradient(alpha)
        self._band = _dilated((alpha > 0) & (alpha < 1), BAND)

    def judge(self, alpha: Array) -> dict[str, float]:
        """Return the metrics of a matte from 0 to 1."""
        error = np.abs(alpha.astype(np.float64) - self.alpha)
        return {
            "sad": float(error.sum() / 1000),
            "mse": float((error**2).mean() * 1000),
            "gradient": float(((gradient(alpha) - self._gradient) ** 2).sum() / 1000),
            "sad_band": float(error[self._band].sum() / 1000),
        }


def gradient(alpha: Array) -> NDArray[np.float64]:
    """Return the magnitude of the gradient of alpha from 0 to 1, by Gaussian derivatives of SIGMA."""
    reach = int(np.ceil(3 * SIGMA))
    at = np.arange(-reach, reach + 1)
    bell = np.exp(-(at**2) / (2 * SIGMA**2))
    slope = -at * bell
    bell, slope = bell / np.linalg.norm(bell), slope / np.linalg.norm(slope)
    values = alpha.astype(np.float64)
    across, down = (
        cv2.sepFilter2D(values, -1, *k, borderType=cv2.BORDER_REPLICATE) for k in ((slope, bell), (bell, slope))
    )
    return np.asarray(np.hypot(across, down))


def trimap(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 deep inside of a mask, 0 far outside, and 0.5 within TRIMAP pixels of its border."""
    return np.where(~_dilated(~mask, TRIMAP), 1.0, np.where(_dilated(mask, TRIMAP), 0.5, 0.0))


def closed_form(rgb: Rgb, mask: NDArray[np.bool_]) -> Array:
    """Return the closed-form matte of a mask; the mask itself where it leaves nothing known on one side."""
    from pymatting import estimate_alpha_cf

    known = trimap(mask)
    if not ((known == 0).any() and (known == 1).any()):
        return mask.astype(np.float32)
    return np.clip(estimate_alpha_cf(rgb / 255.0, known), 0, 1).astype(np.float32)


def bilinear(crops: Crops, clicks: Sequence[Click], selection: CropPrediction) -> Array:
    """Return a prediction's alpha on its grid, enlarged bilinearly; 0 outside of its crop."""
    crop = crops.whole if selection.rect == crops.whole.rect else crops.zoomed
    assert crop is not None
    assert crop.rect == selection.rect
    grid = crop.pipeline.on_grid(crop.clicks_in(clicks), selection.prediction)
    alpha, rect = np.zeros(crops.image.shape, np.float32), selection.rect
    size = rect.right - rect.left, rect.bottom - rect.top
    alpha[rect.top : rect.bottom, rect.left : rect.right] = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)
    return np.clip(alpha, 0, 1)


def click_through(image: Rgb, truth: Truth, model: Model, solve: Matte) -> Iterator[dict[str, dict[str, float]]]:
    """Let the robot user click, and yield the metrics of each method after each number of clicks of AFTER."""
    crops = Crops(Image(image, model=model))
    clicks: list[Click] = []
    selection: CropPrediction | None = None
    mask = np.zeros(truth.mask.shape, np.bool_)
    found: dict[str, dict[str, float]] = {}
    for number in range(1, max(AFTER) + 1):
        click = next_click(mask, truth.mask)
        if click is not None:
            clicks.append(click)
            selection = crops.predict(clicks, selection)
            matte = crops.matte(clicks, selection)
            mask = matte >= 128
        if number not in AFTER:
            continue
        if selection is None:
            raise ValueError("the robot user has nothing to select: no pixel has alpha above 127 of 255")
        if click is not None or not found:
            mattes = {
                "ours": matte.astype(np.float32) / 255,
                "bilinear": bilinear(crops, clicks, selection),
                "closed-form": solve(image, mask),
            }
            found = {name: truth.judge(alpha) for name, alpha in mattes.items()}
        yield found


def rows(cases: Sequence[Sequence[dict[str, dict[str, float]]]]) -> list[dict[str, Any]]:
    """Return the mean of each metric over images, for each method and number of clicks."""
    return [
        {"clicks": clicks, "method": method}
        | {metric: round(float(np.mean([case[i][method][metric] for case in cases])), 4) for metric in METRICS}
        for i, clicks in enumerate(AFTER)
        for method in cases[0][i]
    ]


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    lines = [f"| clicks | matte | {' | '.join(METRICS.values())} |", "| --- |" + " --- |" * (len(METRICS) + 1)]
    lines += [f"| {r['clicks']} | {r['method']} | {' | '.join(f'{r[m]:.2f}' for m in METRICS)} |" for r in found]
    return "\n".join(lines)


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the training data, with train/objects")
    parser.add_argument("--model", default="default", metavar="FOLDER", help="a model folder (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    run_main("matting", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    try:
        pymatting = version("pymatting")
    except ImportError:
        raise ValueError("closed-form matting needs pymatting; install it: pip install pymatting") from None
    check_output(args.output)
    model = load_model(args.model)
    objects = measured_objects(args.data, OBJECTS)
    seconds: list[float] = []

    def solve(rgb: Rgb, mask: NDArray[np.bool_]) -> Array:
        start = time.perf_counter()
        alpha = closed_form(rgb, mask)
        seconds.append(time.perf_counter() - start)
        return alpha

    images = tqdm(soft(args.data, objects), total=len(objects), unit="image")
    cases = [list(click_through(image, Truth(alpha), model, solve)) for image, alpha in images]
    means, taken = rows(cases), median_p95(seconds)
    print(f"{len(objects)} objects; closed-form matting took {taken['median_ms']:.0f} ms (median)\n\n{table(means)}")
    if args.output:
        name = "default" if args.model == "default" else model.folder.name
        facts = {
            "machine": describe(),
            "pymatting": pymatting,
            "command": f"python benchmarks/matting.py --data DATA --model {name} -o OUT",
            "model": {"name": name, "sha256": dict(model.sha256), "serving": model.serving},
            "seed": SEED,
            "trimap": TRIMAP,
            "band": BAND,
            "sigma": SIGMA,
            "closed_form_time": taken,
        }
        named = [
            {"object": path.stem, "after": dict(zip(map(str, AFTER), map(_rounded, case), strict=True))}
            for path, case in zip(objects, cases, strict=True)
        ]
        write_json(args.output, {**facts, "rows": means, "cases": named})


def _rounded(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {method: {metric: round(value, 4) for metric, value in values.items()} for method, values in found.items()}


def _dilated(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return what lies within some pixels of a mask, by a disc; what is outside of the image counts as not in it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel, borderValue=0) > 0)


if __name__ == "__main__":
    main()
