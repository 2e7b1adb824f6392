"""Draw training images by source, to be looked at: what the loader yields, with the outline of what is wanted.

    python -m export.contact_sheet DATA sheet.png --per-source 8
    python -m export.contact_sheet DATA sheet.png --sources coco sbd --set data.native=1 --set data.close=0

A row for each source of the configuration, and one of composed images. The wanted object has a yellow outline,
others a blue one; void pixels are dimmed, and pixels of low weight in the losses are tinted red.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from export.cli import data_folder, run_main
from export.data.dataset import DataConfig, Sample, TrainingData
from export.data.io import Array
from export.data.shapes import shape_of_batch
from export.training.config import load_settings
from pyiseg.images import check_writable, write

YELLOW, BLUE, WHITE = (255, 230, 0), (60, 130, 255), (255, 255, 255)
COMPOSED = "composed"
# Height of the line with a source's name, pixels.
TITLE = 18


def outlined(sample: Sample) -> Array:
    """Return a training image with outlines, dimmed where it is not judged, uint8, shape (H, W, 3)."""
    image = sample.image.astype(np.float32)
    image[sample.valid == 0] *= 0.4
    if sample.weight is not None:
        low = (1 - sample.weight.astype(np.float32) / sample.weight.max())[..., None] * 0.5
        image = image * (1 - low) + np.array((255.0, 0.0, 0.0)) * low
    result = image.astype(np.uint8)
    for plane, color in ((sample.others == 1, BLUE), (sample.alpha > 127, YELLOW)):
        outlines, _ = cv2.findContours(plane.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(result, outlines, -1, color, 1)
    return result


def row(data: Path, config: DataConfig, source: str, count: int, side: int, seed: int) -> Array:
    """Return the images of one source side by side under its name, uint8, shape (H, W, 3).

    Args:
        data: Folder of the training data.
        config: How they are cut.
        source: One of ``config.sources``, or `COMPOSED`.
        count: How many.
        side: Side of a square; images of another shape are scaled down until they fit.
        seed: Of the samples.
    """
    alone = (
        replace(config, composed=1.0) if source == COMPOSED else replace(config, sources=((source, 1.0),), composed=0.0)
    )
    made = TrainingData(data, side, seed, alone)
    result = np.zeros((side + TITLE, count * side, 3), np.uint8)
    cv2.putText(result, source, (4, TITLE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    for i in range(count):
        tile = outlined(_within(made.sample(i, shape_of_batch(config.shapes, side, seed, i)), side))
        height, width = tile.shape[:2]
        result[TITLE : TITLE + height, i * side : i * side + width] = tile
    return result


def _within(sample: Sample, side: int) -> Sample:
    """Scale a sample down until it fits into a square; before it is outlined, for outlines would fade."""
    height, width = sample.alpha.shape
    if max(height, width) <= side:
        return sample
    size = tuple(max(1, length * side // max(height, width)) for length in (width, height))

    def small(plane: Array) -> Array:
        how = cv2.INTER_AREA if plane.ndim == 3 else cv2.INTER_NEAREST
        return np.asarray(cv2.resize(plane, size, interpolation=how))

    return Sample(*(None if plane is None else small(plane) for plane in sample))  # type: ignore[arg-type]


def main() -> None:
    """Draw a sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the training data")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write, such as sheet.png")
    parser.add_argument("--configuration", default="compact", help="as of export.train")
    parser.add_argument("--sources", nargs="+", help=f"these only; {COMPOSED} for composed images")
    parser.add_argument("--per-source", type=int, default=8, metavar="N")
    parser.add_argument("--side", type=int, default=192, help="of an image, a multiple of 32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="data.SETTING=VALUE", help="change a setting")
    args = parser.parse_args()
    run_main("contact_sheet", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    if args.per_source < 1 or args.side < 32 or args.side % 32:
        raise ValueError(
            f"--per-source is {args.per_source}, --side is {args.side}: give at least 1, and a multiple of 32"
        )
    check_writable(args.out)
    data_folder(args.data)
    config = load_settings(args.configuration, args.set).data
    sources = args.sources or [*(name for name, _ in config.sources), *([COMPOSED] if config.composed else [])]
    rows = [
        row(args.data, config, source, args.per_source, args.side, args.seed)
        for source in tqdm(sources, unit="source", leave=False)
    ]
    write(args.out, np.concatenate(rows))
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
