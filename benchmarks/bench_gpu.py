"""Measure the GPU path: clicks, new images, the captured graph, every kernel, the networks, and memory.

    python benchmarks/bench_gpu.py -o benchmarks/results/gpu.json --paper FOLDER
    python benchmarks/bench_gpu.py -o benchmarks/results/gpu.json --paper FOLDER --add    # to what was measured before
    python benchmarks/bench_gpu.py --standin     # the same code without a GPU, at sizes of no interest

FOLDER is a model folder of the paper's network, as `python -m export.random_model FOLDER` writes it in a minute or two;
without it the default model and the kernels are measured alone, and --add measures the paper's network alone and adds
it to the file of -o, which must be of the same GPU. Results are written as they come; a part that fails is noted and
the others go on, but the exit code is 1 then. Nothing is timed whose answer is not checked: kernels against the CPU's
ops, mattes against a session on the CPU (mean alpha difference at most 0.002, mask IoU at least 0.999).

Not timed: imports, reading the image, building engines (which is listed by itself), and a first round of each.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_clicks
from gpu_kernel_cases import cases
from gpu_kernels import copy_bandwidth, measure
from gpu_place import Place, Size, Subject, gpu, standin
from machine import describe, write_json

from pyiseg import DeviceError, _core, load_model
from pyiseg.files import read_json
from pyiseg.model import Model
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.specs import engine_specs, working_size

SIZES: dict[str, Size] = {
    "480x640": (480, 640),
    "2 MP": (1200, 1600),
    "12 MP": (3000, 4000),
    "50 MP": (6144, 8192),
}
DEFAULT = "compact"
"""What the default model is called in the results."""
TINY: dict[str, Size] = {"480x640": (48, 64), "2 MP": (60, 81)}


class Results:
    """What was measured, written after each part.

    Args:
        path: Of the JSON; None writes none.

    Attributes:
        parts, failed: How many were run, and how many of them went wrong.
    """

    def __init__(self, path: Path | None, **content: Any) -> None:
        self._path, self.content = path, dict(content)
        self.parts, self.failed = 0, 0

    def part(self, name: str, run: Callable[..., Any], *arguments: Any) -> Any:
        """Run one part, and keep and print what it returns; or what went wrong, and then return None."""
        start = time.perf_counter()
        self.parts += 1
        try:
            found = run(*arguments)
        except Exception as error:
            found = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
            self.failed += 1
        *path, last = name.split("/")
        place = self.content
        for step in path:
            place = place.setdefault(step, {})
        place[last] = found
        print(f"{name} ({time.perf_counter() - start:.1f} s): {found}", flush=True)
        if self._path is not None:
            write_json(self._path, self.content)
        return None if isinstance(found, dict) and "error" in found else found


def bench(place: Place, results: Results, sizes: dict[str, Size], rounds: int, sessions: int) -> None:
    """Measure everything, what matters most first: the default model, the kernels, then the paper's network."""
    for subject in place.subjects:
        rate = results.part("matrix_flop_per_s", gpu_clicks.matrix_rate, place, 8192 if place.is_gpu else 64, rounds)
        speed(place, results, subject, sizes, rate, rounds)
        default = subject.name == DEFAULT
        if default:
            kernels(place, results, sizes, rounds)
        for title, size in sizes.items():
            turns = 3 if place.is_gpu else 1
            results.part(f"{subject.name}/memory/{title}", gpu_clicks.held, place, subject, size, turns)
        if isinstance(subject.engines, tensorrt.TensorRT):
            results.part(f"{subject.name}/engines", building, subject)
        if default:
            results.part(f"{subject.name}/left", gpu_clicks.leftovers, place, subject, sizes["480x640"], sessions)


def speed(
    place: Place, results: Results, subject: Subject, sizes: dict[str, Size], rate: float | None, rounds: int
) -> None:
    """Measure new images and clicks of one model, the captured graph against its steps, and the network by itself."""
    small, most = sizes["480x640"], 6 if place.is_gpu else 2
    for title, size in sizes.items():
        count = most if size[0] * size[1] <= 2_000_000 else 3
        results.part(
            f"{subject.name}/clicks/{title}", gpu_clicks.clicks_and_images, place, subject, size, count, rounds
        )
    results.part(f"{subject.name}/graph", gpu_clicks.captured_or_not, place, subject, small, most, rounds)
    results.part(f"{subject.name}/network", gpu_clicks.network_alone, place, subject, small, rate, rounds)


def kernels(place: Place, results: Results, sizes: dict[str, Size], rounds: int) -> None:
    """Measure every kernel against a copy."""
    nbytes = 1 << 29 if place.is_gpu else 1 << 16
    bandwidth = results.part("copy_bytes_per_s", copy_bandwidth, place.native, nbytes, rounds)
    if bandwidth is None:
        return
    grids = [(192, 256), (352, 480)] if place.is_gpu else [(24, 32)]
    for case in cases(grids, list(sizes.values()), (2048, 3072) if place.is_gpu else (40, 50)):
        results.part(f"kernels/{case.name} at {case.size}", measure, place.native, case, bandwidth, rounds)


def building(subject: Subject) -> dict[str, float]:
    """Build the engines for 480x640, and those for all sizes, anew; seconds by part and size."""
    engines = subject.engines
    assert isinstance(engines, tensorrt.TensorRT)
    seconds = {}
    for working in (working_size(subject.model, (480, 640)), None):
        for spec in engine_specs(subject.model, working):
            with tempfile.TemporaryDirectory() as folder:
                anew = tensorrt.TensorRT(engines.gpu, EngineCache(Path(folder)), engines.trt)
                seconds[f"{spec.network} {spec.size}"] = round(anew.fetch(subject.model, spec).seconds or 0.0, 2)
    return seconds


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--engines", choices=("auto", "tensorrt", "torch"), default="auto")
    parser.add_argument("--paper", type=Path, help="a model folder of the paper's network")
    parser.add_argument("--add", action="store_true", help="measure the paper's network alone, and add it to OUTPUT")
    parser.add_argument("--quick", action="store_true", help="few rounds and sessions")
    parser.add_argument("--standin", action="store_true", help="on host threads in a GPU's place, see tests/standin")
    options = parser.parse_args(arguments)
    if options.add and (options.output is None or not (options.paper or options.standin)):
        parser.error("--add needs the file to add to (-o OUTPUT) and the paper's network (--paper FOLDER)")
    rounds, sessions = (3, 100) if options.quick else (12, 1000)
    with tempfile.TemporaryDirectory() as work:
        if options.standin:
            place, sizes, rounds, sessions = standin(), TINY, 1, 5
        else:
            sizes = SIZES
            try:
                place = gpu(options.engines, Path(work), _models(options.paper, options.add))
            except DeviceError as error:
                print(f"bench_gpu: {error}", file=sys.stderr)
                return 1
        if options.add:
            place = dataclasses.replace(place, subjects=tuple(s for s in place.subjects if s.name != DEFAULT))
        runs = {subject.name: subject.runs for subject in place.subjects}
        machine = describe() | {"gpu": _gpu(place), "engines": runs}
        found = {"machine": machine, "quick": options.quick, "notes": list(place.notes)}
        try:
            content = _onto(read_json(options.output), found) if options.add else found
        except (OSError, ValueError) as error:
            print(f"bench_gpu: nothing can be added to {options.output}: {error}", file=sys.stderr)
            return 1
        results = Results(options.output, **content)
        print(found, flush=True)
        bench(place, results, sizes, rounds, sessions)
    print(f"bench_gpu: {results.failed} of {results.parts} parts failed")
    return int(results.failed > 0)


def _models(paper: Path | None, add: bool) -> dict[str, Model]:
    """The models to measure, by the names that results give them."""
    default = {} if add else {DEFAULT: load_model()}
    return default | ({} if paper is None else {"paper": load_model(paper)})


def _onto(before: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run recorded, with the head of one whose results are to be added.

    Raises:
        ValueError: It is of another machine, or other versions.
    """
    engines, machine = before["machine"]["engines"], before["machine"]
    if machine | {"engines": {}} != found["machine"] | {"engines": {}} or before["quick"] != found["quick"]:
        raise ValueError(
            "it was measured on another machine, with other versions or settings; write to a file of its own"
        )
    machine = machine | {"engines": engines | found["machine"]["engines"]}
    notes = [*before["notes"], *(note for note in found["notes"] if note not in before["notes"])]
    return before | {"machine": machine, "notes": notes}


def _gpu(place: Place) -> dict[str, Any] | None:
    if not place.is_gpu:
        return None
    info = _core.cuda.device_info()
    major, minor = info["compute_capability"]
    return {
        "name": info["name"],
        "compute_capability": f"{major}.{minor}",
        "multiprocessors": info["multiprocessors"],
        "memory_bytes": info["memory"],
        "cuda_of_driver": info["driver"],
        "cuda_of_build": _core.cuda.runtime_version(),
        "driver": _driver(),
    }


def _driver() -> str:
    """The driver's own version, which CUDA does not tell."""
    try:
        found = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return ""
    return next((word for word in found.split() if word[0].isdigit() and "." in word), "")


if __name__ == "__main__":
    sys.exit(main())
