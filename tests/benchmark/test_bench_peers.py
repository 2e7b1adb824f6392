"""benchmarks/bench_peers.py on two small data sets, and the tables that are made of its result."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT

pytest.importorskip("cv2")
pytest.importorskip("matplotlib")
pytest.importorskip("onnx")

from support import sam_pair

METHODS = ["pyiseg", "MobileSAM", "OpenCV GrabCut"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return benchmark(monkeypatch, "bench_peers")


def benchmark(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    # benchmarks/ is not installed: it comes from the checkout.
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """GrabCut/ and Berkeley/ with three discs each."""
    y, x = np.mgrid[:72, :96]
    for name in ("GrabCut", "Berkeley"):
        for kind in ("images", "masks"):
            (tmp_path / "data" / name / kind).mkdir(parents=True)
        for number in range(3):
            inside = (x - 40 - 8 * number) ** 2 + (y - 36) ** 2 < 20**2
            rgb = np.where(inside[..., None], (220, 60, 40), (30, 90, 160)).astype(np.uint8)
            Image.fromarray(rgb).save(tmp_path / "data" / name / "images" / f"{number}.png")
            Image.fromarray(inside.astype(np.uint8) * 255).save(tmp_path / "data" / name / "masks" / f"{number}.png")
    return tmp_path / "data"


def run(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, data: Path, output: Path, *more: str) -> int:
    pair = [str(path) for path in sam_pair.build(data)]
    arguments = ["--data", str(data), "--mobile-sam", *pair, "-o", str(output), *more]
    monkeypatch.setattr(sys, "argv", ["bench_peers.py", *arguments])
    code: int = bench.main()
    return code


def test_all_methods_get_all_cases_but_the_slow_one(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    limit = 5
    monkeypatch.setattr(bench, "LIMIT", limit)
    monkeypatch.setattr(bench, "SUMMED_AFTER", (1, 3, limit))
    output, plot = tmp_path / "peers.json", tmp_path / "plot.png"
    # Interrupted in the second data set, it goes on with the same command.
    measure, measured = bench.measure, []

    def interrupted(case: Any, peers: Any) -> Any:
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.append(case.name)
        return measure(case, peers)

    monkeypatch.setattr(bench, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(bench, monkeypatch, data, output, "--every", "2")
    assert not output.exists()
    measured.clear()
    monkeypatch.setattr(bench, "measure", lambda case, peers: measured.append(case.name) or measure(case, peers))
    assert run(bench, monkeypatch, data, output, "--every", "2") == 0
    assert len(measured) == 2
    found = json.loads(output.read_text())
    assert list(found["methods"]) == METHODS
    for name, slow in (("grabcut", 3), ("berkeley", 2)):
        summary, runs = (found["sets"][name][part] for part in ("summary", "runs"))
        assert [summary[method]["cases"] for method in METHODS] == [3, 3, slow]
        for method in METHODS:
            last = [entry["ious"][-1] for entry in runs[method].values()]
            assert summary[method]["mean_iou"][-1] == pytest.approx(np.mean(last), abs=1e-4)
            assert len(summary[method]["mean_iou"]) == limit
            assert all(len(r["clicks"]) == len(r["ious"]) for r in runs[method].values())
        # All are asked for the center of the disc first, and these two find it.
        assert len({tuple(runs[method]["0"]["clicks"][0]) for method in METHODS}) == 1
        assert summary["OpenCV GrabCut"]["mean_iou"][0] > 0.9
        assert found["differences"][name]["OpenCV GrabCut"]["cases"] == slow
    assert not list(tmp_path.glob("*.jsonl"))
    assert run(bench, monkeypatch, data, output, "--times", "1", "--plot", str(plot)) == 0
    timed = json.loads(output.read_text())
    assert {name: timed[name] for name in found} == found
    assert list(timed["times"]["methods"]) == METHODS
    assert all(entry["open"]["n"] == 1 for entry in timed["times"]["methods"].values())
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_other_models_are_measured_beside(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path, toy: Path
) -> None:
    monkeypatch.setattr(bench, "LIMIT", 1)
    monkeypatch.setattr(bench, "SUMMED_AFTER", (1,))
    output = tmp_path / "peers.json"
    assert run(bench, monkeypatch, data, output, "--model", str(toy)) == 0
    assert list(json.loads(output.read_text())["methods"]) == ["pyiseg", "pyiseg, toy", *METHODS[1:]]


def test_an_update_measures_what_has_changed(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "LIMIT", 1)
    monkeypatch.setattr(bench, "SUMMED_AFTER", (1,))
    output = tmp_path / "peers.json"
    assert run(bench, monkeypatch, data, output, "--every", "2") == 0
    first = json.loads(output.read_text())
    changed = json.loads(output.read_text())
    changed["methods"]["MobileSAM"]["files"] = []
    for found in changed["sets"].values():
        found["runs"]["MobileSAM"] = {}
    output.write_text(json.dumps(changed))
    monkeypatch.setattr(bench.GrabCut, "open", lambda *_: pytest.fail("it has not changed"))
    assert run(bench, monkeypatch, data, output, "--every", "2", "--update") == 0
    again = json.loads(output.read_text())
    for name in ("grabcut", "berkeley"):
        for method in METHODS:
            runs = [found["sets"][name]["runs"][method] for found in (first, again)]
            assert [entry["clicks"] for entry in runs[0].values()] == [entry["clicks"] for entry in runs[1].values()]
    assert again["methods"] == first["methods"]
    output.write_text(json.dumps(changed | {"every": 3}))
    assert run(bench, monkeypatch, data, output, "--every", "2", "--update") == 2


def test_wrong_folders_and_files(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bench, monkeypatch, data, tmp_path) == 2
    assert "pass the path of a JSON file" in capsys.readouterr().err
    (data / "Berkeley" / "masks").rename(data / "Berkeley" / "elsewhere")
    monkeypatch.setattr(bench, "LIMIT", 1)
    monkeypatch.setattr(bench, "SUMMED_AFTER", (1,))
    assert run(bench, monkeypatch, data, tmp_path / "peers.json") == 2
    assert "Berkeley" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(data), "--mobile-sam", "a", "b", "-o", "c.json"])
    assert bench.main() == 2
    assert "no file at 'a'; a MobileSAM pair is" in capsys.readouterr().err


def summary(cases: int, noc90: float) -> dict[str, Any]:
    return {
        "cases": cases,
        "noc85": 1.5,
        "noc90": noc90,
        "noc95": 3.25,
        "failures90": 4,
        "auc": 0.9764,
        "auc_ci95": 0.004,
        "mean_iou": [0.8784, 0.9, 0.95, 0.96, 0.97],
        "boundary_iou": {"1": 0.5, "3": 0.6, "5": 0.7, "20": 0.8},
        "above_99": 0.8,
    }


def test_tables_say_what_the_results_do(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = benchmark(monkeypatch, "peers_table")
    peers = {
        "every": 3,
        "methods": dict.fromkeys(METHODS),
        "differences": {
            name: {"MobileSAM": {"cases": 50, "noc90": -0.74, "ci95": 0.616}} for name in ("grabcut", "berkeley")
        },
        "sets": {
            "grabcut": {"summary": {name: summary(50, 1.7) for name in METHODS}},
            "berkeley": {"summary": {name: summary(34 if "Cut" in name else 100, 2.77) for name in METHODS}},
        },
    }
    times = {name: {"times": {"open": {"median_ms": 1234.4}, "click": {"median_ms": 26.4}}} for name in METHODS}
    sizes = [
        {"size": [640, 480], "methods": times},
        {"size": [4000, 3000], "methods": times | {"OpenCV GrabCut": {"skipped": "slow"}}},
    ]
    machine = {"cores": 2, "processor": "a processor", "vectors": "AVX2"}
    versions = {"onnxruntime": "1.32.0", "opencv-python-headless": "5.0"}
    measured = {"machine": machine | {"versions": versions}, "sizes": sizes}
    short = tables.short(peers, measured).split("\n")
    assert "| **pyiseg** | 1.70 / 2.77 | 0.88 / 0.88 | 80 % / 80 % | 1,234 / 26 ms |" in short
    assert any(line.startswith("| OpenCV GrabCut ¹ |") for line in short)
    assert any("FocalClick MobileNetV2 (published) | 2.02 / 2.69" in line for line in short)
    assert short[-1] == "¹ Of Berkeley one case in 3, 34 in all, since it is slow."
    assert "2 cores (a processor, AVX2)" in short[-2]
    long = tables.long(peers, measured)
    row = "| **pyiseg** | 50 | 1.50 / 1.70 / 3.25 | 4 | 0.976 ± 0.004 | 80 % | 0.50 / 0.70 / 0.80 |"
    assert f"{row} 0.878 / 0.950 / 0.970 |" in long
    assert "| OpenCV GrabCut ¹ | 1,234 / 26 ms | – |" in long
    assert "-0.74 ± 0.62 against MobileSAM on Berkeley (50 cases); ± is half" in long
    for table in (short, long.split("\n")):
        columns = [line.count("|") for line in table if line.startswith("|")]
        heads = [number for number, line in enumerate(table) if line.startswith("| ---")]
        assert all(table[number - 1].count("|") == table[number].count("|") for number in heads)
        assert len(set(columns)) <= 2


def test_blocks_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = benchmark(monkeypatch, "readme_table")
    begin, end = "<!-- a: written by benchmarks/readme_table.py -->", "<!-- end of a -->"
    page = f"before\n{begin}\nold\n{end}\nafter"
    assert tables.written(page, "a", "new") == f"before\n{begin}\nnew\n{end}\nafter"
    for damaged in ("", begin, page + begin, f"{end}{begin}"):
        with pytest.raises(ValueError, match="once each, in that order"):
            tables.written(damaged, "a", "new")
