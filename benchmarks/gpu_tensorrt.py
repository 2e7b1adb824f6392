"""Try the TensorRT packages that are installed, on this machine's GPU, and write down what becomes of it.

    python benchmarks/gpu_tensorrt.py -o gpu_tensorrt.json

TensorRT-RTX builds for named compute capabilities, among which this GPU's may not be: then SM80, the oldest data center
GPU that it knows, is tried as well as CURRENT. Each engine of the default model for 480x640 is built and loaded; if all
are, a session is clicked with them and compared with the CPU. A trial that fails is a finding, not an error.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_place import Size, check, clicks_on, photograph
from machine import write_json

from pyiseg import Session, _core, load_model
from pyiseg.geometry import View
from pyiseg.runtime.cuda import CudaImage
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.gpu import gpu_here
from pyiseg.tensorrt.package import TensorRTPackage
from pyiseg.tensorrt.specs import engine_specs

SIZE: Size = (480, 640)
CLICKS = 3


class Trials:
    """What was tried.

    Attributes:
        found: One entry for each.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self.found = path, list[dict[str, Any]]()

    def attempt(self, package: str, target: str, part: str, run: Callable[[], tuple[Any, str]]) -> Any:
        """Run a trial, note what it said, and return its result; None if it failed."""
        result = None
        try:
            result, said = run()
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        entry = {"package": package, "target": target, "part": part, "ok": result is not None, "said": said}
        self.found.append(entry)
        print(entry, flush=True)
        if self._path is not None:
            write_json(self._path, self.found)
        return result


def try_target(trials: Trials, trt: TensorRTPackage, name: str, target: Size) -> None:
    """Build, load and run all engines of the default model for one target."""
    model = load_model()
    view = model.view(SIZE)
    package, engines = f"{trt.name} {trt.version}", {}
    for spec in engine_specs(model, view.working):

        def build(spec: Any = spec) -> tuple[bytes, str]:
            start = time.perf_counter()
            content = trt.build(model, spec, target).content
            return content, f"{time.perf_counter() - start:.1f} s, {len(content) / 1e6:.1f} MB"

        built = trials.attempt(package, name, f"build {spec.network} {spec.size}", build)
        if built is not None:
            loaded = trials.attempt(
                package,
                name,
                f"load {spec.network}",
                lambda spec=spec, built=built: (trt.load(built, spec.network), ""),
            )
            if loaded is not None:
                engines[spec.network] = loaded
    if len(engines) == len(engine_specs(model, view.working)):
        trials.attempt(package, name, "click", lambda: click(model, view, engines))


def click(model: Any, view: View, engines: dict[str, Any]) -> tuple[bool, str]:
    """Click a session with some engines, and hold it to the CPU's."""
    cpu = Session(photograph(SIZE), model=model)
    pipeline = CudaImage(model, view, photograph(SIZE).copy(), native=_core.cuda, engines=engines).pipeline()
    prediction, worst = None, (0.0, 1.0)
    for one in clicks_on(SIZE, CLICKS):
        expected = cpu.click(*one)
        clicks = np.array(cpu.clicks, np.int32)
        prediction = pipeline.predict(clicks, prediction)
        mean, iou = check(pipeline.matte(clicks, prediction), expected, "a click")
        worst = max(worst[0], mean), min(worst[1], iou)
    how = "one graph a click" if pipeline.captured else "not captured"
    return True, f"{how}; alpha off by {worst[0]:.1e} on average, mask IoU {worst[1]:.4f}"


def main(arguments: list[str] | None = None) -> int:
    """Try; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    trials = Trials(parser.parse_args(arguments).output)
    info = gpu_here()
    for package in tensorrt.PACKAGES:
        trt = trials.attempt(
            package, "", "import", lambda package=package: ((found := tensorrt.find_package(package)), found.version)
        )
        if trt is None:
            continue
        own = info.compute_capability if info is not None else (8, 0)
        # What has no name of its own is built for CURRENT, see `TensorRTPackage.build`.
        targets = {"SM{}{}".format(*own): own}
        if trt.portable and own not in trt.targets:
            targets = {"SM80": (8, 0), "CURRENT": own}
        for name, target in targets.items():
            try_target(trials, trt, name, target)
    print(f"gpu_tensorrt: {sum(trial['ok'] for trial in trials.found)} of {len(trials.found)} trials went well")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
