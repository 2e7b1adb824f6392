"""tensorrt.py: the package that is used, and engines for sessions; and tensorrt_rtx itself where it is installed."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import subprocess
import sys
import threading
import time
import types
import weakref
from pathlib import Path
from typing import Any

import pytest
from support.fake_tensorrt import GPU, PACKAGES, Package, Severity, opened, plan_of
from support.toy_model import replace_network

import pyiseg
from pyiseg.errors import DeviceError
from pyiseg.geometry import View
from pyiseg.model import Model
from pyiseg.runtime.engine import GUIDE_STRIP
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.file import EngineRefusedError, runtime_cache_of, write_engine
from pyiseg.tensorrt.provider import TensorRT
from pyiseg.tensorrt.specs import engine_specs


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return Package(*PACKAGES[request.param])


@pytest.mark.parametrize(
    ("installed", "asked", "found"),
    [
        ({"tensorrt": "10.3.0"}, "", "tensorrt"),
        ({"tensorrt_rtx": "1.2.0"}, "", "tensorrt_rtx"),
        ({"tensorrt": "11.0.0", "tensorrt_rtx": "1.2.0"}, "", "tensorrt"),
        ({"tensorrt": "11.0.0", "tensorrt_rtx": "1.2.0"}, "tensorrt_rtx", "tensorrt_rtx"),
        ({"tensorrt": "10.3.0", "tensorrt_rtx": "1.2.0"}, "tensorrt", "tensorrt"),
        ({}, "", r"TensorRT is not installed: .*pyiseg\[tensorrt\]' or .*pyiseg\[tensorrt-rtx\]'"),
        ({"tensorrt_rtx": "1.2.0"}, "tensorrt", r"tensorrt, which PYISEG_TRT asks for, is not .*pyiseg\[tensorrt\]'$"),
        ({"tensorrt": "8.6.1"}, "", r"TensorRT 8.6.1 is too old: pip install --upgrade 'tensorrt>=10.3'"),
        ({"tensorrt": "10.2.0.post1"}, "", r"TensorRT 10.2.0.post1 is too old: pip install --upgrade"),
        ({"tensorrt": "folder"}, "", r"^TensorRT is not installed: .*pyiseg\[tensorrt\]' or .*pyiseg\[tensorrt-rtx\]'"),
        ({"tensorrt": "folder"}, "tensorrt", r"^tensorrt, which PYISEG_TRT asks for, is not installed: pip"),
        ({"tensorrt": "folder", "tensorrt_rtx": "1.2.0"}, "", "tensorrt_rtx"),
        ({"tensorrt": "foreign"}, "", r"tensorrt cannot be imported: here/tensorrt\.py is not TensorRT: pip install"),
        ({"tensorrt": "broken"}, "", r"tensorrt cannot be imported: libcudart.so.13: cannot open: pip install"),
        ({"tensorrt": "needs"}, "", r"tensorrt cannot be imported: No module named 'tensorrt_libs': pip install"),
        ({"tensorrt": "broken", "tensorrt_rtx": "1.2.0"}, "", "tensorrt_rtx"),
        ({"tensorrt": "10.3.0"}, "onnx", "PYISEG_TRT is 'onnx'; the known values are 'tensorrt', 'tensorrt_rtx'"),
    ],
)
def test_the_package_that_is_used(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], asked: str, found: str
) -> None:
    def import_module(name: str) -> types.ModuleType:
        version = installed.get(name)
        if version in ("folder", "foreign"):
            module = types.ModuleType(name)
            if version == "folder":
                module.__path__ = ["here"]
            else:
                module.__file__ = f"here/{name}.py"
            return module
        if version == "broken":
            raise ImportError("libcudart.so.13: cannot open")
        if version in (None, "needs"):
            missing = name if version is None else "tensorrt_libs"
            raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)
        return Package(name, version)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setenv("PYISEG_TRT", asked)
    tensorrt.open_package.cache_clear()
    try:
        if found in tensorrt.PACKAGES:
            assert tensorrt.find_package().name == found
            assert tensorrt.find_package() is tensorrt.find_package(found)
            assert tensorrt.why_not() == ""
        elif asked == "onnx":
            with pytest.raises(ValueError, match=found):
                tensorrt.why_not()
        else:
            with pytest.raises(pyiseg.DeviceError, match=found) as raised:
                tensorrt.find_package()
            assert tensorrt.why_not() == str(raised.value)
    finally:
        tensorrt.open_package.cache_clear()


def test_threads_open_a_package_once(monkeypatch: pytest.MonkeyPatch) -> None:
    imports: list[str] = []

    def import_module(name: str) -> types.ModuleType:
        imports.append(name)
        time.sleep(0.05)
        return Package(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    tensorrt.open_package.cache_clear()
    try:
        threads = [threading.Thread(target=tensorrt.find_package, args=("tensorrt",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert imports == ["tensorrt"]
    finally:
        tensorrt.open_package.cache_clear()


def test_no_package_is_imported_before_it_is_needed() -> None:
    code = "import sys, pyiseg.tensorrt.provider; print([m for m in sys.modules if m.startswith('tensorrt')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def view_of(model: Model, image: tuple[int, int] = (480, 640)) -> View:
    return model.view(image)


def test_sessions_share_engines(package: Package, model: Model, cache: EngineCache) -> None:
    engines = TensorRT(GPU, cache, opened(package))
    first = engines.load(model, view_of(model))
    assert list(first) == ["image", "click", "guide"]
    assert len(package.built) == len(cache.files()) == 3
    second = engines.load(model, view_of(model, (48, 64)))
    assert dict(second) == dict(first)
    other = engines.load(model, view_of(model, (10, 1000)))
    assert other["guide"] is first["guide"]
    assert other["click"] is not first["click"]
    assert len(package.built) == 5


def test_engines_nobody_uses_are_freed_and_loaded_again(package: Package, model: Model, cache: EngineCache) -> None:
    engines = TensorRT(GPU, cache, opened(package))
    found = engines.load(model, view_of(model))
    execution = found["guide"].open({"image": (1, 3, 1, GUIDE_STRIP)})
    freed = [weakref.ref(engine) for engine in found.values()]
    del found
    gc.collect()
    assert [ref() is None for ref in freed] == [True, True, False]  # an execution keeps its engine
    del execution
    gc.collect()
    assert freed[2]() is None
    engines.load(model, view_of(model))
    assert len(package.built) == 3


def test_threads_build_once(model: Model, cache: EngineCache) -> None:
    package = Package()
    engines = TensorRT(GPU, cache, opened(package))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(engines.load(model, view_of(model)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(package.built) == 3
    assert len({id(one["click"]) for one in found}) == 1


def test_engines_built_ahead_of_time(package: Package, model: Model, cache: EngineCache) -> None:
    trt = opened(package)
    engines = TensorRT(GPU, cache, trt)
    for spec in engine_specs(model, (96, 128)):
        key = engines.engine_key(model, spec, GPU.compute_capability)
        assert "-sm80-" in key.name
        write_engine(cache.folder, key, trt.build(model, spec, (8, 0)).content, 1.0)
    package.built.clear()
    engines.load(model, view_of(model))
    # Engines of TensorRT proper belong to one GPU and driver.
    assert len(package.built) == (0 if package.__name__ == "tensorrt_rtx" else 3)


def test_an_engine_that_is_refused_is_built_again(
    package: Package, model: Model, cache: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    engines = TensorRT(GPU, cache, opened(package))
    key = engines.engine_key(model, plan_of(model, "guide"), GPU)
    write_engine(cache.folder, key, b"whole, but of another kind", 1.0)
    with caplog.at_level(logging.WARNING, "pyiseg"):
        assert engines.fetch(model, plan_of(model, "guide")).seconds is not None
    refused, builds = (record.getMessage() for record in caplog.records)
    assert "does not take it: magic tag does not match; it is built again" in refused
    assert builds == "building the engine toy-guide 1x131072, which can take minutes"
    package.built.clear()
    TensorRT(GPU, cache, opened(package)).fetch(model, plan_of(model, "guide"))
    assert package.built == []


def test_a_failing_driver_costs_no_good_file(package: Package, model: Model, cache: EngineCache) -> None:
    TensorRT(GPU, cache, opened(package)).load(model, view_of(model))
    before = {path: path.stat().st_mtime_ns for path in cache.files()}
    package.built.clear()
    package.refuses = "Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version is insufficient)"
    with pytest.raises(DeviceError, match=r"update the NVIDIA driver, or .*tensorrt-cu12.*; pass device='cpu'"):
        TensorRT(GPU, cache, opened(package)).load(model, view_of(model))
    package.refuses = "Error Code 1: Cuda Driver (an illegal memory access was encountered)"
    with pytest.raises(DeviceError, match="cannot load the engine toy-"):
        TensorRT(GPU, cache, opened(package)).load(model, view_of(model))
    assert {path: path.stat().st_mtime_ns for path in cache.files()} == before
    assert package.built == []


def test_what_failed_is_not_built_again(package: Package, model: Model, cache: EngineCache) -> None:
    engines, trt = TensorRT(GPU, cache, opened(package)), opened(package)
    engines.trt = trt
    said = ["Cuda Runtime (out of memory)"]

    def build(config: Any) -> str:
        trt.log.log(Severity.ERROR, said[0])
        return "nothing"

    package.while_building = build
    for _ in range(2):
        with pytest.raises(DeviceError, match="too little free memory"):
            engines.load(model, view_of(model))
    assert len(package.built) == 2
    said[0] = "CHECK(0) failed"
    for _ in range(3):
        with pytest.raises(DeviceError, match=r"CHECK\(0\) failed; export the model again .*; pass device='cpu'"):
            engines.load(model, view_of(model))
    assert len(package.built) == 3
    package.while_building = lambda config: None
    assert engines.fetch(model, plan_of(model, "guide")).seconds is not None


def test_a_missing_module_is_not_remembered(model: Model, cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = TensorRT(GPU, cache, opened(Package()))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "filelock", None)
        with pytest.raises(DeviceError, match="pip install filelock"):
            engines.load(model, view_of(model))
    engines.load(model, view_of(model))


@pytest.mark.skipif(os.name != "posix", reason="who may write is not looked at elsewhere")
def test_kernels_of_others_are_not_loaded(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYISEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache, package = EngineCache(), Package("tensorrt_rtx", "1.3.0.35")
    TensorRT(GPU, cache, opened(package)).fetch(model, plan_of(model, "guide"))
    (path,) = (runtime_cache_of(engine) for engine in cache.files())
    path.write_bytes(b"one, of others")
    path.chmod(0o666)
    cache.folder.chmod(0o755)
    engine = TensorRT(GPU, cache, opened(package)).fetch(model, plan_of(model, "guide")).engine
    engine.open({"image": (1, 3, 1, GUIDE_STRIP)})
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o022 == 0


def test_kernels_are_kept_beside_their_engine(package: Package, model: Model, cache: EngineCache) -> None:
    def execution() -> Any:
        engines = TensorRT(GPU, cache, opened(package))
        engine = engines.fetch(model, plan_of(model, "guide")).engine
        engine.open({"image": (1, 3, 1, GUIDE_STRIP)})
        return engine

    execution()
    (path,) = (runtime_cache_of(engine) for engine in cache.files())
    if package.__name__ != "tensorrt_rtx":
        assert not path.exists()
        return
    assert path.read_bytes() == b"one"
    path.write_bytes(b"one, and more")
    execution()
    assert package.contexts[-1].config.cache.content == path.read_bytes() == b"one, and more"
    path.write_bytes(b"foreign, of another GPU")
    execution()
    assert path.read_bytes() == b"one"
    engine = execution()
    package.compiled = b"another"
    engine.open({"image": (1, 3, 1, GUIDE_STRIP)})
    assert path.read_bytes() == b"oneanother"
    path.unlink()
    path.mkdir()  # which can be neither read nor written
    execution()
    assert path.is_dir()


def test_tensorrt_rtx_builds_engines_without_a_gpu(tmp_path: Path, model: Model) -> None:
    pytest.importorskip("tensorrt_rtx")
    trt = tensorrt.find_package("tensorrt_rtx")
    assert {(8, 0), (8, 9), (12, 0)} <= set(trt.targets)
    for part, working in (("image", (96, 128)), ("click", (96, 128)), ("click", None), ("guide", None)):
        built = trt.build(model, plan_of(model, part, working), (8, 0), describe=True)
        assert len(built.content) > 1000
        assert "LayerType: " in built.layers
    # Without a driver it is CUDA that fails.
    with pytest.raises((EngineRefusedError, DeviceError), match=r"does not take it: |update the NVIDIA driver"):
        trt.load(b"no engine" * 20, "it")


def test_tensorrt_rtx_says_what_it_cannot_read(model: Model) -> None:
    pytest.importorskip("tensorrt_rtx")
    replace_network(model.folder, "guide.onnx", b"not a network")
    broken = pyiseg.load_model(model.folder)
    with pytest.raises(pyiseg.DeviceError, match=r"cannot read '.*guide\.onnx': .*[Pp]ars"):
        tensorrt.find_package("tensorrt_rtx").build(broken, plan_of(broken, "guide"), (8, 0))
