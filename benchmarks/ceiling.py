"""Measure what the guided filter alone costs: the true alpha in the place of the network's prediction.

    python benchmarks/ceiling.py --data DATA --learned WEIGHTS.pt -o benchmarks/results/ceiling.json

The truth is averaged down to the grid that the model would predict on (long side 512, stride 2), and the filter brings
it back to the resolution of the image. What is then missing, no network can make good. DATA is laid out as in
docs/data.md, with `train/real.jsonl`; only its validation part is used, never GrabCut or Berkeley. --learned takes
weights of a network with a learned guide; without it the rows of such guides are left out.

Columns, each a mean over images:

* real: photographs with close masks; IoU, and the share of them above 99 %. "JPEG 30" has the filter see them at that
  quality; "4 x" gives them a quarter of the grid's sides, as an image four times as large would have.
* soft: objects with true alpha over backgrounds; mean absolute error where alpha is neither 0 nor 1, and everywhere.
* grain: a disc of 3 megapixels with noise of standard deviation 8 and 15 (of 255); IoU, and pieces: connected regions
  of alpha >= 0.5 and holes in them. A perfect disc is 1.
* disc: the same without noise, hard and anti-aliased; mean absolute error within 3 pixels of the edge, against the
  coverage that it was rendered with, and glow: the largest error more than 8 pixels from the edge.
* texture: predictions between 0.2 and 0.8 that have nothing to do with the image; how much of it shows in alpha, as the
  mean absolute difference from the enlarged prediction. "4 x" as above.
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from machine import describe, write_json
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from export.command import read_checkpoint, run_main
from export.guided_filter import (
    apply_coefficients,
    color_guide_statistics,
    color_guided_filter_coefficients,
    guided_filter_coefficients,
)
from export.network import Network
from export.pictures import read_rgb, read_rgba
from export.real import RealImages
from export.to_onnx import load_network
from pyiseg.evaluation.metrics import iou
from pyiseg.geometry import View

Array = NDArray[np.float32]
Rgb = NDArray[np.uint8]
Metrics = dict[str, float]

SOURCES = ("ecssd", "ccp", "mval", "horse")
"""Sources of the mixed photographs whose masks follow their objects closely."""
LONG_SIDE, MULTIPLE, STRIDE = 512, 32, 2
DISC_SIZE, DISC_RADIUS = (1500, 2000), 450.3
SELECTED, GROUND = (186, 122, 74), (74, 112, 150)
SEED = 0


@dataclass(frozen=True)
class Variant:
    """One way to filter.

    Attributes:
        guide: "learned", "color", or "none" for bilinear enlargement.
        form, radius, eps: See `export.guided_filter`.
        space: What R, G, B are taken as: "rgb" as they are, "sqrt" the square roots.
    """

    guide: str
    form: str
    radius: int
    eps: float
    space: str = "rgb"


VARIANTS = (
    Variant("none", "residual", 0, 0.0),
    Variant("learned", "averaged", 2, 1e-3),
    Variant("learned", "residual", 1, 1e-1),
    *(Variant("color", "residual", 1, eps) for eps in (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
    *(Variant("color", "residual", 2, eps) for eps in (1e-4, 1e-3)),
    *(Variant("color", "residual", 1, eps, "sqrt") for eps in (1e-4, 1e-3, 3e-3)),
)


def view_of(rgb: Rgb, long_side: int = LONG_SIDE) -> View:
    return View.fit(rgb.shape[:2], long_side=long_side, multiple=MULTIPLE, grid_stride=STRIDE)


def to_grid(values: Array, view: View) -> Array:
    """Bring (H, W) or (H, W, C) to the grid: area averages where it shrinks, bilinear where it grows."""
    # One side at a time, for an image may shrink along one and grow along the other.
    for width, height in ((view.grid[1], values.shape[0]), (view.grid[1], view.grid[0])):
        shrinks = width < values.shape[1] or height < values.shape[0]
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return values


def as_planes(values: Array) -> Tensor:
    """(H, W) or (H, W, C) as a batch of one."""
    return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(values).transpose(2, 0, 1)))[None]


class Filters:
    """All variants on one image, with what they share computed once.

    Args:
        variants: Which ones.
        rgb: The image that they see.
        view: Its grid.
        learned: Has a learned guide; None where no variant needs one.
    """

    def __init__(self, variants: tuple[Variant, ...], rgb: Rgb, view: View, learned: Network | None) -> None:
        self.variants, self.view = variants, view
        colors = rgb.astype(np.float32) / 255
        guides: dict[str, Array] = {"rgb": colors, "sqrt": np.sqrt(colors)}
        if learned is not None and learned.guide is not None:
            with torch.no_grad():
                guide = learned.guide(as_planes(colors))[0, 0].numpy()
            guides["learned"] = guide - guide.mean(dtype=np.float64).astype(np.float32)
        self._guides = {name: (as_planes(x), as_planes(to_grid(x, view))) for name, x in guides.items()}

    def alphas(self, truth: Array) -> Iterator[tuple[Variant, Array]]:
        """Yield the alpha (H, W) that each variant makes of a truth (H, W) averaged down to the grid."""
        yield from self.filtered(to_grid(truth, self.view))

    def filtered(self, prediction: Array) -> Iterator[tuple[Variant, Array]]:
        """Yield the alpha (H, W) that each variant makes of a prediction (h, w)."""
        p = as_planes(prediction)
        for v in self.variants:
            full, grid = self._guides["learned" if v.guide == "learned" else v.space]
            if v.guide == "learned":
                coefficients = guided_filter_coefficients(grid, p, v.radius, v.eps, v.form)  # type: ignore[arg-type]
            elif v.guide == "color":
                statistics = color_guide_statistics(grid, v.radius, v.eps)
                coefficients = color_guided_filter_coefficients(grid, statistics, p, v.radius)
            else:
                coefficients = torch.cat([torch.zeros_like(grid), p], dim=1)
            yield v, apply_coefficients(coefficients, full)[0, 0].numpy()


def real(data: Path, count: int) -> Iterator[tuple[Rgb, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield photographs with their masks and what is not judged; each object of at least 1 % of its image."""
    images = RealImages(data, tuple((name, 1.0) for name in SOURCES), validation=True)
    for number in np.random.default_rng(SEED).permutation(len(images)).tolist():
        image, alpha, valid, _ = images.take(number)
        if (alpha > 0).mean() >= 0.01:
            yield image, alpha > 127, valid == 0
            count -= 1
        if count <= 0:
            return


def as_jpeg(rgb: Rgb, quality: int) -> Rgb:
    """Encode and decode an image."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def soft(data: Path, count: int) -> Iterator[tuple[Rgb, Array]]:
    """Yield objects laid over backgrounds, and their true alpha."""
    objects = sorted((data / "train" / "objects").glob("matting_*"))[:count]
    backgrounds = sorted((data / "train" / "backgrounds").iterdir())
    rng = np.random.default_rng(SEED)
    for path in objects:
        rgba = read_rgba(path)
        height, width = rgba.shape[:2]
        below = read_rgb(backgrounds[rng.integers(len(backgrounds))])
        scale = max(height / below.shape[0], width / below.shape[1])
        size = max(width, round(below.shape[1] * scale)), max(height, round(below.shape[0] * scale))
        below = cv2.resize(below, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        alpha = rgba[:, :, 3].astype(np.float32) / 255
        mixed = rgba[:, :, :3] * alpha[:, :, None] + below * (1 - alpha[:, :, None])
        yield (mixed + 0.5).astype(np.uint8), alpha


def disc_coverage() -> tuple[Array, Array]:
    """Return the share of each pixel that the disc covers, and the distance of its center from the edge, inside > 0."""
    height, width = DISC_SIZE
    y, x = np.mgrid[:height, :width] + 0.5
    center_x, center_y = width / 2 + 0.3, height / 2 - 0.2
    distance = DISC_RADIUS - np.hypot(x - center_x, y - center_y)
    coverage = (distance > 0).astype(np.float64)
    rows, columns = np.nonzero(np.abs(distance) < 1)
    # Slices of a pixel, each as high as the disc is there: the area but for 1e-5.
    slices = columns[:, None] + (np.arange(128) + 0.5) / 128
    half = np.sqrt(np.maximum(DISC_RADIUS**2 - (slices - center_x) ** 2, 0))
    top, bottom = np.maximum(center_y - half, rows[:, None]), np.minimum(center_y + half, rows[:, None] + 1)
    coverage[rows, columns] = np.maximum(bottom - top, 0).mean(axis=1)
    return coverage.astype(np.float32), distance.astype(np.float32)


def painted(coverage: Array, sigma: float = 0.0) -> Rgb:
    """Return the disc in its colors on its ground, with Gaussian noise of a standard deviation."""
    mixed = np.multiply.outer(coverage, SELECTED) + np.multiply.outer(1 - coverage, GROUND)
    if sigma:
        mixed += sigma * np.random.default_rng(SEED).standard_normal(mixed.shape)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def pieces(mask: NDArray[np.bool_]) -> int:
    """Count the connected regions of a mask, and the holes in them."""
    regions, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    grounds, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)
    return (regions - 1) + (grounds - 1) - 1


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Return a smooth random prediction that reaches from 0.2 to 0.8."""
    coarse = rng.standard_normal((6, 6)).astype(np.float32)
    smooth = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 0.2 + 0.6 * (smooth - smooth.min()) / np.float32(np.ptp(smooth))


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
        for image, truth, void in self._counted("real", real(self.data, count), count):

            def measure(alpha: Array, truth: Any = truth, void: Any = void) -> Metrics:
                overlap = iou(alpha >= 0.5, truth, void)
                return {"iou": overlap, "above_99": float(overlap > 0.99)}

            for name, rgb, long_side in (
                ("real", image, LONG_SIDE),
                ("real_jpeg", as_jpeg(image, 30), LONG_SIDE),
                ("real_4x", image, LONG_SIDE // 4),
            ):
                filters = self._filters(rgb, long_side)
                self._add(name, filters.alphas(truth.astype(np.float32)), measure)

    def soft(self, count: int) -> None:
        """Measure objects with true alpha."""
        for rgb, truth in self._counted("soft", soft(self.data, count), count):
            edge = (truth > 0) & (truth < 1)

            def measure(alpha: Array, truth: Array = truth, edge: Any = edge) -> Metrics:
                error = np.abs(alpha - truth)
                return {"edge": float(error[edge].mean()), "all": float(error.mean())}

            self._add("soft", self._filters(rgb).alphas(truth), measure)

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
                    return {"leak": float(np.abs(alpha - plain).mean())}

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
    "soft_all": ("all", "{:.5f}"),
    "grain_8_iou": ("grain 8 IoU", "{:.4f}"),
    "grain_8_pieces": ("pieces", "{:.0f}"),
    "grain_15_iou": ("grain 15 IoU", "{:.4f}"),
    "grain_15_pieces": ("pieces", "{:.0f}"),
    "disc_hard_edge": ("disc, hard", "{:.4f}"),
    "disc_hard_glow": ("glow", "{:.4f}"),
    "disc_smooth_edge": ("smooth", "{:.4f}"),
    "disc_smooth_glow": ("glow", "{:.4f}"),
    "texture_leak": ("texture", "{:.4f}"),
    "texture_4x_leak": ("4 x", "{:.4f}"),
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
    parser.add_argument("--real", type=int, default=200, help="photographs (default: %(default)s)")
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
