"""The benchmarks of mattes and of cut-outs' colors, without pymatting, which only their comparisons need."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from support.paths import ROOT
from support.toy_model import PHOTO

from pyiseg import load_model

pytest.importorskip("tqdm")
pytest.importorskip("cv2")


@pytest.fixture
def matting(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _benchmark(monkeypatch, "matting")


@pytest.fixture
def colors(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _benchmark(monkeypatch, "foreground")


def _benchmark(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


def strip(soft: float = 0.4) -> NDArray[np.float32]:
    """Half of it selected, with one soft column between."""
    alpha = np.zeros((30, 80), np.float32)
    alpha[:, 40:] = 1
    alpha[:, 40] = soft
    return alpha


def test_metrics_of_a_known_matte(matting: ModuleType) -> None:
    truth = matting.Truth(strip())
    assert truth.judge(strip()) == {"sad": 0, "mse": 0, "gradient": 0, "sad_band": 0}
    off = strip(0.6)
    off[:, 0] = 0.5
    found = truth.judge(off)
    assert found["sad"] == pytest.approx(30 * (0.2 + 0.5) / 1000)
    assert found["mse"] == pytest.approx(1000 * (0.04 + 0.25) / 80)
    assert found["sad_band"] == pytest.approx(30 * 0.2 / 1000)  # column 0 is far from the soft one
    assert found["gradient"] > 0


def test_the_gradient_of_a_slope(matting: ModuleType) -> None:
    x = np.arange(60.0)
    slope = (np.add.outer(0.3 * x, 0.4 * x) / 60).astype(np.float32)
    found = matting.gradient(slope)[10:-10, 10:-10]
    at = np.arange(-5, 6)
    bell = np.exp(-(at**2) / (2 * 1.4**2))
    derivative = at * bell
    gain = bell.sum() * (at * derivative).sum() / np.sqrt((bell**2).sum() * (derivative**2).sum())
    np.testing.assert_allclose(found, gain * 0.5 / 60, rtol=1e-4)


def test_a_trimap_is_unknown_along_the_border(matting: ModuleType) -> None:
    found = matting.trimap(strip() > 0.5)
    assert set(np.unique(found)) == {0, 0.5, 1}
    # The mask begins at column 41.
    assert (found[:, :31] == 0).all()
    assert (found[:, 31:51] == 0.5).all()
    assert (found[:, 51:] == 1).all()


def test_closed_form_matting_needs_both_sides(matting: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((30, 40), np.bool_)
    mask[10:15, 10:15] = True
    rgb = np.zeros((30, 40, 3), np.uint8)
    stand_in = ModuleType("pymatting")
    stand_in.estimate_alpha_cf = lambda *_: pytest.fail("nothing is known inside")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pymatting", stand_in)
    np.testing.assert_array_equal(matting.closed_form(rgb, mask), mask)


def test_all_methods_get_the_clicks_on_our_matte(matting: ModuleType, toy: Path) -> None:
    alpha = np.zeros(PHOTO.shape[:2], np.float32)
    alpha[20:40, 45:70] = 1
    alpha[20:40, 44] = 0.5
    masks = []

    def solve(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        np.testing.assert_array_equal(rgb, PHOTO)
        masks.append(mask)
        return mask.astype(np.float32)

    truth = matting.Truth(alpha)
    found = list(matting.click_through(PHOTO, truth, load_model(toy), solve))
    assert len(found) == len(matting.AFTER)
    assert all(list(after) == ["ours", "bilinear", "closed-form"] for after in found)
    assert found[0]["closed-form"] == truth.judge(masks[0].astype(np.float32))
    assert found[0]["ours"]["sad"] != found[0]["bilinear"]["sad"]
    rows = matting.rows([found, found])
    assert [(row["clicks"], row["method"]) for row in rows[:4]] == [
        *((1, name) for name in ("ours", "bilinear", "closed-form")),
        (3, "ours"),
    ]
    assert rows[0]["sad"] == pytest.approx(found[0]["ours"]["sad"], abs=1e-4)
    assert f"| 1 | ours | {rows[0]['sad']:.2f} |" in matting.table(rows)


def test_an_object_without_a_selected_pixel_is_refused(matting: ModuleType, toy: Path) -> None:
    truth = matting.Truth(np.full(PHOTO.shape[:2], 0.4, np.float32))
    with pytest.raises(ValueError, match="nothing to select"):
        list(matting.click_through(PHOTO, truth, load_model(toy), lambda _, mask: mask))


def test_colors_are_judged_where_alpha_is_soft(colors: ModuleType) -> None:
    truth = np.full((4, 5, 3), 100.0)
    alpha = np.full((4, 5), 255, np.uint8)
    alpha[0, :2] = 50, 150
    off = truth.copy()
    off[1:] = 0
    off[0, 0], off[0, 1] = 104, (98, 100, 96)
    assert colors.error(truth, alpha, off) == {"plain": 3.0, "weighted": 2.5}


@pytest.mark.parametrize("name", ["matting", "foreground"])
def test_without_pymatting_they_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    module = _benchmark(monkeypatch, name)

    def absent(_: str) -> NoReturn:
        raise PackageNotFoundError("pymatting")

    monkeypatch.setattr(module, "version", absent)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as done:
        module.main()
    assert "pip install pymatting" in f"{done.value.code}{capsys.readouterr().err}"


@pytest.mark.parametrize("name", ["matting", "foreground"])
def test_data_without_the_objects_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    module = _benchmark(monkeypatch, name)
    monkeypatch.setattr(module, "version", lambda _: "1.1")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as done:
        module.main()
    assert "has no train/objects/matting_" in f"{done.value.code}{capsys.readouterr().err}"
