"""An image that was looked at once, for any number of sessions on it."""

from __future__ import annotations

import os
from typing import Any, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from pyiseg import backend, images, pil_images
from pyiseg.held_crops import HeldCrops
from pyiseg.model import Model, load_model
from pyiseg.runtime.device_image import DeviceImage, is_device_array

HELD_CROPS = 3
"""Selections on an image that hold the crop that they zoomed in on; for another one the crop is encoded again."""


class Image:
    """An image, encoded: the costly part of `Session`, which all sessions on it share.

    Several selections in one image take an `Image` and a `Session` each: the image is looked at once, and another
    session costs next to nothing. An image never changes, and sessions on it may be used from several threads at once.

    Args:
        source: A uint8 array (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA, a PIL image, or the path of an image file;
            as for `Session`. It is copied: changing it afterwards changes nothing here. With ``device="cuda"`` also an
            RGB array (H, W, 3) on the GPU, which is not copied, so it must not be changed.
        model: ``"default"``, the path of a model folder, or a `pyiseg.Model`.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that is available.
        max_pixels: The most pixels that the source may have; of a file it is compared before they are decoded, which
            takes some 10 bytes of memory for each. None: 179 million in a file (twice ``PIL.Image.MAX_IMAGE_PIXELS``),
            any number in what is decoded already.

    Raises:
        ValueError: The source is no image or has more than ``max_pixels`` pixels, or ``device`` is not a known name.
        FileNotFoundError: ``source`` is a path at which there is no file.
        pyiseg.ModelError: The model is missing, damaged or of a kind this version cannot run.
        pyiseg.DeviceError: The device cannot be used here.

    Example:
        >>> image = pyiseg.Image("photo.jpg")
        >>> person, dog = pyiseg.Session(image), pyiseg.Session(image)
    """

    def __init__(
        self,
        source: images.ImageLike | Any,
        *,
        model: str | os.PathLike[str] | Model = "default",
        device: str = "cpu",
        max_pixels: int | None = None,
    ) -> None:
        pil_images.check_max_pixels(max_pixels)
        chosen = backend.resolve(device)  # before the file is read
        self._model = load_model(model)
        loaded = None if is_device_array(source) else images.load(source, max_pixels)
        pixels = DeviceImage(source) if loaded is None else loaded.rgb
        pil_images.check_size((pixels.shape[0], pixels.shape[1]), max_pixels, "image")  # those that are on a GPU too
        self._rgba = None if loaded is None else loaded.rgba
        for own in (pixels, self._rgba):
            if isinstance(own, np.ndarray):
                own.flags.writeable = False
        view = self._model.view((pixels.shape[0], pixels.shape[1]))
        self._device, self._encoded = backend.encode(chosen, self._model, view, pixels, fall_back=device == "auto")
        self._held_crops = HeldCrops(HELD_CROPS)  # of all sessions on it; `pyiseg.crop_holder` uses it

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The image as the network sees it: RGB, uint8, shape (H, W, 3). The image's own, read-only.

        What is transparent lies over white here, and a color profile is converted to sRGB. An image that was given on
        a GPU is fetched when this is first asked for, or when a session zooms in.
        """
        return self._encoded.rgb

    @property
    def rgba(self) -> npt.NDArray[np.uint8] | None:
        """The image's own colors with its alpha: uint8, shape (H, W, 4), colors not multiplied by alpha; read-only.

        None where all of the image is opaque; then `rgb` is all there is.
        """
        return self._rgba

    @property
    def model(self) -> Model:
        """The model that it was encoded with."""
        return self._model

    @property
    def device(self) -> str:
        """The device in use; what ``"auto"`` has come to."""
        return self._device

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self._encoded.view.image

    @property
    def encoded(self) -> backend.EncodedImage:
        """What the device holds of it: the network's features and the guide, see `pyiseg.runtime.pipeline`.

        Sessions predict on it; it is not needed beside them, and may look different in another version.
        """
        return self._encoded

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be copied or pickled: it never changes, so it can be shared as it is."""
        raise TypeError(
            "a pyiseg.Image cannot be copied or pickled; share it, or make another one from its rgb: "
            "pyiseg.Image(image.rgb), or of image.rgba where it is transparent"
        )

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<pyiseg.Image of {width} x {height} pixels, on '{self.device}'>"
