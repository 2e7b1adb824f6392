"""The mixed photographs of ``train/real.jsonl`` and ``train/more.jsonl``, in shares by their sources."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import features

from export.data.io import Masked, one_object, read_index, read_rgb
from export.data.mask_grades import grade_of, shift_of
from pyiseg.files import parse_json
from pyiseg.paths import inner_path

Record = dict[str, Any]

LISTS = ("train/real.jsonl", "train/more.jsonl")
"""Lists of photographs, from the data folder; what both name counts once, as the first has it."""

# Weights that ship were trained on the same photographs under other names: they cannot validate.
SEEN_BEFORE = frozenset({"voc07inst"})


def is_validation(image: str) -> bool:
    """Whether a training image is kept for choosing (one of 32, by its name) and never trained on."""
    return zlib.crc32(Path(image).name.encode()) % 32 == 0


def photograph(record: Record) -> str:
    """Return what names the photograph of a record: several sources hold crops of the same COCO photographs."""
    stem = Path(record["image"]).stem
    return "coco" + stem.rsplit("_", 1)[1] if record["source"] in ("coco", "cocop", "mval") else stem


class RealImages:
    """The photographs of ``real.jsonl``, and of ``more.jsonl`` where there is one, and their masks.

    Args:
        root: Folder that holds ``train/``.
        sources: Share of each source; one that is not named is not used.
        validation: Take those that are kept for choosing instead of those to train on.
        merged: Share of the sampled images with several objects in which two of them are wanted as one.
        aligned: Have masks of sources with a known offset moved onto their images, see
            `export.data.mask_grades.OFFSETS`.

    Raises:
        FileNotFoundError: There is no list.
        ValueError: The list is damaged or has nothing of the sources, or Pillow is too old for its images.
    """

    close_masks = True

    def __init__(
        self,
        root: Path,
        sources: tuple[tuple[str, float], ...],
        validation: bool = False,
        merged: float = 0.0,
        aligned: bool = False,
    ) -> None:
        self.root, self.merged, self.aligned = root, merged, aligned
        self.records: dict[str, list[Record]] = {name: [] for name, _ in sources}
        path = root / LISTS[0]
        all_records = read_lists(root)
        records = [record for record in all_records if record["source"] in self.records]
        trained_on = {photograph(record) for record in records if not is_validation(record["image"])}
        for record in records:
            if validation and record["source"] in SEEN_BEFORE:
                continue
            # A photograph of which any crop is trained on does not validate.
            if validation != (photograph(record) in trained_on) and is_validation(record["image"]) == validation:
                self.records[record["source"]].append(record)
        self.names = [name for name, records in self.records.items() if records and dict(sources)[name] > 0]
        if not self.names:
            there = ", ".join(sorted({str(record["source"]) for record in all_records})) or "none"
            raise ValueError(f"{path} lists no image to use of {', '.join(self.records)}; its sources: {there}")
        used = (record["image"] for name in self.names for record in self.records[name])
        check_pillow(used, ", or leave its source out of data.sources")
        share = np.array([dict(sources)[name] for name in self.names])
        self.share = share / share.sum()
        self.objects = [(r, o["id"]) for name in self.names for r in self.records[name] for o in r["objects"]]

    def __len__(self) -> int:
        return len(self.objects)

    def take(self, number: int) -> Masked:
        """Return object ``number``."""
        record, identifier = self.objects[number]
        return self._masked(record, [identifier])

    def sample(self, rng: np.random.Generator, only: frozenset[str] = frozenset()) -> Masked:
        """Return an image and one object, at times a whole person or two objects as one.

        Args:
            rng: Where the choice comes from.
            only: Sources to sample from, in equal shares; all in their shares when empty or when none of them is here.
        """
        names = sorted(only.intersection(self.names))
        source = names[rng.integers(len(names))] if names else self.names[rng.choice(len(self.names), p=self.share)]
        records = self.records[source]
        record = records[rng.integers(len(records))]
        objects = record["objects"]
        whole_person = record["source"] == "ccp" and rng.random() < 0.35
        # No chance is drawn where it decides nothing: samples of settings without it stay what they were.
        if whole_person:
            chosen = objects
        elif self.merged and len(objects) > 1 and rng.random() < self.merged:
            chosen = [objects[i] for i in rng.choice(len(objects), 2, replace=False)]
        else:
            chosen = [objects[rng.integers(len(objects))]]
        return self._masked(record, [o["id"] for o in chosen])

    def _masked(self, record: Record, chosen: list[int]) -> Masked:
        path = self.root / record["image"]
        image, index = read_rgb(path), read_index(self.root / record["mask"])
        masked = one_object(path, image, index, chosen, grade_of(record))
        return masked._replace(shift=shift_of(record)) if self.aligned else masked


def read_lists(root: Path) -> list[Record]:
    """Return the records of ``train/real.jsonl``, then those of ``train/more.jsonl`` whose images it does not list.

    Raises:
        FileNotFoundError: There is no ``real.jsonl``; ``more.jsonl`` may be missing.
        ValueError: A list is damaged.
    """
    records, more = read_list(root / LISTS[0]), root / LISTS[1]
    if more.is_file():
        # Someone may have merged the two by hand.
        there = {record["image"] for record in records}
        records += [record for record in read_list(more) if record["image"] not in there]
    return records


def check_pillow(images: Iterable[str], way_out: str = "") -> None:
    """Refuse AVIF images where Pillow does not read them.

    Args:
        images: Paths or names.
        way_out: Ends the message, as in ", or use another list".

    Raises:
        ValueError: There is one.
    """
    if "avif" in features.modules and features.check("avif"):
        return
    if image := next((i for i in images if i.lower().endswith(".avif")), None):
        raise ValueError(
            f"{image} is an AVIF image, which Pillow reads from 11.3 on, and this is Pillow {PIL.__version__}: "
            f"pip install 'Pillow>=11.3'{way_out}"
        )


def read_list(path: Path) -> list[Record]:
    """Return the records of one list.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no list {path}: data.photographs=mixed needs it; --set data.photographs=folder for images/ and masks/, "
            "=sbd for the Semantic Boundaries Dataset, or =none --set data.composed=1 to compose only"
        )
    return [record for record, _ in read_records(path)]


def read_records(path: Path) -> Iterator[tuple[Record, str]]:
    """Yield the records of a list that exists, each with its line.

    Raises:
        ValueError: It is damaged.
    """
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record = parse_json(line)
            for name in ("image", "mask"):
                record[name] = inner_path(record[name], f"its {name}")
            record["source"] = str(record["source"])
            if not record["objects"] or not all(isinstance(o["id"], int) for o in record["objects"]):
                raise ValueError("no objects with a whole number as id")
            grade_of(record)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}, is no record with image, mask, source and objects: {error!r}"
            ) from None
        yield record, line.decode()
