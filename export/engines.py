"""Build TensorRT-RTX engines ahead of time, on a machine without a GPU.

    python -m export.engines pyiseg/models/default engines --sm 80 89 120

For each compute capability and size: image and click engine, and the guide's where it is learned, with a JSON file each
that says how many layers compute in which precision. A machine with such a GPU and the same version of tensorrt_rtx
uses them from the folder that PYISEG_CACHE names, or from its cache if they are copied there.

A model with FP16 networks whose engine hardly computes in FP16 is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from pathlib import Path

from export.cli import run_main, size_text
from pyiseg import load_model
from pyiseg.cli.engines import add_size_to
from pyiseg.errors import DeviceError
from pyiseg.files import atomic_write
from pyiseg.model import Model
from pyiseg.tensorrt.file import EngineKey, EngineRefusedError, write_engine
from pyiseg.tensorrt.package import TensorRTPackage
from pyiseg.tensorrt.provider import find_package
from pyiseg.tensorrt.specs import EngineSpec, engine_specs_for

LEAST_FP16 = 0.5
"""Of the layers that multiply by weights, at least so many must compute in FP16; or of all, where there are none."""

# One line a layer. Constants are left out: the scalars among them are FP32 in every convolution.
_LAYER = re.compile(
    r"^Name: .*?, LayerType: (?P<kind>\w+), Inputs: (?P<inputs>\[.*?\])"
    r"(?:, Constants: (?P<constants>\[.*?\]))?, Outputs: (?P<outputs>\[.*?\]), (?:TacticName|ParameterType)",
    re.MULTILINE,
)
_TYPE = re.compile(r"Datatype: (\w+)")
_PRECISIONS = {"Half": "FP16", "Float": "FP32"}


def precisions(layers: str) -> tuple[Counter[str], Counter[str]]:
    """Count the layers of an engine by precision.

    Args:
        layers: TensorRT's description, with detailed verbosity, one line a layer.

    Returns:
        All layers that take or give FP16 or FP32, and those among them that multiply by weights. "mixed" is what takes
        one and gives the other.
    """
    every: Counter[str] = Counter()
    weighted: Counter[str] = Counter()
    for layer in _LAYER.finditer(layers):
        types = {_PRECISIONS.get(name) for name in _TYPE.findall(layer["inputs"] + layer["outputs"])} - {None}
        if types:
            precision = "mixed" if len(types) > 1 else str(types.pop())
            every[precision] += 1
            weighted[precision] += layer["kind"] in ("correlation", "gemm")
    return every, +weighted


def build(model: Model, spec: EngineSpec, target: tuple[int, int], trt: TensorRTPackage, folder: Path) -> None:
    """Build one engine, write it and its JSON file, and say what became of it.

    Raises:
        RuntimeError: It should compute in FP16, and does not.
        DeviceError: It cannot be built.
    """
    start = time.perf_counter()
    built = trt.build(model, spec, target, describe=True)
    seconds = time.perf_counter() - start
    key = EngineKey.of(model, spec, trt.name, trt.version, target)
    every, weighted = precisions(_inspected(trt, built.content, key.stem) or built.layers)
    if spec.network != "guide" and model.has_fp16:
        judged = weighted or every
        if judged["FP16"] + judged["mixed"] < LEAST_FP16 * max(1, judged.total()):
            raise RuntimeError(
                f"{key.stem}: {judged['FP32']} of {judged.total()} layers compute in FP32, though the model has FP16 "
                "networks; export the model again"
            )
    path = write_engine(folder, key, built.content, seconds)
    report = {
        "engine": path.name,
        **key.to_json(),
        "bytes": len(built.content),
        "seconds": round(seconds, 3),
        "layers": dict(every),
        "layers_with_weights": dict(weighted),
    }
    with atomic_write(path.with_suffix(".json")) as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())
    counts = ", ".join(f"{every[name]} ({weighted[name]}) {name}" for name in ("FP16", "FP32", "mixed") if every[name])
    print(f"{key.stem}: {size_text(len(built.content))} in {seconds:.1f} s; layers (with weights): {counts}")


def _inspected(trt: TensorRTPackage, content: bytes, title: str) -> str:
    """What the engine inspector says; "" without a GPU, where only the builder's own description is to be had."""
    try:
        return trt.load(content, title).layers()
    except (DeviceError, EngineRefusedError):
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the model folder")
    parser.add_argument("out", type=Path, help="folder for the engines, made if need be")
    parser.add_argument(
        "--sm", nargs="+", required=True, metavar="SM", help="compute capabilities without the point: 80 89 120"
    )
    add_size_to(parser)
    args = parser.parse_args()
    run_main("engines", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    trt = find_package("tensorrt_rtx")
    known = {f"{major}{minor}": (major, minor) for major, minor in trt.targets}
    if foreign := [name for name in args.sm if name not in known]:
        raise ValueError(f"--sm {' '.join(foreign)}: {trt.name} {trt.version} builds for {', '.join(known)}")
    model = load_model(args.model)
    for name in dict.fromkeys(args.sm):
        for spec in engine_specs_for(model, args.size):
            build(model, spec, known[name], trt, args.out)


if __name__ == "__main__":
    main()
