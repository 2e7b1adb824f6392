"""`pyiseg.tensorrt.package` and `pyiseg.tensorrt.callbacks`: what TensorRT is asked to build, and how that fails."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import toy_model
from support.fake_tensorrt import PACKAGES, Package, Severity, opened, plan_of
from support.toy_model import replace_network

import pyiseg
from pyiseg.model import Model
from pyiseg.runtime.engine import GUIDE_STRIP
from pyiseg.tensorrt.callbacks import make_progress


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return Package(*PACKAGES[request.param])


def test_what_is_built(package: Package, model: Model) -> None:
    trt, rtx = opened(package), package.__name__ == "tensorrt_rtx"
    for part in ("image", "click", "guide"):
        built = trt.build(model, plan_of(model, part), (8, 0))
        assert json.loads(built.content)["dtypes"]
        assert built.layers == ""
        network, config = package.built[-1]
        assert network.flags == 2
        assert config.previews == set()
        assert config.flags == ({"REQUIRE_USER_ALLOCATION"} if rtx else set())
        assert config.target == ("80" if rtx else None)
        assert config.profile is None
        assert package.parsed[-1 if part != "click" else -2] == (
            model.files[f"{part}.onnx"],
            str(model.folder / f"{part}.onnx"),
        )
    (image, _), (click, _), (guide, _) = package.built
    assert [tensor.shape for tensor in image.inputs] == [(1, 3, 96, 128)]
    assert {tensor.name: tensor.shape for tensor in click.inputs} == {
        "click_maps": (1, 6, 48, 64),
        "previous_alpha": (1, 1, 48, 64),
        "features_0": (1, 1, 48, 64),
        "features_1": (1, 1, 48, 64),
    }
    assert [tensor.shape for tensor in guide.inputs] == [(1, 3, 1, GUIDE_STRIP)]


def test_what_is_built_for_all_sizes(package: Package, model: Model) -> None:
    opened(package).build(model, plan_of(model, "click", None), (8, 0))
    ((network, config),) = package.built
    assert {tensor.shape for tensor in network.inputs} == {(1, 6, -1, -1), (1, 1, -1, -1)}
    assert config.profile is not None
    assert config.profile.shapes["click_maps"] == ((1, 6, 16, 16), (1, 6, 48, 64), (1, 6, 64, 64))
    assert config.profile.shapes["features_1"] == ((1, 1, 16, 16), (1, 1, 48, 64), (1, 1, 64, 64))
    assert len(config.profile.shapes) == 4
    assert config.previews == ({"RESIZE"} if package.__version__ != "10.3.0" else set())


def test_other_kinds_of_networks(package: Package, tmp_path: Path) -> None:
    early = pyiseg.load_model(toy_model.build(tmp_path / "early", early_fusion=True, feedback=False))
    opened(package).build(early, plan_of(early, "click", (64, 64)), (8, 0))
    assert {tensor.name: tensor.shape for tensor in package.built[-1][0].inputs} == {
        "click_maps": (1, 6, 32, 32),
        "image": (1, 3, 64, 64),
    }
    clicked = pyiseg.load_model(toy_model.build(tmp_path / "clicked", guide_clicks=True, grid_stride=1))
    opened(package).build(clicked, plan_of(clicked, "guide"), (8, 0))
    assert package.built[-1][0].inputs[1].shape == (1, 2, 1, GUIDE_STRIP)


def test_compute_capabilities() -> None:
    rtx = opened(Package("tensorrt_rtx", "1.7.1"))
    assert (rtx.portable, rtx.targets) == (True, ((8, 0), (12, 0)))
    assert (opened(Package()).portable, opened(Package()).targets) == (False, ())


def test_a_gpu_that_is_no_target_is_left_to_tensorrt(model: Model) -> None:
    package = Package("tensorrt_rtx", "1.7.1")
    opened(package).build(model, plan_of(model, "guide"), (9, 0))
    assert package.built[-1][1].target == "CURRENT"
    package.while_building = lambda config: "nothing"
    with pytest.raises(pyiseg.DeviceError, match=r"capabilities 8\.0, 12\.0; .*pyiseg\[tensorrt\]', and PYISEG_TRT"):
        opened(package).build(model, plan_of(model, "guide"), (9, 0))


def test_fp16_files_are_built_from_their_folder(package: Package, half: Model) -> None:
    trt = opened(package)
    trt.build(half, plan_of(half, "click"), (8, 0))
    assert [Path(path).name for _, path in package.parsed] == ["click.fp16.onnx", "image.fp16.onnx"]
    whole = (half.folder / "click.onnx").read_bytes()
    (half.folder / "click.onnx").write_bytes(whole[:-1])  # which the other file points into
    with pytest.raises(pyiseg.ModelError, match=r"click\.onnx' has changed or gone since"):
        trt.build(half, plan_of(half, "click"), (8, 0))
    (half.folder / "click.onnx").unlink()
    with pytest.raises(pyiseg.ModelError, match=r"click\.onnx' has changed or gone since"):
        trt.build(half, plan_of(half, "click"), (8, 0))


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (["Myelin: CHECK(0) failed"], None, "Myelin: CHECK.0. failed; export the model again with this version"),
        (["one", "two"], None, "one; two; export"),
        ([], None, "it gave no reason; export"),
        ([], RuntimeError("terminated"), "terminated; export"),
        ([], TypeError("factory function returned nullptr"), "returned nullptr; export"),
        (["Cuda Runtime (out of memory)"], None, "out of memory.; .*too little free memory: end what else"),
        (["OutOfMemory: requested 3 GiB"], None, "too little free memory"),
        ([], MemoryError("std::bad_alloc"), "bad_alloc; there is too little free memory"),
        (["CUDA initialization failure with error: 35"], None, "error: 35; update the NVIDIA driver, or install"),
        ([], RuntimeError("CUDA driver version is insufficient"), "insufficient; update the NVIDIA driver, or"),
    ],
)
def test_builds_that_fail(package: Package, model: Model, said: list[str], error: Exception | None, words: str) -> None:
    trt = opened(package)

    def build(config: Any) -> str:
        trt.log.log(Severity.INFO, "nothing of interest")
        if said:
            trt.log.log(Severity.WARNING, "a tactic was skipped: out of memory")
        for text in said:
            trt.log.log(Severity.ERROR, text)
        if error is not None:
            raise error
        return "nothing"

    package.while_building = build
    name, version = package.__name__, package.__version__
    with pytest.raises(pyiseg.DeviceError, match=f"{name} {version} cannot build the engine toy-guide 1x.*{words}"):
        trt.build(model, plan_of(model, "guide"), (8, 0))


def test_a_model_with_fp16_networks_is_not_exported_again(package: Package, half: Model) -> None:
    package.while_building = lambda config: "nothing"
    with pytest.raises(pyiseg.DeviceError, match=r"it gave no reason$"):
        opened(package).build(half, plan_of(half, "guide"), (8, 0))


def test_networks_that_cannot_be_read(package: Package, model: Model) -> None:
    package.parse_errors = ["In node 3: no plugin for 'Foo'", "In node 4: and none for 'Bar'"]
    with pytest.raises(pyiseg.DeviceError, match=r"cannot read '.*click\.onnx': In node 3.*; In node 4.*'Bar'$"):
        opened(package).build(model, plan_of(model, "click"), (8, 0))


def test_networks_that_do_not_belong_together(package: Package, model: Model) -> None:
    replace_network(model.folder, "image.onnx", model.files["guide.onnx"])
    foreign = pyiseg.load_model(model.folder)
    with pytest.raises(pyiseg.ModelError, match=r"click\.onnx' takes features_0, features_1, which nothing gives"):
        opened(package).build(foreign, plan_of(foreign, "click"), (8, 0))


@pytest.fixture
def capture() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started in the background, by a shell that has it ignored there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("capture")
def test_ctrl_c_ends_a_build(package: Package, model: Model) -> None:
    before = signal.getsignal(signal.SIGINT)
    goes_on: list[bool] = []

    def build(config: Any) -> str:
        config.progress_monitor.phase_start("all", None, 3)
        goes_on.append(config.progress_monitor.step_complete("all", 0))
        signal.raise_signal(signal.SIGINT)
        goes_on.append(config.progress_monitor.step_complete("all", 1))
        return "nothing"

    package.while_building = build
    with pytest.raises(KeyboardInterrupt):
        opened(package).build(model, plan_of(model, "guide"), (8, 0))
    assert goes_on == [True, False]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("capture")
def test_ctrl_c_again_is_the_programs_own(package: Package, model: Model, caplog: pytest.LogCaptureFixture) -> None:
    def build(config: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        assert "stopping after the current step; again to stop at once" in caplog.text
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    package.while_building = build
    with pytest.raises(KeyboardInterrupt):
        opened(package).build(model, plan_of(model, "guide"), (8, 0))


def test_builds_in_other_threads_leave_signals_alone(model: Model) -> None:
    package = Package()
    handlers = []
    package.while_building = lambda config: handlers.append(signal.getsignal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: opened(package).build(model, plan_of(model, "guide"), (8, 0)))
    thread.start()
    thread.join()
    assert handlers == [before]


def test_progress_is_shown_on_terminals_only(
    package: Package,
    model: Model,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened(package).build(model, plan_of(model, "guide"), (8, 0))
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == ["building the engine toy-guide 1x131072, which can take minutes"]
    caplog.clear()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monitor: Any = make_progress(package, "it")
    monitor.phase_start("outer", None, 2)
    monitor.phase_start("inner", "outer", 4)
    assert monitor.step_complete("inner", 1)
    assert monitor.shown == 0.25
    monitor.phase_finish("inner")
    monitor.step_complete("outer", 0)
    monitor.phase_start("inner", "outer", 4)
    assert monitor.step_complete("inner", 0)
    assert monitor.shown == 0.625
    monitor.stopped = True
    assert not monitor.step_complete("inner", 1)
    monitor.close()
    assert "building it:" in capsys.readouterr().err
    assert caplog.messages == []
