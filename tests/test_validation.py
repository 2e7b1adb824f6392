"""The validation list, its slices and what is said of them, on toy data. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import toy_data
from PIL import Image

pytest.importorskip("torch")

from export import validate, validation_cases, validation_list, validation_report
from export.real import is_validation
from export.validation_cases import (
    LIST,
    SLICES,
    ListedCase,
    digest,
    members,
    read_cases,
    read_one_channel,
    restricted,
    spread,
)
from pyiseg.evaluation.evaluate import Run
from pyiseg.evaluation.masks import DamagedFileError

PHOTO = {"name": "49:1", "image": "49.png", "ids": [1], "source": "ecssd", "slices": ["small"]}
GRAPHIC = {
    "name": "card:box",
    "image": "graphics/card.png",
    "mask": "graphics/card.box.png",
    "source": "graphics",
    "slices": ["graphics"],
}


def write_list(folder: Path, *entries: dict[str, Any]) -> Path:
    """A list with one graphic beside it: a square with a soft edge."""
    (folder / "graphics").mkdir(parents=True)
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40], alpha[10:30, 40] = 255, 100
    Image.fromarray(np.dstack([alpha] * 3)).save(folder / "graphics" / "card.png")
    Image.fromarray(alpha).save(folder / "graphics" / "card.box.png")
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


# The list that is committed


def committed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LIST.read_text().splitlines()]


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
        image, mask = (Image.open(LIST.parent / entry[key]) for key in ("image", "mask"))
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


def test_channels_that_differ_are_no_index_mask(tmp_path: Path) -> None:
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(tmp_path / "x.png")
    with pytest.raises(DamagedFileError, match=r"x\.png is no index mask: shape \(2, 2, 3\)"):
        read_one_channel(tmp_path / "x.png")


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


# How the list was made


def draw(kind: str) -> np.ndarray:
    mask = np.zeros((200, 300), np.uint8)
    if kind == "disc":
        cv2.circle(mask, (150, 100), 60, 1, -1)
    elif kind == "square":
        mask[50:150, 50:150] = 1
    elif kind == "bar":
        mask[100:110, 10:290] = 1
    elif kind == "line":
        mask[100, 10:290] = 1
    elif kind == "discs":
        for x in range(20, 300, 40):
            cv2.circle(mask, (x, 100), 15, 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        ("disc", 4 / 3 / np.pi**0.5),
        ("square", 2 / 3),
        ("bar", (10 / 280) ** 0.5),
        # An odd number of pixels, w, counts as w + 1 / w.
        ("line", 2 / 280**0.5),
        # Several objects are judged one by one: many discs are not thin.
        ("discs", 4 / 3 / np.pi**0.5),
    ],
)
def test_slenderness(kind: str, width: float) -> None:
    assert validation_list.slenderness(draw(kind)) == pytest.approx(width, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "slices"), [("disc", []), ("bar", ["thin"]), ("line", ["small", "thin"]), ("discs", [])]
)
def test_slices_by_shape(kind: str, slices: list[str]) -> None:
    assert validation_list.shape_slices(draw(kind)) == slices


def test_objects_that_touch_are_not_wanted_as_one() -> None:
    index = np.zeros((40, 100), np.uint8)
    for i in range(6):
        # 1 and 2 touch, 3 begins two pixels from 2, 4 to 6 stand apart.
        left = (0, 12, 26, 48, 64, 80)[i]
        index[10:30, left : left + 12] = i + 1
    index[:5, :5] = 7
    assert validation_list.apart(index, [1, 2, 3, 4, 5, 6, 7], 9) == [1, 3, 4, 5, 6]
    assert validation_list.apart(index, [2, 3, 7, 5], 9) == [2, 5]
    assert validation_list.apart(index, [1, 2, 3, 4, 5, 6], 2) == [1, 3]


def test_the_list_is_made_of_what_training_keeps_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data.build(tmp_path)
    monkeypatch.setattr(sys, "argv", ["validation_list", str(data), "--out", str(tmp_path / "list.jsonl")])
    validation_list.main()
    first, *graphics = map(json.loads, (tmp_path / "list.jsonl").read_text().splitlines())
    assert first == PHOTO | {"slices": []}
    assert graphics == [entry for entry in committed() if entry["source"] == "graphics"]


# The command


def run(name: str, *ious: float) -> Run:
    return Run(name, list(ious), [], 0.0, [1.0])


def test_models_are_compared_case_by_case() -> None:
    better, worse = [run("a", 0.8, 0.9), run("b", 0.9)], [run("a", 0.5, 0.6), run("b", 0.7, 0.9)]
    difference = validation_report.compared(better, worse, limit=2)
    # AuC: 0.85 - 0.55 and 0.9 - 0.8; clicks to 90 %: 2 - 2 and 1 - 2.
    assert difference["auc"] == pytest.approx([0.2, 1.96 * 0.1], abs=1e-3)
    assert difference["noc90"] == pytest.approx([-0.5, 1.96 * 0.5], abs=1e-3)
    assert difference["noc95"] == [0.0, 0.0]
    assert validation_report.compared(better[:1], worse[:1], limit=2)["auc"] is None


def test_slices_are_summed_up_alone() -> None:
    runs = [run("a", 0.5, 0.95), run("b", 0.2, 0.1), run("c", 0.9, 0.9)]
    first = [run("a", 0.5, 0.5), run("b", 0.2, 0.3), run("c", 0.9, 0.9)]
    table = validation_report.result("m", runs, 2, {"small": ["a", "b"], "thin": ["c"], "none": ["d"]}, first)
    assert (table["model"], table["cases"], list(table["slices"])) == ("m", 3, ["small", "thin"])
    small = table["slices"]["small"]
    assert (small["cases"], small["failures90"], small["mean_iou"]) == (2, 1, {"1": 0.35})
    assert small["late"]["2-5"] == {"clicks": 2, "gain": 0.175, "lowered": 0.5}
    assert small["against_first"]["auc"] == pytest.approx([0.0625, 1.96 * 0.1625], abs=1e-3)
    assert "against_first" not in validation_report.result("m", runs, 2, {"small": ["a"]})["slices"]["small"]
    assert "small" in validation_report.text_table([table])


@pytest.fixture
def command(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run the command on a list of two cases and return what it prints."""
    data, path = toy_data.build(tmp_path / "data"), write_list(tmp_path / "list", PHOTO, GRAPHIC)

    def run(*options: str) -> Any:
        arguments = [str(toy), "--data", str(data), "--list", str(path), "--clicks", "2", "--jobs", "1", *options]
        monkeypatch.setattr(sys, "argv", ["validate", *arguments])
        validate.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_a_model_is_measured_on_all_or_part_of_the_list(command: Callable[..., Any]) -> None:
    (all_of_it,) = command()
    assert (all_of_it["cases"], list(all_of_it["slices"])) == (2, ["small", "graphics", "source:ecssd"])
    assert command("--cases", "1")[0]["cases"] == 1
    assert list(command("--slices", "graphics")[0]["slices"]) == ["graphics"]
    drawn = command("--drawn", "5")[0]
    assert (drawn["cases"], drawn["slices"]) == (1, {})


def test_what_was_kept_is_compared_with(tmp_path: Path, command: Callable[..., Any]) -> None:
    kept = tmp_path / "kept.json"
    printed = command("--out", str(kept))
    assert not list(tmp_path.glob("*partial*"))
    (stored,) = json.loads(kept.read_text())["results"]
    ious = stored.pop("ious")
    assert [stored] == printed
    assert list(ious) == ["49:1", "card:box"]
    again = command("--against", str(kept))[0]
    # Rounded when they were kept.
    assert again["against_first"]["auc"] == pytest.approx([0, 0], abs=1e-4)
    assert set(again["slices"]["graphics"]["against_first"]) == {"auc", "noc85", "noc90", "noc95"}
    assert command("--against", str(kept), "--slices", "small")[0]["cases"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--against", "gone.json"], r"no file at 'gone\.json'"),
        (["--against", "KEPT", "--clicks", "3"], "measured with 2 clicks, this run has 3"),
        (["--against", "PART"], r"PART has no 49:1, and 1 cases in all are missing"),
        (["--against", "OTHER"], "OTHER was measured on another list of cases"),
        (["--against", "EMPTY"], "EMPTY is not what export.validate --out writes"),
        (["--out", "gone/x.json"], "--out is a file in a folder that exists"),
        (["--slices", "blue"], "there is no slice blue"),
        (["--cases", "0"], "--cases is 0"),
        (["--drawn", "1", "--cases", "1"], "leave out --cases and --slices"),
        (["--jobs", "0"], "jobs is 0"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command("--out", "KEPT")
    content = json.loads(Path("KEPT").read_text())
    Path("OTHER").write_text(json.dumps(content | {"list": "other"}))
    del content["results"][0]["ious"]["49:1"]
    Path("PART").write_text(json.dumps(content))
    Path("EMPTY").write_text("{}")
    with pytest.raises(SystemExit, match=rf"^export\.validate: error: .*{words}"):
        command(*options)


def test_damaged_masks_end_the_run(tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "data" / "train" / "real" / "49_mask.png").write_bytes(b"x")
    with pytest.raises(SystemExit, match=r"1 cases could not be run; .*49_mask\.png"):
        command()


def test_avif_needs_a_pillow_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data.build(tmp_path / "data")
    (data / "train" / "real" / "49.avif").write_bytes(b"")
    lines = (data / "train" / "real.jsonl").read_text().replace("real/49.png", "real/49.avif")
    (data / "train" / "real.jsonl").write_text(lines)
    monkeypatch.setattr(validation_cases.features, "check", lambda _: False)
    with pytest.raises(ValueError, match=r"pip install 'Pillow>=11\.3'"):
        read_cases(data, write_list(tmp_path / "list", PHOTO))
