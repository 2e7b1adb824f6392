"""Write the figures of docs/gpu.md from recorded runs: none there is typed by hand.

    python benchmarks/gpu_report.py            # write
    python benchmarks/gpu_report.py --check    # fail if docs/gpu.md says anything else

Reads gpu.json (bench_gpu.py), gpu_tensorrt.json (gpu_tensorrt.py) and gpu_steps.tsv (gpu_checks.sh: name, outcome,
seconds and last line of each step), whichever there are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- figures: written by benchmarks/gpu_report.py -->", "<!-- end of figures -->"
AIM = 0.7
"""Of the copy bandwidth: what apply_coefficients is to reach, where what it works on is larger than caches are."""
OUT_OF_CACHES = 1e8  # bytes

Json = dict[str, Any]


def section(results: Path) -> str:
    """The section as Markdown.

    Args:
        results: The folder with the recorded runs.
    """
    bench, trials, steps = results / "gpu.json", results / "gpu_tensorrt.json", results / "gpu_steps.tsv"
    lines: list[str] = []
    if steps.exists():
        lines += _steps(steps.read_text())
    if bench.exists():
        lines += _bench(json.loads(bench.read_text()))
    if trials.exists():
        lines += _trials(json.loads(trials.read_text()))
    if not lines:
        return "Nothing: `benchmarks/gpu_checks.sh` has not run on a machine with a GPU, so there is no figure to give."
    return "\n".join(lines).strip()


def _steps(text: str) -> Iterator[str]:
    rows = [line.split("\t") for line in text.splitlines() if line]
    yield from _table(
        ("step of `gpu_checks.sh`", "outcome", "time", "its last line"),
        [(name, said if said == "ok" else f"**{said}**", f"{seconds} s", note) for name, said, seconds, note in rows],
    )


def _bench(found: Json) -> Iterator[str]:
    machine = found["machine"]
    gpu = machine.get("gpu")
    if gpu is not None:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        yield f"{gpu['name']} (compute capability {gpu['compute_capability']}), driver {gpu['driver'] or 'unknown'}; "
        yield f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}, {versions}."
    yield "EngineProvider: " + "; ".join(f"{name} by {runs}" for name, runs in machine["engines"].items()) + "."
    yield from (f"{note}." for note in found.get("notes", ()))
    yield ""
    for title, key, unit in (
        ("Copy within the device's memory, bytes read and written", "copy_bytes_per_s", "GB/s"),
        ("Matrix product, FP16", "matrix_flop_per_s", "GFLOP/s"),
    ):
        if isinstance(value := found.get(key), float):
            yield f"{title}: {value / 1e9:,.0f} {unit}."
        elif value is not None:
            yield f"{title}: {_error(value)}."
    yield ""
    for model in machine["engines"]:
        if model in found:
            yield from _model(model, found[model])
    yield from _kernels(found.get("kernels", {}))


def _model(name: str, found: Json) -> Iterator[str]:
    yield f"### The {name} model"
    yield ""
    rows = []
    for size, part in found.get("clicks", {}).items():
        if "error" in part:
            rows.append((size, _error(part)))
            continue
        times = (_ms(part[kind]) for kind in ("image", "click_on_device", "click"))
        close = f"{part['mean_alpha_difference']:.1e}, {part['mask_iou']:.4f}"
        rows.append((size, *times, close, "one graph" if part["captured"] else "**not captured**"))
    yield from _table(
        (
            "image",
            "`Session(image)`, median (p95)",
            "a click, matte left there",
            "a click, matte brought to the host",
            "off the CPU: mean alpha, mask IoU",
            "a click is",
        ),
        rows,
    )
    if graph := found.get("graph"):
        if "error" in graph:
            yield f"Captured against enqueued step by step: {_error(graph)}."
        elif not graph["captured"]:
            yield "Captured against enqueued step by step: clicks were **not captured**."
        else:
            bits = "the same bits" if graph["same_bits"] else "mattes within the tolerance, not the same bits"
            yield f"Captured {_ms(graph['graph'])}, enqueued step by step {_ms(graph['eager'])}, in turns: {bits}."
    if network := found.get("network"):
        yield f"The network of a click by itself: {_network(network)}."
    if left := found.get("left"):
        made = (
            _error(left) if "error" in left else f"{left['left_bytes'] / 1e6:.1f} MB after {left['sessions']} sessions"
        )
        yield f"Device memory still in use when sessions were made and dropped: {made}."
    yield ""
    rows = [
        (size, *([_error(part)] if "error" in part else [_mb(part["says_bytes"]), _mb(part["measured_bytes"])]))
        for size, part in found.get("memory", {}).items()
    ]
    yield from _table(("image", "arrays of a session", "memory of a session and a click, by the driver"), rows)
    if engines := found.get("engines"):
        built = [(name, f"{seconds} s") for name, seconds in engines.items()] if "error" not in engines else []
        yield from _table(("engine", "built in"), built or [("all", _error(engines))])


def _network(part: Json) -> str:
    if "error" in part:
        return _error(part)
    text = f"{part['median_us']:.0f} µs (p95 {part['p95_us']:.0f})"
    if "gflop" in part:
        text += f" for {part['gflop']:.2f} GFLOP, {part['tflop_per_s']:.1f} TFLOP/s"
    return text + (f", {part['of_matrix_rate']:.1%} of the matrix product's rate" if "of_matrix_rate" in part else "")


def _kernels(parts: Json) -> Iterator[str]:
    if not parts:
        return
    yield "### Kernels"
    yield ""
    rows = []
    for name, part in parts.items():
        if "error" in part:
            rows.append((name, _error(part)))
            continue
        share = f"{part['of_copy']:.0%}"
        if name.startswith("apply_coefficients") and part["sets"] * part["bytes"] > OUT_OF_CACHES:
            share += f" (aim: {AIM:.0%})" if part["of_copy"] >= AIM else f" **(aim: {AIM:.0%})**"
        times = f"{part['median_us']:.1f} µs ({part['p95_us']:.1f})"
        rows.append((name, _mb(part["bytes"]), times, f"{part['gb_per_s']:.0f}", share))
    yield from _table(("kernel", "moves", "median (p95)", "GB/s", "of the copy's"), rows)


def _trials(found: list[Json]) -> Iterator[str]:
    yield "### TensorRT, tried"
    yield ""
    rows = [
        (t["package"], t.get("target", ""), t.get("part", ""), "ok" if t["ok"] else "**no**", t["said"]) for t in found
    ]
    yield from _table(("package", "built for", "what", "", "said"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(head)} |"
    yield "| --- " * len(head) + "|"
    for row in rows:
        cells = [str(cell).replace("|", "/") for cell in row] + [""] * (len(head) - len(row))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _error(part: Json) -> str:
    return f"**failed**: {part['error'][:300]}"


def _ms(part: Json) -> str:
    return f"{part['median_ms']:.2f} ms ({part['p95_ms']:.2f})"


def _mb(nbytes: float) -> str:
    return f"{nbytes / 1e6:.1f} MB"


def main(arguments: list[str] | None = None) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "gpu.md")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    text = options.page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n{section(options.results)}\n{END}{after}"
    if options.check:
        if wanted != text:
            print(
                f"{options.page} differs from {options.results}: run python benchmarks/gpu_report.py", file=sys.stderr
            )
        return int(wanted != text)
    options.page.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
