"""A session: one image, and the prompts made on it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from pyiseg import foreground as foregrounds
from pyiseg import images, pil_images, prompts, saving, steps
from pyiseg.geometry import Rect
from pyiseg.image import Image
from pyiseg.model import Model, load_model
from pyiseg.paths import local_path, quoted
from pyiseg.prompts import Click, Number, Prompt
from pyiseg.session_formats import SessionFormats
from pyiseg.session_state import SessionState

if TYPE_CHECKING:
    from pyiseg._core import Array


class _LeftOut(str):
    """A default that can be told from the same text given by a user."""

    __slots__ = ()


_LEFT_OUT_MODEL, _LEFT_OUT_DEVICE = _LeftOut("default"), _LeftOut("cpu")


class Session(SessionFormats):
    """Select something in an image: by clicks, boxes and scribbles, from nothing or from a mask.

    The costly part, encoding the image, happens once, here (or before, in `pyiseg.Image`); each click after that is
    cheap. Only where a selection is small, some click from the fourth on zooms in: it encodes the crop of the image
    around the selection as well, which shows more there (the default model does so). A session is the list of its
    steps and nothing else: the alpha is a pure function of the image, the model and the prompts in their order.

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
        mask: A mask or matte to begin with, shape (H, W): bool, uint8 from 0 to 255, or floating point from 0 to 1; or
            the path of an image file. It is the first prompt: clicks refine it, undoing them brings it back bit for
            bit, and undoing once more, or `reset`, leaves nothing selected.
        max_pixels: The most pixels that the image may have, as for `pyiseg.Image`; a mask's file may have no more than
            the image.

    Raises:
        ValueError: The image or the mask is not one, ``device`` is not a known name, or a `pyiseg.Image` was encoded
            with another model or on another device.
        FileNotFoundError: ``image`` is a path at which there is no file.
        pyiseg.ModelError: The model is missing, damaged or of a kind this version cannot run.
        pyiseg.DeviceError: The device cannot be used here.

    Notes:
        What is transparent is seen over white, and stays transparent in `cutout`. Of files and PIL images the EXIF
        orientation is applied, so clicks are given on the image as it is seen, and color profiles are converted to
        sRGB. Palettes, CMYK and gray of 10 to 16 bits are converted.
    """

    def __init__(
        self,
        image: images.ImageLike | Image | Any,
        *,
        model: str | os.PathLike[str] | Model = _LEFT_OUT_MODEL,
        device: str = _LEFT_OUT_DEVICE,
        mask: npt.ArrayLike | None = None,
        max_pixels: int | None = None,
    ) -> None:
        if isinstance(image, Image):
            _check_same(image, model, device, max_pixels)
        else:
            image = Image(image, model=model, device=device, max_pixels=max_pixels)
        self._image = image
        self._state = SessionState(image)
        if mask is not None:
            self._add(prompts.checked_mask(mask, self.shape))

    def click(self, x: Number, y: Number, fg: bool | np.bool_ = True, *, local: bool = False) -> npt.NDArray[np.uint8]:
        """Add one click and return the new alpha matte. What was undone before can no longer be redone.

        A click is superseded by a later one with the other label so close to it that the network cannot tell them
        apart (`pyiseg.crop.in_force`).

        Args:
            x: Column in the session's image, 0 to W - 1. Integers are pixel centers, (0, 0) is the top-left one;
                fractions are rounded to the nearest pixel center, halves up.
            y: Row, 0 to H - 1, likewise.
            fg: True selects, False removes.
            local: Whether only what is connected to the click changes, for a touch of something in a selection that is
                right elsewhere. Most selections need fewer clicks without.

        Returns:
            Alpha, uint8, shape (H, W), 255 where selected. A fresh array, yours to keep.

        Raises:
            ValueError: The click lies outside the image, or is not a pair of finite numbers and a truth value. The
                session is as it was before, as after any error.
            pyiseg.ModelError: The network failed.
            pyiseg.DeviceError: The GPU failed or has no memory left; so may everything else that renders.
        """
        click = prompts.checked_click(x, y, fg, self.shape)
        return self._add(prompts.LocalClick(*click) if local else click)

    def box(self, x0: Number, y0: Number, x1: Number, y1: Number) -> npt.NDArray[np.uint8]:
        """Select what a box holds and return the new alpha matte; clicks go on from there.

        Args:
            x0, y0, x1, y1: Two opposite corners, columns and rows of the image, both ends in the box; fractions are
                rounded. What lies outside of the image is cut off.

        Returns:
            As `click` does.

        Raises:
            ValueError: A value is not a finite number, or no pixel of the image is in the box.
            pyiseg.ModelError, pyiseg.DeviceError: As for `click`.
        """
        return self._add(prompts.checked_box(x0, y0, x1, y1, self.shape))

    def scribble(self, points: Iterable[Any], fg: bool | np.bool_ = True) -> npt.NDArray[np.uint8]:
        """Select, or remove, what a line is drawn over and return the new alpha matte; clicks go on from there.

        Args:
            points: The line's corners (x, y) in the image, in order; an array of shape (N, 2) will do. Between them
                the line is straight.
            fg: True selects, False removes.

        Returns:
            As `click` does.

        Raises:
            ValueError: There is no point, or one lies outside the image or is not a pair of finite numbers.
            pyiseg.ModelError, pyiseg.DeviceError: As for `click`.
        """
        return self._add(prompts.checked_scribble(points, fg, self.shape))

    def add(self, prompt: Prompt) -> Rect:
        """Make a prompt without rendering the matte, and return where it changed: for large images, with `alpha_in`.

        Args:
            prompt: A `pyiseg.Click`, `pyiseg.LocalClick`, `pyiseg.Box` or `pyiseg.Scribble`.

        Returns:
            What `changed` is.

        Raises:
            ValueError, pyiseg.ModelError, pyiseg.DeviceError: As for `click`, `box` and `scribble`.

        Example:
            >>> rect = session.add(pyiseg.Click(4000, 3000, True))
            >>> shown[rect.slices] = session.alpha_in(rect)
        """
        checked = prompts.checked(prompt, self.shape)
        return self._state.add(checked, self._state.changed_by)

    def preview(
        self, x: Number, y: Number, fg: bool | np.bool_ = True, *, local: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Return what `click` would, and change nothing: for showing what the pointer is over.

        Args:
            x, y, fg, local: As for `click`.

        Raises:
            ValueError, pyiseg.ModelError, pyiseg.DeviceError: As for `click`.
        """
        click = prompts.checked_click(x, y, fg, self.shape)
        prompt = prompts.LocalClick(*click) if local else click
        state = self._state
        with state.at_work():
            return state.matte(steps.after(state.crops, state.history.steps, prompt))

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
        self._state.check_on_gpu("click_on_device")
        return self._state.add(prompts.checked_click(x, y, fg, self.shape), self._state.matte_on_device)

    def undo(self) -> npt.NDArray[np.uint8]:
        """Take back what was done last: a prompt, or the removal of one. With nothing left, nothing happens.

        Returns:
            Alpha as it was before, bit for bit. A fresh array.
        """
        return self._state.undo(self._state.matte)

    def redo(self) -> npt.NDArray[np.uint8]:
        """Do again what was undone last. With nothing undone since the last prompt, nothing happens.

        Returns:
            Alpha as it was after it, bit for bit. A fresh array.
        """
        return self._state.redo(self._state.matte)

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would take anything back."""
        with self._state.at_work():
            return self._state.history.before is not self._state.history.steps

    @property
    def can_redo(self) -> bool:
        """Whether `redo` would bring anything back."""
        with self._state.at_work():
            return self._state.history.undone > 0

    def remove(self, index: int) -> npt.NDArray[np.uint8]:
        """Take back any prompt; those after it are made again without it. `undo` brings it back.

        Args:
            index: Which of `prompts`; negative ones count from the end.

        Returns:
            The new alpha. A fresh array.

        Raises:
            IndexError: There is no such prompt.
            pyiseg.ModelError, pyiseg.DeviceError: As for `click`.
        """
        return self._state.remove(index, self._state.matte)

    def reset(self) -> npt.NDArray[np.uint8]:
        """Forget all prompts, also those that were undone. This cannot be undone.

        Returns:
            Alpha, all zeros. A fresh array.
        """
        return self._state.reset(self._state.matte)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was done, undone steps too, to a small file that `load` opens again; without the image.

        Args:
            path: A file of that name is replaced, whole or not at all, if it is a saved session.

        Raises:
            ValueError: ``path`` is no path, or names a folder or a file that is something else than a session.
            OSError: It cannot be written.
        """
        target = saving.check_writable(path)
        image, history = self._image, self._state.history
        with self._state.at_work():
            saving.write(target, image.rgb, image.model, image.device, history.changes, history.undone)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        image: images.ImageLike | Image | Any,
        *,
        model: str | os.PathLike[str] | Model = _LEFT_OUT_MODEL,
        device: str = _LEFT_OUT_DEVICE,
        replay: bool = False,
        max_pixels: int | None = None,
    ) -> Session:
        """Open what `save` wrote, with the image it was made on: same model and device, same mattes bit for bit.

        All prompts are made again, which takes as long as they took. Files from strangers are safe to open.

        Args:
            path: The file.
            image, model, device, max_pixels: As for `Session`.
            replay: Whether the prompts may be made again with another model than theirs; the mattes then differ.

        Returns:
            A session with the same prompts, of which the same can be undone and redone.

        Raises:
            ValueError: The file is damaged or of another kind, or was made on another image, or with another model
                and ``replay`` is not set.
            OSError: It cannot be read.
        """
        session = cls(image, model=model, device=device, max_pixels=max_pixels)
        saved = saving.SavedSession(local_path(path), session.image)
        if not replay:
            saved.check_model(session._image.model)
        session._state.replay(saved.changes, saved.undone)
        return session

    def close(self) -> None:
        """Give back what the session holds, such as memory on a GPU; it cannot be used any more. ``with`` does it."""
        self._state.close()

    def __enter__(self) -> Session:
        self._state.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alpha(self) -> npt.NDArray[np.uint8]:
        """Alpha after the last prompt, uint8, shape (H, W); all zeros before the first. A fresh array."""
        with self._state.at_work():
            return self._state.matte(self._state.history.steps)

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
        self._state.check_on_gpu("alpha_device")
        with self._state.at_work():
            return self._state.matte_on_device(self._state.history.steps)

    def alpha_in(self, rect: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
        """Return alpha after the last prompt within a rectangle, bit for bit as `alpha` has it, for less time.

        Args:
            rect: Rows top to bottom - 1 and columns left to right - 1 of the image, as (top, left, bottom, right);
                `changed` is one.

        Returns:
            uint8, shape (bottom - top, right - left). A fresh array.

        Raises:
            ValueError: It is no rectangle inside the image.
        """
        window = prompts.checked_rect(rect, self.shape)
        with self._state.at_work():
            return steps.matte_in(self._state.crops, self._state.history.steps, window)

    @property
    def changed(self) -> Rect:
        """Where the last call that could change alpha changed it: the rectangle that a user interface must redraw.

        A `pyiseg.geometry.Rect`, (top, left, bottom, right); outside of it alpha is bit for bit as it was before.
        Empty, all zeros, where nothing changed, and before the first call.
        """
        return self._state.changed

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Where alpha >= 128, bool, shape (H, W). A fresh array."""
        return self.alpha >= 128

    def cutout(self, *, foreground: str = "image") -> npt.NDArray[np.uint8]:
        """The image with the selection as its alpha channel.

        Args:
            foreground: ``"image"`` leaves the colors as they are in the image. ``"estimate"`` takes the old background
                out of them where alpha is neither 0 nor 255, so that soft edges look right on another background; all
                other pixels keep their colors.

        Returns:
            RGBA, uint8, shape (H, W, 4); the colors are not multiplied by alpha. Where the image is transparent itself,
            alpha is the product of its own and the selection's. A fresh array.

        Raises:
            ValueError: ``foreground`` is something else.
        """
        foregrounds.check(foreground)
        alpha = self.alpha
        cut = images.cut_out(self.image, self._image.rgba, alpha)
        if foreground == "estimate":
            cut[..., :3] = foregrounds.estimate(cut[..., :3], alpha)
        return cut

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks that were made and not taken back, in order; without those of other prompts."""
        return tuple(Click(*prompt) for prompt in self.prompts if isinstance(prompt, (Click, prompts.LocalClick)))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that were made and not taken back, in order: see `pyiseg.prompts`."""
        with self._state.at_work():
            return tuple(step.prompt for step in self._state.history.steps)

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """The image as the network sees it: RGB, uint8, shape (H, W, 3). The session's own, read-only.

        What is transparent lies over white here; `pyiseg.Image.rgba` has the original colors. An image that was given
        on a GPU is fetched when this is first asked for, or when the session zooms in.
        """
        return self._image.rgb

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image, and of every alpha."""
        return self._image.shape

    @property
    def crop(self) -> Rect:
        """Where the last prompt was predicted: the whole image or, zoomed in, a crop of it; alpha is 0 outside.

        Of an image more than six times as long as wide, a window or a crop of that; outside of the window alpha stays.
        A `pyiseg.geometry.Rect`: rows top to bottom - 1 and columns left to right - 1 of the image.
        """
        with self._state.at_work():
            last = self._state.history.steps[-1:]
            return last[0].selection.rect if last and last[0].selection is not None else self._state.crops.whole.rect

    @property
    def device(self) -> str:
        """The device in use; what ``"auto"`` has come to."""
        return self._image.device

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be copied or pickled: two sessions would share one history and one set of buffers."""
        raise TypeError(
            "a pyiseg.Session cannot be copied or pickled; session.save(file) keeps what was done, and "
            "pyiseg.Session.load(file, image) makes it again in a new session"
        )

    def __repr__(self) -> str:
        height, width = self.shape
        count = len(self._state.history.steps)
        return f"<pyiseg.Session of a {width} x {height} image, {count} prompts, on '{self.device}'>"

    def _add(self, prompt: Prompt) -> npt.NDArray[np.uint8]:
        return self._state.add(prompt, self._state.matte)


def _check_same(image: Image, model: str | os.PathLike[str] | Model, device: str, max_pixels: int | None) -> None:
    """Refuse a model, device or size that an encoded image does not have; what was left out is the image's."""
    pil_images.check_max_pixels(max_pixels)
    pil_images.check_size(image.shape, max_pixels, "image")
    if not isinstance(model, _LeftOut):
        wanted, own = load_model(model), image.model
        if (wanted.sha256, wanted.serving) != (own.sha256, own.serving):
            raise ValueError(
                f"the image was encoded with the model '{own.name}' of {quoted(own.folder)}, not with "
                f"'{wanted.name}' of {quoted(wanted.folder)}: leave model out, or make another "
                "pyiseg.Image with that model"
            )
    if not isinstance(device, _LeftOut) and device not in ("auto", image.device):
        raise ValueError(
            f"the image was encoded on '{image.device}', not on {device!r}: leave device out, or make another "
            "pyiseg.Image on that device"
        )
