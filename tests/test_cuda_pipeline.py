"""The CUDA pipeline over the host stream: the same code as on a GPU, which must give the CPU pipeline's bits."""

from __future__ import annotations

import gc
import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy_model
from fake_engine import FakeEngines
from toy_device import OnDevice, gpu, limited, pipeline_of
from toy_model import CLICKS, PHOTO, photo

from pyiseg import DeviceError, Session, _core, backend, cuda, load_model

__all__ = ["gpu"]  # a fixture

VARIANTS: dict[str, dict[str, Any]] = {
    "late": {},
    "early": {"early_fusion": True},
    "no feedback": {"feedback": False},
    "stride 1": {"grid_stride": 1},
    "no filter": {"radius": 0},
    "guide sees clicks": {"guide_clicks": True, "grid_stride": 1},
    "early, guide sees clicks": {"guide_clicks": True, "grid_stride": 1, "early_fusion": True},
}


def both(folder: Path, image: np.ndarray = PHOTO) -> tuple[Session, Session]:
    return Session(image, model=folder), Session(image, model=folder, device="cuda")


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_gives_the_bits_of_the_cpu(tmp_path: Path, gpu: SimpleNamespace, variant: str) -> None:
    cpu, device = both(toy_model.build(tmp_path / "toy", **VARIANTS[variant]))
    assert pipeline_of(device).captured
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    for _ in CLICKS:
        np.testing.assert_array_equal(device.undo(), cpu.undo())
    np.testing.assert_array_equal(device.redo(), cpu.redo())
    np.testing.assert_array_equal(device.click(5, 5), cpu.click(5, 5))
    np.testing.assert_array_equal(device.reset(), cpu.reset())
    np.testing.assert_array_equal(device.click(*CLICKS[0]), cpu.click(*CLICKS[0]))
    np.testing.assert_array_equal(device.cutout(), cpu.cutout())


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (301, 501), (64, 48)])
@pytest.mark.parametrize("variant", ["late", "guide sees clicks"])
def test_of_any_size(tmp_path: Path, gpu: SimpleNamespace, variant: str, shape: tuple[int, int]) -> None:
    """301 x 501 pixels are more than one strip of the guide's engine."""
    cpu, device = both(toy_model.build(tmp_path / "toy", **VARIANTS[variant]), photo(*shape))
    for x, y, fg in ((0, 0, True), (shape[1] - 1, shape[0] // 2, True), (shape[1] // 2, shape[0] - 1, False)):
        there, here = device.click(x, y, fg).astype(int), cpu.click(x, y, fg).astype(int)
        # Strips of the CPU's guide cut the resizer's sums elsewhere: a last bit may tip a rounding.
        assert np.abs(there - here).max() <= (1 if variant == "guide sees clicks" else 0)


def test_the_published_order_of_cleaning(tmp_path: Path, gpu: SimpleNamespace) -> None:
    folder = toy_model.build(tmp_path / "toy")
    manifest = (folder / "model.json").read_text()
    (folder / "model.json").write_text(manifest[:-1] + ', "clean": "after"}')
    cpu, device = both(folder)
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))


def test_the_default_model_in_fp16(gpu: SimpleNamespace) -> None:
    """The tolerance table: mean alpha difference at most 0.002, masks alike to an IoU of 0.999."""
    gpu.engines = FakeEngines(half=True)
    image = photo(240, 320)
    cpu, device = Session(image), Session(image, device="cuda")
    for click in ((160, 120, True), (20, 20, False), (200, 60, True)):
        there, here = device.click(*click), cpu.click(*click)
        assert np.abs(there.astype(float) - here).mean() / 255 <= 2e-3
        mask, expected = there >= 128, here >= 128
        assert (mask & expected).sum() >= 0.999 * (mask | expected).sum()


def test_more_clicks_than_there_is_room_for(toy: Path, gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "CAPACITY", 3)
    monkeypatch.setattr(cuda, "ON_DEVICE", 2)
    cpu, device = both(toy)
    clicks = [(7 * i % 80, 5 * i % 60, i % 3 > 0) for i in range(14)]
    for click in clicks:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    assert pipeline_of(device).captured
    for _ in clicks:  # the older steps' lines come back from the host
        np.testing.assert_array_equal(device.undo(), cpu.undo())
    for _ in clicks:
        np.testing.assert_array_equal(device.redo(), cpu.redo())


def test_steps_hold_a_bounded_part_of_device_memory(
    toy: Path, gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "ON_DEVICE", 2)
    session = Session(PHOTO, model=toy, device="cuda")
    made = _core.host.allocated()
    assert made >= pipeline_of(session).nbytes
    for _ in range(6):
        session.click(20, 20)
    lines = 8 * session._view.grid[0] * session._view.grid[1]
    assert _core.host.allocated() == made + 2 * lines


def refusing(stream: Any) -> None:
    stream.synchronize()


def test_where_capturing_is_refused_clicks_go_one_by_one(
    toy: Path, gpu: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.engines = FakeEngines(on_enqueue=refusing)
    with caplog.at_level(logging.WARNING, "pyiseg"):
        cpu, device = both(toy)
    assert not pipeline_of(device).captured
    assert "not captured as a CUDA graph" in caplog.text
    assert "waiting is not permitted" in caplog.text
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))


def test_an_engine_that_fails_leaves_nothing(toy: Path, gpu: SimpleNamespace) -> None:
    before = _core.host.allocated()

    def fail(stream: Any) -> None:
        raise DeviceError("the engine is broken")

    gpu.engines = FakeEngines(on_enqueue=fail)
    with pytest.raises(DeviceError, match="the engine is broken"):
        Session(PHOTO, model=toy, device="cuda")
    gc.collect()
    assert _core.host.allocated() == before


def test_an_engine_that_fails_in_a_click_leaves_the_session(toy: Path, gpu: SimpleNamespace) -> None:
    broken = False

    def sometimes(stream: Any) -> None:
        stream.synchronize()  # not captured, so that it is called at every click
        if broken:
            raise DeviceError("the engine is broken")

    gpu.engines = FakeEngines(on_enqueue=sometimes)
    cpu, device = both(toy)
    for click in CLICKS[:2]:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    broken = True
    with pytest.raises(DeviceError, match="the engine is broken"):
        device.click(*CLICKS[2])
    assert device.clicks == cpu.clicks
    np.testing.assert_array_equal(device.alpha, cpu.alpha)
    broken = False
    np.testing.assert_array_equal(device.click(*CLICKS[2]), cpu.click(*CLICKS[2]))


def test_out_of_memory(toy: Path, gpu: SimpleNamespace) -> None:
    needed = pipeline_of(Session(PHOTO, model=toy, device="cuda")).nbytes
    gc.collect()
    before = _core.host.allocated()
    for part in (0.1, 0.5, 0.9):
        gpu.native = limited(before + int(part * needed))
        with pytest.raises(DeviceError, match=r"out of device memory while making a session.*device='cpu'"):
            Session(PHOTO, model=toy, device="cuda")
        gc.collect()
        assert _core.host.allocated() == before


def test_out_of_memory_in_a_click(toy: Path, gpu: SimpleNamespace) -> None:
    cpu, probe = both(toy)
    probe.click(*CLICKS[0])
    most = _core.host.allocated()
    made = most - 8 * probe._view.grid[0] * probe._view.grid[1]
    del probe
    gc.collect()
    # Making a session needs more for a moment than the session keeps; a click's lines come on top of what it keeps.
    session = Session(PHOTO, model=toy, device="cuda")
    assert _core.host.allocated() == made
    ballast = limited(2**40).Stream().empty((2**20,), np.uint8)
    limited_stream = _core.host.Stream(_core.host.allocated() + 100)
    own = pipeline_of(session)
    stream = own._stream
    own._stream = SimpleNamespace(
        empty=limited_stream.empty, copy=stream.copy, fill_zero=stream.fill_zero, current=stream.current
    )
    with pytest.raises(DeviceError, match="out of device memory while a click"):
        session.click(*CLICKS[0])
    own._stream = stream
    del ballast
    assert session.clicks == ()
    np.testing.assert_array_equal(session.click(*CLICKS[0]), cpu.click(*CLICKS[0]))


def test_sessions_that_are_dropped_leave_nothing(tmp_path: Path, gpu: SimpleNamespace) -> None:
    folder = toy_model.build(tmp_path / "toy", guide_clicks=True, grid_stride=1)
    gc.collect()
    before = _core.host.allocated()
    gc.disable()  # what only the collector would find is a leak here
    try:
        for _ in range(20):
            session = Session(PHOTO, model=folder, device="cuda")
            session.click(*CLICKS[0])
            session.click(*CLICKS[1])
            session.undo()
            del session
        assert _core.host.allocated() == before
    finally:
        gc.enable()


# what stays on the device


def test_results_on_the_device(toy: Path, gpu: SimpleNamespace) -> None:
    cpu, device = both(toy)
    there = np.from_dlpack(device.alpha_device)
    assert not there.any()
    np.testing.assert_array_equal(np.from_dlpack(device.click_on_device(*CLICKS[0])), cpu.click(*CLICKS[0]))
    np.testing.assert_array_equal(there, cpu.alpha)  # the session's own memory
    np.testing.assert_array_equal(np.from_dlpack(device.click_on_device(*CLICKS[1])), cpu.click(*CLICKS[1]))
    device.undo()
    cpu.undo()
    np.testing.assert_array_equal(np.from_dlpack(device.alpha_device), cpu.alpha)
    with pytest.raises(ValueError, match="outside the image"):
        device.click_on_device(-1, 0)
    assert device.clicks == cpu.clicks


def test_results_outlive_their_session(toy: Path, gpu: SimpleNamespace) -> None:
    session = Session(PHOTO, model=toy, device="cuda")
    kept, expected = session.click_on_device(*CLICKS[0]), session.alpha
    del session
    np.testing.assert_array_equal(np.from_dlpack(kept), expected)


def test_on_the_cpu_there_are_none(session: Session) -> None:
    with pytest.raises(DeviceError, match=r"Session\.alpha_device needs a session on a GPU"):
        _ = session.alpha_device
    with pytest.raises(DeviceError, match=r"Session\.click_on_device needs a session on a GPU"):
        session.click_on_device(1, 1)


def test_an_image_on_the_device_is_not_copied(toy: Path, gpu: SimpleNamespace) -> None:
    image = OnDevice(PHOTO.copy())
    cpu, device = Session(PHOTO, model=toy), Session(image, model=toy, device="cuda")
    assert pipeline_of(device)._rgb.ptr == image.array.ctypes.data
    assert image.streams == [pipeline_of(device)._stream.handle]  # whose work waits for the image's maker
    np.testing.assert_array_equal(device.click(*CLICKS[0]), cpu.click(*CLICKS[0]))
    np.testing.assert_array_equal(device.image, PHOTO)
    assert not device.image.flags.writeable
    np.testing.assert_array_equal(device.cutout(), cpu.cutout())
    with pytest.raises(ValueError, match=r"image lies on a GPU but the session is to run on the CPU.*cupy.asnumpy"):
        Session(image, model=toy)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\).*permute\(1, 2, 0\)"),
        (np.zeros((20, 30), np.uint8), r"shape \(20, 30\); it must be \(H, W, 3\)"),
        (np.zeros((0, 30, 3), np.uint8), r"shape \(0, 30, 3\)"),
        (np.zeros((20, 30, 3), np.float32), "dtype float32; it must be uint8"),
        (np.zeros((20, 30, 3), np.int16), "dtype is none of"),
        (np.zeros((20, 30, 6), np.uint8)[..., ::2], "not C-contiguous"),
    ],
)
def test_images_on_the_device_are_checked(toy: Path, gpu: SimpleNamespace, image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Session(OnDevice(image), model=toy, device="cuda")


# which device


def test_auto_takes_the_gpu(toy: Path, gpu: SimpleNamespace) -> None:
    assert backend.available_devices() == ("cpu", "cuda")
    assert Session(PHOTO, model=toy, device="auto").device == "cuda"
    assert Session(PHOTO, model=toy).device == "cpu"


def test_auto_gives_way_to_the_cpu_with_one_warning(toy: Path, gpu: SimpleNamespace) -> None:
    gpu.native = limited(_core.host.allocated() + 1000)
    backend._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="runs on the CPU although there is a GPU: out of device memory"):
        session = Session(PHOTO, model=toy, device="auto")
    assert session.device == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Session(PHOTO, model=toy, device="auto")


@pytest.mark.parametrize(
    ("core", "message"),
    [
        ({"cuda_built": False}, "has no CUDA ops; .*PYISEG_CUDA=ON"),
        ({"driver_version": 0}, "there is no NVIDIA driver"),
        ({"device_count": 0}, "finds no GPU, or is older than CUDA 13"),
        ({"compute_capability": (6, 1)}, "the GPU has compute capability 6.1; 7.5"),
    ],
)
def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, core: dict[str, Any], message: str) -> None:
    fake = SimpleNamespace(
        driver_version=lambda: core.get("driver_version", 13000),
        device_count=lambda: core.get("device_count", 1),
        runtime_version=lambda: 13000,
        compute_capability=lambda: core.get("compute_capability", (8, 0)),
    )
    monkeypatch.setattr(_core, "cuda", fake, raising=False)
    monkeypatch.setattr(_core, "cuda_built", core.get("cuda_built", True))
    with pytest.raises(DeviceError, match=rf"device 'cuda' cannot be used: .*{message}.*; or pass device='cpu'"):
        Session(PHOTO, device="cuda")
    assert backend.available_devices() == ("cpu",)


def test_a_gpu_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise _core.DeviceRuntimeError("csrc/x: cudaGetDeviceCount: unspecified launch failure")

    monkeypatch.setattr(_core, "cuda", SimpleNamespace(driver_version=broken, device_count=broken), raising=False)
    monkeypatch.setattr(_core, "cuda_built", True)
    with pytest.raises(DeviceError, match=r"the GPU does not answer .*unspecified launch failure"):
        Session(PHOTO, device="cuda")


def test_a_model_is_loaded_once_for_both(toy: Path, gpu: SimpleNamespace) -> None:
    model = load_model(toy)
    session = Session(PHOTO, model=model, device="cuda")
    assert "on 'cuda'" in repr(session)
