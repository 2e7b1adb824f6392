"""Measure what the guided filter alone costs: the true alpha in the place of the network's prediction.

    python benchmarks/ceiling.py --data DATA --learned WEIGHTS.pt -o benchmarks/results/ceiling.json

The truth is averaged down to the grid that the model would predict on (long side 512, stride 2), and the filter brings
it back to the resolution of the image. What is then missing, no network can make good. DATA is laid out as in
docs/data.md, with `train/real.jsonl`; only its validation part is used, never GrabCut or Berkeley. --learned takes
weights of a network with a learned guide; without it the rows of such guides are left out.

Columns, each a mean over images:

* real: photographs with close masks; IoU, and the share of them above 99 %. "JPEG 30" has the filter see them at that
  quality; "4 x" gives them a quarter of the grid's sides, as an image four times as large would have. Masks made by
  hand leave the edges of an image by a pixel or so: enlargement alone may then be nearer to them than any filter.
* soft: objects with true alpha over backgrounds; mean absolute error where alpha is neither 0 nor 1 and everywhere,
  IoU. "JPEG 30" and "4 x" as above; "noise 8" has the filter see the image with noise of that standard deviation.
* grain: a disc of 3 megapixels with noise of standard deviation 8 and 15 (of 255); IoU, and pieces: connected regions
  of alpha >= 0.5 and holes in them. A perfect disc is 1.
* disc: the same without noise, hard and anti-aliased; mean absolute error within 3 pixels of the edge, against the
  coverage that it was rendered with, and glow: the largest error more than 8 pixels from the edge.
* texture: predictions between 0.2 and 0.8 that have nothing to do with the image; how much of it shows in alpha, as the
  mean absolute difference from the enlarged prediction, and what 1 % of the pixels exceed. "4 x" as above.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from ceiling_filters import LONG_SIDE, MULTIPLE, STRIDE, VARIANTS, Filters, Variant, as_planes, view_of
from ceiling_images import (
    SEED,
    SOURCES,
    Array,
    Rgb,
    as_jpeg,
    blobs,
    disc_coverage,
    matting_objects,
    painted,
    pieces,
    real,
    soft,
)
from machine import describe, write_json
from tqdm import tqdm

from export.cli import read_checkpoint, run_main
from export.data.io import read_rgb
from export.models.guided_filter import apply_coefficients
from export.models.network import Network
from export.to_onnx import load_network
from pyiseg.evaluation.metrics import iou

Metrics = dict[str, float]


class Ceiling:
    """The measurements.

    Args:
        variants: What is measured.
        data: The folder of the data.
        learned: Has a learned guide, or None.

    Attributes:
        found: For each variant, the values of each column, one an image.
        counts: How many images each column has.
    """

    def __init__(self, variants: tuple[Variant, ...], data: Path, learned: Network | None) -> None:
        self.variants, self.data, self.learned = variants, data, learned
        self.found: dict[Variant, dict[str, list[float]]] = {v: defaultdict(list) for v in variants}
        self.counts: dict[str, int] = {}

    def real(self, count: int) -> None:
        """Measure photographs with close masks."""
        for source, image, truth, void in self._counted("real", real(self.data, count), count):

            def measure(alpha: Array, source: str = source, truth: Any = truth, void: Any = void) -> Metrics:
                overlap = iou(alpha >= 0.5, truth, void)
                return {"iou": overlap, "above_99": float(overlap > 0.99), f"iou_{source}": overlap}

            for name, rgb, long_side in (
                ("real", image, LONG_SIDE),
                ("real_jpeg", as_jpeg(image, 30), LONG_SIDE),
                ("real_4x", image, LONG_SIDE // 4),
            ):
                filters = self._filters(rgb, long_side)
                self._add(name, filters.alphas(truth.astype(np.float32)), measure)

    def soft(self, count: int) -> None:
        """Measure objects with true alpha."""
        objects = matting_objects(self.data)[:count]
        rng = np.random.default_rng(SEED)
        for image, truth in self._counted("soft", soft(self.data, objects), len(objects)):
            edge, mask, void = (truth > 0) & (truth < 1), truth >= 0.5, np.zeros(truth.shape, bool)

            def measure(
                alpha: Array, truth: Array = truth, edge: Any = edge, mask: Any = mask, void: Any = void
            ) -> Metrics:
                error = np.abs(alpha - truth)
                overlap = iou(alpha >= 0.5, mask, void)
                return {"edge": float(error[edge].mean()), "all": float(error.mean()), "iou": overlap}

            noisy = np.clip(image + 8 * rng.standard_normal(image.shape) + 0.5, 0, 255).astype(np.uint8)
            for name, rgb, long_side in (
                ("soft", image, LONG_SIDE),
                ("soft_jpeg", as_jpeg(image, 30), LONG_SIDE),
                ("soft_noise", noisy, LONG_SIDE),
                ("soft_4x", image, LONG_SIDE // 4),
            ):
                self._add(name, self._filters(rgb, long_side).alphas(truth), measure)

    def grain(self) -> None:
        """Measure a disc under noise."""
        coverage, _ = disc_coverage()

        def measure(alpha: Array) -> Metrics:
            mask = alpha >= 0.5
            return {"iou": iou(mask, coverage >= 0.5, np.zeros_like(mask)), "pieces": pieces(mask)}

        for sigma in self._counted("grain", iter((8, 15)), 2):
            self._add(f"grain_{sigma}", self._filters(painted(coverage, sigma)).alphas(coverage), measure)

    def disc(self) -> None:
        """Measure a disc without noise."""
        coverage, distance = disc_coverage()
        hard = (coverage >= 0.5).astype(np.float32)
        band, outside, inside = np.abs(distance) <= 3, distance < -8, distance > 8
        for name, truth in self._counted("disc", iter((("hard", hard), ("smooth", coverage))), 2):

            def measure(alpha: Array, truth: Array = truth) -> Metrics:
                glow = max(alpha[outside].max(), (1 - alpha[inside]).max())
                return {"edge": float(np.abs(alpha - truth)[band].mean()), "glow": float(glow)}

            self._add(f"disc_{name}", self._filters(painted(truth)).alphas(truth), measure)

    def texture(self, count: int) -> None:
        """Measure how much of an image shows in predictions that have nothing to do with it."""
        paths = sorted((self.data / "train" / "backgrounds").iterdir())
        rng = np.random.default_rng(SEED)
        chosen = iter(rng.permutation(len(paths))[:count].tolist())
        for number in self._counted("texture", chosen, count):
            rgb = read_rgb(paths[number])
            for name, long_side in (("texture", LONG_SIDE), ("texture_4x", LONG_SIDE // 4)):
                filters = self._filters(rgb, long_side)
                p = blobs(rng, filters.view.grid)
                plain = apply_coefficients(as_planes(p), torch.zeros(1, 0, *rgb.shape[:2]))[0, 0].numpy()

                def measure(alpha: Array, plain: Array = plain) -> Metrics:
                    difference = np.abs(alpha - plain)
                    return {"leak": float(difference.mean()), "leak_99": float(np.quantile(difference, 0.99))}

                self._add(name, filters.filtered(p), measure)

    def rows(self) -> list[dict[str, Any]]:
        """Return the variants with the means of their columns."""
        return [
            asdict(v) | {name: round(float(np.mean(values)), 5) for name, values in columns.items()}
            for v, columns in self.found.items()
        ]

    def _filters(self, rgb: Rgb, long_side: int = LONG_SIDE) -> Filters:
        return Filters(self.variants, rgb, view_of(rgb, long_side), self.learned)

    def _counted(self, name: str, items: Iterator[Any], total: int) -> Iterator[Any]:
        self.counts[name] = 0
        for item in tqdm(items, desc=name, total=total):
            self.counts[name] += 1
            yield item

    def _add(self, name: str, alphas: Iterator[tuple[Variant, Array]], measure: Callable[[Array], Metrics]) -> None:
        for variant, alpha in alphas:
            for metric, value in measure(alpha).items():
                self.found[variant][f"{name}_{metric}"].append(value)


# Header and format of each column of the table.
COLUMNS = {
    "real_iou": ("real IoU", "{:.4f}"),
    "real_above_99": ("> 99 %", "{:.1%}"),
    "real_jpeg_iou": ("JPEG 30 IoU", "{:.4f}"),
    "real_jpeg_above_99": ("> 99 %", "{:.1%}"),
    "real_4x_iou": ("4 x IoU", "{:.4f}"),
    "soft_edge": ("soft, edge", "{:.4f}"),
    "soft_all": ("all", "{:.4f}"),
    "soft_iou": ("IoU", "{:.4f}"),
    "soft_jpeg_edge": ("JPEG 30, edge", "{:.4f}"),
    "soft_noise_edge": ("noise 8, edge", "{:.4f}"),
    "soft_4x_edge": ("4 x, edge", "{:.4f}"),
    "soft_4x_all": ("all", "{:.4f}"),
    "grain_8_iou": ("grain 8 IoU", "{:.4f}"),
    "grain_8_pieces": ("pieces", "{:.0f}"),
    "grain_15_iou": ("grain 15 IoU", "{:.4f}"),
    "grain_15_pieces": ("pieces", "{:.0f}"),
    "disc_hard_edge": ("disc, hard", "{:.4f}"),
    "disc_hard_glow": ("glow", "{:.4f}"),
    "disc_smooth_edge": ("smooth", "{:.4f}"),
    "disc_smooth_glow": ("glow", "{:.4f}"),
    "texture_leak": ("texture", "{:.4f}"),
    "texture_leak_99": ("1 %", "{:.4f}"),
    "texture_4x_leak": ("4 x", "{:.4f}"),
    "texture_4x_leak_99": ("1 %", "{:.4f}"),
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| filter | " + " | ".join(header for header, _ in COLUMNS.values()) + " |"]
    lines.append("| --- |" + " --- |" * len(COLUMNS))
    for row in rows:
        name = "none (bilinear)"
        if row["guide"] != "none":
            space = ", square roots" if row["space"] == "sqrt" else ""
            name = f"{row['guide']}{space}, {row['form']}, r {row['radius']}, eps {row['eps']:.0e}"
        values = (text.format(row[column]) for column, (_, text) in COLUMNS.items())
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    """Run and print; write JSON with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the training data, with train/real.jsonl")
    parser.add_argument("--learned", type=Path, metavar="WEIGHTS", help="weights of a network with a learned guide")
    parser.add_argument("--real", type=int, default=120, help="photographs (default: %(default)s)")
    parser.add_argument("--soft", type=int, default=37, help="objects with true alpha (default: %(default)s)")
    parser.add_argument("--texture", type=int, default=40, help="backgrounds (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    run_main("ceiling", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    # Of images this small: where a machine has other work, threads would mostly wait for each other.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    learned, variants = None, VARIANTS
    if args.learned is not None:
        learned = load_network(read_checkpoint(args.learned))
        if learned.guide is None:
            raise ValueError(f"--learned {args.learned}: this network has no learned guide; pass one that has")
    else:
        variants = tuple(v for v in VARIANTS if v.guide != "learned")
        print("without --learned: the rows of learned guides are left out")
    ceiling = Ceiling(variants, args.data, learned)
    with torch.no_grad():
        ceiling.real(args.real)
        ceiling.soft(args.soft)
        ceiling.grain()
        ceiling.disc()
        ceiling.texture(args.texture)
    rows = ceiling.rows()
    print(table(rows))
    if args.output:
        given = " --learned WEIGHTS.pt" if args.learned else ""
        command = f"python benchmarks/ceiling.py --data DATA{given}"
        command += f" --real {args.real} --soft {args.soft} --texture {args.texture} -o OUT"
        facts = {"machine": describe(), "command": command, "seed": SEED, "counts": ceiling.counts}
        grid = {"long_side": LONG_SIDE, "multiple": MULTIPLE, "stride": STRIDE, "sources": list(SOURCES)}
        write_json(args.output, {**facts, **grid, "rows": rows})


if __name__ == "__main__":
    main()
