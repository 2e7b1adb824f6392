"""The robot user, the metrics and the readers, on cases worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pyiseg import _core, cli, load_model
from pyiseg.evaluation.datasets import DATASETS
from pyiseg.evaluation.evaluate import Run, run_case, summarise
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


def test_a_mask_of_another_size_is_refused(tmp_path: Path, toy: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((4, 3, 3)))
    write(tmp_path / "masks" / "1.png", np.full((3, 4), 255))
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        run_case(case, toy)


def test_a_mask_that_wants_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((3, 3, 3)))
    write(tmp_path / "masks" / "1.png", np.ones((3, 3)))
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match="largest value is 1"):
        case.truth()


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """A data set of two pictures, each with one bright disc."""
    for i in range(2):
        disc = np.zeros((60, 80), np.uint8)
        cv2.circle(disc, (30 + 10 * i, 30), 14, 255, -1)
        write(tmp_path / "set" / "images" / f"{i}.png", np.repeat(disc[..., None] // 2 + 60, 3, axis=2))
        write(tmp_path / "set" / "masks" / f"{i}.png", disc)
    (tmp_path / "set" / "masks" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "set"


def test_evaluate_end_to_end(balls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert cli.main(["evaluate", "folder", str(balls), "--clicks", "6", "-o", str(report)]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads(report.read_text())
    assert written["summary"] == printed
    assert written["model"]["sha256"] == load_model().sha256
    assert [run["name"] for run in written["runs"]] == ["0", "1"]
    for run in written["runs"]:
        # The first click is the disc's centre; the noc agrees with the curve it is made of.
        assert run["clicks"][0] == [30 + 10 * int(run["name"]), 30, True]
        assert max(run["ious"]) > 0.85
    assert printed["noc85"] == np.mean([clicks_to_reach(run["ious"], 0.85, 6) for run in written["runs"]])


def test_evaluate_refuses_what_it_could_not_write_before_it_runs(
    balls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", "folder", str(balls), "-o", str(tmp_path / "none" / "report.json")]) == 2
    assert "none" in capsys.readouterr().err


def test_published_robot(published: np.lib.npyio.NpzFile) -> None:
    """The 16 recorded cases of the authors' robot user, IoU, and cleaning."""
    for i in range(16):
        prediction, truth, void = published[f"{i}_pred"], published[f"{i}_gt"] == 1, published[f"{i}_void"]
        mask = prediction >= 0.5
        x, y, fg = (int(v) for v in published[f"{i}_click_x_y_fg"])
        assert next_click(mask, truth) == (None if x < 0 else (x, y, bool(fg)))
        assert iou(mask, truth) == pytest.approx(float(published[f"{i}_iou"]), abs=1e-12)
        assert iou(mask, truth, void) == pytest.approx(float(published[f"{i}_iou_without_void"]), abs=1e-12)
        click = np.array([[*published[f"{i}_fg_click_x_y"], 1]], np.int32)
        kept, labels = np.empty_like(prediction), np.empty(prediction.shape, np.int32)
        _core.keep_clicked_regions(prediction, click, 0, labels, kept)
        np.testing.assert_array_equal(kept, published[f"{i}_kept_connected"])


@pytest.fixture
def published() -> np.lib.npyio.NpzFile:
    return np.load(Path(__file__).parent / "golden" / "published_clicks.npz")
