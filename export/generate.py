"""Look at generated training images: one contact sheet of some kinds.

``python -m export.generate OUT.png --data DATA --kinds several graphics --count 24``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from export.cli import data_folder, run_main
from export.data.composite import Composer
from export.data.dataset import DataConfig, open_photographs
from export.data.degrade import degraded
from export.data.generated.kinds import KINDS, generate
from export.data.generated.paint import Material
from export.data.io import Array, Masked
from pyiseg.files import atomic_write

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def contact_sheet(made: list[tuple[str, Masked]], columns: int = 4) -> Array:
    """Put images beside their alphas, with their names; the outline of what is wanted is red in the image.

    Args:
        images: Names and images, all of one shape.
        columns: Pairs in a row.

    Returns:
        RGB, uint8.
    """
    cells = []
    for name, masked in made:
        image = masked.image.copy()
        outlines, _ = cv2.findContours((masked.alpha > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        marked = cv2.drawContours(image.copy(), outlines, -1, (255, 0, 0), 1)
        beside = np.repeat(masked.alpha[:, :, None], 3, axis=2)
        beside[masked.others == 1] = (90, 60, 0)
        cell = Image.fromarray(np.concatenate([marked, beside], axis=1))
        ImageDraw.Draw(cell).text((3, 3), name, fill=(255, 0, 255))
        cells.append(np.asarray(cell))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.asarray(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(prog="export.generate", description="write a contact sheet of generated images")
    parser.add_argument("out", type=Path, help="image file to write, .png or .jpg")
    parser.add_argument("--data", type=Path, required=True, help="training data, see docs/data.md")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS), help="default: all")
    parser.add_argument("--count", type=int, default=24, help="images, the kinds in turn (default: 24)")
    parser.add_argument("--size", type=int, nargs="+", default=[256], help="side, or height and width (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=4, help="images in a row (default: 4)")
    parser.add_argument("--degraded", type=float, default=0.0, help="share with grain, blur, compression (default: 0)")
    parser.add_argument("--photographs", default="mixed", help="data.photographs, see docs/data.md (default: mixed)")
    arguments = parser.parse_args()
    if arguments.count < 1 or arguments.columns < 1:
        raise ValueError(f"--count is {arguments.count}, --columns {arguments.columns}; give 1 or more")
    if len(arguments.size) > 2 or min(arguments.size) < 32:
        raise ValueError(f"--size is {arguments.size}; give one side, or height and width, of 32 pixels or more")
    kind_of_file = FORMATS.get(arguments.out.suffix.lower())
    if kind_of_file is None or arguments.out.is_dir():
        raise ValueError(f"cannot write '{arguments.out}': give a file whose name ends in {', '.join(FORMATS)}")
    if not arguments.out.parent.is_dir():
        raise FileNotFoundError(f"cannot write '{arguments.out}': there is no folder '{arguments.out.parent}'")
    data_folder(arguments.data)
    composed = 1.0 if arguments.photographs == "none" else 0.25
    config = DataConfig(photographs=arguments.photographs, composed=composed)
    material = Material(Composer(arguments.data, open_photographs(arguments.data, config)))
    shape = (arguments.size[0], arguments.size[-1])
    made = []
    for i in range(arguments.count):
        kind = arguments.kinds[i % len(arguments.kinds)]
        rng = np.random.default_rng([arguments.seed, i])
        masked = generate(rng, material, kind, shape)
        if rng.random() < arguments.degraded:
            masked = masked._replace(image=degraded(rng, masked.image))
        made.append((f"{i} {kind}", masked))
    with atomic_write(arguments.out) as file:
        Image.fromarray(contact_sheet(made, arguments.columns)).save(file, kind_of_file, quality=90)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run_main("generate", main)
