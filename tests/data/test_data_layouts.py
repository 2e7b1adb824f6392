"""The layouts of training data, and what is missing from them. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import icc, toy_data

pytest.importorskip("torch")
pytest.importorskip("scipy")

from PIL import Image
from support.data_configs import CONFIGS

from export.data.dataset import TrainingData
from export.data.folder import FolderImages
from export.data.io import DamagedFileError, read_gray, read_rgb, read_rgba
from export.data.sbd import SbdImages
from pyiseg.evaluation.datasets import DATASETS
from pyiseg.evaluation.masks import read_instances


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "sbd": toy_data.build_sbd(tmp_path_factory.mktemp("sbd")),
        "alpha": toy_data.build_folder(tmp_path_factory.mktemp("alpha"), "alpha"),
        "index": toy_data.build_folder(tmp_path_factory.mktemp("index"), "index"),
    }


def test_sbd_is_read_as_published(roots: dict[str, Path]) -> None:
    data = SbdImages(roots["sbd"])
    assert {name for name, _ in data.objects} == set(toy_data.TRAIN), "val.txt is for measuring"
    for number, (name, identifier) in enumerate(data.objects):
        index = toy_data.instances(toy_data.TRAIN.index(name))
        image, alpha, valid, others = data.take(number).planes
        np.testing.assert_array_equal(alpha == 255, index == identifier)
        np.testing.assert_array_equal(valid == 0, index == 255)
        np.testing.assert_array_equal(others == 1, index == 3 - identifier)
        assert abs(np.median(image[..., 0][alpha == 255]) - 100 * identifier) < 5


def test_sbd_never_trains_on_what_measures(roots: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="for measuring"):
        SbdImages(roots["sbd"], split="val")
    root = toy_data.build_sbd(tmp_path)
    (root / "train.txt").write_text("\n".join((*toy_data.TRAIN, *toy_data.VAL)))
    with pytest.raises(ValueError, match=r"1 images of val\.txt, such as 2009_000001"):
        SbdImages(root)


def test_damaged_mat_files_are_named(tmp_path: Path) -> None:
    from scipy.io import savemat

    path = tmp_path / "x.mat"
    savemat(path, {"GTcls": {"Segmentation": np.zeros((2, 2), np.uint8)}})
    for content in (path.read_bytes(), b"", b"not matlab" * 40):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match=rf"{path}.*GTinst.*take its name out of the list"):
            read_instances(path)
    savemat(path, {"GTinst": {"Segmentation": np.zeros((2, 2))}})
    with pytest.raises(DamagedFileError, match="float64"):
        read_instances(path)


@pytest.mark.parametrize("value", [300, 256, -1])
def test_numbers_that_are_no_instances_are_not_wrapped(tmp_path: Path, value: int) -> None:
    """Neither to train on nor to measure: 300 in eight bits would be instance 44, and -1 void."""
    from scipy.io import savemat

    root = toy_data.build_sbd(tmp_path)
    for name in (toy_data.TRAIN[0], toy_data.VAL[0]):
        segmentation = np.array([[0, 1], [2, value]], np.int16)
        savemat(root / "inst" / f"{name}.mat", {"GTinst": {"Segmentation": segmentation}})
    with pytest.raises(DamagedFileError, match=rf"{toy_data.TRAIN[0]}\.mat: .* goes from .*; instances are 1 to 254"):
        SbdImages(root)
    (case,) = DATASETS["sbd"](root)
    with pytest.raises(ValueError, match=rf"{toy_data.VAL[0]}\.mat: .* goes from .*; instances are 1 to 254"):
        case.truth()


def test_training_and_measuring_see_the_same_instances(tmp_path: Path) -> None:
    root = toy_data.build_sbd(tmp_path)
    data = SbdImages(root)
    (root / "val.txt").write_text("\n".join(toy_data.TRAIN))
    cases = list(DATASETS["sbd"](root))
    assert len(cases) == len(data)
    for number, case in enumerate(cases):
        wanted, void = case.truth()
        np.testing.assert_array_equal(data.take(number).alpha == 255, wanted)
        np.testing.assert_array_equal(data.take(number).valid == 0, void)


def test_folders_keep_the_alpha(roots: dict[str, Path]) -> None:
    data = FolderImages(roots["alpha"])
    with Image.open(roots["alpha"] / "masks" / "2.png") as mask:
        np.testing.assert_array_equal(data.take(2).alpha, mask)
    assert ((data.take(2).alpha > 20) & (data.take(2).alpha < 230)).any()
    assert not data.take(2).others.any()


def test_images_are_read_in_their_own_colors(tmp_path: Path) -> None:
    """Training composes and relights them itself: nothing is laid over white, no profile is converted."""
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    profile = icc.rgb_profile(icc.ADOBE_RGB, icc.ADOBE_GAMMA)
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), rgba[..., :3])
    np.testing.assert_array_equal(read_rgba(tmp_path / "a.png"), rgba)
    Image.fromarray(np.full((20, 30), 900, np.uint16)).save(tmp_path / "dark.png")
    with pytest.raises(DamagedFileError, match=r"dark\.png' has 16-bit values 900\.\.900"):
        read_gray(tmp_path / "dark.png")


def test_folders_of_index_masks(roots: dict[str, Path]) -> None:
    data = FolderImages(roots["index"], "index")
    areas = {(int((data.take(i).alpha == 255).sum()), int(data.take(i).others.sum())) for i in range(len(data))}
    assert {area[0] for area in areas} == {area[1] for area in areas}, "one object's pixels are the other one's others"
    assert 140 in {area[0] for area in areas}
    assert (data.take(0).valid == 0).any()


def test_pictures_without_a_mask_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = toy_data.build_folder(tmp_path, "alpha")
    (root / "masks" / "1.png").unlink()
    assert [len(FolderImages(root)) for _ in range(2)] == [3, 3]
    assert capsys.readouterr().err == "1 of 4 images has no mask and is left out: 1.jpg\n"


def remove(part: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / part
        for file in path.iterdir() if path.is_dir() else ():
            file.unlink()
        path.rmdir() if path.is_dir() else path.unlink()

    return change


def empty(part: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for file in (root / part).iterdir():
            file.unlink()

    return change


def write(part: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / part).write_text(text) and None


def gray_masks(root: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint8)[None].repeat(9, 0)).save(root / "masks" / "0.png")


def binary_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(path)


@pytest.mark.parametrize(
    ("kind", "change", "error", "message"),
    [
        ("mixed", remove("train/real.jsonl"), FileNotFoundError, "real.jsonl.*--set data.photographs=folder"),
        ("mixed", write("train/real.jsonl", "{}\n"), ValueError, r"real\.jsonl, line 1"),
        ("mixed", write("train/real.jsonl", ""), ValueError, "lists no image to use of sbd.*its sources: none"),
        ("mixed", remove("train/objects"), FileNotFoundError, "objects.*--set data.composed=0"),
        ("mixed", empty("train/backgrounds"), FileNotFoundError, "backgrounds is empty.*--set data.composed=0"),
        ("sbd", remove("img"), FileNotFoundError, "img: .*benchmark_RELEASE/dataset"),
        ("sbd", remove("inst/2008_000002.mat"), ValueError, "2008_000002.mat.*take its name out"),
        ("sbd", remove("train.txt"), FileNotFoundError, "train.txt"),
        ("sbd", remove("val.txt"), FileNotFoundError, "val.txt"),
        ("sbd", write("train.txt", "\n"), ValueError, "train.txt is empty"),
        ("alpha", remove("masks"), FileNotFoundError, "masks: .*side by side"),
        ("alpha", empty("images"), FileNotFoundError, "images is empty"),
        ("alpha", lambda root: [p.rename(p.with_name("x" + p.name)) for p in (root / "masks").iterdir()],
         FileNotFoundError, r"mask .*x0\.png has no image of its name in .*images: .*side by side"),
        ("alpha", remove("images/2.jpg"), FileNotFoundError, r"mask .*2\.png has no image"),
        ("index", gray_masks, ValueError, r"0\.png has 256 different values.*--set data.masks=alpha"),
        ("index", binary_masks, ValueError, "all 0 and 255.*--set data.masks=alpha"),
        ("synth", empty("objects"), FileNotFoundError, "objects is empty"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    tmp_path: Path, kind: str, change: Callable[[Path], Any], error: type[Exception], message: str
) -> None:
    build = {"mixed": toy_data.build, "sbd": toy_data.build_sbd}
    if kind in build:
        root = build[kind](tmp_path)
    else:
        root = toy_data.build_folder(tmp_path, "index" if kind == "index" else "alpha")
    change(root)
    with pytest.raises(error, match=message):
        TrainingData(root, 32, seed=0, config=CONFIGS[kind])
