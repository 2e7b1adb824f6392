"""What every device offers: an image, encoded once, and pipelines that predict selections on it. Protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg.geometry import Rect, View

if TYPE_CHECKING:
    from pyiseg._core import Array

Prediction: TypeAlias = Any
"""What a pipeline predicted, to be handed back to it or to another pipeline on the same image."""


class EncodedImage(Protocol):
    """An image on one device: its pixels, features and guide. What it costs is paid when it is made; it never changes.

    Any number of pipelines share it, also from several threads at once.
    """

    @property
    def view(self) -> View:
        """How the model sees the image."""
        ...

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The image on the host, uint8, shape (H, W, 3), not to be changed. From a GPU it is fetched once, and kept."""
        ...

    def pipeline(self) -> Pipeline:
        """Return a fresh pipeline: all that one selection needs of its own."""
        ...

    def for_crop(self, view: View, rgb: npt.NDArray[np.uint8]) -> EncodedImage:
        """Encode a crop of the image, on the same device.

        Args:
            view: How the model sees the crop.
            rgb: The crop, uint8, shape (H, W, 3), C-contiguous. It may be kept, so it must not change.
        """
        ...


class Pipeline(Protocol):
    """Predicts and renders one selection on an encoded image.

    Clicks are int32, shape (N, 3), rows x, y, label (1 selects, 0 removes), on the image, in the order they were made.
    Not safe to be used from two threads at once; two pipelines are, also on the same image.
    """

    def predict(
        self, clicks: npt.NDArray[np.int32], previous: Prediction | None, answered: int | None = None
    ) -> Prediction:
        """Predict the selection after some clicks; a pure function of its arguments and the image.

        Args:
            clicks: At least one.
            previous: What this returned for the first ones of them; None where nothing was predicted yet.
            answered: How many those are; None for all but the last.

        Returns:
            The alpha that the guided filter is given: float32, shape (h, w), on the grid; where it lies is the
            pipeline's own affair. Fresh.
        """
        ...

    def matte(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.uint8]:
        """Render a prediction at the image's own resolution; a pure function of its arguments and the image.

        Args:
            clicks: Those that `predict` was given for it: they are obeyed, and a learned guide may depend on them.
            prediction: What it returned.

        Returns:
            Alpha, uint8, shape (H, W). A fresh array.
        """
        ...

    def matte_in(self, clicks: npt.NDArray[np.int32], prediction: Prediction, rect: Rect) -> npt.NDArray[np.uint8]:
        """Render what `matte` does within a rectangle of the image, bit for bit.

        Returns:
            Alpha, uint8, of the rectangle's shape. A fresh array.
        """
        ...

    def changed(
        self,
        clicks: npt.NDArray[np.int32],
        prediction: Prediction | None,
        other_clicks: npt.NDArray[np.int32],
        other: Prediction | None,
    ) -> Rect | None:
        """Return a rectangle outside of which two mattes are the same bit for bit; None where they are so everywhere.

        Args:
            clicks, prediction: As for `matte`; None stands for nothing selected.
            other_clicks, other: Likewise.
        """
        ...

    def on_grid(self, clicks: npt.NDArray[np.int32], prediction: Prediction) -> npt.NDArray[np.float32]:
        """Render a prediction on the grid; the arguments are those of `matte`.

        Returns:
            Alpha, float32, shape (h, w), 0..1. A fresh array.
        """
        ...

    def fetch(self, prediction: Prediction) -> npt.NDArray[np.float32]:
        """Return a prediction, float32, shape (h, w), on the host; it may be the pipeline's own, not to be changed."""
        ...

    def adopt(self, prediction: npt.NDArray[np.float32]) -> Prediction:
        """Return what `predict` would have for a prediction that was made of fetched ones.

        Args:
            prediction: float32, shape (h, w), 0..1. It is kept, so it must not change.
        """
        ...

    def carry(self, alpha: npt.NDArray[np.float32]) -> Prediction:
        """Return what stands for an alpha on the grid as it is, for `predict` to go on from.

        Args:
            alpha: float32, shape (h, w), 0..1.
        """
        ...

    def offload(self) -> None:
        """Free what is held for predictions that were returned; a later pipeline of the same view goes on from them."""
        ...


class DevicePipeline(Pipeline, Protocol):
    """A pipeline on a device whose memory is not numpy's."""

    def matte_on_device(self, clicks: npt.NDArray[np.int32], prediction: Prediction | None) -> Array:
        """Return what `matte` does, left on the device; without a prediction, zeros. The next call overwrites it."""
        ...

    def to_device(self, alpha: npt.NDArray[np.uint8]) -> Array:
        """Bring a matte, uint8, shape (H, W), to the device; complete, and overwritten by the next call."""
        ...
