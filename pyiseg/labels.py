"""Several selections in one image as one map of labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pyiseg.session import Session


def label_map(sessions: Iterable[Session]) -> npt.NDArray[np.uint16]:
    """Return which of several selections each pixel belongs to.

    Args:
        sessions: Selections on images of one size, best on one `pyiseg.Image`.

    Returns:
        uint16, shape (H, W): 1 where the first session selects (alpha of at least 128), 2 for the second and so on, 0
        where none does. Where several do, the one with the largest alpha has the pixel; of equal ones the first. A
        fresh array.

    Raises:
        ValueError: There are none, or more than 65,535, or they are of different sizes, or something else.

    Example:
        >>> image = pyiseg.Image("photo.jpg")
        >>> person, dog = pyiseg.Session(image), pyiseg.Session(image)
        >>> alpha = person.click(200, 120), dog.click(420, 300)
        >>> labels = pyiseg.label_map([person, dog])  # 1 is the person, 2 the dog
    """
    if isinstance(sessions, Session):
        raise ValueError("sessions is one Session; pass a list of them, [session]")
    listed = list(sessions)
    for number, given in enumerate(listed):
        if not isinstance(given, Session):
            raise ValueError(f"sessions[{number}] is a {type(given).__name__}; pass the sessions themselves")
    if not 1 <= len(listed) <= np.iinfo(np.uint16).max:
        raise ValueError(f"there are {len(listed)} sessions; pass 1 to {np.iinfo(np.uint16).max}")
    shape = listed[0].shape
    for number, session in enumerate(listed):
        if session.shape != shape:
            raise ValueError(
                f"sessions[{number}] is of {session.shape[1]} x {session.shape[0]} pixels, sessions[0] of "
                f"{shape[1]} x {shape[0]}; pass sessions on one image"
            )
    found = Labels(shape)
    for session in listed:
        found.add(session.alpha)
    return found.map


class Labels:
    """A map of labels, of one selection after the other; see `label_map`.

    Args:
        shape: Height and width.

    Attributes:
        map: uint16, shape (H, W); of all selections so far.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.map = np.zeros(shape, np.uint16)
        self._strongest, self._count = np.full(shape, 127, np.uint8), 0

    def add(self, alpha: npt.NDArray[np.uint8]) -> None:
        """Add a selection: uint8, shape (H, W)."""
        self._count += 1
        stronger = alpha > self._strongest
        self.map[stronger] = self._count
        self._strongest[stronger] = alpha[stronger]
