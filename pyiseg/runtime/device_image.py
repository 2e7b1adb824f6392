"""Take images that lie on a GPU already, of CuPy, PyCUDA, torch or whatever has one of two protocols.

``__cuda_array_interface__`` (https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html) and DLPack
(https://dmlc.github.io/dlpack). Nothing of those libraries is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_CUDA, _CUDA_MANAGED = 2, 13  # DLPack's numbers
_LEGACY_STREAM = 1


def is_device_array(image: Any) -> bool:
    """Whether something is an array on a CUDA device."""
    if isinstance(image, np.ndarray):
        return False
    place = getattr(image, "__dlpack_device__", None)
    if callable(place):
        return place()[0] in (_CUDA, _CUDA_MANAGED)
    return getattr(image, "__cuda_array_interface__", None) is not None


class DeviceImage:
    """An image on a GPU, checked. It is used where it lies, not copied, so it must not change while it is in use.

    Args:
        image: RGB, uint8, shape (H, W, 3), C-contiguous, with ``__cuda_array_interface__`` or ``__dlpack__``.

    Raises:
        ValueError: It is of another kind; the message says how to make it one.

    Attributes:
        shape: (H, W).
    """

    def __init__(self, image: Any) -> None:
        self._image = image
        try:
            interface = getattr(image, "__cuda_array_interface__", None)
        except RuntimeError as error:  # torch's, for a tensor that requires grad
            raise ValueError(f"image on the GPU cannot be shared: {error}") from error
        if interface is None and not hasattr(image, "shape"):
            raise ValueError(f"image is a {type(image).__name__}, which has no shape; pass an array")
        shape = tuple(interface["shape"] if interface is not None else image.shape)
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            channels_first = len(shape) == 3 and shape[0] == 3
            way_out = "image.permute(1, 2, 0).contiguous() in torch" if channels_first else "a C-contiguous copy"
            raise ValueError(f"image on the GPU has shape {shape}; it must be (H, W, 3), RGB: pass {way_out}")
        self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))
        if interface is None:
            return
        if np.dtype(interface["typestr"]) != np.uint8:
            raise ValueError(
                f"image on the GPU has dtype {np.dtype(interface['typestr'])}; it must be uint8, 0..255: "
                "(255 * image).astype('uint8') converts 0..1"
            )
        strides = interface.get("strides")
        if strides is not None and tuple(strides) != (3 * shape[1], 3, 1):
            raise ValueError(
                f"image on the GPU has shape {shape} and strides {tuple(strides)}, so it is not C-contiguous; pass "
                "cupy.ascontiguousarray(image) or image.contiguous()"
            )

    def borrow(self, stream: Any) -> Any:
        """The image as a native array that shares its memory.

        Args:
            stream: A native stream; its work from now on waits for what the image's maker has enqueued.

        Raises:
            ValueError: A DLPack tensor of another dtype, or not C-contiguous; or it lies on another GPU.
        """
        from pyiseg import _core

        interface = getattr(self._image, "__cuda_array_interface__", None)
        # Before version 3, which torch has not reached, it says nothing of streams; DLPack makes ours wait for its own.
        says_stream = interface is not None and interface.get("version", 0) >= 3
        if interface is not None and (says_stream or not hasattr(self._image, "__dlpack__")):
            # PyCUDA names no stream either, and works on the legacy one.
            stream.wait_for(interface.get("stream") or _LEGACY_STREAM)
            array = _core.borrow(interface["data"][0], (*self.shape, 3), np.dtype(np.uint8), self._image)
        else:
            try:
                array = _core.from_dlpack(self._image.__dlpack__(stream=stream.handle))
            except BufferError as error:
                raise ValueError(f"image on the GPU cannot be shared: {error}") from error
        if array.dtype != np.uint8:
            raise ValueError(f"image on the GPU has dtype {array.dtype}; it must be uint8, 0..255")
        try:
            stream.check_address(array.ptr)
        except ValueError as error:
            raise ValueError(f"image on the GPU cannot be used: {error}") from None
        return array
