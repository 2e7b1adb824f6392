"""The benchmark's programs on the stand-in for a GPU: all their code runs, and no figure is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.devices import no_gpu, standin
from support.paths import ROOT

from pyiseg import _core

pytest.importorskip("torch")


def test_the_benchmark_runs(tmp_path: Path) -> None:
    import bench_gpu
    import gpu_report

    standin()
    assert bench_gpu.main(["--standin", "-o", str(tmp_path / "gpu.json")]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    for model in ("compact", "paper"):
        assert found[model]["clicks"]["2 MP"]["mask_iou"] == 1
        assert found[model]["graph"]["same_bits"]
        assert found[model]["network"]["of_matrix_rate"] > 0
        assert found[model]["memory"]["480x640"]["measured_bytes"] >= found[model]["memory"]["480x640"]["says_bytes"]
    assert found["compact"]["left"]["left_bytes"] == 0
    assert found["kernels"]["apply_coefficients, color guide, uint8 at 60x81"]["median_us"] > 0
    (tmp_path / "gpu_steps.tsv").write_text("build\tok\t61\tdone\ntests\tfailed, exit code 1\t9\t1 | failed\n")
    text = gpu_report.section(tmp_path)
    assert "| apply_coefficients, color guide, uint8 at 60x81 |" in text
    assert "| tests | **failed, exit code 1** | 9 s | 1 / failed |" in text


def test_a_part_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    import bench_gpu
    import gpu_report

    results = bench_gpu.Results(tmp_path / "gpu.json", machine={"gpu": None, "engines": {"compact": "none"}})

    def fail() -> None:
        raise AssertionError("0.3 off,\nallowed are 0.1")

    assert results.part("compact/clicks/2 MP", fail) is None
    assert results.part("compact/graph", lambda: {"captured": False}) is not None
    assert (results.parts, results.failed) == (2, 1)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["compact"]["clicks"]["2 MP"] == {"error": "AssertionError: 0.3 off, allowed are 0.1"}
    text = gpu_report.section(tmp_path)
    assert "0.3 off, allowed are 0.1" in text
    assert "not captured" in text


def test_the_programs_say_when_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    import bench_gpu
    import gpu_sanitize

    if not no_gpu():
        pytest.skip("there is a GPU")
    assert bench_gpu.main([]) == 1
    if not hasattr(_core, "standin"):
        assert gpu_sanitize.main([]) == 1
    assert "bench_gpu: there is no GPU here" in capsys.readouterr().err


def test_what_the_sanitizer_looks_at_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    import gpu_sanitize

    standin()
    assert gpu_sanitize.main([]) == 0
    assert "all right" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("timeout") is None, reason="there is no command timeout")
def test_the_checks_go_on_after_a_failure(tmp_path: Path) -> None:
    python, out = tmp_path / "python", tmp_path / "out"
    python.write_text("""#!/bin/sh
echo "ran $2"
[ "$2-$PYISEG_REQUIRE_GPU" != pytest-1 ] || exit 3
""")
    python.chmod(0o755)
    script = ROOT / "benchmarks" / "gpu_checks.sh"
    environment = os.environ | {"PYTHON": str(python)}
    done = subprocess.run([script, out], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    rows = [line.split("\t") for line in (out / "gpu_steps.tsv").read_text().splitlines()]
    outcomes = {row[0]: row[1] for row in rows}
    assert {len(row) for row in rows} == {4}
    assert outcomes["build"] == outcomes["benchmark"] == outcomes["export of the paper's network"] == "ok"
    assert outcomes["tests"] == "failed, exit code 3"
    assert "Nothing was measured, so docs/gpu.md stays as it is." in done.stdout


def test_without_results_nothing_has_run(tmp_path: Path) -> None:
    import gpu_report

    assert "Nothing" in gpu_report.section(tmp_path)
    page = tmp_path / "gpu.md"
    page.write_text(f"before\n{gpu_report.BEGIN}\nold\n{gpu_report.END}\nafter\n")
    arguments = ["--results", str(tmp_path), "--page", str(page)]
    assert gpu_report.main([*arguments, "--check"]) == 1
    assert gpu_report.main(arguments) == 0
    assert gpu_report.main([*arguments, "--check"]) == 0
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")
