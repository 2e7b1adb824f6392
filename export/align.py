"""Measure where masks lie against the edges of their images, for each source of the layout `mixed`.

    python -m export.align DATA
    python -m export.align DATA --sources coco cocop --images 800

It prints a JSON list: for each source how far its masks lie right of (dx) and below (dy) the edges of the images, and
how much larger they are than the objects all around (grown), in pixels of the images; each with half of its 95 %
interval. Positive dx: masks must be moved left.

Across the edge of a mask the color changes most where the edge of the object is. At every point of an edge the change
of color along the normal is taken at distances of up to 3 pixels, and averaged over the points whose normals point
alike, in 16 directions. The distance t of the largest average then follows the direction: with n the normal that
points out of the mask, t = -grown - dx n_x - dy n_y, which least squares solve. Objects that stand on the ground have
shadows below, so that a dy of objects with a lower edge in light and shade is less certain than a dx.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from export.cli import data_folder, run_main
from export.data.io import Masked
from export.data.mixed import RealImages, read_lists

Floats = NDArray[np.float64]

SECTORS = 16
# Distances from the mask's edge, pixels, along the normal that points out of the mask.
REACH, STEP = 3.0, 0.25
DISTANCES = np.arange(-REACH, REACH + STEP / 2, STEP)
# The change of color at a point is the difference of two colors so far apart, pixels.
ACROSS = 1.0
# Points nearer than this to the image's sides are left out, pixels.
MARGIN = 6
# Fewer points than this say little of an image.
FEWEST = 40
RESAMPLINGS = 400


def profiles(masked: Masked) -> Floats | None:
    """Return the mean change of color across a mask's edge, by direction of the edge and distance from it.

    Where mask and background do not touch, the edge is the middle of the void pixels between them.

    Args:
        image: Its alpha is taken as a mask, alpha > 0.5.

    Returns:
        float64, shape (SECTORS, len(DISTANCES) + 1): sums over the points of a sector, each point's values divided by
        their mean so that strong edges do not outweigh the others, and in the last column the number of points. None
        where there are too few.
    """
    points, normals = _edge(masked)
    if len(points) < FEWEST:
        return None
    color = cv2.GaussianBlur(masked.image.astype(np.float32), (0, 0), 0.6)

    def sampled(distances: Floats) -> NDArray[np.float32]:
        x, y = (points[:, k, None] + normals[:, k, None] * distances for k in (0, 1))
        return np.asarray(cv2.remap(color, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC))

    change = np.linalg.norm(sampled(DISTANCES + ACROSS / 2) - sampled(DISTANCES - ACROSS / 2), axis=2)
    change = change / (change.mean(axis=1, keepdims=True) + 2.0)
    sector = np.floor(np.arctan2(normals[:, 1], normals[:, 0]) / (2 * np.pi) * SECTORS + 0.5).astype(int) % SECTORS
    sums = np.zeros((SECTORS, len(DISTANCES) + 1))
    np.add.at(sums, sector, np.column_stack([change, np.ones(len(change))]))
    return sums


def offset_of(sums: Floats) -> Floats:
    """Return (dx, dy, grown) of a mask or of many, from the sums of their profiles.

    Args:
        sums: What `profiles` returns, or the sum of many.
    """
    counts = sums[:, -1]
    used = counts > 0
    means = sums[used, :-1] / counts[used, None]
    peaks = np.array([_peak(mean) for mean in means])
    angles = np.arange(SECTORS)[used] * (2 * np.pi / SECTORS)
    design = -np.column_stack([np.cos(angles), np.sin(angles), np.ones_like(angles)])
    root = np.sqrt(counts[used])
    return np.asarray(np.linalg.lstsq(design * root[:, None], peaks * root, rcond=None)[0])


def measured(all_sums: list[Floats], seed: int = 0) -> tuple[Floats, Floats]:
    """Return (dx, dy, grown) of many images, and half of the 95 % interval of each, images resampled.

    Args:
        all_sums: `profiles` of each image.
        seed: Of the resampling.
    """
    stacked, rng = np.stack(all_sums), np.random.default_rng(seed)
    resampled = [
        offset_of(stacked[rng.integers(len(stacked), size=len(stacked))].sum(axis=0)) for _ in range(RESAMPLINGS)
    ]
    low, high = np.percentile(resampled, (2.5, 97.5), axis=0)
    return offset_of(stacked.sum(axis=0)), (high - low) / 2


def _edge(masked: Masked) -> tuple[Floats, Floats]:
    """Return points (x, y) on the edge of a mask, to fractions of a pixel, and the normals there that point out."""
    wanted = (masked.alpha > 127) & (masked.valid == 1)
    background = ~wanted & (masked.valid == 1)

    def distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        depth = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(np.maximum(depth - 0.5, 0), np.float32)

    if not wanted.any() or not background.any():
        return np.zeros((0, 2)), np.zeros((0, 2))
    # Negative inside; 0 in the middle between object and background.
    outside = cv2.GaussianBlur(distance(wanted) - distance(background), (0, 0), 1.5)
    down, across = np.gradient(outside)
    slope = np.hypot(down, across)
    near = (np.abs(outside) < 0.6) & (slope > 0.5)
    near[:MARGIN] = near[-MARGIN:] = near[:, :MARGIN] = near[:, -MARGIN:] = False
    ys, xs = np.nonzero(near)
    normals = np.column_stack([across[near], down[near]]) / slope[near][:, None]
    points = np.column_stack([xs, ys]) - normals * (outside[near] / slope[near])[:, None]
    return points, normals


def _peak(values: Floats) -> float:
    """Return the distance of the largest value, by the parabola through it and its neighbors."""
    k = int(np.clip(np.argmax(values), 2, len(values) - 3))
    # Over five values: three are the noise of one.
    a, b, _ = np.polyfit(DISTANCES[k - 2 : k + 3], values[k - 2 : k + 3], 2)
    return float(np.clip(-b / (2 * a), DISTANCES[k - 2], DISTANCES[k + 2])) if a < 0 else float(DISTANCES[k])


def images_of(root: Path, source: str, count: int) -> Iterator[Masked]:
    """Yield one object each of different images of a source; the same ones every time, those to validate left out."""
    real = RealImages(root, ((source, 1.0),))
    rng = np.random.default_rng(0)
    records = real.records[source]
    first = np.cumsum([0] + [len(record["objects"]) for record in records])
    for k in rng.permutation(len(records))[:count]:
        yield real.take(int(first[k] + rng.integers(len(records[k]["objects"]))))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder that holds train/real.jsonl")
    parser.add_argument("--sources", nargs="+", help="these only")
    parser.add_argument("--images", type=int, default=400, help="at most, of each source")
    args = parser.parse_args()
    run_main("align", lambda: print(json.dumps(_run(args), indent=1)))


def _run(args: argparse.Namespace) -> list[dict[str, Any]]:
    if args.images < 2:
        raise ValueError(f"--images is {args.images}; an interval needs at least 2")
    data_folder(args.data)
    results = []
    for source in args.sources or sorted({str(record["source"]) for record in read_lists(args.data)}):
        images = tqdm(images_of(args.data, source, args.images), desc=source, unit="image", leave=False)
        sums = [found for masked in images if (found := profiles(masked)) is not None]
        if len(sums) < 2:
            results.append({"source": source, "images": len(sums)})
            continue
        values, halves = measured(sums)
        names = ("dx", "dy", "grown")
        pairs = zip(names, values, halves, strict=True)
        numbers = {name: [round(float(value), 3), round(float(half), 3)] for name, value, half in pairs}
        results.append({"source": source, "images": len(sums), **numbers})
    return results


if __name__ == "__main__":
    main()
