"""Runs over a folder: what is written, and that each image stands for itself."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.toy_batch import IMAGES, PROMPTS, contents, make, read, table

import pyiseg
from pyiseg import Box, Click, ModelError, Scribble, Session, formats
from pyiseg.batch.folder import run_folder
from pyiseg.batch.outputs import FORMATS, OutputOptions
from pyiseg.batch.prompt_list import WrongPromptsError
from pyiseg.cli import main
from pyiseg.runtime import ort
from pyiseg.runtime.ort import Networks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "photos")


def disc(folder: Path, toy: Path) -> Session:
    session = Session(folder / "a.png", model=toy)
    session.click(60, 30)
    session.click(50, 30, fg=False)
    return session


def corner(folder: Path, toy: Path) -> Session:
    session = Session(folder / "a.png", model=toy)
    session.box(5, 5, 30, 40)
    return session


def test_cutouts_are_those_of_sessions(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    outcome = run_folder(folder, out, table(folder), model=toy)
    assert outcome.done == list(IMAGES)
    assert (outcome.kept, outcome.failed, outcome.without_prompts, outcome.notes) == ([], [], [], [])
    assert sorted(contents(out)) == [
        "a-corner.png",
        "a-disc.png",
        "b.png",
        "day 1/c-disc.png",
        "day 1/d-disc.png",
        "e-disc.png",
    ]
    np.testing.assert_array_equal(read(out / "a-disc.png"), disc(folder, toy).cutout())
    np.testing.assert_array_equal(read(out / "a-corner.png"), corner(folder, toy).cutout())
    with Session(folder / "day 1" / "d.jpg", model=toy) as session:
        session.box(40, 10, 79, 50)
        session.click(60, 31)
        np.testing.assert_array_equal(read(out / "day 1" / "d-disc.png"), session.cutout())


def test_several_formats_have_a_folder_each(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    run_folder(folder, out, table(folder), model=toy, options=OutputOptions(FORMATS))
    of_objects = {"a-corner", "a-disc", "b", "day 1/c-disc", "day 1/d-disc", "e-disc"}
    of_images = {"a", "b", "day 1/c", "day 1/d", "e"}
    assert set(contents(out)) == {
        *(f"{kind}/{name}.png" for kind in ("cutout-png", "matte-png", "matte16-png") for name in of_objects),
        *(f"cutout-webp/{name}.webp" for name in of_objects),
        *(f"label-map/{name}.png" for name in of_images),
        *(f"labelme/{name}.json" for name in of_images),
        *(f"yolo/labels/{name}.txt" for name in of_images),
        *(f"svg/{name}.svg" for name in of_images),
        "yolo/classes.txt",
        "yolo/data.yaml",
        "coco/coco.json",
    }
    first, second = disc(folder, toy), corner(folder, toy)
    np.testing.assert_array_equal(read(out / "cutout-webp/a-disc.webp"), first.cutout())
    np.testing.assert_array_equal(read(out / "matte-png/a-disc.png"), first.alpha)
    assert (out / "matte16-png/a-corner.png").read_bytes() == formats.matte_png(second.alpha, bits=16)
    np.testing.assert_array_equal(read(out / "label-map/a.png"), pyiseg.label_map([first, second]))
    objects = [("disc", first.alpha), ("place", second.alpha)]
    assert json.loads((out / "labelme/a.json").read_text()) == formats.labelme(
        objects, file_name="../../photos/a.png", shape=(60, 80)
    )
    names = ["disc", "place", "object"]
    assert (out / "yolo/labels/a.txt").read_text() == formats.yolo_segmentation(objects, names=names)
    assert (out / "yolo/classes.txt").read_text().split() == names
    assert re.search(r'path: .*\n.*\n.*\nnames:\n  0: "disc"\n  1: "place"\n', (out / "yolo/data.yaml").read_text())
    assert (out / "svg/a.svg").read_text() == formats.svg(objects, (60, 80))
    # Labelme finds the image from its own file.
    assert (out / "labelme" / "../../photos/a.png").resolve() == (folder / "a.png").resolve()
    data = json.loads((out / "coco/coco.json").read_text())
    assert [image["file_name"] for image in data["images"]] == list(IMAGES)
    assert [category["name"] for category in data["categories"]] == names
    masks = [formats.mask_from_rle(annotation["segmentation"]) for annotation in data["annotations"][:2]]
    np.testing.assert_array_equal(masks, [first.mask, second.mask])


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("yolo", ["classes.txt", "data.yaml", "labels/b.txt"]),
        ("coco", ["coco.json"]),
        ("labelme", ["b.json"]),
    ],
)
def test_one_format_lies_in_the_folder_itself(folder: Path, toy: Path, kind: str, files: list[str]) -> None:
    out = folder.parent / "out"
    run_folder(folder, out, {"b.png": [Click(60, 30)]}, model=toy, options=OutputOptions((kind,)))
    assert sorted(contents(out)) == files


def test_numbers_of_a_coco_data_set_stay(folder: Path, toy: Path) -> None:
    data: dict[str, Any] = {
        "images": [{"id": 70, "file_name": "b.png"}, {"id": 9, "file_name": "a.png"}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 3, "bbox": [40, 10, 39, 40]},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [5, 5, 25, 35]},
            {"id": 3, "image_id": 70, "category_id": 18, "bbox": [40, 10, 39, 40]},
        ],
    }
    path = folder.parent / "boxes.json"
    path.write_text(json.dumps(data))
    out = folder.parent / "out"
    outcome = run_folder(folder, out, path, model=toy, options=OutputOptions(("coco", "matte-png", "yolo")))
    assert outcome.without_prompts == ["day 1/c.png", "day 1/d.jpg", "e.png"]
    found = json.loads((out / "coco" / "coco.json").read_text())
    assert {(image["id"], image["file_name"]) for image in found["images"]} == {(70, "b.png"), (9, "a.png")}
    assert [(entry["id"], entry["name"]) for entry in found["categories"]] == [(18, "dog"), (3, "car")]
    made = [(entry["image_id"], entry["category_id"]) for entry in found["annotations"]]
    assert made == [(9, 3), (9, 3), (70, 18)]
    assert (out / "yolo/classes.txt").read_text() == "dog\ncar\n"
    assert sorted(path.name for path in (out / "matte-png").iterdir()) == ["a-car-2.png", "a-car.png", "b-dog.png"]
    with Session(folder / "a.png", model=toy) as session:
        session.box(40, 10, 78, 49)
        np.testing.assert_array_equal(read(out / "matte-png/a-car.png"), session.alpha)


def test_selections_are_refined_in_order(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    prompts = {"a.png": [Click(60, 30), Click(10, 12)]}
    options = OutputOptions(("matte-png",), keep_largest=True, fill_holes=True, grow=3, shrink=1, feather=2)
    run_folder(folder, out, prompts, model=toy, options=options)
    with Session(folder / "a.png", model=toy) as session:
        session.click(60, 30)
        alpha = session.click(10, 12)
    expected = formats.fill_holes(formats.keep_largest(alpha))
    expected = formats.feather(formats.shrink(formats.grow(expected, 3), 1), 2)
    np.testing.assert_array_equal(read(out / "a.png"), expected)
    assert (expected != alpha).any()


def test_cutouts_of_refined_selections_have_estimated_colors(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    options = OutputOptions(foreground="estimate", grow=2)
    run_folder(folder, out, {"a.png": [Click(60, 30)]}, model=toy, options=options)
    session = Session(folder / "a.png", model=toy)
    alpha = formats.grow(session.click(60, 30), 2)
    found = read(out / "a.png")
    np.testing.assert_array_equal(found[..., 3], alpha)
    np.testing.assert_array_equal(found[..., :3], pyiseg.foreground.estimate(session.image, alpha))


def test_all_kinds_of_prompts(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    scribble = Scribble(((50, 30), (65, 30)))
    run_folder(folder, out, {"a.png": {"x": [scribble, pyiseg.LocalClick(10, 10)]}}, model=toy)
    with Session(folder / "a.png", model=toy) as session:
        session.scribble(scribble.points)
        session.click(10, 10, local=True)
        np.testing.assert_array_equal(read(out / "a-x.png"), session.cutout())


def test_two_jobs_write_the_bits_of_one(folder: Path, toy: Path) -> None:
    options = OutputOptions(FORMATS)
    for jobs in (1, 2, 5):
        run_folder(folder, folder.parent / f"{jobs}", table(folder), model=toy, options=options, jobs=jobs)
    first = contents(folder.parent / "1")
    assert first == contents(folder.parent / "2") == contents(folder.parent / "5")


def test_two_jobs_write_the_bits_of_one_and_of_sessions_with_the_model_that_ships(tmp_path: Path) -> None:
    folder = make(tmp_path / "photos", ["a.png", "b.png"], height=300, width=400)
    prompts = {name: [Box(230, 70, 370, 230)] for name in ("a.png", "b.png")}
    for jobs in (1, 2, 3):
        run_folder(folder, tmp_path / f"{jobs}", prompts, options=OutputOptions(("matte-png",)), jobs=jobs)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")
    with Session(folder / "a.png") as session:
        np.testing.assert_array_equal(session.box(230, 70, 370, 230), read(tmp_path / "2" / "a.png"))


def test_images_fail_by_name_and_the_rest_goes_on(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    (folder / "b.png").write_bytes(b"no image")
    (folder / "e.png").unlink()
    prompts = table(folder, PROMPTS + "day 1/c.png,80,30,,,,,,other,\n")
    outcome = run_folder(folder, out, prompts, model=toy, jobs=2)
    assert outcome.done == ["a.png", "day 1/d.jpg"]
    assert [failure.name for failure in outcome.failed] == ["b.png", "day 1/c.png", "e.png"]
    broken, wrong, missing = (failure.error for failure in outcome.failed)
    assert "b.png' is not an image" in broken
    assert wrong == "prompts.csv, line 10: x is 80, outside the image: it must be from 0 to 79"
    assert missing == f"there is no such image in '{folder}'"
    assert all(f"{failure.name}: {failure.error}" in capsys.readouterr().err for failure in outcome.failed[:1])
    with open(out / "failures.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["image", "reason"], *([one.name, one.error] for one in outcome.failed)]
    # Mended, and the same call does what was left.
    assert "day 1/c-disc.png" not in contents(out)
    make(folder, ["b.png", "e.png"])
    outcome = run_folder(folder, out, table(folder), model=toy)
    assert (outcome.failed, outcome.kept) == ([], ["a.png", "day 1/d.jpg"])
    assert not (out / "failures.csv").exists()


@pytest.mark.parametrize(
    ("listed", "meant"), [("B.PNG", "b.png"), ("b", "b.png"), ("b.tif", "b.png"), ("day 1/d", "d.jpg"), ("bb.png", "")]
)
def test_an_image_that_is_not_there_may_be_another(folder: Path, toy: Path, listed: str, meant: str) -> None:
    if (folder / listed).exists():
        pytest.skip("this file system does not tell cases apart")
    outcome = run_folder(folder, folder.parent / "out", {listed: [Click(5, 5)]}, model=toy)
    hint = f"; write '{meant}' if that is meant" if meant else ""
    assert [failure.error for failure in outcome.failed] == [
        f"there is no such image in '{(folder / listed).parent}'{hint}"
    ]


@pytest.mark.parametrize(("jobs", "expected"), [(1, None), (2, 3), (9, 1)])
def test_jobs_share_the_threads_and_leave_those_of_other_sessions(
    folder: Path, toy: Path, jobs: int, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(ort, "Networks", lambda model, threads: opened.append(threads) or Networks(model, threads))
    monkeypatch.setattr("pyiseg._core.get_num_threads", lambda: 4)
    model = dataclasses.replace(pyiseg.load_model(toy))
    run_folder(folder, folder.parent / "out", table(folder), model=model, jobs=jobs)
    assert opened == [expected]
    Session(folder / "a.png", model=model)
    assert opened == [None] if jobs == 1 else [expected, None]


def test_images_without_prompts_are_named(folder: Path, toy: Path) -> None:
    make(folder, ["x.PNG", ".hidden.png", ".thumbs/y.png"])
    (folder / "notes.txt").touch()
    out = folder / "out"  # within the folder: what is in it are no images of it
    for _ in range(2):
        outcome = run_folder(folder, out, {"a.png": [Click(60, 30)]}, model=toy)
        assert outcome.without_prompts == ["b.png", "day 1/c.png", "day 1/d.jpg", "e.png", "x.PNG"]


def test_objects_of_which_nothing_is_selected_are_named(folder: Path, toy: Path) -> None:
    prompts = {"a.png": {"sky": [Click(10, 10, False)], "disc": [Click(60, 30)]}, "b.png": [Click(1, 1, False)]}
    options = OutputOptions(("coco", "matte-png"))
    outcome = run_folder(folder, folder.parent / "out", prompts, model=toy, options=options)
    assert outcome.empty == [("a.png", "sky"), ("b.png", "object")]
    assert not read(folder.parent / "out/matte-png/a-sky.png").any()


def test_names_of_objects_from_strangers(folder: Path, toy: Path) -> None:
    out = folder.parent / "deep" / "out"
    prompts = {"a.png": {"../../x": [Click(60, 30)], "/x": [Click(60, 30)], "..": [Click(60, 30)]}}
    run_folder(folder, out, prompts, model=toy)
    assert sorted(contents(out)) == ["a-object.png", "a-x-2.png", "a-x.png"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["deep", "photos"]


def test_images_that_are_too_large_fail(folder: Path, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit was 179 megapixels whatever the caller wanted, and its message named options of another command."""
    make(folder, ["large.png"])
    Image.fromarray(np.zeros((61, 80), np.uint8)).save(folder / "large.png")
    prompts, out = table(folder, "image,x,y\nlarge.png,60,30\na.png,60,30\n"), folder.parent / "out"
    outcome = run_folder(folder, out, prompts, model=toy, max_pixels=4800)
    assert outcome.done == ["a.png"]
    assert "80 x 61 are 4880 pixels, and the limit is 4800; shrink it, or raise" in outcome.failed[0].error
    command = ["batch", str(folder), "-o", str(out), "--prompts", str(prompts), "--model", str(toy)]
    assert main([*command, "--max-megapixels", "0.0048"]) == 1
    assert "the limit is 4800" in capsys.readouterr().out
    assert main([*command, "--max-megapixels", "0.0049"]) == 0
    with pytest.raises(ValueError, match=r"max_pixels is 1.5; pass a whole number"):
        run_folder(folder, folder.parent / "other", prompts, model=toy, max_pixels=1.5)  # type: ignore[arg-type]


def test_links_out_of_the_folder_are_refused(folder: Path, toy: Path) -> None:
    make(folder.parent, ["secret.png"])
    (folder / "link.png").symlink_to("../secret.png")
    prompts = table(folder, "image,x,y\nlink.png,60,30\na.png,60,30\n")
    out = folder.parent / "out"
    with pytest.raises(WrongPromptsError, match=r"prompts.csv, line 2: 'link.png' leads out of '.*--follow-links"):
        run_folder(folder, out, prompts, model=toy)
    assert not out.exists()
    outcome = run_folder(folder, out, prompts, model=toy, follow_links=True)
    assert outcome.done == ["link.png", "a.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"jobs": 1.5}, "jobs is 1.5"),
        ({"folder": "gone"}, "'gone' does not exist"),
        ({"folder": "prompts.csv"}, "'prompts.csv' is a file; name the folder"),
        ({"output": "prompts.csv"}, "'prompts.csv' is a file; name a folder"),
        ({"output": "./photos"}, "is the folder of the images"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"prompts": {}, "output": "x"}, "no prompt"),
        ({"output": "https://a.org/b"}, "is a URL"),
    ],
)
def test_refused_before_anything_is_written(
    folder: Path, toy: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(folder.parent)
    table(folder)
    given: dict[str, Any] = {"folder": "photos", "output": "out", "prompts": "prompts.csv", "model": toy} | arguments
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(ValueError, match=words):
        run_folder(**given)
    assert sorted(folder.parent.rglob("*")) == before


def test_a_model_that_is_none_ends_the_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        run_folder(folder, tmp_path / "out", {"a.png": [Box(1, 1, 20, 20)]}, model=tmp_path / "gone")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formats": "coco"}, r"pass a list of them, \['coco'\]"),
        ({"formats": ()}, "the known ones are cutout-png"),
        ({"formats": ["gif"]}, "the known ones are cutout-png"),
        ({"formats": ["svg", "svg"]}, "name each once"),
        ({"foreground": "blue"}, "foreground is 'blue'"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"grow": float("nan")}, "grow is nan"),
        ({"shrink": 1001}, "shrink is 1001; pass a number of pixels from 0 to 1000"),
        ({"feather": "2"}, "feather is '2'"),
        ({"feather": True}, "feather is True"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OutputOptions(**options)
