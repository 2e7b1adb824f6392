"""Sessions on a GPU, end to end. Most of this runs on the stand-in for one as well, to try the tests themselves."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import toy_model
from support.toy_model import CLICKS, PHOTO, photo

from pyiseg import DeviceError, Session, _core, load_model
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.gpu import gpu_here

GUIDES: dict[str, dict[str, Any]] = {
    "image": {},
    "clicks": {"guide_clicks": True, "grid_stride": 1},
    "color": {"form": "residual", "color": True, "radius": 1},
}
LEFT = 8_000_000
"""Bytes that a thousand sessions may leave: less than a session has, and less than 10 KB for each."""


def check(found: np.ndarray, expected: np.ndarray, iou: float = 0.999) -> None:
    """The tolerance table."""
    assert np.abs(found.astype(float) - expected).mean() / 255 <= 2e-3
    mask, other = found >= 128, expected >= 128
    assert np.count_nonzero(mask & other) >= iou * np.count_nonzero(mask | other)


def click_both(cpu: Session, device: Session, clicks: Any = CLICKS, iou: float = 0.999) -> list[np.ndarray]:
    mattes = []
    for click in clicks:
        mattes.append(device.click(*click))
        check(mattes[-1], cpu.click(*click), iou)
    return mattes


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("guide", GUIDES)
def test_it_gives_the_cpus_mattes(tmp_path: Path, device: SimpleNamespace, guide: str, half: bool) -> None:
    from support.toy_torch import ToyEngines

    device.engines = ToyEngines(device.torch, half=half)
    folder = toy_model.build(tmp_path / "toy", **GUIDES[guide])
    image = photo(301, 501)  # more than one strip of the guide
    cpu, there = Session(image, model=folder), Session(image, model=folder, device="cuda")
    assert device.last().captured
    # Noise around the threshold is all that this network selects away from the clicks: FP16 flips some of its pixels.
    iou = 0.995 if half else 0.999
    mattes = click_both(cpu, there, [(6 * x, 5 * y, fg) for x, y, fg in CLICKS], iou)
    for matte in mattes[-2::-1]:
        np.testing.assert_array_equal(there.undo(), matte)
    assert not there.undo().any()
    for matte in mattes:
        np.testing.assert_array_equal(there.redo(), matte)


@pytest.mark.parametrize("engines", ["torch", "tensorrt"])
def test_the_default_model(device: SimpleNamespace, engines: str) -> None:
    if engines == "tensorrt":
        info = gpu_here()
        if device.name == "stand-in" or info is None or tensorrt.why_not():
            pytest.skip("there is no TensorRT here, or no GPU")
        device.engines = tensorrt.TensorRT(info)
    else:
        import torch_engine
        from torch_networks import NETWORKS, as_shipped

        network = as_shipped(NETWORKS["compact"](), load_model())
        # In FP16 PyTorch takes minutes on the CPU.
        device.engines = torch_engine.TorchEngines(network, half=device.name == "cuda", device=device.torch)
    from gpu_place import clicks_on, photograph

    size = (480, 640)
    cpu, there = Session(photograph(size)), Session(photograph(size), device="cuda")
    assert device.last().captured
    click_both(cpu, there, clicks_on(size, 3))


def test_a_graph_gives_the_bits_of_its_steps(toy: Path, device: SimpleNamespace) -> None:
    session = Session(PHOTO, model=toy, device="cuda")
    pipeline = device.last()
    mattes = [session.click(*click) for click in CLICKS]
    session.reset()
    assert pipeline.captured
    pipeline.use_graph = False
    for click, matte in zip(CLICKS, mattes, strict=True):
        np.testing.assert_array_equal(session.click(*click), matte)


def test_what_cannot_be_captured(toy: Path, device: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    """Waiting spoils a capture; the stream must be as it was, and clicks are enqueued step by step."""
    from support.toy_torch import ToyEngines

    device.engines = ToyEngines(device.torch, wrap=Waiting)
    cpu, there = Session(PHOTO, model=toy), Session(PHOTO, model=toy, device="cuda")
    assert not device.last().captured
    assert "clicks are not captured as a CUDA graph" in caplog.text
    click_both(cpu, there)


class Waiting:
    """An engine that waits for the stream whenever it is enqueued."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def open(self, shapes: Any) -> Any:
        execution = self.engine.open(shapes)
        enqueue = execution.enqueue

        def and_wait(stream: Any) -> None:
            enqueue(stream)
            stream.synchronize()

        execution.enqueue = and_wait
        return execution


@pytest.mark.whole_gpu
def test_a_thousand_sessions_leave_nothing(toy: Path, device: SimpleNamespace) -> None:
    def one() -> None:
        session = Session(PHOTO, model=toy, device="cuda")
        session.click(*CLICKS[0])
        session.click(*CLICKS[1])
        session.undo()

    for _ in range(5):
        one()
    before = device.used()
    for _ in range(1000 if device.name == "cuda" else 20):
        one()
    assert device.used() - before <= (LEFT if device.name == "cuda" else 0)


@pytest.mark.whole_gpu
def test_sessions_that_failed_leave_nothing(toy: Path, device: SimpleNamespace) -> None:
    from support.toy_torch import ToyEngines

    Session(PHOTO, model=toy, device="cuda").click(*CLICKS[0])
    before = device.used()
    device.engines = ToyEngines(device.torch, wrap=Failing)
    for _ in range(100 if device.name == "cuda" else 5):
        with pytest.raises(DeviceError, match="broken"):
            Session(PHOTO, model=toy, device="cuda")
    assert device.used() - before <= (LEFT if device.name == "cuda" else 0)


class Failing(Waiting):
    """An engine that cannot be enqueued."""

    def open(self, shapes: Any) -> Any:
        execution = self.engine.open(shapes)

        def fail(stream: Any) -> None:
            raise DeviceError("broken")

        execution.enqueue = fail
        return execution


def test_two_sessions_in_two_threads(toy: Path, device: SimpleNamespace) -> None:
    """Each is made, captured, clicked and dropped while the other is."""
    cpu = Session(PHOTO, model=toy)
    expected = [cpu.click(*click) for click in CLICKS]
    wrong: list[str] = []

    def work(turns: int) -> None:
        try:
            for _ in range(turns):
                session = Session(PHOTO, model=toy, device="cuda")
                for _ in range(3):
                    for click, matte in zip(CLICKS, expected, strict=True):
                        check(session.click(*click), matte)
                    session.reset()
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(20 if device.name == "cuda" else 3,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# memory


def all_memory(device: SimpleNamespace) -> Any:
    """Hold what is left of the device's memory, but for pieces under 64 KB."""
    if device.name == "stand-in":
        _core.standin.set_room(1000)
        return None
    stream, held, size = _core.cuda.Stream(), [], 1 << 36
    while size >= 1 << 16:
        try:
            held.append(stream.empty((size >> 10, 1 << 10), np.uint8))
        except _core.DeviceMemoryError:
            size >>= 1
    return held


@pytest.mark.whole_gpu
def test_out_of_memory_while_a_session_is_made(toy: Path, device: SimpleNamespace) -> None:
    image = photo(600, 800)
    Session(PHOTO, model=toy, device="cuda").click(*CLICKS[0])
    before = device.used()
    held = all_memory(device)
    with pytest.raises(DeviceError, match=r"out of device memory while encoding an image.*device='cpu'"):
        Session(image, model=toy, device="cuda")
    del held
    if device.name == "stand-in":
        _core.standin.set_room(None)
    assert device.used() - before <= (LEFT if device.name == "cuda" else 0)
    cpu, there = Session(PHOTO, model=toy), Session(PHOTO, model=toy, device="cuda")
    click_both(cpu, there)


@pytest.mark.whole_gpu
def test_out_of_memory_in_a_click(tmp_path: Path, cuda: SimpleNamespace) -> None:
    folder = toy_model.build(tmp_path / "toy", long_side=1536)  # a prediction needs 1.8 MB
    cpu, session = Session(PHOTO, model=folder), Session(PHOTO, model=folder, device="cuda")
    click_both(cpu, session, CLICKS[:1])
    held = all_memory(cuda)
    with pytest.raises(DeviceError, match="out of device memory while a click"):
        session.click(*CLICKS[1])
    del held
    gc.collect()
    assert session.clicks == cpu.clicks
    check(session.alpha, cpu.alpha)
    click_both(cpu, session, CLICKS[1:])


# failures of the device; each in a process of its own, which no other test could go on in


def run(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_refused_call_says_where(cuda: SimpleNamespace) -> None:
    said = run("""
from pyiseg import _core
stream = _core.cuda.Stream()
try:
    stream.fill_zero(_core.borrow(1 << 20, (1024,), "float32", None))
    stream.synchronize()
except _core.DeviceRuntimeError as error:
    print(error)
""")
    # nvcc keeps the `../` of an #include in the path: csrc/bind/../device.
    assert re.match(r"csrc/\S*device/cuda_stream\.h:\d+: ", said), said
    assert "cudaMemsetAsync(" in said or "cudaStreamSynchronize(" in said


def test_a_device_that_failed_is_said_to_have(cuda: SimpleNamespace, toy: Path) -> None:
    said = run(f"""
import numpy as np
from pyiseg import _core, DeviceError, load_model
from pyiseg.runtime.cuda import CudaImage
from pyiseg.geometry import View
stream = _core.cuda.Stream()
try:
    stream.subtract(_core.borrow(1 << 20, (1,), "float32", None), stream.empty((32, 32)))
    stream.synchronize()
except _core.DeviceRuntimeError as error:
    print("first:", error)
view = View.fit((48, 64), long_side=64, multiple=32, grid_stride=2)
try:
    CudaImage(load_model({str(toy)!r}), view, np.zeros((48, 64, 3), np.uint8), native=_core.cuda, engines={{}})
except DeviceError as error:
    print("then:", error)
""")
    assert "illegal memory access" in said
    assert "then: the device failed while encoding an image: csrc/" in said


def test_a_hidden_gpu(cuda: SimpleNamespace) -> None:
    said = run(
        """
import numpy as np, pyiseg
print(pyiseg.available_devices(), pyiseg.Session(np.zeros((8, 8, 3), np.uint8), device="auto").device)
try:
    pyiseg.Session(np.zeros((8, 8, 3), np.uint8), device="cuda")
except pyiseg.DeviceError as error:
    print(error)
""",
        CUDA_VISIBLE_DEVICES="",
    )
    assert "('cpu',) cpu" in said
    assert "CUDA_VISIBLE_DEVICES can hide GPUs" in said
