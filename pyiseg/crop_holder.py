"""The crops of one image: the whole image and, zoomed in, at most one crop of it.

A crop is an image of its own, with its own view and pipeline.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import numpy as np

from pyiseg import zoom
from pyiseg.crop import Crop
from pyiseg.errors import PyisegError
from pyiseg.geometry import Rect, View
from pyiseg.image import Image
from pyiseg.model import Zoom


class CropHolder:
    """The crops that one selection is predicted on: the whole image, which others share, and at most one crop.

    A crop that is not held is encoded again when it is needed, with the same bits. Of all selections on an image those
    that zoomed in last hold their crops (`pyiseg.image.HELD_CROPS`), so that memory does not grow with their number;
    none loses its crop in the midst of a call.
    Not safe to be used from two threads at once; two such objects are, also on the same image.

    Args:
        image: The image.

    Attributes:
        image: See above.
        whole: All of it.
    """

    def __init__(self, image: Image) -> None:
        self.image, self._model = image, image.model
        view = image.encoded.view
        self.whole = Crop(Rect(0, 0, *view.image), view, image.encoded.pipeline())
        self._zoomed: Crop | None = None
        self._at_work = threading.RLock()
        self._to_let_go = False  # another selection has the place of this one's crop

    @property
    def zoomed(self) -> Crop | None:
        """The crop that is held, if any."""
        return self._zoomed

    def close(self) -> None:
        """Release everything but the image; nothing can be predicted or rendered any more."""
        self.release()
        self.whole = cast("Crop", None)

    def release(self) -> None:
        """Release the crop that is held; predictions made on it stay valid."""
        with self._at_work:  # another selection may be asking to let go of it
            held = self._zoomed
            if held is not None:
                held.pipeline.offload()
                self._zoomed = None
                self.image._held_crops.drop(self)

    def let_go(self) -> None:
        """Release the crop now or, where a call is at work on it, when that ends; from any thread."""
        self._to_let_go = True
        if self._at_work.acquire(blocking=False):
            try:
                if self._to_let_go:
                    with suppress(PyisegError):  # it is held on to till the next call, which is told what is wrong
                        self.release()
                        self._to_let_go = False
            finally:
                self._at_work.release()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep the crop until the call ends, whatever other selections on the image do."""
        try:
            with self._at_work:
                yield
        finally:
            if self._to_let_go:
                self.let_go()

    def _view(self, rect: Rect) -> View:
        """How the model sees a crop, or the whole image."""
        if rect == self.whole.rect:
            return self.whole.view
        long_side = zoom.long_side(self._model.zoom or Zoom(), rect, self._model.long_side, self._model.multiple)
        return self._model.view(rect.shape, long_side)

    def _crop(self, rect: Rect) -> Crop:
        if rect == self.whole.rect:
            return self.whole
        held = self._zoomed
        if held is None or held.rect != rect:
            view = self._view(rect)
            self.release()  # first, so that two are never held at once
            pixels = np.ascontiguousarray(self.image.rgb[rect.slices])
            self._zoomed = held = Crop(rect, view, self.image.encoded.for_crop(view, pixels).pipeline())
        self._to_let_go = False
        self.image._held_crops.hold(self)
        return held
