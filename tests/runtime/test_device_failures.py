"""Every call of CUDA that a session makes fails once, each in its turn, on the stand-in for a GPU.

Whatever fails, the user gets a DeviceError or, where the call could be done without, the right matte; the session is as
it was before, goes on with the CPU's bits, and leaves no memory behind.
"""

from __future__ import annotations

import gc
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_model
from support.toy_device import Devices, both, gpu
from support.toy_model import CLICKS, PHOTO, photo

from pyiseg import DeviceError, Image, Session
from pyiseg.image import HELD_CROPS
from pyiseg.runtime import cuda_pipeline
from pyiseg.runtime import history as device_history

__all__ = ["gpu"]  # a fixture

CALLS = (
    "cudaMallocAsync",
    "cudaMallocHost",
    "cudaMemcpyAsync",
    "cudaMemsetAsync",
    "launch",
    "cudaLaunchHostFunc",
    "cudaStreamSynchronize",
    "cudaStreamBeginCapture",
    "cudaStreamEndCapture",
    "cudaGraphInstantiate",
    "cudaGraphUpload",
    "cudaGraphLaunch",
    "cudaEventCreateWithFlags",
    "cudaEventRecord",
    "cudaStreamWaitEvent",
    "cudaStreamCreateWithFlags",
)
ZOOM = {"from_click": 3, "enlarge": 1.6, "below": 0.4, "magnify": 2.5}
MOST = 8
"""Places of a call that are tried, spread over all of them: every call of a kernel in turn would take minutes."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with the color guide. Clicks outgrow their room, and predictions move to the host, after a few."""
    monkeypatch.setattr(cuda_pipeline, "CAPACITY", 2)
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    return toy_model.build(tmp_path / "toy", form="residual", color=True, radius=1)


def use(session: Session, clicks: Any = CLICKS) -> list[np.ndarray]:
    """Click, undo and redo."""
    alphas = [session.click(*click) for click in clicks]
    alphas += [session.undo() for _ in clicks]
    return [*alphas, session.redo(), session.redo()]


def made(gpu: Devices, folder: Path, call: str) -> tuple[int, int]:
    """How often a call is made while a session is made, and while it is used."""
    start = gpu.device.calls(call)
    session = Session(PHOTO, model=folder, device="cuda")
    opened = gpu.device.calls(call)
    use(session)
    return opened - start, gpu.device.calls(call) - opened


def some(count: int) -> list[int]:
    return sorted({int(n) for n in np.linspace(0, count - 1, min(count, MOST))}) if count else []


@pytest.mark.parametrize("call", CALLS)
def test_a_session_that_cannot_be_made_leaves_nothing(gpu: Devices, folder: Path, call: str) -> None:
    expected = use(Session(PHOTO, model=folder))
    count, _ = made(gpu, folder, call)
    gc.collect()
    before = gpu.device.allocated()
    for n in some(count):
        gpu.device.fail(call, n, error_of(gpu, call))
        try:
            session = Session(PHOTO, model=folder, device="cuda")
        except DeviceError:
            pass
        else:  # what was refused is done without
            np.testing.assert_array_equal(use(session), expected)
            del session
        gpu.device.mend()
        gc.collect()
        assert gpu.device.allocated() == before, f"{call} number {n}"
    np.testing.assert_array_equal(use(Session(PHOTO, model=folder, device="cuda")), expected)


@pytest.mark.parametrize("call", CALLS)
def test_a_step_that_fails_is_not_taken(gpu: Devices, folder: Path, call: str) -> None:
    cpu = Session(PHOTO, model=folder)
    expected = [cpu.click(*click) for click in CLICKS]
    _, count = made(gpu, folder, call)
    failed = 0
    for n in some(count):
        session = Session(PHOTO, model=folder, device="cuda")
        gpu.device.fail(call, n, error_of(gpu, call))
        for i, click in enumerate(CLICKS):
            before = session.clicks
            try:
                alpha = session.click(*click)
            except DeviceError:
                failed += 1
                assert session.clicks == before
                alpha = session.click(*click)
            np.testing.assert_array_equal(alpha, expected[i], err_msg=f"{call} number {n}, click {i}")
        for i in range(len(CLICKS) - 2, -1, -1):
            before = session.clicks
            try:
                alpha = session.undo()
            except DeviceError:
                failed += 1
                assert session.clicks == before
                alpha = session.undo()
            np.testing.assert_array_equal(alpha, expected[i], err_msg=f"{call} number {n}, back to click {i}")
        gpu.device.mend()
    if call in ("cudaMallocAsync", "cudaMemcpyAsync", "launch", "cudaGraphLaunch"):
        assert failed


def test_a_reset_that_fails_forgets_nothing(gpu: Devices, folder: Path) -> None:
    """It brings predictions on the crop to the host, which may fail, before it forgets anything."""
    toy_model.change_manifest(folder, zoom=ZOOM)
    clicks = tuple((x, y, True) for x, y in ((60, 60), (64, 66), (70, 62), (58, 58)))
    session = Session(photo(240, 320), model=folder, device="cuda")
    expected = [session.click(*click) for click in clicks]
    assert session.crop.shape != session.shape
    gpu.device.fail("cudaMemcpyAsync", 1, gpu.device.LAUNCH_FAILURE)
    with pytest.raises(DeviceError, match="the device failed while"):
        session.reset()
    gpu.device.mend()
    assert session.clicks == clicks
    np.testing.assert_array_equal(session.alpha, expected[-1])
    np.testing.assert_array_equal(session.undo(), expected[-2])


def error_of(gpu: Devices, call: str) -> int:
    return gpu.device.OUT_OF_MEMORY if "Malloc" in call else gpu.device.LAUNCH_FAILURE


def test_captures_that_are_always_spoilt(gpu: Devices, folder: Path) -> None:
    """As by another library that waits for the whole device: clicks go one by one, with the same bits."""
    gpu.engines.on_enqueue = lambda stream: gpu.device.spoil_captures()
    cpu, device = both(folder)
    assert not gpu.last().captured
    np.testing.assert_array_equal(use(device), use(cpu))


def test_a_device_that_is_lost(gpu: Devices, folder: Path) -> None:
    """Each step says so and is not taken; what was clicked is not lost, and another device goes on with it."""
    session = Session(PHOTO, model=folder, device="cuda")
    for click in CLICKS[:3]:
        session.click(*click)
    clicks = session.clicks
    gpu.device.lose_device()
    for step in (partial(session.click, *CLICKS[3]), session.undo, session.cutout):
        with pytest.raises(DeviceError, match="illegal memory access"):
            step()
        assert session.clicks == clicks
    with pytest.raises(DeviceError, match="the device failed while encoding an image"):
        Session(PHOTO, model=folder, device="cuda")
    cpu = Session(session.image, model=folder)
    for click in session.clicks:
        cpu.click(*click)
    del session  # what cannot be freed is left, without a word
    gc.collect()
    gpu.device.mend()


@pytest.mark.parametrize("zooming", [False, True])
def test_sessions_in_threads_share_an_image_and_its_engines(gpu: Devices, tmp_path: Path, zooming: bool) -> None:
    folder = toy_model.build(tmp_path / "toy", form="residual", color=True, radius=1)
    image_array, clicks = PHOTO, CLICKS
    if zooming:
        toy_model.change_manifest(folder, zoom=ZOOM)
        near = ((60, 60), (64, 66), (70, 62), (58, 58), (72, 72), (62, 61))
        image_array, clicks = photo(240, 320), tuple((x, y, i != 2) for i, (x, y) in enumerate(near))
    cpu = Session(image_array, model=folder)
    expected = use(cpu, clicks)
    cpu.click(*clicks[-1])
    assert (cpu.crop.shape != cpu.shape) == zooming
    image, wrong = Image(image_array, model=folder, device="cuda"), list[str]()
    most = 12 if zooming else 4  # more than may hold their crops, so that they take them from each other all the time
    start = threading.Barrier(most)

    def work() -> None:
        session = Session(image)
        start.wait()
        try:
            for _ in range(3):
                np.testing.assert_array_equal(use(session, clicks), expected)
                session.reset()
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_crop_that_is_let_go_leaves_no_predictions_on_the_device(
    gpu: Devices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_history, "ON_DEVICE", 2)
    folder = toy_model.build(tmp_path / "toy")
    toy_model.change_manifest(folder, zoom=ZOOM)
    image = Image(photo(240, 320), model=folder, device="cuda")
    sessions = [Session(image) for _ in range(HELD_CROPS + 1)]  # in turns each takes another one's crop
    after = []
    for step in range(12):
        for session in sessions:
            session.click(60 + 3 * (step % 4), 60 + 2 * (step % 5))
        after.append(gpu.device.allocated())
    assert sessions[0].crop.shape != sessions[0].shape
    assert after[-1] <= after[5]
