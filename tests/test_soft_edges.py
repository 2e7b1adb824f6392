"""The benchmark of soft edges, on two small objects and the stand-in model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support import toy_model
from support.paths import ROOT

pytest.importorskip("tqdm")


def data(root: Path, blurred: float = 2.0) -> Path:
    """Write two bright objects with blurred edges, one that is not measured, and a dark background."""
    objects, backgrounds = root / "train" / "objects", root / "train" / "backgrounds"
    objects.mkdir(parents=True)
    backgrounds.mkdir()
    for i, name in enumerate(("matting_AM27_01", "matting_AM27_02", "matting_other")):
        rgba = np.full((60, 80, 4), 230, np.uint8)
        rgba[..., 3] = 0
        cv2.circle(rgba, (30 + 10 * i, 30), 14, (230, 230, 230, 255), -1)
        if blurred:
            rgba[..., 3] = cv2.GaussianBlur(rgba[..., 3], (0, 0), blurred)
        Image.fromarray(rgba).save(objects / f"{name}.webp", lossless=True, exact=True)
    Image.fromarray(np.full((50, 50, 3), 20, np.uint8)).save(backgrounds / "dark.png")
    return root


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # benchmarks/ and export/ are not installed: they come from the checkout.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "soft_edges.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_models_are_compared_image_by_image(tmp_path: Path, toy: Path) -> None:
    other = toy_model.build(tmp_path / "nothing", bias=-9)
    output = tmp_path / "soft_edges.json"
    done = run("--data", data(tmp_path / "data"), toy, other, "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 objects\n")
    assert "| 8 | nothing |" in done.stdout
    text = output.read_text()
    assert str(tmp_path) not in text
    found = json.loads(text)
    assert [model["name"] for model in found["models"]] == ["toy", "nothing"]
    assert [case["object"] for case in found["cases"]] == ["matting_AM27_01", "matting_AM27_02"]
    rows = {(row["model"], row["clicks"]): row for row in found["rows"]}
    assert sorted(rows) == [(name, clicks) for name in ("nothing", "toy") for clicks in (1, 3, 8)]
    for clicks in (1, 3, 8):
        first, second = rows["toy", clicks], rows["nothing", clicks]
        assert "all_difference" not in first
        assert first["iou"] > second["iou"]
        assert second["iou_difference"] == pytest.approx(second["iou"] - first["iou"], abs=2e-5)
        assert second["all_difference_ci95"] >= 0
        after = [case["after_each_click"]["toy"]["soft"] for case in found["cases"]]
        # Where the robot stopped, the last matte counts on.
        assert first["soft"] == pytest.approx(np.mean([values[:clicks][-1] for values in after]), abs=2e-5)


def test_errors_are_those_of_a_known_matte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import soft_edges

    alpha = np.zeros((20, 40), np.float32)
    alpha[:, 20:] = 1
    alpha[:, 20] = np.float32(102 / 255)
    matte = np.zeros((20, 40), np.uint8)
    matte[:, 20:] = 255
    matte[:, 20], matte[:, 0] = 153, 51
    judged = soft_edges.Truth(alpha, "strip").judge(matte)
    # 51 of 255 too much in the soft column, with four columns on either side in its band, and as much in column 0.
    assert judged == pytest.approx({"all": 0.2 * 2 / 40, "soft": 0.2, "band": 0.2 / 9, "iou": 19 / 20})


@pytest.mark.parametrize("wrong", ["no objects", "hard edges", "a folder to write", "two of one name", "no model"])
def test_what_cannot_be_measured_is_refused(tmp_path: Path, toy: Path, wrong: str) -> None:
    root = tmp_path if wrong == "no objects" else data(tmp_path / "data", 0 if wrong == "hard edges" else 2)
    models = {"two of one name": [toy, toy], "no model": [tmp_path / "absent"]}.get(wrong, [toy])
    output = tmp_path if wrong == "a folder to write" else tmp_path / "soft_edges.json"
    done = run("--data", root, *models, "-o", output)
    expected = {
        "no objects": "has no train/objects/matting_AM27_*",
        "hard edges": "matting_AM27_01.webp has no pixel with alpha between 0 and 255",
        "a folder to write": "is a folder; pass the path of a JSON file",
        "two of one name": "two models are named 'toy'",
        "no model": "does not exist",
    }[wrong]
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "soft_edges.json").exists()
