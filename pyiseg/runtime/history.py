"""The predictions of a session's steps on a device, of which only the last ones stay there."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

ON_DEVICE = 32  # Steps whose predictions stay in device memory.


class Prediction:
    """The prediction of one step. It lies on the device, or, when many later steps were made, on the host.

    Attributes:
        array: Where it lies on the device; None where it is on the host.
        host: float32, shape (h, w); None where it is on the device.
        carried: Whether it is no prediction but the alpha on the grid itself, to go on from.
    """

    def __init__(self, array: Any = None, host: npt.NDArray[np.float32] | None = None, carried: bool = False) -> None:
        self.array, self.host, self.carried = array, host, carried

    def move_to_host(self, stream: Any) -> None:
        """Free the device memory."""
        if self.host is None:
            host = np.empty(self.array.shape, dtype=np.float32)
            stream.download(self.array, host)
            self.host, self.array = host, None


class RecentPredictions:
    """Remembers the predictions of the last steps, and moves older ones to the host.

    Args:
        stream: The native stream that they are written on.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._kept: deque[weakref.ref[Prediction]] = deque()

    def add(self, prediction: Prediction) -> None:
        """Remember that of a new step."""
        self._kept.append(weakref.ref(prediction))
        self._move(ON_DEVICE)

    def move_to_host(self) -> None:
        """Free the device memory of all."""
        self._move(0)

    def _move(self, most: int) -> None:
        while len(self._kept) > most:
            oldest = self._kept.popleft()()
            if oldest is not None:
                oldest.move_to_host(self._stream)
