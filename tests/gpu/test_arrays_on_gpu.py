"""Images and mattes that other libraries hold on a GPU: taken and given without a copy, in the right order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.toy_model import CLICKS, PHOTO

from pyiseg import Image, Session

BUSY = 400_000_000
"""Clock cycles that keep a stream busy for a fifth of a second or more."""


def torch_image() -> tuple[Any, int]:
    import torch

    tensor = torch.from_numpy(PHOTO.copy()).to("cuda")
    return tensor, tensor.data_ptr()


def cupy_image() -> tuple[Any, int]:
    cupy = pytest.importorskip("cupy")
    array = cupy.asarray(PHOTO)
    return array, array.data.ptr


def dlpack_image() -> tuple[Any, int]:
    """Nothing but DLPack, as JAX has it."""
    tensor, address = torch_image()
    image = SimpleNamespace(shape=PHOTO.shape, __dlpack__=tensor.__dlpack__, __dlpack_device__=tensor.__dlpack_device__)
    return image, address


@pytest.mark.parametrize("make", [torch_image, cupy_image, dlpack_image])
def test_images_are_not_copied(toy: Path, cuda: SimpleNamespace, make: Any) -> None:
    image, address = make()
    encoded = Image(image, model=toy, device="cuda")
    cpu, session = Session(PHOTO, model=toy), Session(encoded)
    assert encoded.encoded.pixels.ptr == address
    del encoded
    uploaded = Session(PHOTO, model=toy, device="cuda")
    for click in CLICKS:
        np.testing.assert_array_equal(session.click(*click), uploaded.click(*click))
    np.testing.assert_array_equal(session.image, PHOTO)
    del image  # the session holds it
    np.testing.assert_array_equal(session.cutout()[..., :3], cpu.image)


def test_images_of_torch_that_are_still_being_made(toy: Path, cuda: SimpleNamespace) -> None:
    import torch

    expected = Session(PHOTO, model=toy, device="cuda").click(*CLICKS[0])
    source, tensor = torch_image()[0], torch.zeros(PHOTO.shape, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(BUSY)
        tensor.copy_(source)
        session = Session(tensor, model=toy, device="cuda")
    np.testing.assert_array_equal(session.click(*CLICKS[0]), expected)


def test_images_of_cupy_that_are_still_being_made(toy: Path, cuda: SimpleNamespace) -> None:
    import torch

    cupy = pytest.importorskip("cupy")
    expected = Session(PHOTO, model=toy, device="cuda").click(*CLICKS[0])
    source, array = cupy_image()[0], cupy.zeros(PHOTO.shape, cupy.uint8)
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True) as side:
        with torch.cuda.stream(torch.cuda.ExternalStream(side.ptr)):
            torch.cuda._sleep(BUSY)
        array[...] = source
        session = Session(array, model=toy, device="cuda")
    np.testing.assert_array_equal(session.click(*CLICKS[0]), expected)


def test_unfit_images_are_refused(toy: Path, cuda: SimpleNamespace) -> None:
    image, _ = torch_image()
    for unfit, message in (
        (image.permute(2, 0, 1), "permute"),
        (image.float(), "dtype float32; it must be uint8"),
        (image[:, ::2], "not C-contiguous"),
        (image[..., 0], "must be"),
    ):
        with pytest.raises(ValueError, match=message):
            Session(unfit, model=toy, device="cuda")
    with pytest.raises(ValueError, match="image lies on a GPU but the session is to run on the CPU"):
        Session(image, model=toy)


def test_mattes_are_not_copied(toy: Path, cuda: SimpleNamespace) -> None:
    import torch

    session = Session(PHOTO, model=toy, device="cuda")
    there = session.click_on_device(*CLICKS[0])
    matte = session.alpha
    assert session.alpha_device.ptr == there.ptr
    for tensor in (torch.as_tensor(there, device="cuda"), torch.from_dlpack(there)):
        assert tensor.data_ptr() == there.ptr
        assert tensor.dtype == torch.uint8
        np.testing.assert_array_equal(tensor.cpu().numpy(), matte)
    cupy = pytest.importorskip("cupy")
    for array in (cupy.asarray(there), cupy.from_dlpack(there)):
        assert array.data.ptr == there.ptr
        np.testing.assert_array_equal(cupy.asnumpy(array), matte)


def test_mattes_are_complete_and_outlive_their_session(toy: Path, cuda: SimpleNamespace) -> None:
    import torch

    cpu = Session(PHOTO, model=toy, device="cuda")
    expected = [cpu.click(*click) for click in CLICKS]
    with torch.cuda.stream(torch.cuda.Stream()):  # which waits for nothing
        session = Session(PHOTO, model=toy, device="cuda")
        kept = []
        for click in CLICKS:
            kept.append(torch.as_tensor(session.click_on_device(*click), device="cuda").clone())
            torch.cuda.current_stream().synchronize()  # the next click writes where this one is read from
        last = torch.as_tensor(session.alpha_device, device="cuda")
        del session
        Session(PHOTO[::-1].copy(), model=toy, device="cuda").click(5, 5)  # wants memory as well
        for tensor, matte in zip((*kept, last), (*expected, expected[-1]), strict=True):
            np.testing.assert_array_equal(tensor.cpu().numpy(), matte)


def test_a_matte_feeds_another_librarys_kernel(toy: Path, cuda: SimpleNamespace) -> None:
    import torch

    image, _ = torch_image()
    session = Session(image, model=toy, device="cuda")
    alpha = torch.as_tensor(session.click_on_device(*CLICKS[0]), device="cuda")
    cutout = torch.cat([image, alpha[..., None]], dim=2)
    np.testing.assert_array_equal(cutout.cpu().numpy(), session.cutout())
