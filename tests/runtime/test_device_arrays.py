"""Images and mattes that stay on the device, shared with other libraries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.toy_device import Devices, both, gpu, on_device, on_host
from support.toy_model import CLICKS, PHOTO

from pyiseg import DeviceError, Image, Session, _core
from pyiseg.runtime.device_image import DeviceImage, is_device_array

__all__ = ["gpu"]  # a fixture


def test_results_on_the_device(toy: Path, gpu: Devices) -> None:
    cpu, device = both(toy)
    there = device.alpha_device
    assert not on_host(there).any()
    np.testing.assert_array_equal(on_host(device.click_on_device(*CLICKS[0])), cpu.click(*CLICKS[0]))
    np.testing.assert_array_equal(on_host(there), cpu.alpha)  # the session's own memory
    np.testing.assert_array_equal(on_host(device.click_on_device(*CLICKS[1])), cpu.click(*CLICKS[1]))
    device.undo()
    cpu.undo()
    np.testing.assert_array_equal(on_host(device.alpha_device), cpu.alpha)
    with pytest.raises(ValueError, match="outside the image"):
        device.click_on_device(-1, 0)
    assert device.clicks == cpu.clicks


def test_whoever_writes_into_a_result_changes_no_session(toy: Path, gpu: Devices) -> None:
    cpu, device = both(toy)

    def spoil(alpha: Any) -> None:
        _core.cuda.Stream().upload(np.full(alpha.shape, 7, alpha.dtype), alpha)

    spoil(device.click_on_device(*CLICKS[0]))
    np.testing.assert_array_equal(device.alpha, cpu.click(*CLICKS[0]))
    spoil(device.alpha_device)
    np.testing.assert_array_equal(device.cutout(), cpu.cutout())
    np.testing.assert_array_equal(device.click(*CLICKS[1]), cpu.click(*CLICKS[1]))


def test_whoever_writes_into_a_rendered_matte_changes_no_other(toy: Path, gpu: Devices) -> None:
    """Of the pipeline alone: a session renders on the host where clicks might not be obeyed."""
    session = Session(PHOTO, model=toy, device="cuda")
    pipeline, clicks = gpu.last(), np.array([[60, 30, 1]], np.int32)
    prediction = pipeline.predict(clicks, None)
    expected = pipeline.matte(clicks, prediction)
    alpha = pipeline.matte_on_device(clicks, prediction)
    _core.cuda.Stream().upload(np.full(alpha.shape, 7, np.uint8), alpha)
    np.testing.assert_array_equal(pipeline.matte(clicks, prediction), expected)
    session.close()


def test_a_copy_is_asked_for_elsewhere(toy: Path, gpu: Devices) -> None:
    session = Session(PHOTO, model=toy, device="cuda")
    with pytest.raises(BufferError, match="shared as it is; copy what you get"):
        session.alpha_device.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="shared where it lies"):
        session.alpha_device.__dlpack__(dl_device=(1, 0))
    assert session.alpha_device.__dlpack__(dl_device=(2, 0), copy=False, max_version=(1, 0), stream=None) is not None


def test_results_outlive_their_session(toy: Path, gpu: Devices) -> None:
    session = Session(PHOTO, model=toy, device="cuda")
    kept, expected = session.click_on_device(*CLICKS[0]), session.alpha
    del session
    np.testing.assert_array_equal(on_host(kept), expected)


def test_on_the_cpu_there_are_none(session: Session) -> None:
    with pytest.raises(DeviceError, match=r"Session\.alpha_device needs a session on a GPU"):
        _ = session.alpha_device
    with pytest.raises(DeviceError, match=r"Session\.click_on_device needs a session on a GPU"):
        session.click_on_device(1, 1)


def test_an_image_on_the_device_is_not_copied(toy: Path, gpu: Devices) -> None:
    image = on_device(PHOTO)
    before = gpu.device.calls("cudaStreamWaitEvent")
    encoded = Image(image, model=toy, device="cuda")
    cpu, device = Session(PHOTO, model=toy), Session(encoded)
    assert encoded.encoded.pixels.ptr == image.ptr
    assert gpu.device.calls("cudaStreamWaitEvent") > before  # the stream that encodes it waits for its maker's
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
def test_images_on_the_device_are_checked(toy: Path, gpu: Devices, image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Session(on_device(image) if image.dtype == np.float32 else Claimed(image), model=toy, device="cuda")


class Claimed:
    """A numpy array that says it lies on a GPU."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, *, stream: int) -> Any:
        return self.array.__dlpack__()


class WithInterface:
    """What the two kinds of __cuda_array_interface__ say: version 2 (torch), 3 (CuPy), 3 without a stream (PyCUDA)."""

    def __init__(self, array: np.ndarray, **more: Any) -> None:
        data = {"data": (array.ctypes.data, False), "shape": array.shape, "typestr": array.dtype.str}
        self.array, self.__cuda_array_interface__ = array, {**data, "strides": None, **more}


@pytest.mark.parametrize(
    ("more", "waited_for"), [({"version": 2}, 1), ({"version": 3, "stream": 7}, 7), ({"version": 3, "stream": None}, 1)]
)
def test_work_waits_for_whoever_made_the_image(more: dict[str, Any], waited_for: int) -> None:
    image = WithInterface(PHOTO.copy(), **more)
    waits: list[int] = []
    stream = SimpleNamespace(wait_for=waits.append, check_address=lambda address: None)
    assert is_device_array(image)
    borrowed = DeviceImage(image).borrow(stream)
    assert waits == [waited_for]
    assert borrowed.ptr == image.array.ctypes.data
    interface = borrowed.__cuda_array_interface__
    assert (interface["data"], interface["shape"]) == ((image.array.ctypes.data, False), PHOTO.shape)
    assert (interface["typestr"], interface["strides"], interface["version"]) == ("|u1", None, 3)
    assert borrowed.__dlpack_device__() == (2, 0)


def test_an_image_on_another_gpu_is_refused() -> None:
    def check(address: int) -> None:
        raise ValueError("it lies on GPU 1 but the session is on GPU 0")

    stream = SimpleNamespace(wait_for=lambda other: None, check_address=check)
    with pytest.raises(ValueError, match="image on the GPU cannot be used: it lies on GPU 1"):
        DeviceImage(WithInterface(PHOTO, version=3, stream=None)).borrow(stream)
