"""Is the net tight? Puts known faults into a copy of the CUDA code, one at a time; the driver has to notice each.

    PYTHON=.venv/bin/python python tests/standin/faults.py             # prints the table; takes minutes
    PYTHON=.venv/bin/python python tests/standin/faults.py --write     # and writes it into docs/gpu.md

PYTHON names a Python that has the package nvidia-cuda-runtime. A fault is noticed when the driver, built as the fault's
``build`` says, ends with an error for one of three seeds; without a fault each build has to pass with all of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- faults: written by tests/standin/faults.py -->", "<!-- end of faults -->"
SEEDS = (1, 2, 3)
PLAIN, THREAD, ADDRESS = "", "thread", "address,undefined"


class Fault(NamedTuple):
    """A change that makes the code wrong.

    Attributes:
        what: What is wrong then, for the table.
        file: Below the project's root.
        right: Text that stands there once.
        wrong: What it becomes.
        build: The sanitizers that have to notice it; none where results differ.
        settings: Further environment variables.
    """

    what: str
    file: str
    right: str
    wrong: str
    build: str = PLAIN
    settings: Mapping[str, str] = MappingProxyType({})


JOIN = "    device.for_each(size.h, columns, JoinRegions<run>{size, labels});\n"
MARK = "    device.for_each(1, clicks.count, MarkClickedRegions{clicks, size, labels});\n"
FLAG = """    device.for_each(1, clicks.count,
                    FlagDisobeyedClicks<Guide>{guide, image, image_clicks, clicks, grid, coefficients, flags});
"""
PIN = "    device.for_each(1, clicks.count, PinFlaggedClicks{clicks, grid, Guide::kSlopes, flags, coefficients});\n"

FAULTS = (
    Fault(
        "labels are joined by reading, comparing and writing in the place of `atomicMin`",
        "csrc/math/labels.h",
        "while (value < old && !__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))",
        "PYISEG_LABEL_ACCESS();\n    if (value < old) __atomic_store_n(p, value, __ATOMIC_RELAXED);\n    while (false)",
        settings={"PYISEG_STANDIN_GRAIN": "1", "PYISEG_STANDIN_YIELD": "2"},
    ),
    Fault(
        "labels are read without atomics",
        "csrc/math/labels.h",
        "return __atomic_load_n(p, __ATOMIC_RELAXED);",
        "return *p;",
        THREAD,
    ),
    Fault(
        "path halving walks on below a mark",
        "csrc/math/labels.h",
        "if (above == parent || above < 0) return parent;",
        "if (above == parent) return parent;",
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0"},
    ),
    Fault(
        "a stream does not wait for the other one's event",
        "csrc/device/cuda_stream.h",
        "PYISEG_CUDA_CHECK(cudaStreamWaitEvent(stream_, event, 0));",
        "",
        settings={"PYISEG_STANDIN_DELAY_US": "2000"},
    ),
    Fault(
        "memory is freed on another stream, before the work on it is done",
        "csrc/device/cuda_stream.h",
        "cuda_forget(cudaFreeAsync(p, self->stream_));",
        "cuda_forget(cudaFreeAsync(p, nullptr));",
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0"},
    ),
    Fault(
        "pinned memory is never freed",
        "csrc/device/cuda_stream.h",
        "[](void* p) { cuda_forget(cudaFreeHost(p)); }",
        "[](void*) {}",
    ),
    Fault(
        "pinned memory is freed while a copy still reads it",
        "csrc/device/click_graph.h",
        "finish();  // a copy may still be reading the pinned memory",
        "",
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0", "PYISEG_STANDIN_DELAY_US": "2000"},
    ),
    Fault(
        "pinned memory is written again before the copy of the last click is done",
        "csrc/device/click_graph.h",
        "stream_->synchronize();\n        auto* plane",
        "auto* plane",
        settings={"PYISEG_STANDIN_DELAY_US": "2000"},
    ),
    Fault(
        "a graph is destroyed while it runs",
        "csrc/device/click_graph.h",
        "feed_->finish();  // it may still be running, and is destroyed before the feed is",
        "",
    ),
    Fault(
        "regions are marked as clicked before they are joined",
        "csrc/ops/ops.inl",
        JOIN + MARK,
        MARK + JOIN,
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0"},
    ),
    Fault(
        "the flags of disobeyed clicks are read before they are written",
        "csrc/ops/ops.inl",
        FLAG + PIN,
        PIN + FLAG,
    ),
    Fault(
        "the last pixel of a row is left out",
        "csrc/ops/functors/run.h",
        "    const int end = x0 + kRun < w ? x0 + kRun : w;",
        "    const int end = x0 + kRun < w ? x0 + kRun : w - 1;",
    ),
    Fault(
        "the run at the end of a row writes one pixel too far",
        "csrc/ops/functors/run.h",
        "    const int last = w - reach - kRun;",
        "    const int last = w - reach - kRun + 1;",
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0"},
    ),
    Fault(
        "on CUDA, runs of a row that begins inside of a run lack the last one",
        "csrc/ops/functors/run.h",
        "return runs(Device::kAlignedRuns && w % run != 0 ? w + run - 1 : w, run);",
        "return runs(w, run);",
    ),
    Fault(
        "wide words are read beyond the end of a row",
        "csrc/ops/functors/access.h",
        "x >= n && x + 2 * n <= w)",
        "x >= n)",
        ADDRESS,
        {"PYISEG_STANDIN_ARENA": "0"},
    ),
    Fault(
        "wide words are written at any address",
        "csrc/ops/functors/access.h",
        "if (reinterpret_cast<std::uintptr_t>(to) % sizeof(Word) == 0) {",
        "if (true) {",
        ADDRESS,
    ),
    Fault(
        "columns beyond those that one launch has room for are left out",
        "csrc/ops/ops_cuda.cu",
        "left -= now;",
        "left = 0;",
    ),
    Fault(
        "an error that another library left is taken for a launch's",
        "csrc/ops/ops_cuda.cu",
        "PYISEG_CUDA_CHECK(PYISEG_LAUNCH(",
        "PYISEG_CUDA_CHECK(cudaGetLastError());\n        PYISEG_CUDA_CHECK(PYISEG_LAUNCH(",
    ),
    Fault(
        "the first run of a row begins before the row when the matte is rendered",
        "csrc/ops/functors/apply.inl",
        "const int begin = x0 < 0 ? 0 : x0,",
        "const int begin = x0,",
    ),
    Fault(
        "a launch leaves out the columns beyond the first whole blocks",
        "csrc/ops/ops_cuda.cu",
        "const dim3 grid(blocks(height, block_rows), blocks(now, kWarp)), block(kWarp, block_rows);",
        "const dim3 grid(blocks(height, block_rows), now < kWarp ? 1 : now / kWarp), block(kWarp, block_rows);",
    ),
)


def copy_with(fault: Fault | None, folder: Path) -> None:
    """Write the C++ and CUDA sources to a folder, with a fault in them; files that stay the same are not touched.

    Raises:
        ValueError: What the fault is to change does not stand in its file exactly once.
    """
    for name in ("csrc", "tests/standin"):
        for source in sorted((ROOT / name).rglob("*")):
            if not source.is_file() or source.suffix == ".py":
                continue
            path, text = folder / source.relative_to(ROOT), source.read_text(encoding="utf-8")
            if fault is not None and source == ROOT / fault.file:
                text = changed(text, fault)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")


def changed(text: str, fault: Fault) -> str:
    """Return a file's text with a fault in it."""
    if text.count(fault.right) != 1:
        raise ValueError(
            f"{fault.file} has {text.count(fault.right)} places like {fault.right!r}, not one: mend FAULTS"
        )
    return text.replace(fault.right, fault.wrong)


def built(folder: Path, build: str) -> Path:
    """Build the driver with sanitizers, anew where sources have changed, and return it."""
    out = folder / ("build-" + (build or "plain").replace(",", "-"))
    flags = f"-O1 -g1 -w -fsanitize={build} -fno-sanitize-recover=all" if build else "-O1 -w"
    python = os.environ.get("PYTHON", sys.executable)
    configure: list[str | Path] = ["cmake", "-S", folder / "tests/standin", "-B", out, f"-DPython_EXECUTABLE={python}"]
    configure += ["-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS_DEBUG={flags}"]
    for command in (configure, ["cmake", "--build", out, "--parallel", "2"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out / "standin_driver"


def noticed(driver: Path, settings: Mapping[str, str], seed: int) -> str:
    """Run the driver; return what it found, empty if nothing."""
    command: list[str | Path] = [driver, "10", str(seed)]
    if driver.parent.name.endswith(THREAD):  # older versions of it cannot do with random addresses
        command = ["setarch", platform.machine(), "-R", *command]
    environment = os.environ | {"PYISEG_STANDIN_SEED": str(seed)} | dict(settings)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if run.returncode == 0:
        return ""
    printed = run.stdout + run.stderr
    for pattern, meaning in (
        (r"WARNING: (ThreadSanitizer): ([\w -]+?) \(", r"\1: \2"),
        (r"ERROR: (AddressSanitizer): ([\w-]+)", r"\1: \2"),
        (r"^\d+ bytes of (.*) are never freed$", r"\1 is never freed"),
        (r"ERROR: (LeakSanitizer): detected (memory leaks)", r"\1: \2"),
        (r"runtime error: (store to misaligned address|load of misaligned address)", r"UndefinedBehaviorSanitizer: \1"),
        (r"^(\w+)(?:, \w+)? differs at", r"results of `\1` differ"),
        (r"^(the \w+ of a captured click) differ", r"\1 differ"),
        (r"^(.*) went wrong$", r"\1 went wrong"),
        (r"terminate called after .*\n.*what\(\): +\S+ (\w+)", r"`\1` fails"),
    ):
        if found := re.search(pattern, printed, re.MULTILINE):
            return found.expand(meaning)
    return f"it ends with {run.returncode}"


def table(rows: list[tuple[Fault, str]]) -> str:
    """Return what was found as Markdown."""
    lines = ["| fault | noticed by | as |", "| --- | --- | --- |"]
    for fault, found in rows:
        sanitizer = {PLAIN: "the driver", THREAD: "ThreadSanitizer", ADDRESS: "AddressSanitizer, UBSan"}[fault.build]
        lines.append(f"| {fault.what} | {sanitizer} | {found or '**not noticed**'} |")
    return "\n".join(lines)


def main() -> int:
    """Try all faults; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into docs/gpu.md")
    parser.add_argument("--only", default="", help="only faults whose description has this in it")
    args = parser.parse_args()
    chosen = [fault for fault in FAULTS if args.only in fault.what]
    if args.write and args.only:
        parser.error("--write needs all faults: leave --only out")
    folder = Path(tempfile.mkdtemp(prefix="pyiseg-faults-"))
    rows, wrong = list[tuple[Fault, str]](), 0
    try:
        copy_with(None, folder)
        for build in sorted({fault.build for fault in chosen}):
            driver = built(folder, build)
            for settings in {tuple(sorted(fault.settings.items())) for fault in chosen if fault.build == build}:
                for seed in SEEDS:
                    if found := noticed(driver, dict(settings), seed):
                        print(f"without a fault, {build or 'plain'}, {dict(settings)}, seed {seed}: {found}")
                        return 1
        for fault in chosen:
            copy_with(fault, folder)
            driver = built(folder, fault.build)
            found = next(filter(None, (noticed(driver, fault.settings, seed) for seed in SEEDS)), "")
            print(f"{fault.what}: {found or 'NOT NOTICED'}", flush=True)
            rows.append((fault, found))
            wrong += not found
    finally:
        shutil.rmtree(folder)
    print(table(rows))
    if args.write:
        before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
