"""One face for all methods that are compared, and pyiseg behind it."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyiseg.model import Model, load_model
from pyiseg.session import Session

Pixels: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.bool_]


class Selecting(Protocol):
    """A selection on one image, begun by :meth:`Peer.open`."""

    def click(self, x: int, y: int, fg: bool) -> Mask:
        """Add a click and return the whole mask after all clicks so far: bool, shape (H, W) of the image."""


class Peer(Protocol):
    """A method of selecting by clicks, loaded and ready.

    Attributes:
        name: For tables.
        settings: What its answers depend on, as JSON can hold it.
    """

    name: str
    settings: dict[str, object]

    def open(self, rgb: Pixels) -> Selecting:
        """Do what is done once an image, and return a selection without clicks.

        Args:
            rgb: uint8, shape (H, W, 3). Not written to.
        """


class Pyiseg:
    """Sessions of a model folder.

    Args:
        model, device: As for :class:`pyiseg.Session`.
        name: For tables.
    """

    def __init__(self, model: str | Model = "default", device: str = "cpu", name: str = "pyiseg") -> None:
        self.name = name
        self._model = model if isinstance(model, Model) else load_model(model)
        self._device = device
        self.settings: dict[str, object] = {
            "model": self._model.name,
            "sha256": dict(self._model.sha256),
            "serving": self._model.serving,
            "device": device,
        }

    def open(self, rgb: Pixels) -> _Session:
        """See :meth:`Peer.open`."""
        return _Session(Session(rgb, model=self._model, device=self._device))


class _Session:
    def __init__(self, session: Session) -> None:
        self._session = session

    def click(self, x: int, y: int, fg: bool) -> Mask:
        mask: Mask = self._session.click(x, y, fg) >= 128
        return mask


class Clicked:
    """A selection of a peer for a robot user, see :class:`pyiseg.evaluation.evaluate.Clickable`.

    Args:
        peer: The method.
        rgb: uint8, shape (H, W, 3).

    Attributes:
        mask: What the last click gave, bool, shape (H, W); nothing before the first.
    """

    def __init__(self, peer: Peer, rgb: Pixels) -> None:
        self._selection = peer.open(rgb)
        self.mask: Mask = np.zeros(rgb.shape[:2], np.bool_)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width = self.mask.shape
        return height, width

    def click(self, x: int, y: int, fg: bool) -> None:
        """Make a click."""
        self.mask = self._selection.click(x, y, fg)
