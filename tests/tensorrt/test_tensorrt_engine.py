"""tensorrt_engine.py: engines and executions, and how they fail."""

from __future__ import annotations

import gc
import json
import threading
import types
from typing import Any

import numpy as np
import pytest
from support.fake_tensorrt import PACKAGES, Package, Severity, opened, plan_of

import pyiseg
from pyiseg.model import Model
from pyiseg.tensorrt.file import EngineRefusedError
from pyiseg.tensorrt.package import TensorRTPackage


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return Package(*PACKAGES[request.param])


def made(trt: TensorRTPackage, model: Model) -> Any:
    return trt.load(trt.build(model, plan_of(model, "click", None), (8, 0)).content, "toy-click")


@pytest.fixture
def engine(package: Package, model: Model) -> Any:
    return made(opened(package), model)


SHAPES = {
    "click_maps": (1, 6, 48, 64),
    "previous_alpha": (1, 1, 48, 64),
    "features_0": (1, 1, 48, 64),
    "features_1": (1, 1, 48, 64),
}


def test_an_execution(package: Package, engine: Any) -> None:
    assert engine.inputs == {name: np.dtype(np.float32) for name in SHAPES}
    assert engine.outputs == {"alpha": np.dtype(np.float32)}
    execution = engine.open(SHAPES)
    context = package.contexts[-1]
    assert context.strategy == "USER_MANAGED"
    assert context.shapes == SHAPES
    assert execution.outputs == {"alpha": (1, 1, 48, 64)}
    execution.set_device_memory(512)
    assert (execution.scratch_bytes, context.scratch) == (4 * 64, (512, 4 * 64))
    execution.bind("alpha", 1024)
    execution.enqueue(types.SimpleNamespace(handle=77))
    assert (context.addresses, context.enqueued) == ({"alpha": 1024}, [77])
    assert engine.layers() == "layers ONELINE"


def test_rtx_compiles_its_kernels_once_and_at_once(package: Package, engine: Any) -> None:
    engine.open(SHAPES)
    engine.open(SHAPES)
    first, second = (context.config for context in package.contexts)
    if package.__name__ == "tensorrt_rtx":
        assert first.dynamic_shapes_kernel_specialization_strategy == "EAGER"
        assert first.cache is second.cache
    else:
        assert not hasattr(first, "cache")


def test_an_execution_that_fails(package: Package, engine: Any) -> None:
    execution = engine.open(SHAPES)
    with pytest.raises(pyiseg.DeviceError, match="the engine toy-click does not take 0x11 as the address of 'alpha'"):
        execution.bind("alpha", 17)
    for fails in (True, RuntimeError("an illegal memory access")):
        package.contexts[-1].fails = fails
        with pytest.raises(pyiseg.DeviceError, match="the engine toy-click failed: "):
            execution.enqueue(types.SimpleNamespace(handle=77))
    too_large = {name: (*shape[:2], 480, 640) for name, shape in SHAPES.items()}
    with pytest.raises(pyiseg.DeviceError, match=r"not built for 'click_maps' of shape \(1, 6, 480, 640\)"):
        engine.open(too_large)
    with pytest.raises(ValueError, match=r"takes .*'previous_alpha'.* not .*'alpha'"):
        engine.open({"alpha": (1, 1, 1, 1)})
    package.refuses = "yes"
    with pytest.raises(
        pyiseg.DeviceError, match=r"cannot make an execution context of the engine toy-click: .*; pass device='cpu'"
    ):
        engine.open(SHAPES)


def test_things_die_before_what_they_were_made_of(package: Package, model: Model) -> None:
    execution = made(opened(package), model).open(SHAPES)
    package.contexts.clear()
    assert package.died == []
    del execution
    gc.collect()
    kernels = ["Kernels"] if package.__name__ == "tensorrt_rtx" else []
    assert package.died == ["Context", *kernels, "Engine", "Runtime"]


def test_what_other_threads_are_told_fails_no_session(package: Package, model: Model) -> None:
    trt = opened(package)
    engine = made(trt, model)

    def elsewhere() -> None:
        thread = threading.Thread(target=trt.log.log, args=(Severity.ERROR, "Error Code 2: OutOfMemory"))
        thread.start()
        thread.join()

    package.while_sizing = elsewhere
    execution = engine.open(SHAPES)
    package.contexts[-1].fails = True
    with pytest.raises(pyiseg.DeviceError, match=r"failed: it gave no reason$"):
        execution.enqueue(types.SimpleNamespace(handle=77))
    package.while_sizing = lambda: trt.log.log(Severity.ERROR, "Error Code 2: OutOfMemory")
    with pytest.raises(pyiseg.DeviceError, match=r"cannot be used for these shapes: .*too little free memory.*'cpu'"):
        engine.open(SHAPES)


def test_engines_that_cannot_be_loaded(package: Package, model: Model) -> None:
    trt = opened(package)
    name, version = package.__name__, package.__version__
    with pytest.raises(EngineRefusedError, match=f"^{name} {version} does not take it: magic tag does not match$"):
        trt.load(b"no engine", "it")
    content = trt.build(model, plan_of(model, "guide"), (8, 0)).content
    package.refuses = "Error Code 1: Cuda Runtime (out of memory)"
    with pytest.raises(pyiseg.DeviceError, match=r"cannot load the engine it: .*too little free memory"):
        trt.load(content, "it")
    package.refuses = ""
    other = json.loads(content)
    other["dtypes"]["guide"] = "bfloat16"
    with pytest.raises(pyiseg.DeviceError, match="the engine it: 'guide' is bfloat16; networks must take and give"):
        trt.load(json.dumps(other).encode(), "it")
