"""What changes in a session: its steps and their history, for one caller at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from pyiseg import steps
from pyiseg.crops import Crops
from pyiseg.errors import DeviceError
from pyiseg.geometry import Rect
from pyiseg.image import Image
from pyiseg.prompts import Mask, Prompt
from pyiseg.steps import History, Steps

if TYPE_CHECKING:
    from pyiseg._core import Array

Rendered = TypeVar("Rendered")


class SessionState:
    """The steps of a session, and what renders them.

    What changes them takes a function ``render``, gives it the steps that will be in force, and returns what it
    returns. It renders before it changes anything, so that nothing that goes wrong leaves a trace.

    Args:
        image: What the session is of.

    Attributes:
        crops: Where predictions are made and rendered. With `history` to be used within `at_work`.
        history: What was done.
    """

    def __init__(self, image: Image) -> None:
        self.crops = Crops(image)
        self.history = History()
        self._before: Steps = ()  # what `changed` compares with
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """One caller at a time, and none after `close`.

        Raises:
            ValueError: The session is closed.
        """
        with self._lock:
            self.check_open()
            yield

    def check_open(self) -> None:
        """Raise ValueError if the session is closed."""
        if self._closed:
            raise ValueError("the session is closed: make another pyiseg.Session of the image")

    def close(self) -> None:
        """Give back what is held, once whoever is at work has finished."""
        with self._lock:
            if not self._closed:
                self.crops.close()
                self.history.clear()
                self._before = ()
                self._closed = True

    def add(self, prompt: Prompt, render: Callable[[Steps], Rendered]) -> Rendered:
        """Make the step of a prompt that was checked. What was undone before can no longer be redone."""
        with self.at_work():
            made = steps.after(self.crops, self.history.steps, prompt)
            return self._go_on(made, render, lambda: self.history.add(made))

    def undo(self, render: Callable[[Steps], Rendered]) -> Rendered:
        """Take back the last change; with none left nothing changes."""
        with self.at_work():
            return self._go_on(self.history.before, render, self.history.undo)

    def redo(self, render: Callable[[Steps], Rendered]) -> Rendered:
        """Make the change again that was taken back last; with none nothing changes."""
        with self.at_work():
            return self._go_on(self.history.following, render, self.history.redo)

    def remove(self, index: int, render: Callable[[Steps], Rendered]) -> Rendered:
        """Take back one prompt.

        Raises:
            IndexError: There is no such prompt.
        """
        with self.at_work():
            before = self.history.steps
            count = len(before)
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not -count <= index < count:
                there = f"pass 0 to {count - 1}" if count else "the session has none"
                raise IndexError(f"there is no prompt {index!r}: {there}")
            place = int(index) % count
            left = steps.without(self.crops, before, place)
            return self._go_on(left, render, lambda: self.history.add(left, removed=place))

    def reset(self, render: Callable[[Steps], Rendered]) -> Rendered:
        """Forget everything."""

        def clear() -> None:
            self.crops.release()  # first: it may fail, and then all is as it was
            self.history.clear()

        with self.at_work():
            return self._go_on((), render, clear)

    def replay(self, changes: Iterable[tuple[Prompt | None, int | None]], undone: int) -> None:
        """Make changes again, those of a saved session.

        Args:
            changes: The prompt that was made, or else which one was removed; checked for the image.
            undone: How many of them to take back in the end.
        """
        with self.at_work():
            for prompt, removed in changes:
                if prompt is not None:
                    self.history.add(steps.after(self.crops, self.history.steps, prompt))
                elif removed is not None:
                    self.history.add(steps.without(self.crops, self.history.steps, removed), removed)
            for _ in range(undone):
                self.history.undo()

    @property
    def changed(self) -> Rect:
        """The rectangle outside of which the last change left alpha as it was; all zeros where it changed nothing."""
        with self.at_work():
            return self.changed_between(self._before, self.history.steps)

    def changed_between(self, before: Steps, now: Steps) -> Rect:
        """Return outside of which rectangle alpha is the same after some steps as after others; zeros: everywhere."""
        return steps.changed(self.crops, before, now) or Rect(0, 0, 0, 0)

    def changed_by(self, made: Steps) -> Rect:
        """Return outside of which rectangle alpha will be the same after some steps as it is now; a ``render``."""
        return self.changed_between(self.history.steps, made)

    def matte(self, made: Steps) -> npt.NDArray[np.uint8]:
        """Render alpha after some steps, uint8, shape (H, W). A fresh array."""
        return steps.matte(self.crops, made)

    def matte_on_device(self, made: Steps) -> Array:
        """Render alpha after some steps on the GPU: see `pyiseg.Session.alpha_device`."""
        last = made[-1] if made else None
        if last is not None and isinstance(last.prompt, Mask):
            return self.crops.to_device(last.prompt.alpha)
        return self.crops.matte_on_device(last.clicks if last else (), last.selection if last else None)

    def check_on_gpu(self, name: str) -> None:
        """Refuse what a session on the CPU cannot do.

        Args:
            name: Of the method of `pyiseg.Session`, for the message.

        Raises:
            pyiseg.DeviceError: The session runs on the CPU.
        """
        if not hasattr(self.crops.whole.pipeline, "matte_on_device"):
            device = self.crops.image.device
            raise DeviceError(f"Session.{name} needs a session on a GPU; this one was made with device={device!r}")

    def _go_on(self, made: Steps, render: Callable[[Steps], Rendered], change: Callable[[], None]) -> Rendered:
        before = self.history.steps
        rendered = render(made)
        change()
        self._before = before
        return rendered
