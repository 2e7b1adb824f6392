"""The two lists of the layout `mixed`, and the masks they name. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from PIL import Image, features

from export.data.dataset import DataConfig, TrainingData
from export.data.mask_grades import OFFSETS
from export.data.mixed import RealImages, is_validation, read_lists
from pyiseg.evaluation.masks import DamagedFileError, read_index

NEW = (("koma", 1.0),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy_data.build(tmp_path)


def add_more(root: Path, source: str = "koma", image: str = ".webp", **fields: Any) -> dict[str, Any]:
    """Add one image of two objects to ``more.jsonl``, its mask a WebP file; return its record."""
    number = next(i for i in range(99) if not is_validation(f"new_{i}{image}"))
    rgb, index = toy_data.image_and_index(3)
    index[:10, :10] = 2
    stem = root / "train" / "more" / f"new_{number}"
    stem.parent.mkdir(exist_ok=True)
    if features.check("avif") or image != ".avif":
        Image.fromarray(rgb).save(stem.with_suffix(image), quality=100)
    Image.fromarray(index).save(stem.with_name(stem.name + "_mask.webp"), lossless=True)
    record = {
        "image": f"train/more/new_{number}{image}",
        "mask": f"train/more/new_{number}_mask.webp",
        "objects": [{"id": 1, "kind": "instance"}, {"id": 2, "kind": "instance"}],
        "source": source,
        "grade": "fair",
        **fields,
    }
    with open(root / "train" / "more.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
    return record


@pytest.mark.parametrize("image", [".webp", ".avif"])
def test_the_second_list_is_read_too(root: Path, image: str) -> None:
    if image == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    first = len(read_lists(root))
    add_more(root, image=image)
    assert len(read_lists(root)) == first + 1
    data = RealImages(root, NEW)
    assert len(data) == 2
    _, index = toy_data.image_and_index(3)
    index[:10, :10] = 2
    for number, identifier in enumerate((1, 2)):
        masked = data.take(number)
        np.testing.assert_array_equal(masked.alpha == 255, index == identifier)
        np.testing.assert_array_equal(masked.valid == 0, index == 255)
        np.testing.assert_array_equal(masked.others == 1, index == 3 - identifier)
        assert masked.grade == "fair"
        assert np.median(masked.image[index == 1]) > 120 > np.median(masked.image[index == 0])
    both = RealImages(root, (("ecssd", 0.5), *NEW))
    sampled = [both.sample(np.random.default_rng(i)).grade for i in range(60)]
    assert 15 < sampled.count("fair") < 45
    assert set(sampled) == {"fair", "close"}


def test_a_picture_in_both_lists_counts_once(root: Path) -> None:
    record = add_more(root)
    before = read_lists(root)
    with open(root / "train" / "real.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
    assert sorted(map(str, read_lists(root))) == sorted(map(str, before))


def test_samples_of_old_sources_do_not_see_the_second_list(root: Path) -> None:
    before = [TrainingData(root, 32, 1)[i] for i in range(8)]
    add_more(root)
    for one, other in zip(before, (TrainingData(root, 32, 1)[i] for i in range(8)), strict=True):
        for plane, same in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(plane, same)


def test_what_weights_have_seen_does_not_validate(root: Path) -> None:
    lines = [
        {"image": f"train/more/{source}_{i}.webp", "mask": "m", "source": source, "objects": [{"id": 1}]}
        for source in ("voc07inst", "koma")
        for i in range(300)
    ]
    (root / "train" / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sources = (("voc07inst", 0.5), ("koma", 0.5))
    held = RealImages(root, sources, validation=True).records
    assert held["koma"]
    assert not held["voc07inst"]
    assert len(RealImages(root, sources).records["koma"]) == 300 - len(held["koma"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grade": "good"}, r"more\.jsonl, line 1, .*grade 'good' is none of exact, close, fair, rough"),
        ({"objects": []}, r"more\.jsonl, line 1"),
    ],
)
def test_damaged_lines_are_named(root: Path, fields: dict[str, Any], message: str) -> None:
    add_more(root, **fields)
    with pytest.raises(ValueError, match=message):
        RealImages(root, NEW)


def test_a_pillow_that_is_too_old_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_more(root, image=".avif")
    monkeypatch.setattr(features, "modules", {"pil": ("", None)})
    with pytest.raises(ValueError, match=r"AVIF image, which Pillow reads from 11\.3 on.*data\.sources"):
        RealImages(root, NEW)
    RealImages(root, DataConfig().sources)  # what does not need it is read


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_masks_of_equal_channels_are_one(tmp_path: Path, suffix: str) -> None:
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(np.dstack([index] * 3)).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    found = read_index(path)
    np.testing.assert_array_equal(found, index)
    assert found.flags.c_contiguous
    Image.fromarray(np.dstack([index, index, index // 2])).save(path)
    with pytest.raises(DamagedFileError, match="channels differ"):
        read_index(path)


def test_masks_are_aligned_when_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OFFSETS, "koma", (0.4, -0.3))
    add_more(root)
    assert RealImages(root, NEW).take(0).shift == (0, 0)
    assert RealImages(root, NEW, aligned=True).take(0).shift == (-0.4, 0.3)
    assert RealImages(root, (("ecssd", 1.0),), aligned=True).take(0).shift == (0, 0)
    config = DataConfig(sources=NEW, composed=0.0, close=0.0)
    plain, aligned = (
        TrainingData(root, 64, 1, DataConfig(**{**vars(config), "aligned": value})) for value in (False, True)
    )
    assert any((plain[i].alpha != aligned[i].alpha).any() for i in range(4))
    assert all((plain[i].image == aligned[i].image).all() for i in range(4))
