"""The robot user, the metrics and the readers, on cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyiseg.evaluation.datasets import DATASETS
from pyiseg.evaluation.evaluate import Run, summarise
from pyiseg.evaluation.metrics import clicks_to_reach, iou
from pyiseg.evaluation.robot import next_click


def mask(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A mask with boxes (left, top, right, bottom) set."""
    result = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        result[top:bottom, left:right] = True
    return result


def test_first_click_is_the_centre_of_the_largest_region() -> None:
    truth = mask((2, 3, 9, 10), (20, 15, 23, 18))
    assert next_click(np.zeros_like(truth), truth) == (5, 6, True)


def test_the_larger_kind_of_error_gets_the_click() -> None:
    truth, prediction = mask((2, 2, 7, 7)), mask((10, 2, 19, 11))
    assert next_click(prediction, truth) == (14, 6, False)


def test_the_image_border_counts_as_border() -> None:
    # Touching the left side, the farthest point from all borders is the middle, not the side.
    assert next_click(mask(), mask((0, 5, 7, 12))) == (3, 8, True)


def test_diagonal_neighbours_are_one_region() -> None:
    truth = mask((0, 0, 3, 3), (3, 3, 6, 6), (20, 10, 24, 14))
    click = next_click(mask(), truth)
    assert click is not None
    assert click.x < 6


def test_void_pixels_are_not_clicked() -> None:
    truth = mask((2, 2, 9, 9))
    assert next_click(mask(), truth, void=truth) is None
    assert next_click(truth, truth) is None


def test_iou_leaves_void_out() -> None:
    truth, prediction = mask((0, 0, 4, 4)), mask((0, 0, 4, 8))
    assert iou(prediction, truth) == 0.5
    assert iou(prediction, truth, void=mask((0, 4, 4, 8))) == 1.0
    assert iou(mask(), mask()) == 1.0


@pytest.mark.parametrize(
    ("ious", "threshold", "expected"), [([0.5, 0.9], 0.9, 2), ([0.95], 0.9, 1), ([0.1] * 20, 0.9, 20), ([0.3], 0.9, 20)]
)
def test_clicks_to_reach(ious: list[float], threshold: float, expected: int) -> None:
    assert clicks_to_reach(ious, threshold) == expected


def test_summary_counts_failures_as_the_limit() -> None:
    easy = Run("a", [0.5, 0.92], [(0, 0, True)] * 2, 10.0, [1.0, 3.0])
    runs = [easy, Run("b", [0.2] * 20, [(0, 0, True)] * 20, 20.0, [2.0] * 20)]
    summary = summarise(runs)
    assert summary["noc90"] == (2 + 20) / 2
    assert summary["failures90"] == 1
    assert summary["mean_iou"][0] == 0.35
    assert summary["mean_iou"][19] == pytest.approx((0.92 + 0.2) / 2)


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_readers(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 255]])
    for name in ("1", "2"):
        write(tmp_path / "images" / f"{name}.png", np.zeros((1, 3, 3)))
    write(tmp_path / "masks" / "1.png", grey)
    write(tmp_path / "masks" / "2b.png", grey)
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


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((4, 3, 3)))
    write(tmp_path / "masks" / "1.png", np.zeros((3, 4)))
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match="4x3"):
        case.truth()
