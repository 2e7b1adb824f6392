"""Run every op and a captured click once, small, for compute-sanitizer to look at; nothing here is timed.

    compute-sanitizer --tool memcheck python benchmarks/gpu_sanitize.py

No network runs: in place of each engine its input is copied to its output by pyiseg's own ops, so that whatever the
sanitizer finds is pyiseg's. Answers are compared with the CPU's. On an
extension that was built for tests (tests/standin) it is tried without a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gpu_kernel_cases import cases
from gpu_kernels import checked

from pyiseg import Model, _core
from pyiseg.geometry import View
from pyiseg.model import ClickParams
from pyiseg.runtime.cuda import CudaImage
from pyiseg.runtime.engine import GUIDE_STRIP

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
CLICKS = np.array([(3, 4, 1), (9, 9, 0), (20, 12, 1), (3, 4, 0), (3, 4, 1)], np.int32)


class _Copy:
    """An engine, and its execution, that gives the first values of a plane of one of its inputs.

    Args:
        inputs, outputs: dtypes by name. Outputs have the sides of the first input.
        source: An input of the outputs' dtype that is no smaller, and the plane of it.
    """

    def __init__(
        self,
        inputs: Mapping[str, np.dtype[Any]],
        outputs: Mapping[str, np.dtype[Any]],
        source: tuple[str, int],
    ) -> None:
        self.inputs, self.outputs, self.source = inputs, outputs, source

    def open(self, shapes: Mapping[str, tuple[int, ...]]) -> _Copying:
        """See `pyiseg.runtime.engine.Engine.open`."""
        return _Copying(self, shapes)


class _Copying:
    scratch_bytes = 16

    def __init__(self, engine: _Copy, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.engine, self.shapes = engine, shapes
        sides = shapes[next(iter(engine.inputs))][2:]
        self.outputs = dict.fromkeys(engine.outputs, (1, 1, *sides))
        self.addresses: dict[str, int] = {}

    def bind(self, name: str, address: int) -> None:
        """See `pyiseg.runtime.engine.ExecutionContext.bind`."""
        self.addresses[name] = address

    def set_device_memory(self, address: int) -> None:
        """See `pyiseg.runtime.engine.ExecutionContext.set_device_memory`."""

    def enqueue(self, stream: Any) -> None:
        """See `pyiseg.runtime.engine.ExecutionContext.enqueue`."""
        engine, (name, plane) = self.engine, self.engine.source
        dtype, (height, width) = engine.inputs[name], self.shapes[name][2:]
        start = self.addresses[name] + plane * height * width * dtype.itemsize
        for output, shape in self.outputs.items():
            given, taken = (_core.borrow(address, shape, dtype, self) for address in (start, self.addresses[output]))
            stream.copy(given, taken)


def click(native: Any, *, kind: str, dtype: np.dtype[Any], clean: str = "before") -> None:
    """Make a session's pipeline, click, go back and render, as a graph and without one; both must come to the same.

    Args:
        native: The device.
        kind: "image" or "clicks" for a learned guide that sees these, "color" for the color guide.
        dtype: Of the click network's maps; what is copied to alpha, whose values are FP32, are FP32 features then.
        clean: When regions that no click asked for are dropped.
    """
    guide_clicks = kind == "clicks"
    shape, stride = (61, 2200 if guide_clicks else 83), 1 if guide_clicks else 2
    form, guide = ("residual", "color") if kind == "color" else ("averaged", "learned")
    rules = ClickParams((1.0, 3.0, 5.0), 2, 1e-3, 1, clean, form, guide)
    model = Model(Path(), "sanitizer", "", "", 64, 32, stride, rules, {}, {})
    view = View.fit(shape, long_side=64, multiple=32, grid_stride=stride)
    assert not guide_clicks or shape[0] * shape[1] > GUIDE_STRIP, "the guide is to be made of more than one strip"
    planes = {"image": SINGLE} | ({"click_maps": SINGLE} if guide_clicks else {})
    maps = {"click_maps": dtype, "previous_alpha": dtype, **({} if guide_clicks else {"features": SINGLE})}
    engines = {
        "click": _Copy(maps, {"alpha": SINGLE}, ("click_maps", 4) if guide_clicks else ("features", 0)),
    }
    if kind != "color":
        engines["guide"] = _Copy(planes, {"guide": SINGLE}, ("image", 0))
    if not guide_clicks:
        engines["image"] = _Copy({"image": SINGLE}, {"features": SINGLE}, ("image", 1))
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pipeline = CudaImage(model, view, image, native=native, engines=engines).pipeline()
    assert pipeline.captured, "the click was not captured"
    mattes: list[list[np.ndarray[Any, Any]]] = []
    for pipeline.use_graph in (True, False):
        predictions, rendered = [], []
        for n in range(1, len(CLICKS) + 1):
            predictions.append(pipeline.predict(CLICKS[:n], predictions[-1] if predictions else None))
            rendered.append(pipeline.matte(CLICKS[:n], predictions[-1]))
        rendered.append(pipeline.matte(CLICKS[:2], predictions[1]))
        assert np.array_equal(rendered[-1], rendered[1]), "going back gave another matte"
        mattes.append(rendered)
    assert all(map(np.array_equal, *mattes)), "the graph gave another matte than its steps"
    assert mattes[0][0].any(), "nothing was selected"


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    if not (_core.cuda_built and _core.cuda.device_count()):
        print("gpu_sanitize: there is no GPU here, or this build has no CUDA ops", file=sys.stderr)
        return 1
    native, count = _core.cuda, 0
    # Sides that are no multiples of anything, so that every run's end and every edge is walked.
    for case in cases([(37, 53)], [(61, 83), (131, 259)], (67, 101)):
        checked(native.Stream(), case, 1)
        count += 1
    for clean in ("before", "after"):
        click(native, kind="image", dtype=HALF, clean=clean)
        click(native, kind="clicks", dtype=SINGLE, clean=clean)
    click(native, kind="color", dtype=HALF)
    print(f"gpu_sanitize: {count} ops and 5 captured clicks, all right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
