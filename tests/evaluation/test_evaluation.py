"""The robot user and the metrics, on cases worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from support import toy_evaluation
from support.paths import GOLDEN
from support.toy_evaluation import write

from pyiseg import Click, Session, _core, cli, load_model
from pyiseg.evaluation.datasets import DATASETS
from pyiseg.evaluation.evaluate import Run, late_clicks, run_case, summarize
from pyiseg.evaluation.metrics import (
    boundary_iou,
    clicks_to_reach,
    corrected_reach,
    corrected_share,
    iou,
    mean_with_interval,
    rim,
    wrong_region,
)
from pyiseg.evaluation.robot import ROBOTS, Robot, next_click, next_click_ritm


def mask(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A mask with boxes (left, top, right, bottom) set."""
    result = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        result[top:bottom, left:right] = True
    return result


def test_first_click_is_the_center_of_the_largest_region() -> None:
    truth = mask((2, 3, 9, 10), (20, 15, 23, 18))
    assert next_click(np.zeros_like(truth), truth) == (5, 6, True)


def test_the_larger_kind_of_error_gets_the_click() -> None:
    truth, prediction = mask((2, 2, 7, 7)), mask((10, 2, 19, 11))
    assert next_click(prediction, truth) == (14, 6, False)


def test_the_image_border_counts_as_border() -> None:
    # Touching the left side, the farthest point from all borders is the middle, not the side.
    assert next_click(mask(), mask((0, 5, 7, 12))) == (3, 8, True)


def test_diagonal_neighbors_are_one_region() -> None:
    truth = mask((0, 0, 3, 3), (3, 3, 6, 6), (20, 10, 24, 14))
    click = next_click(mask(), truth)
    assert click is not None
    assert click.x < 6


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_void_pixels_are_not_clicked(robot: Robot) -> None:
    truth = mask((2, 2, 9, 9))
    assert robot(mask(), truth, truth, ()) is None
    assert robot(truth, truth, None, ()) is None


def test_ritm_clicks_where_it_is_deepest_not_where_the_region_is_largest() -> None:
    truth, prediction = mask((0, 0, 30, 2)), mask((10, 10, 15, 15))
    assert next_click(prediction, truth) == (0, 0, True)
    assert next_click_ritm(prediction, truth) == (12, 12, False)
    # All that is missed counts at once, and the sides of the image are border.
    assert next_click_ritm(mask(), mask((0, 5, 7, 12), (20, 0, 23, 20))) == (3, 8, True)


def test_ritm_removes_on_a_tie() -> None:
    assert next_click_ritm(mask((10, 10, 15, 15)), mask((2, 2, 7, 7))) == (12, 12, False)


def test_ritm_clicks_no_pixel_twice() -> None:
    truth = mask((4, 4, 7, 7))
    clicks: list[Click] = []
    for _ in range(9):
        click = next_click_ritm(mask(), truth, None, clicks)
        assert click is not None
        clicks.append(click)
    assert clicks[:2] == [(5, 5, True), (4, 4, True)]
    assert len(set(clicks)) == 9
    assert next_click_ritm(mask(), truth, None, clicks) is None


def test_iou_leaves_void_out() -> None:
    truth, prediction = mask((0, 0, 4, 4)), mask((0, 0, 4, 8))
    assert iou(prediction, truth) == 0.5
    assert iou(prediction, truth, void=mask((0, 4, 4, 8))) == 1.0
    assert iou(mask(), mask()) == 1.0


def test_boundary_iou() -> None:
    # 2 % of this diagonal is a rim of one pixel. One row more at the bottom leaves of the rims, 36 and 38 pixels,
    # the top row, the sides and two corners in common.
    truth, prediction = mask((5, 5, 15, 15)), mask((5, 5, 15, 16))
    assert boundary_iou(truth, truth) == 1.0
    assert boundary_iou(prediction, truth) == 28 / 46
    assert boundary_iou(prediction, truth, void=mask((0, 14, 30, 20))) == 1.0


def test_rims_follow_the_diagonal_and_end_at_the_sides_of_the_image() -> None:
    assert rim(np.ones((20, 30), bool)).sum() == 2 * 30 + 2 * 18
    wide = rim(mask((100, 100, 300, 300), shape=(600, 800)))
    assert wide.sum() == 200**2 - 160**2
    assert not rim(mask()).any()


def test_corrected_share() -> None:
    truth, void = mask((0, 0, 10, 4), (20, 10, 28, 16)), mask((0, 0, 2, 4))
    region = wrong_region(mask(), truth, void, Click(5, 2, True))
    np.testing.assert_array_equal(region, mask((2, 0, 10, 4)))
    # Half of the region is right now; what became right or wrong elsewhere does not count.
    assert corrected_share(region, mask((2, 0, 6, 4), (20, 10, 28, 16), (12, 0, 15, 9)), truth) == 0.5
    surplus = wrong_region(mask((2, 0, 20, 4)), truth, None, Click(12, 2, False))
    np.testing.assert_array_equal(surplus, mask((10, 0, 20, 4)))


@pytest.mark.parametrize(
    ("corrected", "reach"),
    [
        # The click is the first of 20 missing pixels in a row; distances count from 1.
        ((0, 0, 0, 0), 0),
        ((0, 0, 1, 1), 2),
        ((0, 0, 4, 1), 8),
        ((0, 0, 10, 1), 20),
        ((0, 0, 20, 1), 20),
        # Not the clicked pixel, but the two beside it; and only far away, which is no half of what lies between.
        ((1, 0, 3, 1), 4),
        ((17, 0, 20, 1), 0),
    ],
)
def test_corrected_reach(corrected: tuple[int, int, int, int], reach: int) -> None:
    truth = mask((0, 0, 20, 1))
    assert corrected_reach(truth, mask(corrected), truth, Click(0, 0, True)) == (reach, 20)


def test_corrected_reach_is_round() -> None:
    truth = mask((0, 0, 20, 20))
    y, x = np.mgrid[:20, :30]
    around = (np.hypot(x - 10, y - 10) <= 4) & truth
    got, most = corrected_reach(truth, around, truth, Click(10, 10, True))
    # Half of a circle of radius sqrt(2) * 4 is right.
    assert (got, most) == (pytest.approx(1 + 2**0.5 * 4, abs=1), 1 + np.ceil(np.hypot(10, 10)))


def test_late_clicks() -> None:
    reach = [(float(i), 50.0) for i in range(12)]
    rising = Run("a", [0.1 * i for i in range(1, 9)], [], 0.0, [], reach=reach[:8])
    falling = Run("b", [0.9] * 9 + [0.8, 0.9, 0.7], [], 0.0, [], reach=reach)
    found = late_clicks([rising, falling])
    assert found["2-5"] == {"clicks": 8, "gain": 0.05, "lowered": 0.0, "reach": 2.5, "extent": 50.0}
    # 3 clicks by which one rises, 5 by which the other falls at the last one.
    assert found["6-10"] | {"reach": 0} == {
        "clicks": 8,
        "gain": pytest.approx((0.3 - 0.1) / 8, abs=1e-5),
        "lowered": 0.125,
        "reach": 0,
        "extent": 50.0,
    }
    assert found["11-20"] == {"clicks": 2, "gain": -0.05, "lowered": 0.5, "reach": 10.5, "extent": 50.0}
    assert found["6-10"]["reach"] == pytest.approx((5 + 6 + 7 + 5 + 6 + 7 + 8 + 9) / 8, abs=0.01)
    assert late_clicks([falling], limit=5).keys() == {"2-5"}
    assert "reach" not in late_clicks([Run("old", [0.5, 0.6], [], 0.0, [])])["2-5"]


def test_mean_with_interval() -> None:
    mean, half = mean_with_interval([0.8, 1.0])
    assert (mean, half) == (pytest.approx(0.9), pytest.approx(1.96 * 0.1))
    assert mean_with_interval([0.5]) == (0.5, None)


@pytest.mark.parametrize(
    ("ious", "threshold", "expected"), [([0.5, 0.9], 0.9, 2), ([0.95], 0.9, 1), ([0.1] * 20, 0.9, 20), ([0.3], 0.9, 20)]
)
def test_clicks_to_reach(ious: list[float], threshold: float, expected: int) -> None:
    assert clicks_to_reach(ious, threshold) == expected


def test_summary_counts_failures_as_the_limit() -> None:
    easy = Run("a", [0.5, 0.92], [(0, 0, True)] * 2, 10.0, [1.0, 3.0])
    runs = [easy, Run("b", [0.2] * 20, [(0, 0, True)] * 20, 20.0, [2.0] * 20)]
    summary = summarize(runs)
    assert summary["noc90"] == (2 + 20) / 2
    assert summary["failures90"] == 1
    assert summary["mean_iou"][0] == 0.35
    assert summary["mean_iou"][19] == pytest.approx((0.92 + 0.2) / 2)


def test_summary_of_three_runs() -> None:
    summary = toy_evaluation.report().summary
    # One run ended after two clicks with everything right, and keeps that.
    assert summary["mean_iou"] == [0.5333, 0.7, 0.7667]
    per_run = [(0.5 + 0.8 + 0.9) / 3, (0.9 + 1 + 1) / 3, (0.2 + 0.3 + 0.4) / 3]
    assert summary["auc"] == pytest.approx(np.mean(per_run), abs=1e-4)
    assert summary["auc_ci95"] == pytest.approx(1.96 * np.std(per_run, ddof=1) / 3**0.5, abs=1e-4)
    assert summary["mean_boundary_iou"] == [0.2667, 0.35, 0.3833]
    # What is no longer wrong cannot be corrected: the third click was made twice.
    assert (summary["corrected"], summary["corrected_cases"]) == ([0.5] * 3, [3, 3, 2])
    # Above, not at: 0.9 is not above 90 %.
    assert summary["share_above"] == {"1": [0.0] * 10}
    assert (summary["session_ms_median"], summary["click_ms_p95"]) == (10.0, 5.0)


def test_share_above_after_as_many_clicks() -> None:
    summary = summarize([toy_evaluation.run("a", 0.5, 0.6, 0.7, 0.8, 0.985), toy_evaluation.run("b", 0.92)], limit=10)
    assert list(summary["share_above"]) == ["1", "5", "10"]
    assert summary["share_above"]["1"] == [0.5, 0.5] + [0.0] * 8
    assert summary["share_above"]["5"] == summary["share_above"]["10"] == [1.0, 1.0] + [0.5] * 7 + [0.0]


def test_a_mask_of_another_size_is_refused(tmp_path: Path, toy: Path) -> None:
    write(tmp_path / "images" / "1.png", np.zeros((4, 3, 3)))
    write(tmp_path / "masks" / "1.png", np.full((3, 4), 255))
    (case,) = DATASETS["folder"](tmp_path)
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        run_case(case, toy)


def test_a_run_holds_what_each_click_did(tmp_path: Path, toy: Path) -> None:
    folder = toy_evaluation.build(tmp_path, pictures=1)
    with Image.open(folder / "masks" / "0.png") as image:
        values = np.array(image)
    values[24:30, 2:12] = 128
    write(folder / "masks" / "0.png", values)
    (case,) = DATASETS["grabcut"](folder)
    run = run_case(case, str(toy), limit=4)
    assert len(run.ious) == len(run.click_ms) == 4
    truth, void = values == 255, values == 128
    session, before = Session(case.image, model=toy), np.zeros(values.shape, bool)
    for i, (x, y, fg) in enumerate(run.clicks):
        wrong = (truth & ~before if fg else before & ~truth) & ~void
        regions, _ = ndimage.label(wrong, np.ones((3, 3)))
        region = regions == regions[y, x]
        assert wrong[y, x]
        session.click(x, y, fg)
        after = session.mask
        assert run.ious[i] == (after & truth & ~void).sum() / ((after | truth) & ~void).sum()
        assert run.corrected[i] == pytest.approx((after == truth)[region].mean(), abs=1e-4)
        assert run.boundary_ious[i] == pytest.approx(boundary_iou(after, truth, void), abs=1e-4)
        before = after


def test_evaluate_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = toy_evaluation.build(tmp_path / "set", pictures=2, easy=True), tmp_path / "report.json"
    (folder / "masks" / ".DS_Store").write_bytes(b"x")
    assert cli.main(["evaluate", "folder", str(folder), "--clicks", "6", "-o", str(file)]) == 0
    printed, written = capsys.readouterr().out, json.loads(file.read_text())
    summary = written["summary"]
    assert f"NoC@85       {summary['noc85']:.2f}" in printed
    assert f"AuC          {summary['auc']:.4f}" in printed
    assert written["model"]["sha256"] == load_model().sha256
    assert (written["robot"], written["jobs"], written["failed"], summary["cases"]) == ("forte", 1, [], 2)
    assert [run["name"] for run in written["runs"]] == ["0", "1"]
    for run in written["runs"]:
        # The first click is the disc's center; the noc agrees with the curve it is made of.
        assert run["clicks"][0] == [20 + 10 * int(run["name"]), 30, True]
        assert max(run["ious"]) > 0.85
        assert len(run["ious"]) == len(run["corrected"]) == len(run["boundary_ious"]) == len(run["click_ms"])
        # The first wrong region is the whole disc: what of it is right after the click is its recall.
        assert run["corrected"][0] >= run["ious"][0] - 1e-4
    assert summary["noc85"] == np.mean([clicks_to_reach(run["ious"], 0.85, 6) for run in written["runs"]])


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
        _core.keep_clicked_components(prediction, click, 0, labels, kept)
        np.testing.assert_array_equal(kept, published[f"{i}_kept_connected"])


@pytest.fixture
def published() -> np.lib.npyio.NpzFile:
    return np.load(GOLDEN / "published_clicks.npz")
