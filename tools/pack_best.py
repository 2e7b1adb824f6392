"""Choose the best small part of a data folder, for a machine that only small transfers reach for a short time.

    python -m tools.pack best DATA SHARDS --max-mb 30
    python -m tools.pack unpack SHARDS/*.tar DATA

The part is a data folder as the whole is, of the layout ``mixed``: lists, images with their masks, objects and
backgrounds, under the names that they have, so that what is kept for choosing by its name stays so. It is left out
here, like what is kept for measuring: training would not use it.
"""

from __future__ import annotations

import math
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.data.composite import MEASURING, SHARES
from export.data.dataset import DataConfig
from export.data.mask_grades import grade_of
from export.data.mixed import LISTS, is_validation, read_records
from tools.pack import FIXED, entry_size, pack, size_in_shard

# How much of its source's share a byte of an image takes, by how closely its mask follows the object.
COST = {"exact": 1.0, "close": 1.0, "fair": 1.5, "rough": 2.0}
# Of what composed images get, the part for backgrounds; photographs are backgrounds too.
BACKGROUNDS = 0.25


@dataclass(frozen=True)
class Item:
    """Something that is packed whole.

    Attributes:
        files: Paths from the data folder.
        size: Bytes that it adds to shards and manifest.
        cost: Of its group's share, a byte.
        record: The line of a list, and which list.
    """

    files: tuple[str, ...]
    size: int
    cost: float = 1.0
    record: tuple[str, str] = ("", "")


def pack_best(
    data: Path, out: Path, config: DataConfig, max_mb: float = 30, shard_mb: float | None = None
) -> list[Path]:
    """Write the best part of a data folder into shards.

    Photographs are taken by the shares of their sources, images with close masks before those with fair and rough ones;
    objects and backgrounds by the share of composed images.

    Args:
        data: The folder, of the layout ``mixed``.
        out: An empty or new folder for the shards and manifest.json.
        config: The shares.
        max_mb: Shards and manifest together are no larger, in 10^6 bytes.
        shard_mb: No shard is larger.

    Returns:
        The shards.

    Raises:
        ValueError: ``max_mb`` is too small for any image, or see `tools.pack.pack`.
        FileNotFoundError: There is no list.
    """
    if config.photographs != "mixed":
        raise ValueError(f"data.photographs is '{config.photographs}': only the layout 'mixed' has grades to choose by")
    if out.resolve().is_relative_to(data.resolve()):
        raise ValueError(f"{out} lies in {data}: choose a folder outside")
    shard_mb = min(max_mb, shard_mb or max_mb)
    # What shards hold besides files; files that leave room in one shard make more of them.
    left = int(max_mb * 1e6) - FIXED * (2 + 2 * math.ceil(max_mb / shard_mb))
    photographs = _photographs(data, config)
    chosen: list[Item] = []
    for groups, part in (
        (_objects(data), config.composed * (1 - BACKGROUNDS)),
        (_backgrounds(data), config.composed * BACKGROUNDS),
    ):
        chosen += spread(groups, int(max_mb * 1e6 * part))
    images = spread(photographs, left - sum(item.size for item in chosen))
    if not images:
        raise ValueError(f"--max-mb is {max_mb:g}: not one photograph fits beside objects and backgrounds")
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for item in [*chosen, *images]:
            for name in item.files:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                if not (stage / name).exists():
                    (stage / name).symlink_to((data / name).resolve())
        for name in LISTS:
            lines = sorted(item.record[1] for item in images if item.record[0] == name)
            if lines or name == LISTS[0]:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / name).write_text("".join(f"{line}\n" for line in lines))
        shards = pack(stage, out, shard_mb)
    total = sum(path.stat().st_size for path in out.iterdir())
    if total > max_mb * 1e6:
        raise RuntimeError(f"{out} came out larger than {max_mb:g} MB: {total} bytes")
    return shards


def spread(groups: Mapping[str, tuple[float, Iterable[Item]]], budget: int) -> list[Item]:
    """Choose items until a budget is spent, so that each group gets its share of it as long as it has any.

    Args:
        groups: Share and items of each, the best first.
        budget: Bytes.

    Returns:
        What was chosen; an item that no longer fits is left out, and smaller ones after it may still come.
    """
    queues = {name: list(items)[::-1] for name, (share, items) in groups.items() if share > 0}
    used, chosen = dict.fromkeys(queues, 0.0), []
    while queues:
        name = min(queues, key=lambda name: used[name] / groups[name][0])
        if not queues[name]:
            del queues[name]
            continue
        item = queues[name].pop()
        if item.size <= budget:
            chosen.append(item)
            budget -= item.size
            used[name] += item.size * item.cost
    return chosen


def _photographs(data: Path, config: DataConfig) -> dict[str, tuple[float, list[Item]]]:
    shares = dict(config.sources)
    found: dict[str, dict[str, Item]] = {name: {} for name in shares}
    for name in LISTS:
        path = data / name
        if not path.is_file() and name != LISTS[0]:
            continue
        for record, line in read_records(path):
            image, source = record["image"], record["source"]
            # What both lists name is packed with the first.
            if source in found and not is_validation(image) and image not in found[source]:
                files = (image, record["mask"])
                size = sum(_size(data, file) for file in files) + len(line) + 1
                found[source][image] = Item(files, size, COST[grade_of(record)], (name, line))
    by_grade = {s: sorted(items.values(), key=lambda i: (i.cost, _shuffled(i))) for s, items in found.items()}
    return {source: (shares[source], items) for source, items in by_grade.items()}


def _objects(data: Path) -> dict[str, tuple[float, list[Item]]]:
    kinds: dict[str, list[Item]] = {}
    for item in _files(data, "objects"):
        kind = Path(item.files[0]).name.split("_")[0]
        kinds.setdefault(kind if kind in SHARES else "other", []).append(item)
    return {kind: (SHARES[kind], items) for kind, items in kinds.items()}


def _backgrounds(data: Path) -> dict[str, tuple[float, list[Item]]]:
    return {"backgrounds": (1.0, _files(data, "backgrounds"))}


def _files(data: Path, part: str) -> list[Item]:
    folder = data / "train" / part
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    names = [path.name for path in found if not path.name.startswith((".", MEASURING))]
    return sorted((Item((f"train/{part}/{n}",), _size(data, f"train/{part}/{n}")) for n in names), key=_shuffled)


def _shuffled(item: Item) -> int:
    """Return a number that orders items at random, always in the same way, so that a source is met all over."""
    return zlib.crc32(item.files[0].encode()[::-1])


def _size(data: Path, name: str) -> int:
    # In the manifest there is a line for each value of the entry, indented.
    return size_in_shard(name, (data / name).stat().st_size) + entry_size(name) + 40
