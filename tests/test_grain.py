"""The benchmark of noise, on its smallest images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

pytest.importorskip("cv2")


def test_a_disc_under_noise(tmp_path: Path) -> None:
    output = tmp_path / "grain.json"
    # benchmarks/ and export/ are not installed: they come from the checkout.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "grain.py"), "--width", "640", "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| 640 x 480 | ") == 30
    found = json.loads(output.read_text())
    assert found["command"] == "python benchmarks/grain.py --seed 0 --width 640 -o OUT"
    for row in found["rows"]:
        if row["jpeg"] is None and row["sigma"]:
            assert row["measured"] == pytest.approx(row["sigma"], rel=0.1)
            assert row["served"]["pieces"] == 1
            assert row["served"]["iou"] >= row["enlarged"]["iou"]
        if not row["measured"]:
            assert row["served"] == row["without"], "without noise nothing is done"
    assert max(row["without"]["pieces"] for row in found["rows"]) > 10
