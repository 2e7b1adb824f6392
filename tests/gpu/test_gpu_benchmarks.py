"""The benchmark's programs on the stand-in for a GPU: all their code runs, and no figure is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

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


def test_the_papers_network_is_added_to_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import bench_gpu

    standin()
    path = tmp_path / "gpu.json"

    def bench(place: Any, results: Any, *_: Any) -> None:
        for subject in place.subjects:
            results.part(f"{subject.name}/clicks", lambda: {"median_ms": 3})

    monkeypatch.setattr(bench_gpu, "bench", bench)
    machine = bench_gpu.describe() | {"gpu": None, "engines": {"compact": "measured before"}}
    before = {"machine": machine, "quick": False, "notes": ["a note"], "compact": {"left": 3}, "kernels": {"a": {}}}
    path.write_text(json.dumps(before))
    assert bench_gpu.main(["--standin", "--add", "-o", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["compact"] == {"left": 3}
    assert found["kernels"] == {"a": {}}
    assert found["notes"] == ["a note"]
    assert found["machine"]["engines"].keys() == {"compact", "paper"}
    assert found["machine"]["engines"]["compact"] == "measured before"
    assert found["paper"] == {"clicks": {"median_ms": 3}}
    # What another machine measured is left as it is, and a file that is missing is said to be.
    path.write_text(json.dumps(before | {"machine": machine | {"cores": 1000}}))
    kept = path.read_bytes()
    assert bench_gpu.main(["--standin", "--add", "-o", str(path)]) == 1
    assert "measured on another machine" in capsys.readouterr().err
    assert path.read_bytes() == kept
    assert bench_gpu.main(["--standin", "--add", "-o", str(tmp_path / "none.json")]) == 1
    assert "nothing can be added to" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench_gpu.main(["--standin", "--add"])


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
    paper = ("export of the paper's network", "benchmark of the paper's network")
    assert {outcomes[step] for step in ("build", "TensorRT", "benchmark", *paper)} == {"ok"}
    assert outcomes["tests"] == outcomes["tests of memory"] == "failed, exit code 3"
    # What matters most comes first: a machine may be lent for minutes.
    order = list(outcomes)
    assert order.index("tests of memory") < order.index("benchmark") < order.index(paper[0]) < order.index(paper[1])
    assert "Nothing was measured, so docs/gpu.md stays as it is." in done.stdout


@pytest.mark.skipif(shutil.which("timeout") is None, reason="there is no command timeout")
def test_nothing_is_timed_beside_the_export(tmp_path: Path) -> None:
    """The export of the paper's network is paused while the default model is measured, and goes on afterwards."""
    python, seen = tmp_path / "python", tmp_path / "seen"
    python.write_text(f"""#!/bin/sh
case "$*" in
*random_model*) echo $$ > {seen}.pid; for i in 1 2 3 4 5 6 7 8; do sleep 0.2; done; echo exported >> {seen} ;;
*bench_gpu.py*--add) echo paper >> {seen} ;;
*bench_gpu.py*) sleep 0.3; cut -d ' ' -f 3 /proc/$(cat {seen}.pid)/stat >> {seen}; sleep 2; echo default >> {seen} ;;
esac
""")
    python.chmod(0o755)
    command = [ROOT / "benchmarks" / "gpu_checks.sh", tmp_path / "out"]
    environment = os.environ | {"PYTHON": str(python)}
    subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert seen.read_text().split() == ["T", "default", "exported", "paper"]


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
