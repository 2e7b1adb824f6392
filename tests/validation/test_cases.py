"""The validation list, its slices and what is said of them, on toy data. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import toy_data

pytest.importorskip("torch")

from support.toy_list import GRAPHIC, PHOTO, committed, write_list

from export import validation_list
from export.data.mask_grades import OFFSETS
from export.data.mixed import is_validation
from export.validation.cases import (
    LIST,
    SLICES,
    ListedCase,
    digest,
    members,
    moved,
    read_cases,
    restricted,
    spread,
)
from pyiseg.evaluation.masks import DamagedFileError

# The list that is committed


def test_the_list_is_large_and_has_every_slice() -> None:
    entries = committed()
    counts = {name: sum(name in entry["slices"] for entry in entries) for name in SLICES}
    assert len(entries) - counts["graphics"] >= 300
    assert min(counts.values()) >= 40, counts
    sources = [entry["source"] for entry in entries if entry["source"] != "graphics"]
    assert max(map(sources.count, set(sources))) < 0.15 * len(sources)
    assert "voc07inst" not in sources


def test_no_photograph_of_the_list_is_trained_on() -> None:
    assert all(is_validation(entry["image"]) for entry in committed() if entry["source"] != "graphics")


def test_the_graphics_are_there_and_are_what_the_list_says() -> None:
    entries = [entry for entry in committed() if entry["source"] == "graphics"]
    assert entries == list(validation_list.graphics(LIST.parent / "graphics"))
    assert len({entry["image"] for entry in entries}) >= 40
    for entry in entries:
        with Image.open(LIST.parent / entry["image"]) as image, Image.open(LIST.parent / entry["mask"]) as mask:
            assert image.size == mask.size
            share = (np.asarray(mask.convert("L")) >= 128).mean()
        assert 0.0003 < share < 0.9, entry["name"]


# Reading a list


def test_objects_are_found_by_the_record_of_their_image(tmp_path: Path) -> None:
    data = toy_data.build(tmp_path / "data")
    # A merged list may keep masks under other names and kinds: RGB WebP here.
    train = data / "train"
    index = np.asarray(Image.open(train / "real" / "49_mask.png"))
    Image.fromarray(np.dstack([index] * 3)).save(train / "real" / "other.webp", lossless=True)
    lines = (train / "real.jsonl").read_text().replace("real/49_mask.png", "real/other.webp")
    (train / "real.jsonl").rename(train / "old")
    (train / "more.jsonl").write_text(lines)
    photo, graphic = read_cases(data, write_list(tmp_path / "list", PHOTO, GRAPHIC))
    wanted, void = photo.truth()
    assert (wanted == (index == 1)).all()
    assert (void == (index == 255)).all()
    assert (graphic.truth()[0].sum(), graphic.truth()[1].any()) == (20 * 20, False)
    assert (photo.slices, graphic.source) == (("small",), "graphics")


def test_objects_may_be_wanted_as_one(tmp_path: Path) -> None:
    index = np.array([[1, 2, 3, 0, 255]], np.uint8)
    Image.fromarray(index).save(tmp_path / "mask.png")
    case = ListedCase("x", tmp_path / "x.png", tmp_path / "mask.png", ids=(1, 3))
    assert case.truth()[0].tolist() == [[True, False, True, False, False]]
    with pytest.raises(ValueError, match=r"mask\.png has no object 4"):
        ListedCase("x", tmp_path / "x.png", tmp_path / "mask.png", ids=(1, 4)).truth()


@pytest.mark.parametrize("shift", [(1, 0), (-1, -2), (0, 1)])
def test_masks_move_onto_their_images(tmp_path: Path, shift: tuple[int, int]) -> None:
    index = np.zeros((9, 12), np.uint8)
    index[3:6, 4:8], index[6, 4:8] = 1, 255
    Image.fromarray(index).save(tmp_path / "mask.png")
    case = ListedCase("x", tmp_path / "x.png", tmp_path / "mask.png", ids=(1,), shift=shift)
    expected = np.roll(index, (shift[1], shift[0]), (0, 1))
    assert [plane.tolist() for plane in case.truth()] == [(expected == 1).tolist(), (expected == 255).tolist()]


def test_a_moved_mask_goes_on_beyond_its_border(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), bool)
    mask[:, 3:] = True
    assert moved(mask, (-1, 0))[0].tolist() == [False, False, True, True, True]
    assert moved(mask, (1, 2))[0].tolist() == [False, False, False, False, True]
    Image.fromarray(np.eye(3, dtype=np.uint8)[:1]).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="nothing of its object left"):
        ListedCase("x", tmp_path / "x.png", tmp_path / "mask.png", ids=(1,), shift=(-2, 0)).truth()


def test_the_shift_of_a_case_is_that_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, listed = toy_data.build(tmp_path / "data"), write_list(tmp_path / "list", PHOTO, GRAPHIC)
    monkeypatch.setitem(OFFSETS, PHOTO["source"], (1.2, -0.7))
    monkeypatch.setitem(OFFSETS, "graphics", (1.2, -0.7))
    photo, graphic = shifted = read_cases(data, listed)
    # An alpha was rendered with its image: it lies where it belongs.
    assert (photo.shift, graphic.shift) == ((-1, 1), (0, 0))
    monkeypatch.setitem(OFFSETS, PHOTO["source"], (0.3, -0.3))
    still = read_cases(data, listed)
    assert still[0].shift == (0, 0)
    assert digest(shifted) != digest(still)


def test_channels_that_differ_are_no_index_mask(tmp_path: Path) -> None:
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(tmp_path / "x.png")
    with pytest.raises(DamagedFileError, match=r"x\.png is no index mask: its color channels differ"):
        ListedCase("x", tmp_path / "x.png", tmp_path / "x.png", ids=(1,)).truth()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (PHOTO | {"image": "gone.avif"}, r"gone\.avif of cases\.jsonl is not in .*more\.jsonl.*--drawn"),
        (PHOTO | {"source": "books"}, r"49\.png of cases\.jsonl is not in"),
        (PHOTO | {"ids": [1, 7]}, r"lists no object 7 of train/real/49\.png"),
        (PHOTO | {"ids": []}, "line 1, is no case: .*either ids or a mask"),
        (PHOTO | {"slices": ["tiny"]}, r"line 1, is no case: .*tiny.*small, thin"),
        (GRAPHIC | {"mask": "graphics/gone.png"}, r"gone\.png of cases\.jsonl is not in"),
    ],
)
def test_what_cannot_be_measured_is_named(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    data = toy_data.build(tmp_path / "data")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        read_cases(data, write_list(tmp_path / "list", entry))


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two cases of one name: 49:1"):
        read_cases(toy_data.build(tmp_path / "data"), write_list(tmp_path / "list", PHOTO, PHOTO))


# Parts of a list


def cases(**sources: int) -> list[ListedCase]:
    """So many cases of each source; every second one is small."""
    return [
        ListedCase(f"{source}{i}", Path("x"), Path("y"), source=source, slices=("small",) * (i % 2), ids=(1,))
        for source, count in sources.items()
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 10, 30, 60, 99])
def test_a_part_has_sources_and_slices_in_their_shares(count: int) -> None:
    everything = cases(a=40, b=20)
    part = spread(everything, count)
    assert len(part) == min(count, 60)
    assert part == spread(everything, count)
    assert part == sorted(part, key=everything.index)
    assert sum(case.source == "a" for case in part) == pytest.approx(len(part) * 2 / 3, abs=1)
    assert sum("small" in case.slices for case in part) == pytest.approx(len(part) / 2, abs=2)


def test_slices_and_sources_choose_cases() -> None:
    everything = cases(a=4, b=2)
    assert {name: len(names) for name, names in members(everything).items()} == {
        "small": 3,
        "source:a": 4,
        "source:b": 2,
    }
    assert len(restricted(everything, ["small"])) == 3
    assert len(restricted(everything, ["small", "b"])) == len(restricted(everything, ["small", "source:b"])) == 4
    with pytest.raises(ValueError, match="no slice thin; the list has small, source:a, source:b"):
        restricted(everything, ["thin"])


def test_the_fingerprint_tells_what_is_wanted() -> None:
    everything = cases(a=4, b=2)
    assert digest(everything) == digest(cases(a=4, b=2))
    assert len({digest(everything), digest(everything[1:]), digest(cases(a=4, b=3))}) == 3
