"""The readers of evaluation sets, and what they say of damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from support.toy_evaluation import write

from pyiseg.evaluation.datasets import DATASETS, Instance


def test_sbd(tmp_path: Path) -> None:
    instances = np.array([[0, 1, 1, 2], [0, 1, 255, 2]], np.uint8)
    (tmp_path / "inst").mkdir()
    for name in ("2008_000001", "2008_000002"):
        write(tmp_path / "img" / f"{name}.jpg", np.zeros((2, 4, 3)))
    file = {"GTinst": {"Segmentation": instances, "Categories": np.array([[8], [12]])}}
    savemat(tmp_path / "inst" / "2008_000001.mat", file)
    (tmp_path / "inst" / "2008_000002.mat").write_bytes(b"MATLAB no more")
    with pytest.raises(FileNotFoundError, match=r"val\.txt, img/\*\.jpg and inst/\*\.mat"):
        list(DATASETS["sbd"](tmp_path))
    (tmp_path / "val.txt").write_text("2008_000001\n2008_000002\n")
    first, second, damaged = DATASETS["sbd"](tmp_path)
    assert [first.name, second.name, damaged.name] == ["2008_000001#1", "2008_000001#2", "2008_000002"]
    assert first.image == tmp_path / "img" / "2008_000001.jpg"
    wanted, void = second.truth()
    assert wanted.tolist() == (instances == 2).tolist()
    assert void.tolist() == (instances == 255).tolist()
    with pytest.raises(ValueError, match=r"2008_000002\.mat cannot be read"):
        damaged.truth()


def test_davis(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*img: the sampled frames of DAVIS are img/ and gt/"):
        list(DATASETS["davis"](tmp_path))
    write(tmp_path / "img" / "bear_00001.jpg", np.zeros((1, 3, 3)))
    # Objects are told apart by color, dark ones too.
    write(tmp_path / "gt" / "bear_00001.png", np.array([[[0, 0, 0], [1, 0, 0], [0, 255, 0]]]))
    (case,) = DATASETS["davis"](tmp_path)
    assert case.name == "bear_00001"
    assert case.truth()[0].tolist() == [[False, True, True]]


def test_a_mask_that_is_no_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((3, 3, 3)))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1.png").write_bytes(b"\x89PNG no more")
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match=r"mask .*1\.png cannot be read"):
        case.truth()


def test_readers(tmp_path: Path) -> None:
    gray = np.array([[0, 128, 255]])
    for name in ("1", "2"):
        write(tmp_path / "images" / f"{name}.png", np.zeros((1, 3, 3)))
    write(tmp_path / "masks" / "1.png", gray)
    write(tmp_path / "masks" / "2b.png", gray)
    cases = {case.name: case for case in DATASETS["berkeley"](tmp_path)}
    assert {name: case.image.stem for name, case in cases.items()} == {"1": "1", "2b": "2"}
    assert cases["1"].truth()[0].tolist() == [[False, True, True]]
    with pytest.raises(FileNotFoundError, match="2b"):
        list(DATASETS["grabcut"](tmp_path))
    (tmp_path / "masks" / "2b.png").unlink()
    (case,) = DATASETS["grabcut"](tmp_path)
    truth, void = case.truth()
    assert truth.tolist() == [[False, False, True]]
    assert void.tolist() == [[False, True, False]]


def test_a_mask_that_wants_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((3, 3, 3)))
    write(tmp_path / "masks" / "1.png", np.ones((3, 3)))
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match="largest value is 1"):
        case.truth()


def test_one_object_of_an_index_mask(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write(tmp_path / "x.png", values)
    wanted, void = Instance("x", tmp_path / "x.jpg", tmp_path / "x.png", number=2).truth()
    assert wanted.tolist() == (values == 2).tolist()
    assert void.tolist() == (values == 255).tolist()
    with pytest.raises(ValueError, match=r"x\.png has no object 7"):
        Instance("x", tmp_path / "x.jpg", tmp_path / "x.png", number=7).truth()
    write(tmp_path / "x.png", np.arange(18).reshape(2, 3, 3))
    with pytest.raises(ValueError, match=r"x\.png is no index mask"):
        Instance("x", tmp_path / "x.jpg", tmp_path / "x.png").truth()
