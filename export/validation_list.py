"""Choose the photographs of the validation list, once; the list counts from then on, not this rule.

    python -m export.validation_list DATA

It writes export/validation/cases.jsonl: images that training keeps out (one of 32 by name, and no crop of the same
photograph is trained on or used as a background), then the graphics that lie in export/validation/graphics. The same
``DATA`` gives the same list. ``voc07inst`` is left out: earlier weights saw its images under other names.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from export.cli import run_main
from export.data.mixed import is_validation, photograph
from export.validation.cases import LIST, read_records
from pyiseg.evaluation.masks import read_index, read_pixels
from pyiseg.files import atomic_write

Entry = dict[str, Any]

SMALL = 0.01
"""A case is small below this share of the image."""

THIN = 0.3
"""A case is thin where its mean width is below this share of the square root of its area; see :func:`slenderness`."""

GAP = 3
"""Objects that are wanted as one lie at least so many pixels apart."""

MIN_PIXELS = 100
"""Smaller objects are not chosen: at such sizes a mask says little."""


class Quota(NamedTuple):
    """How much of a source goes into the list.

    Attributes:
        images: At most.
        objects: Of each image, at most; small and thin ones first after the first one.
        several: Images of which a union of objects is wanted too, at most.
        whole: Images of which the union of all objects, a person, is wanted too, at most.
        slices: What every case of one object belongs to.
    """

    images: int
    objects: int = 1
    several: int = 0
    whole: int = 0
    slices: tuple[str, ...] = ()


# Sources with many objects in few images, or with rough masks, are held back, so that no source dominates.
QUOTAS = {
    "sbd": Quota(44, several=6),
    "ecssd": Quota(31),
    "horse": Quota(10),
    "ccp": Quota(31, objects=1, whole=20, slices=("parts",)),
    "cocop": Quota(30, slices=("people",)),
    "coco": Quota(5, objects=4, several=3),
    "mval": Quota(10),
    "butterfly": Quota(14),
    "koma": Quota(14, several=5),
    "homedepot": Quota(20, several=8),
    "rmgc": Quota(12, objects=2, several=8),
    "carparts": Quota(15, objects=2, slices=("parts",)),
    "feralcat": Quota(14, several=4),
    "flowers": Quota(23),
    "food": Quota(7, objects=3, several=6),
    "cigarettes": Quota(6),
    "segreg": Quota(6, objects=4, several=6),
    "pwfid": Quota(3, objects=2),
    "viasmall": Quota(6),
    "humanseg": Quota(4, slices=("people",)),
    "books": Quota(3, objects=4, several=3),
}


def slenderness(mask: NDArray[np.bool_]) -> float:
    """Return the mean local width of a mask in units of the square root of its area.

    The mean distance of a long bar's pixels from its edge is a quarter of its width, so four times the mean of the
    Euclidean distance transform is taken for the width: 0.75 for a disc, 0.67 for a square, sqrt(w / l) for a bar of
    width w and length l (0.3 is 11 to 1). Of several connected parts, it is the mean over the parts by their area.

    Args:
        mask: Not empty, bool, shape (H, W). The sides of the image are edge.
    """
    # The transform measures to the center of the nearest pixel outside, half a pixel beyond the edge.
    padded = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] - 0.5
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    # Exact for bars of an even number of pixels; one of w pixels, w odd, comes out 1 / w wider.
    sums = np.bincount(labels.ravel(), weights=distance.ravel(), minlength=count)[1:]
    widths = 4 * sums / areas
    return float(np.average(widths / np.sqrt(areas), weights=areas))


def shape_slices(mask: NDArray[np.bool_]) -> list[str]:
    """Return which of the slices "small" and "thin" a mask belongs to."""
    return ["small"] * bool(mask.mean() < SMALL) + ["thin"] * bool(slenderness(mask) < THIN)


def apart(index: NDArray[np.uint8], ids: list[int], most: int) -> list[int]:
    """Return the first of some objects that lie apart from each other, at most ``most`` of them.

    Args:
        index: Index mask, uint8, shape (H, W).
        ids: Its objects, in the order to take them.
        most: At most so many are returned.
    """
    kernel = np.ones((2 * GAP + 1, 2 * GAP + 1), np.uint8)
    near = np.zeros(index.shape, bool)
    chosen: list[int] = []
    for identifier in ids:
        mask = index == identifier
        if len(chosen) < most and mask.sum() >= MIN_PIXELS and not (mask & near).any():
            chosen.append(identifier)
            near |= cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return chosen


def photographs(data: Path) -> list[Entry]:
    """Return the entries of the list that are chosen from ``data``."""
    records = read_records(data)
    trained_on = {photograph(record) for record in records.values() if not is_validation(record["image"])}
    # Backgrounds are named like photographs of COCO.
    trained_on |= {"coco" + path.stem.rsplit("_", 1)[-1] for path in (data / "train" / "backgrounds").glob("coco_*")}
    entries: list[Entry] = []
    for source, quota in QUOTAS.items():
        kept = [record for record in records.values() if record["source"] == source and is_validation(record["image"])]
        kept = [record for record in kept if photograph(record) not in trained_on]
        kept.sort(key=lambda record: _order(Path(record["image"]).stem))
        several, whole = quota.several, quota.whole
        for record in kept[: quota.images]:
            index = read_index(data / record["mask"])
            ids = sorted(
                (item["id"] for item in record["objects"]),
                key=lambda number, record=record: _order(f"{record['image']}:{number}"),  # type: ignore[misc]
            )
            entries += _singles(record, index, ids, quota)
            if whole and len(ids) > 1:
                whole -= 1
                mask = np.isin(index, ids)
                entries.append(_entry(record, ids, ["people", *shape_slices(mask)]))
            together = apart(index, ids, 2 + _order(record["image"]) % 11) if several else []
            if len(together) > 1:
                several -= 1
                entries.append(_entry(record, together, ["several", *shape_slices(np.isin(index, together))]))
    return entries


def graphics(folder: Path) -> Iterator[Entry]:
    """Yield the entries of the screenshots in a folder: NAME.png, and NAME.WANTED.png for each selection of it."""
    for path in sorted(folder.glob("*.*.png")):
        stem, wanted = path.name.split(".")[:2]
        alpha = read_pixels(path, lambda image: image.convert("L")) >= 128
        # Words like "cards-several" end in the slice that no measure of the mask tells.
        slices = ["graphics", *(["several"] if wanted.endswith("several") else []), *shape_slices(alpha)]
        yield {
            "name": f"{stem}:{wanted}",
            "image": f"{folder.name}/{stem}.png",
            "mask": f"{folder.name}/{path.name}",
            "source": "graphics",
            "slices": slices,
        }


def main() -> None:
    """Write the list and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, default=LIST)
    args = parser.parse_args()
    run_main("validation_list", lambda: _run(args.data, args.out))


def _run(data: Path, out: Path) -> None:
    entries = [*photographs(data), *graphics(LIST.parent / "graphics")]
    with atomic_write(out) as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())
    counts = Counter(name for entry in entries for name in (entry["source"], *set(entry["slices"]) - {entry["source"]}))
    print(f"{len(entries)} cases: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))


def _singles(record: Entry, index: NDArray[np.uint8], ids: list[int], quota: Quota) -> Iterator[Entry]:
    found = []
    for identifier in ids:
        mask = index == identifier
        if mask.sum() >= MIN_PIXELS:
            found.append((identifier, shape_slices(mask)))
    # After one of any kind those that are rare: without them the slices would be too small to tell anything. Parts
    # of people are so many that the first one may be of these at once.
    first = 0 if record["source"] == "ccp" else 1
    for identifier, slices in [*found[:first], *sorted(found[first:], key=lambda item: not item[1])][: quota.objects]:
        yield _entry(record, [identifier], [*quota.slices, *slices])


def _entry(record: Entry, ids: list[int], slices: list[str]) -> Entry:
    image = Path(record["image"])
    numbers = sorted(ids)
    name = f"{image.stem}:{'+'.join(map(str, numbers))}"
    return {"name": name, "image": image.name, "ids": numbers, "source": record["source"], "slices": slices}


def _order(name: str) -> int:
    """Return a number that looks random, the same everywhere."""
    return zlib.crc32(f"validation {Path(name).name}".encode())


if __name__ == "__main__":
    main()
