"""A session: one image, and the clicks made on it."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsIndex, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from pyiseg import images
from pyiseg.crops import CropPrediction, Crops
from pyiseg.errors import DeviceError
from pyiseg.geometry import Rect
from pyiseg.image import Image
from pyiseg.model import Model, load_model

if TYPE_CHECKING:
    from pyiseg._core import Array

Rendered = TypeVar("Rendered")
Number: TypeAlias = "float | np.integer[Any] | np.floating[Any]"


class Click(NamedTuple):
    """A click as it was made: the pixel, and whether it selects (fg) or removes."""

    x: int
    y: int
    fg: bool


class _LeftOut(str):
    """A default that can be told from the same text given by a user."""

    __slots__ = ()


_LEFT_OUT_MODEL, _LEFT_OUT_DEVICE = _LeftOut("default"), _LeftOut("cpu")


class _Step(NamedTuple):
    """A click and its result. The result is grid-sized; the full-resolution alpha is rendered from it when wanted."""

    click: Click
    selection: CropPrediction


class Session:
    """Select something in an image by clicking.

    The costly part, encoding the image, happens once, here (or before, in `pyiseg.Image`); each click after that is
    cheap. Only where a selection is small, some click from the fourth on zooms in: it encodes the crop of the image
    around the selection as well, which shows more there (the default model does so). A session is the list of its
    steps and nothing else: the alpha is a pure function of the image, the model and the clicks in their order.

    An image more than six times as long as wide is predicted on in windows around the clicks. What is selected outside
    of the last click's window stays as it is; a click that needs another window encodes that.

    A session may be used from several threads, one at a time gets in; different sessions run side by side.

    Args:
        image: A uint8 array (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA, a PIL image, or the path of an image file;
            see the notes below. It is copied: changing it afterwards changes nothing here. With ``device="cuda"`` also
            an RGB array (H, W, 3) on the GPU, of CuPy, PyCUDA, torch or anything with ``__cuda_array_interface__`` or
            DLPack: it is not copied, so it must not be changed. Or a `pyiseg.Image`, which several sessions may share.
        model: ``"default"``, the path of a model folder, or a `pyiseg.Model`. With a `pyiseg.Image` it is the image's.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that is available.

    Raises:
        ValueError: The image is not one, ``device`` is not a known name, or a `pyiseg.Image` was encoded with another
            model or on another device.
        FileNotFoundError: ``image`` is a path at which there is no file.
        pyiseg.ModelError: The model is missing, damaged or of a kind this version cannot run.
        pyiseg.DeviceError: The device cannot be used here.

    Notes:
        An alpha channel and color profiles are ignored; the EXIF orientation of files and PIL images is applied, so
        clicks are given on the image as it is seen. Palettes, CMYK and 16-bit gray are converted.
    """

    def __init__(
        self,
        image: images.ImageLike | Image | Any,
        *,
        model: str | os.PathLike[str] | Model = _LEFT_OUT_MODEL,
        device: str = _LEFT_OUT_DEVICE,
    ) -> None:
        if isinstance(image, Image):
            _check_same(image, model, device)
        else:
            image = Image(image, model=model, device=device)
        self._crops = Crops(image)
        self._lock = threading.Lock()
        self._steps: list[_Step] = []
        self._undone: list[_Step] = []

    def click(self, x: Number, y: Number, fg: bool | np.bool_ = True) -> npt.NDArray[np.uint8]:
        """Add one click and return the new alpha matte. What was undone before can no longer be redone.

        Args:
            x: Column in the session's image, 0 to W - 1. Integers are pixel centers, (0, 0) is the top-left one;
                fractions are rounded to the nearest pixel center, halves up.
            y: Row, 0 to H - 1, likewise.
            fg: True selects, False removes.

        Returns:
            Alpha, uint8, shape (H, W), 255 where selected. A fresh array, yours to keep.

        Raises:
            ValueError: The click lies outside the image, or is not a pair of finite numbers and a truth value. The
                session is as it was before, as after any error.
            pyiseg.ModelError: The network failed.
            pyiseg.DeviceError: The GPU failed or has no memory left; so may everything else that renders.
        """
        return self._add(x, y, fg, self._crops.matte)

    def click_on_device(self, x: Number, y: Number, fg: bool | np.bool_ = True) -> Array:
        """Do what `click` does, but leave the matte on the GPU.

        Args:
            x, y, fg: As for `click`.

        Returns:
            What `alpha_device` is.

        Raises:
            ValueError, pyiseg.ModelError: As for `click`.
            pyiseg.DeviceError: The session runs on the CPU; or the device failed.
        """
        self._needs_gpu("click_on_device")
        return self._add(x, y, fg, self._crops.matte_on_device)

    def undo(self) -> npt.NDArray[np.uint8]:
        """Take the last click back. With no click left, nothing happens.

        Returns:
            Alpha as it was before that click, bit for bit. A fresh array.
        """
        with self._lock:
            alpha = self._render(self._steps[:-1])
            if self._steps:
                self._undone.append(self._steps.pop())
            return alpha

    def redo(self) -> npt.NDArray[np.uint8]:
        """Make the click again that was undone last. With nothing undone since the last click, nothing happens.

        Returns:
            Alpha as it was after that click, bit for bit. A fresh array.
        """
        with self._lock:
            alpha = self._render([*self._steps, *self._undone[-1:]])
            if self._undone:
                self._steps.append(self._undone.pop())
            return alpha

    def reset(self) -> npt.NDArray[np.uint8]:
        """Forget all clicks, also those that were undone. This cannot be undone.

        Returns:
            Alpha, all zeros. A fresh array.
        """
        with self._lock:
            self._crops.release()  # first: it may fail, and then all is as it was
            self._steps.clear()
            self._undone.clear()
            return self._render([])

    @property
    def alpha(self) -> npt.NDArray[np.uint8]:
        """Alpha after the last click, uint8, shape (H, W); all zeros before the first. A fresh array."""
        with self._lock:
            return self._render(self._steps)

    @property
    def alpha_device(self) -> Array:
        """Alpha after the last click, on the GPU: uint8, shape (H, W), with ``__cuda_array_interface__`` and DLPack.

        Complete when it is returned, and not copied: it is the session's own, and the next click, undo or other call
        that renders writes into it. `cupy.asarray`, `torch.as_tensor` and `torch.from_dlpack` take it as it is. Before
        that call, and before you drop it, wait for what you have enqueued on it, a copy too, as with
        ``torch.cuda.current_stream().synchronize()``.

        Raises:
            pyiseg.DeviceError: The session runs on the CPU; or the device failed.
        """
        self._needs_gpu("alpha_device")
        with self._lock:
            selection = self._steps[-1].selection if self._steps else None
            return self._crops.matte_on_device(_clicks_of(self._steps), selection)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Where alpha >= 128, bool, shape (H, W). A fresh array."""
        return self.alpha >= 128

    def cutout(self) -> npt.NDArray[np.uint8]:
        """The image with the selection as its alpha channel.

        Returns:
            RGBA, uint8, shape (H, W, 4); the colors are the image's, unchanged and not multiplied by alpha. A fresh
            array.
        """
        return np.dstack((self.image, self.alpha))

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks in force, in the order they were made."""
        with self._lock:
            return tuple(step.click for step in self._steps)

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The image as the session sees it: RGB, uint8, shape (H, W, 3). The session's own, read-only.

        One that was given on a GPU is fetched when this is first asked for, or when the session zooms in.
        """
        return self._crops.image.rgb

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image, and of every alpha."""
        return self._crops.image.shape

    @property
    def crop(self) -> Rect:
        """Where the last click was predicted: the whole image or, zoomed in, the crop of it that alpha is 0 outside of.

        Of an image more than six times as long as wide, a window or a crop of that; outside of the window alpha stays.
        A `pyiseg.geometry.Rect`: rows top to bottom - 1 and columns left to right - 1 of the image.
        """
        with self._lock:
            return self._steps[-1].selection.rect if self._steps else self._crops.whole.rect

    @property
    def device(self) -> str:
        """The device in use; what ``"auto"`` has come to."""
        return self._crops.image.device

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be copied or pickled: two sessions would share one history and one set of buffers."""
        raise TypeError(
            "a pyiseg.Session cannot be copied or pickled; keep session.image and session.clicks, and make the clicks "
            "again in a new session"
        )

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<pyiseg.Session of a {width} x {height} image, {len(self.clicks)} clicks, on '{self.device}'>"

    def _add(
        self, x: Number, y: Number, fg: bool | np.bool_, render: Callable[[list[Click], CropPrediction], Rendered]
    ) -> Rendered:
        """Add a click, and render its result."""
        height, width = self.shape
        new = Click(_pixel("x", x, width), _pixel("y", y, height), _truth(fg))
        with self._lock:
            previous = self._steps[-1].selection if self._steps else None
            clicks = [*_clicks_of(self._steps), new]
            selection = self._crops.predict(clicks, previous)
            rendered = render(clicks, selection)
            # Last, so that nothing that goes wrong above leaves a trace.
            self._steps.append(_Step(new, selection))
            self._undone.clear()
            return rendered

    def _needs_gpu(self, name: str) -> None:
        if not hasattr(self._crops.whole.pipeline, "matte_on_device"):
            raise DeviceError(f"Session.{name} needs a session on a GPU; this one was made with device={self.device!r}")

    def _render(self, steps: list[_Step]) -> npt.NDArray[np.uint8]:
        """The matte after some steps; rendered before they become the session's, so that a failure changes nothing."""
        if not steps:
            return np.zeros(self.shape, dtype=np.uint8)
        return self._crops.matte(_clicks_of(steps), steps[-1].selection)


def _check_same(image: Image, model: str | os.PathLike[str] | Model, device: str) -> None:
    """Refuse a model or device that an encoded image does not have; what was left out is the image's."""
    if not isinstance(model, _LeftOut):
        wanted, own = load_model(model), image.model
        if (wanted.sha256, wanted.serving) != (own.sha256, own.serving):
            raise ValueError(
                f"the image was encoded with the model '{own.name}' of '{own.folder}', not with '{wanted.name}' of "
                f"'{wanted.folder}': leave model out, or make another pyiseg.Image with that model"
            )
    if not isinstance(device, _LeftOut) and device not in ("auto", image.device):
        raise ValueError(
            f"the image was encoded on '{image.device}', not on {device!r}: leave device out, or make another "
            "pyiseg.Image on that device"
        )


def _clicks_of(steps: list[_Step]) -> list[Click]:
    return [step.click for step in steps]


def _pixel(name: str, value: Number, length: int) -> int:
    """A coordinate as the index of a pixel, checked."""
    # To Python bool is a number too, but True is no coordinate.
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        pixel = int(value)
    elif isinstance(value, (float, np.floating)) and math.isfinite(value):
        pixel = math.floor(value + 0.5)
    else:
        raise ValueError(f"{name} is {value!r}; pass a finite number, from 0 to {length - 1} in this image")
    if not 0 <= pixel < length:
        raise ValueError(f"{name} is {value!r}, outside the image: it must be from 0 to {length - 1}")
    return pixel


def _truth(fg: Any) -> bool:
    # Not bool(fg): that would make a selecting click of the text "bg".
    if isinstance(fg, (bool, np.bool_)) or (isinstance(fg, (int, np.integer)) and fg in (0, 1)):
        return bool(fg)
    raise ValueError(f"fg is {fg!r}; pass True to select or False to remove")
