"""The contact sheet of training images. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support import toy_data

pytest.importorskip("torch")

from PIL import Image

from export import contact_sheet
from export.data.dataset import Sample


def test_outlines_void_and_weights_are_seen() -> None:
    image, blank = np.full((40, 40, 3), 100, np.uint8), np.zeros((40, 40), np.uint8)
    alpha, valid, others, weight = blank.copy(), blank + 1, blank.copy(), blank + 255
    alpha[5:15, 5:15], others[25:35, 25:35], valid[:, 38:], weight[30:, :5] = 255, 1, 0, 0
    tile = contact_sheet.outlined(Sample(image, alpha, valid, others, weight))
    assert tuple(tile[5, 10]) == contact_sheet.YELLOW
    assert tuple(tile[25, 30]) == contact_sheet.BLUE
    assert tuple(tile[10, 10]) == (100, 100, 100)
    assert tuple(tile[20, 39]) == (40, 40, 40)
    assert tile[35, 2, 0] > 150 > tile[35, 2, 1]


def test_a_row_for_each_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, path = toy_data.build(tmp_path), tmp_path / "sheet.png"
    words = ["sheet", str(root), str(path), "--per-source", "3", "--side", "64", "--sources", "ecssd", "composed"]
    monkeypatch.setattr(sys, "argv", [*words, "--set", "data.shapes=[[2.0, 1.0]]"])
    contact_sheet.main()
    assert "wrote" in capsys.readouterr().out
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 64, 2 * (64 + contact_sheet.TITLE))
        pixels = np.asarray(sheet)
    assert (pixels == contact_sheet.YELLOW).all(axis=2).any()
    monkeypatch.setattr(sys, "argv", ["sheet", "gone", str(path)])
    with pytest.raises(SystemExit, match="there is no folder 'gone'"):
        contact_sheet.main()
    for wrong in (["--side", "100"], ["--per-source", "0"]):
        monkeypatch.setattr(sys, "argv", [*words, *wrong])
        with pytest.raises(SystemExit, match=f"{wrong[0]} .*{wrong[1]}"):
            contact_sheet.main()
