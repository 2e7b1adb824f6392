"""Drawing a training log. Skipped without the extra pyiseg[train]."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch")

from export import curve


def run(monkeypatch: pytest.MonkeyPatch, *arguments: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["curve", *map(str, arguments)])
    curve.main()


@pytest.mark.parametrize("lines", [1, 2, 30])
def test_a_log_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: int
) -> None:
    values = [{"updates": i, "pictures": 4 * i, "iou_1": 0.5 + i / 99, "loss_1": 1 / (1 + i)} for i in range(lines)]
    log, out = tmp_path / "log.jsonl", tmp_path / "curve.png"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in values) + '{"upd')  # it was killed while writing
    run(monkeypatch, log, out)
    assert capsys.readouterr().out == f"wrote {out}\n"
    plotted = out.read_bytes()
    run(monkeypatch, tmp_path, out)
    assert out.read_bytes() == plotted, "of the run's folder as of its log"


def test_validations_are_drawn_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.jsonl").write_text('{"pictures": 4, "iou_1": 0.5, "loss_1": 1.0}\n')
    widths = []
    line = {"pictures": 4, "noc85": 4.0, "noc90": 6.0, "noc95": 9.0}
    for lines in ([], [{"pictures": 2, "failed": "no space"}], [line, {**line, "pictures": 8, "noc85": 3.0}]):
        (tmp_path / "validation.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        run(monkeypatch, tmp_path, tmp_path / "curve.png")
        with Image.open(tmp_path / "curve.png") as image:
            widths.append(image.width)
    assert widths[0] == widths[1] < widths[2]


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jsonl").write_text("[1]\n{}\nno JSON\n")
    (tmp_path / "log.jsonl").write_text('{"pictures": 4, "iou_1": 0.5, "loss_1": 1.0}\n')
    for log, out, words in (
        ("none", "a.png", r"no file at '.*none'; check the path"),
        ("x.jsonl", "a.png", r"x\.jsonl has no line of a training run; give log\.jsonl of one, or its folder"),
        ("log.jsonl", "a.txt", r"cannot write '.*a\.txt': name an image file, such as curve\.png"),
        ("log.jsonl", "none/a.png", r"cannot write '.*none/a\.png': No such file"),
    ):
        with pytest.raises(SystemExit, match=rf"^export\.curve: error: .*{words}"):
            run(monkeypatch, tmp_path / log, tmp_path / out)
    assert not list(tmp_path.glob("a.*"))
