"""What other parts of the library ask of sessions and images and users need not: memory, and rectangles of mattes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyiseg import prompts, steps
from pyiseg.geometry import Rect
from pyiseg.image import Image
from pyiseg.prompts import Mask
from pyiseg.session import Session
from pyiseg.steps import Step


def image_nbytes(image: Image) -> int:
    """Return the memory that an image holds, on host and device together, in bytes, without sessions on it."""
    encoded: Any = image.encoded
    own = int(encoded.nbytes)
    if image.device != "cpu":
        own += 3 * image.shape[0] * image.shape[1]  # fetched from the device when a session first zooms in
    return own + (0 if image.rgba is None else image.rgba.nbytes)


def session_nbytes(session: Session) -> int:
    """Return the memory that a session holds beside its image, in bytes: its history, its pipeline and a crop."""
    with session._state.at_work():
        crops, history = session._state.crops, session._state.history
        # Each state goes on from the one before it: what they share is not counted again.
        total, before = 0, steps.Steps()
        for state in history.states:
            for place in range(len(state) - 1, -1, -1):
                if place < len(before) and before[place] is state[place]:
                    break
                total += _step_nbytes(state[place], state[place - 1] if place else None)
            before = state
        whole: Any = crops.whole.pipeline
        total += int(whole.nbytes)
        if crops.zoomed is not None:
            crop: Any = crops.zoomed.pipeline
            total += int(crop.nbytes) + int(crop._image.nbytes)
        return total


def changes_made(session: Session) -> int:
    """Return how many prompts and removals a session remembers, undone ones too."""
    with session._state.at_work():
        return len(session._state.history.changes)


def preview_changed(session: Session, prompt: prompts.Prompt) -> tuple[Rect, npt.NDArray[np.uint8]]:
    """Return what a prompt would change, and change nothing: `pyiseg.Session.preview` for large images.

    Args:
        session: The session.
        prompt: A click, box or scribble.

    Returns:
        Outside of which rectangle alpha would be as it is, and what it would be within, uint8, of its shape; fresh.
        The rectangle is empty, all zeros, where nothing would change.

    Raises:
        ValueError, pyiseg.ModelError, pyiseg.DeviceError: As for `pyiseg.Session.add`.
    """
    checked = prompts.checked(prompt, session.shape)
    state = session._state
    with state.at_work():
        now = state.history.steps
        made = steps.after(state.crops, now, checked)
        rect = state.changed_between(now, made)
        return rect, steps.matte_in(state.crops, made, rect)


def undo_changed(session: Session) -> Rect:
    """Take back what was done last, as `pyiseg.Session.undo` does, without rendering the matte.

    Returns:
        Where alpha changed, as `pyiseg.Session.changed` is.
    """
    return session._state.undo(session._state.changed_by)


def redo_changed(session: Session) -> Rect:
    """Do again what was undone last, as `pyiseg.Session.redo` does; otherwise as `undo_changed`."""
    return session._state.redo(session._state.changed_by)


def remove_changed(session: Session, index: int) -> Rect:
    """Take back any prompt, as `pyiseg.Session.remove` does; otherwise as `undo_changed`."""
    return session._state.remove(index, session._state.changed_by)


def reset_changed(session: Session) -> Rect:
    """Forget all prompts, as `pyiseg.Session.reset` does; otherwise as `undo_changed`."""
    return session._state.reset(session._state.changed_by)


def _step_nbytes(step: Step, before: Step | None) -> int:
    """Return the memory of a step that the one before it does not hold already."""
    total = step.prompt.alpha.nbytes if isinstance(step.prompt, Mask) else 0
    found = step.selection
    if found is None:
        return total
    prediction: Any = found.prediction
    for array in (prediction, *(getattr(prediction, name, None) for name in ("alpha", "array", "host"))):
        total += int(getattr(array, "nbytes", 0))
    held = before.selection if before is not None else None
    if held is None or held.kept is not found.kept:
        total += found.kept.nbytes
    known = () if held is None else held.details
    return total + sum(x.before.nbytes + x.alpha.nbytes for x in found.details if not any(x is y for y in known))
