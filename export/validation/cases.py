"""The fixed list that choices are made by: which objects of which images, and which slices each case belongs to.

``export/validation/cases.jsonl`` names photographs of ``DATA`` (`export.validation_list` chose them) and holds the
screenshots and icons under ``export/validation/graphics`` as files. None of it is ever trained on. docs/validation.md
says what the slices are.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.data.mask_grades import shift_of
from export.data.mixed import LISTS, Record, check_pillow, read_list
from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.masks import VOID, read_index
from pyiseg.files import parse_json
from pyiseg.paths import inner_path

FOLDER = Path(__file__).parent
LIST = FOLDER / "cases.jsonl"
SLICES = ("small", "thin", "several", "parts", "people", "graphics")


@dataclass(frozen=True)
class ListedCase(Case):
    """One selection of the list.

    Attributes:
        source: Where the image is from, as in the records of ``DATA``; "graphics" for those that are kept as files.
        slices: Those of :data:`SLICES` that the case belongs to.
        ids: Values of the index mask that are wanted, as one object; none where the mask is an alpha.
        shift: (x, y), whole pixels by which the mask must be moved right and down to lie on its image, see
            `export.data.mask_grades`. Less than half a pixel cannot be told in a mask of wanted or not.
    """

    source: str = ""
    slices: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    shift: tuple[int, int] = (0, 0)

    def truth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the mask; see :meth:`Case.truth`."""
        if not self.ids:
            return super().truth()
        index = read_index(self.mask)
        wanted = np.isin(index, self.ids)
        missing = set(self.ids).difference(np.unique(index[wanted]).tolist())
        if missing:
            raise ValueError(f"{self.mask} has no object {', '.join(map(str, sorted(missing)))}")
        wanted, void = moved(wanted, self.shift), moved(index == VOID, self.shift)
        if not wanted.any():
            raise ValueError(f"{self.mask} has nothing of its object left when moved by {self.shift} onto its image")
        return wanted, void


def moved(mask: NDArray[np.bool_], shift: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask, shape (H, W), moved right and down by whole pixels (x, y); its border goes on outside of it."""
    height, width = mask.shape
    rows = np.clip(np.arange(height) - shift[1], 0, height - 1)
    columns = np.clip(np.arange(width) - shift[0], 0, width - 1)
    return mask[rows[:, None], columns]


def read_records(data: Path) -> dict[str, Record]:
    """Return the records of all training photographs by their image's name without suffix.

    A list that is missing is left out, for the other may hold both.

    Raises:
        FileNotFoundError: ``DATA`` has none of `export.data.mixed.LISTS`.
        ValueError: A list is damaged.
    """
    paths = [path for name in LISTS if (path := data / name).is_file()]
    if not paths:
        raise FileNotFoundError(
            f"no list {data / LISTS[0]}: only data.photographs=mixed has a validation part; for other "
            "layouts use pyiseg evaluate folder HELD_OUT --model MODEL"
        )
    records: dict[str, Record] = {}
    for record in (record for path in paths for record in read_list(path)):
        # A list that others were merged into may name the same image again; the first one counts.
        records.setdefault(Path(record["image"]).stem, record)
    return records


def read_cases(data: Path, path: Path = LIST) -> list[ListedCase]:
    """Return all cases of a list, in its order.

    Args:
        data: Folder that holds ``train/`` with the photographs.
        path: The list; graphics lie beside it.

    Raises:
        FileNotFoundError: A list, or an image of it, is missing.
        ValueError: A list is damaged, or an object is missing in ``data``.
    """
    entries = _entries(path)
    cases = []
    records = read_records(data)
    missing = []
    for entry in entries:
        if entry.get("mask"):
            files = path.parent / entry["image"], path.parent / entry["mask"]
        else:
            record = records.get(Path(entry["image"]).stem)
            if record is None or record["source"] != entry["source"]:
                missing.append(entry["image"])
                continue
            _check_objects(entry, record, data)
            files = data / record["image"], data / record["mask"]
        missing += [str(file) for file in files if not file.is_file()]
        slices, ids = tuple(entry["slices"]), tuple(entry.get("ids", ()))
        x, y = (round(value) for value in shift_of(entry)) if ids else (0, 0)
        cases.append(ListedCase(entry["name"], *files, source=entry["source"], slices=slices, ids=ids, shift=(x, y)))
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise FileNotFoundError(
            f"{shown} of {path.name} {'are' if len(missing) > 1 else 'is'} not in {data}: it must hold the images of "
            f"{' and '.join(LISTS)} that the list was made from; or use --drawn N to sample cases from it"
        )
    check_pillow(case.image.name for case in cases)
    return cases


def digest(cases: Sequence[ListedCase]) -> str:
    """Return a fingerprint of what is wanted, and where, in which images; the same on every machine."""
    lines = [f"{case.name}|{case.image.stem}|{case.ids}|{case.source}|{case.slices}|{case.shift}\n" for case in cases]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def members(cases: Iterable[ListedCase]) -> dict[str, list[str]]:
    """Return the names of the cases of each slice, then of each source (as "source:NAME"); none is empty."""
    cases = list(cases)
    found = {name: [case.name for case in cases if name in case.slices] for name in SLICES}
    for source in sorted({case.source for case in cases} - set(SLICES)):
        found[f"source:{source}"] = [case.name for case in cases if case.source == source]
    return {name: names for name, names in found.items() if names}


def restricted(cases: Sequence[ListedCase], slices: Sequence[str]) -> list[ListedCase]:
    """Return the cases that belong to any of some slices or sources.

    Raises:
        ValueError: There is no such slice.
    """
    there = members(cases)
    by_name: Mapping[str, list[str]] = there | {name.removeprefix("source:"): names for name, names in there.items()}
    unknown = [name for name in slices if name not in by_name]
    if unknown:
        raise ValueError(f"there is no slice {', '.join(unknown)}; the list has {', '.join(there)}")
    wanted = {name for part in slices for name in by_name[part]}
    return [case for case in cases if case.name in wanted]


def spread(cases: Sequence[ListedCase], count: int) -> list[ListedCase]:
    """Return a fixed part of the cases with every source and every combination of slices in its share.

    Args:
        cases: All of them.
        count: How many to return; all where there are no more.

    Raises:
        ValueError: It is below 1.
    """
    if count < 1:
        raise ValueError(f"--cases is {count}; it must be at least 1")
    if count >= len(cases):
        return list(cases)
    # Every n-th of the cases in the order of what they are: each group is met in its share, whatever its size.
    order = sorted(cases, key=lambda case: (case.source, case.slices, zlib.crc32(case.name.encode()), case.name))
    taken = {order[int((i + 0.5) * len(order) / count)].name for i in range(count)}
    return [case for case in cases if case.name in taken]


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"no list {path}: it is a part of the repository; check it out again")
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = parse_json(line)
            if not all(isinstance(entry[name], str) for name in ("name", "image", "source")):
                raise ValueError("name, image and source must be texts")
            for name in ("image", *(("mask",) if entry.get("mask") else ())):
                inner_path(entry[name], f"its {name}")
            if not set(entry["slices"]) <= set(SLICES):
                raise ValueError(f"its slices are {entry['slices']}, the known ones {', '.join(SLICES)}")
            if bool(entry.get("ids")) == bool(entry.get("mask")):
                raise ValueError("it must have either ids or a mask")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}, is no case: {error!r}") from None
        entries.append(entry)
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"{path} has two cases of one name: {next(n for n in names if names.count(n) > 1)}")
    return entries


def _check_objects(entry: Mapping[str, Any], record: Mapping[str, Any], data: Path) -> None:
    there = {item["id"] for item in record["objects"]}
    if missing := sorted(set(entry["ids"]) - there):
        raise ValueError(
            f"{data} lists no object {', '.join(map(str, missing))} of {record['image']}: its masks are others than "
            "those that the validation list was made from"
        )
