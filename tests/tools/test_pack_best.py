"""The best small part of a data folder: shares, grades, the limit, and that training takes what comes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from export.data.dataset import DataConfig, TrainingData
from export.data.mixed import is_validation
from tools import pack as packing
from tools.pack import unpack
from tools.pack_best import Item, pack_best, spread

# Names of 40 images, of which some are kept for choosing.
SOURCES = {"ecssd": 16, "sbd": 12, "koma": 12}
SHARES = (("ecssd", 0.5), ("sbd", 0.25), ("koma", 0.25), ("horse", 0.1))


def write(path: Path, size: int, rng: np.random.Generator) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rng.bytes(size))
    return path.relative_to(path.parents[2]).as_posix()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out a folder of bytes that are no images: packing does not look into them."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    lines: dict[str, list[str]] = {"real": [], "more": []}
    for source, count in SOURCES.items():
        for i in range(count):
            place = "more" if source == "koma" else "real"
            image = write(root / f"train/{place}/{source}_{i}.webp", 4000, rng)
            mask = write(root / f"train/{place}/{source}_{i}.png", 500, rng)
            grade = {"grade": "fair" if i % 2 else "close"} if source == "koma" else {}
            record = {"image": image, "mask": mask, "objects": [{"id": 1}], "source": source, **grade}
            lines[place].append(json.dumps(record))
    held_out = write(root / "train/real/49.png", 100, rng)
    lines["real"].append(json.dumps({"image": held_out, "mask": held_out, "objects": [{"id": 1}], "source": "ecssd"}))
    # An image that both lists name.
    lines["more"].append(lines["real"][0])
    for name, found in lines.items():
        (root / f"train/{name}.jsonl").write_text("\n".join(found) + "\n")
    for i in range(20):
        for kind in ("fluent3d", "sweethome3d"):
            write(root / f"train/objects/{kind}_{i}.webp", 1000, rng)
        write(root / f"train/backgrounds/{i}.webp", 3000, rng)
    write(root / "train/objects/matting_AM27_1.webp", 10, rng)
    return root


def records(folder: Path) -> list[dict[str, str]]:
    paths = [path for path in (folder / "train/real.jsonl", folder / "train/more.jsonl") if path.exists()]
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.mark.parametrize("max_mb", [0.13, 0.16, 0.2, 10])
@pytest.mark.parametrize("composed", [0.0, 0.25])
def test_a_part_within_its_limit(max_mb: float, composed: float, data: Path, tmp_path: Path) -> None:
    config = DataConfig(sources=SHARES, composed=composed)
    shards = pack_best(data, tmp_path / "shards", config, max_mb)
    total = sum(path.stat().st_size for path in (tmp_path / "shards").iterdir())
    assert total <= max_mb * 1e6
    assert unpack(shards, tmp_path / "part") == []
    found = records(tmp_path / "part")
    names = [record["image"] for record in found]
    assert len(names) == len(set(names)) > 0
    assert not any(map(is_validation, names)), "what is kept for choosing is not carried along"
    for name in [*names, *(record["mask"] for record in found)]:
        assert (tmp_path / "part" / name).read_bytes() == (data / name).read_bytes()
    packed = sorted(path.name for path in (tmp_path / "part").rglob("*.webp"))
    assert not any(name.startswith("matting_AM27") for name in packed)
    assert any(name.startswith("fluent3d") for name in packed) == (composed > 0)
    everything = {record["image"] for record in records(data) if not is_validation(record["image"])}
    assert (set(names) == everything) == (max_mb == 10)
    if max_mb < 10:
        assert total > max_mb * 1e6 - 75_000, "but for what shards may need besides files, the limit is made use of"


def test_sources_in_their_shares_and_close_masks_first(data: Path, tmp_path: Path) -> None:
    config = DataConfig(sources=SHARES, composed=0.0)
    unpack(pack_best(data, tmp_path / "shards", config, 0.13), tmp_path / "part")
    found = records(tmp_path / "part")
    count = Counter(record["source"] for record in found)
    # A rough mask takes twice its bytes of the share, so half of a quarter.
    assert count["ecssd"] == pytest.approx(2 * count["koma"], abs=1)
    assert count["ecssd"] == pytest.approx(4 * count["sbd"], abs=2)
    grades = Counter(record["grade"] for record in found if record["source"] == "koma")
    close = sum(r.get("grade") == "close" and not is_validation(r["image"]) for r in records(data))
    assert grades["fair"] == 0 or grades["close"] == close


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(0, ""), (3, "aba"), (6, "abaaba"), (12, "abaabaababbb"), (99, "abaabaababbbb")],
)
def test_what_is_left_of_a_share_goes_to_the_others(budget: int, expected: str) -> None:
    def items(name: str, count: int) -> Sequence[Item]:
        return [Item((f"{name}{i}",), 1) for i in range(count)]

    chosen = spread({"a": (2, items("a", 6)), "b": (1, items("b", 7)), "c": (0, items("c", 5))}, budget)
    names = [item.files[0] for item in chosen]
    assert Counter(name[0] for name in names) == Counter(expected)
    assert [n for n in names if n[0] == "b"] == [f"b{i}" for i in range(expected.count("b"))], "the best first"


def test_one_that_does_not_fit_makes_place_for_smaller_ones() -> None:
    items = [Item((name,), size) for name, size in (("large", 9), ("small", 1))]
    assert [item.files[0] for item in spread({"a": (1.0, items)}, 5)] == ["small"]


def test_training_takes_what_comes_of_it(tmp_path: Path) -> None:
    data = toy_data.build(tmp_path / "data", pictures=12)
    command = ["best", str(data), str(tmp_path / "shards"), "--max-mb", "0.4", "--shard-mb", "0.15"]
    packing.main([*command, "--set", 'data.sources=[["ecssd", 1.0]]'])
    shards = sorted((tmp_path / "shards").glob("*.tar"))
    assert len(shards) > 1
    packing.main(["unpack", *map(str, shards), str(tmp_path / "part")])
    part = TrainingData(tmp_path / "part", 64, 1, DataConfig(sources=(("ecssd", 1.0),)))
    assert 0 < len(records(tmp_path / "part")) <= 12
    assert part[0].image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-mb", "0.03"], "--max-mb is 0.03: not one photograph fits"),
        (["--set", "data.photographs=folder"], "only the layout 'mixed'"),
        (["--set", 'data.sources=[["nowhere", 1.0]]'], "not one photograph"),
    ],
)
def test_what_cannot_be_packed(arguments: list[str], message: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        packing.main(["best", str(data), str(tmp_path / "shards"), *arguments])
    with pytest.raises(SystemExit, match="lies in"):
        packing.main(["best", str(data), str(data / "shards")])
    with pytest.raises(SystemExit, match=r"no file at .*real\.jsonl"):
        packing.main(["best", str(tmp_path / "nowhere"), str(tmp_path / "shards")])
