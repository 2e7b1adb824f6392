"""The CUDA pipeline on the stand-in for a GPU, which must give the CPU pipeline's bits."""

from __future__ import annotations

import gc
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import cat, toy_model
from support.fake_engine import FakeEngines
from support.toy_device import Devices, both, gpu
from support.toy_model import CLICKS, PHOTO, photo

from pyiseg import DeviceError, Image, ModelError, Session
from pyiseg.runtime import cuda_pipeline
from pyiseg.runtime import history as device_history

__all__ = ["gpu"]  # a fixture

VARIANTS: dict[str, dict[str, Any]] = {
    "late": {},
    "early": {"early_fusion": True},
    "no feedback": {"feedback": False},
    "stride 1": {"grid_stride": 1},
    "no filter": {"radius": 0},
    "residual": {"form": "residual"},
    "color": {"form": "residual", "color": True, "radius": 1},
    "color, early": {"form": "residual", "color": True, "early_fusion": True, "grid_stride": 1},
    "guide sees clicks": {"guide_clicks": True, "grid_stride": 1},
    "early, guide sees clicks": {"guide_clicks": True, "grid_stride": 1, "early_fusion": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_gives_the_bits_of_the_cpu(tmp_path: Path, gpu: Devices, variant: str) -> None:
    cpu, device = both(toy_model.build(tmp_path / "toy", **VARIANTS[variant]))
    assert gpu.last().captured
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    for _ in CLICKS:
        np.testing.assert_array_equal(device.undo(), cpu.undo())
    np.testing.assert_array_equal(device.redo(), cpu.redo())
    np.testing.assert_array_equal(device.click(5, 5), cpu.click(5, 5))
    np.testing.assert_array_equal(device.reset(), cpu.reset())
    np.testing.assert_array_equal(device.click(*CLICKS[0]), cpu.click(*CLICKS[0]))
    np.testing.assert_array_equal(device.cutout(), cpu.cutout())
    np.testing.assert_array_equal(device.cutout(foreground="estimate"), cpu.cutout(foreground="estimate"))


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (301, 501), (64, 48)])
@pytest.mark.parametrize("variant", ["late", "color", "guide sees clicks"])
def test_of_any_size(tmp_path: Path, gpu: Devices, variant: str, shape: tuple[int, int]) -> None:
    """301 x 501 pixels are more than one strip of the guide's engine."""
    cpu, device = both(toy_model.build(tmp_path / "toy", **VARIANTS[variant]), photo(*shape))
    for x, y, fg in ((0, 0, True), (shape[1] - 1, shape[0] // 2, True), (shape[1] // 2, shape[0] - 1, False)):
        there, here = device.click(x, y, fg).astype(int), cpu.click(x, y, fg).astype(int)
        # Strips of the CPU's guide cut the resizer's sums elsewhere: a last bit may tip a rounding.
        assert np.abs(there - here).max() <= (1 if variant == "guide sees clicks" else 0)


def test_the_published_order_of_cleaning(tmp_path: Path, gpu: Devices) -> None:
    folder = toy_model.build(tmp_path / "toy")
    manifest = (folder / "model.json").read_text()
    (folder / "model.json").write_text(manifest[:-1] + ', "clean": "after"}')
    cpu, device = both(folder)
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))


def test_the_default_model_in_fp16(gpu: Devices) -> None:
    """The tolerance table: mean alpha difference at most 0.002, masks alike to an IoU of 0.999, on a photograph.

    Noise is no test of it: where alpha is near the threshold everywhere, the smallest difference flips pixels.
    """
    gpu.engines = FakeEngines(half=True)
    cpu, device = Session(cat.PHOTO), Session(cat.PHOTO, device="cuda")
    for click in cat.CLICKS:
        there, here = device.click(*click), cpu.click(*click)
        assert np.abs(there.astype(float) - here).mean() / 255 <= 2e-3
        mask, expected = there >= 128, here >= 128
        assert (mask & expected).sum() >= 0.999 * (mask | expected).sum()


@pytest.mark.parametrize("variant", ["late", "residual", "color"])
def test_more_clicks_than_there_is_room_for(
    tmp_path: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    toy = toy_model.build(tmp_path / "toy", **VARIANTS[variant])
    monkeypatch.setattr(cuda_pipeline, "CAPACITY", 3)
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    cpu, device = both(toy)
    clicks = [(7 * i % 80, 5 * i % 60, i % 3 > 0) for i in range(14)]
    for click in clicks:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    assert gpu.last().captured
    for _ in clicks:  # the older steps' predictions come back from the host
        np.testing.assert_array_equal(device.undo(), cpu.undo())
    for _ in clicks:
        np.testing.assert_array_equal(device.redo(), cpu.redo())


def test_steps_hold_a_bounded_part_of_device_memory(toy: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    session = Session(PHOTO, model=toy, device="cuda")
    made = gpu.device.allocated()
    assert made >= gpu.last().nbytes
    for _ in range(6):
        session.click(20, 20)
    rows, columns = Image(PHOTO, model=toy).encoded.view.grid
    assert gpu.device.allocated() == made + 2 * 4 * rows * columns


def refusing(stream: Any) -> None:
    stream.synchronize()


def test_where_capturing_is_refused_clicks_go_one_by_one(
    toy: Path, gpu: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.engines = FakeEngines(on_enqueue=refusing)
    with caplog.at_level(logging.WARNING, "pyiseg"):
        cpu, device = both(toy)
    assert not gpu.last().captured
    assert "not captured as a CUDA graph" in caplog.text
    assert "operation not permitted when stream is capturing" in caplog.text
    for click in CLICKS:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))


def test_a_capture_that_is_spoilt_once_is_tried_again(toy: Path, gpu: Devices) -> None:
    runs = []

    def spoil(stream: Any) -> None:
        runs.append(1)
        if len(runs) == 4:  # image, guide, a click for itself: then the first capture
            stream.synchronize()

    gpu.engines = FakeEngines(on_enqueue=spoil)
    cpu, device = both(toy)
    assert len(runs) == 5
    assert gpu.last().captured
    np.testing.assert_array_equal(device.click(*CLICKS[0]), cpu.click(*CLICKS[0]))
    assert gc.isenabled()


def test_captures_in_two_threads_leave_the_collector_as_it_was(toy: Path, gpu: Devices) -> None:
    """The first to leave put it on again for the second, which might then leave it off for good."""
    runs, second_is_in, first_is_out = threading.local(), threading.Event(), threading.Event()
    seen = []

    def meet(stream: Any) -> None:
        runs.count = getattr(runs, "count", 0) + 1
        if runs.count != 4:  # image, guide, a click for itself: then the capture
            return
        if threading.current_thread() is other:
            second_is_in.set()
            assert first_is_out.wait(30)
            seen.append(gc.isenabled())
        else:
            other.start()
            assert second_is_in.wait(30)

    gpu.engines = FakeEngines(on_enqueue=meet)
    other = threading.Thread(target=lambda: Session(PHOTO, model=toy, device="cuda"))
    Session(PHOTO, model=toy, device="cuda")
    first_is_out.set()
    other.join()
    assert seen == [False]
    assert gc.isenabled()


def test_room_that_cannot_be_had_costs_nothing(toy: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_pipeline, "CAPACITY", 2)
    cpu, device = both(toy)
    for click in CLICKS[:2]:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    gpu.device.set_room(0)
    with pytest.raises(DeviceError, match="out of device memory while a click"):
        device.click(*CLICKS[2])
    gpu.device.set_room(None)
    assert gpu.last().captured
    assert device.clicks == cpu.clicks
    np.testing.assert_array_equal(device.undo(), cpu.undo())
    np.testing.assert_array_equal(device.redo(), cpu.redo())
    np.testing.assert_array_equal(device.click(*CLICKS[2]), cpu.click(*CLICKS[2]))


@pytest.mark.parametrize("what", ["undo", "redo", "reset"])
def test_a_step_that_cannot_be_drawn_is_not_taken(toy: Path, gpu: Devices, what: str) -> None:
    session = Session(PHOTO, model=toy, device="cuda")
    for click in CLICKS[:3]:
        session.click(*click)
    session.undo()
    clicks, alpha = session.clicks, session.alpha
    gpu.device.fail("cudaMemcpyAsync")
    if what == "reset":  # needs no device to be empty
        assert not session.reset().any()
        return
    with pytest.raises(DeviceError, match=r"the device failed while rendering a matte: csrc/.*cudaErrorLaunchFailure"):
        getattr(session, what)()
    assert session.clicks == clicks
    np.testing.assert_array_equal(session.alpha, alpha)


def test_engines_must_fit(tmp_path: Path, gpu: Devices) -> None:
    """Tensors are bound by their address alone, so another type would be taken for this one."""
    folder = toy_model.build(tmp_path / "toy", fp16=True)

    class Mixed(FakeEngines):
        def load(self, model: Any, view: Any) -> Any:
            return {**FakeEngines().load(model, view), "click": FakeEngines(half=True).load(model, view)["click"]}

    gpu.engines = Mixed()
    with pytest.raises(ModelError, match=r"the click network's features_0 is float16, where pyiseg has float32"):
        Session(PHOTO, model=folder, device="cuda")


def test_an_engine_that_fails_leaves_nothing(toy: Path, gpu: Devices) -> None:
    gc.collect()
    before = gpu.device.allocated()

    def fail(stream: Any) -> None:
        raise DeviceError("the engine is broken")

    gpu.engines = FakeEngines(on_enqueue=fail)
    with pytest.raises(DeviceError, match="the engine is broken"):
        Session(PHOTO, model=toy, device="cuda")
    gc.collect()
    assert gpu.device.allocated() == before


class Breakable:
    """What an engine does when it is enqueued: nothing, until it is broken.

    Where it is not to be captured it waits, which a capture refuses, so that it is called at every click.
    """

    def __init__(self, *, captured: bool = True) -> None:
        self.captured, self.broken = captured, False

    def __call__(self, stream: Any) -> None:
        if not self.captured:
            stream.synchronize()
        if self.broken:
            raise DeviceError("the engine is broken")


def test_room_whose_first_run_fails_is_given_up(toy: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer list of clicks is enqueued once by itself; where that fails, the captured click there was stays."""
    monkeypatch.setattr(cuda_pipeline, "CAPACITY", 2)
    engine = Breakable()
    gpu.engines = FakeEngines(on_enqueue=engine)
    cpu, device = both(toy)
    for click in CLICKS[:2]:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    engine.broken = True
    with pytest.raises(DeviceError, match="the engine is broken"):
        device.click(*CLICKS[2])
    engine.broken = False
    assert gpu.last().captured
    np.testing.assert_array_equal(device.undo(), cpu.undo())
    np.testing.assert_array_equal(device.redo(), cpu.redo())
    np.testing.assert_array_equal(device.click(*CLICKS[2]), cpu.click(*CLICKS[2]))


def test_an_engine_that_fails_in_a_click_leaves_the_session(toy: Path, gpu: Devices) -> None:
    engine = Breakable(captured=False)
    gpu.engines = FakeEngines(on_enqueue=engine)
    cpu, device = both(toy)
    for click in CLICKS[:2]:
        np.testing.assert_array_equal(device.click(*click), cpu.click(*click))
    engine.broken = True
    with pytest.raises(DeviceError, match="the engine is broken"):
        device.click(*CLICKS[2])
    assert device.clicks == cpu.clicks
    np.testing.assert_array_equal(device.alpha, cpu.alpha)
    engine.broken = False
    np.testing.assert_array_equal(device.click(*CLICKS[2]), cpu.click(*CLICKS[2]))


@pytest.mark.parametrize("sharing", [False, True])
def test_out_of_memory(toy: Path, gpu: Devices, sharing: bool) -> None:
    """While an image is encoded, or a session is made on one that is there."""
    gc.collect()
    nothing = gpu.device.allocated()
    image = Image(PHOTO, model=toy, device="cuda")
    encoded = gpu.device.allocated()
    session = Session(image)
    needed = gpu.device.allocated() - encoded if sharing else encoded - nothing
    del session, image
    for part in (0.1, 0.5, 0.9):
        before = gpu.device.allocated()
        gpu.device.set_room(int(part * needed) + (encoded - nothing if sharing else 0))
        with pytest.raises(DeviceError, match=r"out of device memory while (making|encoding).*device='cpu'"):
            Session(PHOTO, model=toy, device="cuda")
        gc.collect()
        assert gpu.device.allocated() == before == nothing
        gpu.device.set_room(None)


def test_out_of_memory_in_a_click(toy: Path, gpu: Devices) -> None:
    cpu, session = both(toy)
    gpu.device.set_room(100)
    with pytest.raises(DeviceError, match="out of device memory while a click"):
        session.click(*CLICKS[0])
    gpu.device.set_room(None)
    assert session.clicks == ()
    np.testing.assert_array_equal(session.click(*CLICKS[0]), cpu.click(*CLICKS[0]))


def test_sessions_that_are_dropped_leave_nothing(tmp_path: Path, gpu: Devices) -> None:
    folder = toy_model.build(tmp_path / "toy", guide_clicks=True, grid_stride=1)
    gc.collect()
    before = gpu.device.allocated()
    gc.disable()  # what only the collector would find is a leak here
    try:
        for _ in range(20):
            session = Session(PHOTO, model=folder, device="cuda")
            session.click(*CLICKS[0])
            session.click(*CLICKS[1])
            session.undo()
            del session
        assert gpu.device.allocated() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("variant", VARIANTS)
def test_sessions_on_one_image_share_it(tmp_path: Path, gpu: Devices, variant: str) -> None:
    """Each gives the bits of a session on an image of its own, however they take turns; memory is that of one image."""
    folder = toy_model.build(tmp_path / "toy", **VARIANTS[variant])
    alone = Session(PHOTO, model=folder)
    expected = [alone.click(*click) for click in CLICKS]
    image = Image(PHOTO, model=folder, device="cuda")
    encoded = gpu.device.allocated()
    sessions = [Session(image)]
    each = gpu.device.allocated() - encoded
    sessions += [Session(image) for _ in range(3)]
    assert gpu.device.allocated() == encoded + 4 * each
    for click, alpha in zip(CLICKS, expected, strict=True):
        for session in sessions:
            np.testing.assert_array_equal(session.click(*click), alpha)
    np.testing.assert_array_equal(sessions[2].undo(), expected[-2])
    np.testing.assert_array_equal(sessions[1].alpha, expected[-1])
    kept = sessions[3]
    del sessions, session, image  # a session holds what it needs
    np.testing.assert_array_equal(kept.undo(), expected[-2])
