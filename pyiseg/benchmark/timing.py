"""Turns of a benchmark: each method opens an image and clicks on it, is timed, and has to give the same every time."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyiseg.benchmark.machine import median_p95
from pyiseg.benchmark.peers import Mask, Peer
from pyiseg.benchmark.scenes import Scene
from pyiseg.errors import PyisegError
from pyiseg.model import Model
from pyiseg.session import Session

T = TypeVar("T")


class WrongAnswerError(PyisegError):
    """What was timed is not what it must be, so that its times say nothing."""


class Turn(ABC):
    """What all methods have in common: times by what was done, and answers that must stay the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: dict[str, list[float]] = {}
        self._warm = False
        self._answers: dict[str, bytes] = {}

    def run(self) -> None:
        """Take a turn. The first one warms up: its answers are those to expect, and its times do not count."""
        self._run()
        self._warm = True

    def summary(self) -> dict[str, Any]:
        """Median and 95th percentile of all that was timed, see :func:`pyiseg.benchmark.machine.median_p95`."""
        return {name: median_p95(seconds) for name, seconds in self.seconds.items()}

    @abstractmethod
    def _run(self) -> None: ...

    def _timed(self, name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        if self._warm:
            self.seconds.setdefault(name, []).append(seconds)
        return result

    def _check(self, name: str, answer: NDArray[Any]) -> None:
        # A digest: answers on 50 megapixels are too large to keep.
        digest = hashlib.sha256(np.ascontiguousarray(answer).data).digest()
        if self._answers.setdefault(name, digest) != digest:
            raise WrongAnswerError(f"{self.name}: the same clicks gave another answer than before ({name})")


class SessionTurn(Turn):
    """Sessions: open, click, matte, and on another image a click that zooms in and one behind it.

    Args:
        whole: For opening, clicks and mattes.
        small: For zooming in: its last click but one is the first to do so. None leaves that out.
        model, device: As for :class:`pyiseg.Session`.
        must_zoom: Whether it is an error where that click does not zoom in; otherwise its times are left out.

    Attributes:
        mask: What the last turn selected on ``whole``, bool, shape (H, W).
    """

    def __init__(
        self,
        whole: Scene,
        small: Scene | None,
        model: str | Model = "default",
        device: str = "cpu",
        *,
        must_zoom: bool = False,
    ) -> None:
        super().__init__("pyiseg")
        self._whole, self._small = whole, small
        self._options: Mapping[str, Any] = {"model": model, "device": device}
        self._must_zoom = must_zoom
        self.mask: Mask = np.zeros(whole.rgb.shape[:2], np.bool_)

    def _run(self) -> None:
        session = self._timed("open", lambda: Session(self._whole.rgb, **self._options))
        for number, click in enumerate(self._whole.clicks, 1):
            alpha = self._timed("click", lambda click=click: session.click(*click))  # type: ignore[misc]
            self._check(f"click {number}", alpha)
        matte = self._timed("matte", lambda: session.alpha)
        if not np.array_equal(matte, alpha):
            raise WrongAnswerError("pyiseg: the matte is not the one that the last click returned")
        self.mask = alpha >= 128
        if self._small is not None:
            self._zoom(self._small)

    def _zoom(self, small: Scene) -> None:
        session = Session(small.rgb, **self._options)
        *before, zooming, behind = small.clicks
        for click in before:
            session.click(*click)
        was_whole = session.crop.shape == session.shape
        for name, click in (("zoomed_click", zooming), ("crop_click", behind)):
            start = time.perf_counter()
            alpha = session.click(*click)
            seconds = time.perf_counter() - start
            self._check(name, alpha)
            if not was_whole or session.crop.shape == session.shape:
                if self._must_zoom:
                    raise WrongAnswerError("pyiseg: a click that was to zoom in did not, or one before it did")
            elif self._warm:
                self.seconds.setdefault(name, []).append(seconds)


class PeerTurn(Turn):
    """Another method: open and click.

    Args:
        peer: The method.
        whole: As for :class:`SessionTurn`.

    Attributes:
        mask: What the last turn selected, bool, shape (H, W).
    """

    def __init__(self, peer: Peer, whole: Scene) -> None:
        super().__init__(peer.name)
        self._peer, self._whole = peer, whole
        self.mask: Mask = np.zeros(whole.rgb.shape[:2], np.bool_)

    def _run(self) -> None:
        selection = self._timed("open", lambda: self._peer.open(self._whole.rgb))
        for number, click in enumerate(self._whole.clicks, 1):
            mask = self._timed("click", lambda click=click: selection.click(*click))  # type: ignore[misc]
            if mask.shape != self.mask.shape:
                raise WrongAnswerError(f"{self.name}: the mask is {mask.shape}, the image {self.mask.shape}")
            self._check(f"click {number}", mask)
        self.mask = mask
