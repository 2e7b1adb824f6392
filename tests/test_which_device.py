"""Which device a session comes to, and what is said where it cannot be the one that was asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.devices import standin
from support.toy_device import Devices, gpu
from support.toy_model import PHOTO

from pyiseg import DeviceError, Session, _core, backend, load_model
from pyiseg.runtime.cpu import CpuImage

__all__ = ["gpu"]  # a fixture


def test_auto_takes_the_gpu(toy: Path, gpu: Devices) -> None:
    assert backend.available_devices() == ("cpu", "cuda")
    assert Session(PHOTO, model=toy, device="auto").device == "cuda"
    assert Session(PHOTO, model=toy).device == "cpu"


def test_auto_gives_way_to_the_cpu_with_one_warning(toy: Path, gpu: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.device.set_room(1000)
    monkeypatch.setattr(backend, "warned", False)
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
    monkeypatch.delattr(_core, "standin", raising=False)
    monkeypatch.setattr(_core, "cuda_built", core.get("cuda_built", True))
    with pytest.raises(DeviceError, match=rf"device 'cuda' cannot be used: .*{message}.*; or pass device='cpu'"):
        Session(PHOTO, device="cuda")
    assert backend.available_devices() == ("cpu",)


def test_a_device_of_ones_own(toy: Path) -> None:
    assert backend.register("mine", CpuImage) is None
    try:
        assert backend.available_devices() == ("cpu", "mine")
        assert Session(PHOTO, model=toy, device="mine").device == "mine"
    finally:
        backend.unregister("mine")
    with pytest.raises(ValueError, match="device 'mine' is not known; the known devices are 'cpu', 'cuda'"):
        backend.unregister("mine")
    with pytest.raises(ValueError, match="mine"):
        Session(PHOTO, model=toy, device="mine")


def test_a_device_that_was_replaced_comes_back(toy: Path) -> None:
    before = backend.register("cpu", CpuImage, why_not=lambda: "it is under test")
    try:
        assert before is not None
        with pytest.raises(DeviceError, match=r"device 'cpu' cannot be used: it is under test$"):
            Session(PHOTO, model=toy)
    finally:
        backend.unregister("cpu")
    assert Session(PHOTO, model=toy).device == "cpu"


def test_a_gpu_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise _core.DeviceRuntimeError("csrc/x: cudaGetDeviceCount: unspecified launch failure")

    monkeypatch.setattr(_core, "cuda", SimpleNamespace(driver_version=broken, device_count=broken), raising=False)
    monkeypatch.delattr(_core, "standin", raising=False)
    monkeypatch.setattr(_core, "cuda_built", True)
    with pytest.raises(DeviceError, match=r"the GPU does not answer .*unspecified launch failure"):
        Session(PHOTO, device="cuda")


def test_the_stand_in_of_the_tests_is_no_gpu() -> None:
    standin()
    assert backend.available_devices() == ("cpu",)
    with pytest.raises(DeviceError, match="were built for tests, to run on host threads; build pyiseg without"):
        Session(PHOTO, device="cuda")


def test_a_model_is_loaded_once_for_both(toy: Path, gpu: Devices) -> None:
    model = load_model(toy)
    session = Session(PHOTO, model=model, device="cuda")
    assert "on 'cuda'" in repr(session)
