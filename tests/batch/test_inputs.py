"""Which images of a folder are named, and may be: not what runs have written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.toy_batch import IMAGES, contents, make, table

from pyiseg import Click
from pyiseg.batch.folder import Outcome, run_folder
from pyiseg.batch.outputs import OutputOptions
from pyiseg.batch.prompt_list import WrongPromptsError

ONE = {"a.png": [Click(60, 30)]}
OTHERS = [name for name in IMAGES if name != "a.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "photos")


def test_outputs_within_the_folder_are_no_images_for_later_runs_either(folder: Path, toy: Path) -> None:
    """Those of a run into photos/sub were named as images without prompts by runs into other folders."""
    for output in ("sub", "day 1/cut", "sub"):
        outcome = run_folder(folder, folder / output, table(folder), model=toy)
        assert outcome.without_prompts == []
    assert (folder / "sub" / "day 1" / "c-disc.png").exists()
    outcome = run_folder(folder, folder.parent / "out", ONE, model=toy)
    assert outcome.without_prompts == OTHERS


def test_links_into_the_output_are_no_images(folder: Path, toy: Path) -> None:
    run_folder(folder, folder / "sub", ONE, model=toy)
    (folder / "newest.png").symlink_to("sub/a.png")
    (folder / "link.png").symlink_to("b.png")
    outcome = run_folder(folder, folder / "sub", ONE, model=toy)
    assert outcome.without_prompts == sorted([*OTHERS, "link.png"])


@pytest.mark.parametrize("listed", ["sub/a.png", "sub/gone.png", "newest.png", "way/a.png"])
def test_a_list_may_not_name_what_lies_in_the_output(folder: Path, toy: Path, listed: str) -> None:
    """It was read as an image while the run wrote it."""
    run_folder(folder, folder / "sub", ONE, model=toy)
    (folder / "newest.png").symlink_to("sub/a.png")
    (folder / "way").symlink_to("sub")
    before = contents(folder)
    prompts = table(folder, f"image,x,y\na.png,60,30\n{listed},60,30\n")
    with pytest.raises(WrongPromptsError) as raised:
        run_folder(folder, folder / "sub", prompts, model=toy)
    assert raised.value.lines == (
        f"prompts.csv, line 3: '{listed}' lies in the output folder '{folder / 'sub'}', where nothing is taken for "
        "an image; choose another output folder (-o), or leave it out",
    )
    assert contents(folder) == before


def test_a_list_may_name_what_another_run_has_written(folder: Path, toy: Path) -> None:
    run_folder(folder, folder / "sub", ONE, model=toy)
    assert run_folder(folder, folder.parent / "out", {"sub/a.png": [Click(60, 30)]}, model=toy).failed == []


def test_images_beside_labels_for_yolo_are_images(folder: Path, toy: Path) -> None:
    """The guide says to put them there, so the folder lies in the output, and not the other way round."""

    def again() -> Outcome:
        return run_folder(out / "images", out, ONE, model=toy, options=OutputOptions(("yolo",)))

    out = folder.parent / "out"
    run_folder(folder, out, ONE, model=toy, options=OutputOptions(("yolo",)))
    folder.rename(out / "images")
    outcome = again()
    assert (outcome.kept, outcome.without_prompts, outcome.failed) == (["a.png"], OTHERS, [])
    assert again().kept == ["a.png"]


def test_the_folder_itself_may_be_an_output_of_another_run(folder: Path, toy: Path) -> None:
    out = folder.parent / "out"
    run_folder(folder, out, table(folder), model=toy)
    outcome = run_folder(out, folder.parent / "more", {"b.png": [Click(60, 30)]}, model=toy)
    assert outcome.without_prompts == [
        "a-corner.png",
        "a-disc.png",
        "day 1/c-disc.png",
        "day 1/d-disc.png",
        "e-disc.png",
    ]


def test_what_a_run_has_written_is_not_what_may_be_meant(folder: Path, toy: Path) -> None:
    run_folder(folder, folder / "sub", {"day 1/c.png": [Click(60, 30)]}, model=toy)
    prompts = {"sub/day 1/c.jpg": [Click(60, 30)], "day 1/c.jpg": [Click(60, 30)]}
    outputs, inputs = run_folder(folder, folder.parent / "out", prompts, model=toy).failed
    assert outputs.error == f"there is no such image in '{folder / 'sub' / 'day 1'}'"
    assert inputs.error.endswith("; write 'c.png' if that is meant")


@pytest.mark.parametrize(
    "name", ["CON.jpg", "day 1/aux.PNG", "nul/x.jpg", "a\\b.png", "x\ny.png", "C:x.png", "\udcff.png"]
)
def test_images_that_no_list_may_name_are_not_among_those_that_lack_prompts(folder: Path, toy: Path, name: str) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such files")
    try:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    outcome = run_folder(folder, folder.parent / "out", ONE, model=toy)
    assert (outcome.without_prompts, outcome.unlistable) == (OTHERS, [name])
