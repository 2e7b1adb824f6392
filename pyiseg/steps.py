"""The steps of a session: what each prompt makes of the selection before it, and the history of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyiseg import prompt_clicks
from pyiseg.crop import CropPrediction
from pyiseg.crops import Crops
from pyiseg.geometry import Rect
from pyiseg.prompts import Box, Click, LocalClick, Mask, Prompt, Scribble


class Step(NamedTuple):
    """A prompt and its result. The result is grid-sized; the full-resolution alpha is rendered from it when wanted.

    Attributes:
        prompt: See above.
        clicks: All clicks so far, with those that stand for other prompts.
        selection: What was predicted for them; None where a mask without anything selected is all there is.
    """

    prompt: Prompt
    clicks: tuple[Click, ...]
    selection: CropPrediction | None


Steps: TypeAlias = tuple[Step, ...]


def after(crops: Crops, steps: Steps, prompt: Prompt) -> Steps:
    """Return the steps with one more; a pure function of the image, the steps and the prompt.

    Args:
        crops: Where predictions are made.
        steps: So far.
        prompt: A `Mask` only where there is no step before.
    """
    before = steps[-1] if steps else None
    clicks, previous = (before.clicks, before.selection) if before else ((), None)
    if isinstance(prompt, Mask):
        return (*steps, _begin(crops, prompt))
    if isinstance(prompt, LocalClick):
        clicks = (*clicks, Click(*prompt))
        return (*steps, Step(prompt, clicks, crops.predict_local(clicks, previous)))
    if isinstance(prompt, Box):
        return (*steps, _box(crops, before, prompt))
    if isinstance(prompt, Scribble):
        return (*steps, _scribble(crops, before, prompt))
    clicks = (*clicks, prompt)
    return (*steps, Step(prompt, clicks, crops.predict(clicks, previous)))


def _scribble(crops: Crops, before: Step | None, scribble: Scribble) -> Step:
    """Click along a scribble, one click after the other, each where most of it is not yet as wanted."""
    x, y = scribble.points[0]
    path = prompt_clicks.path_of_scribble(scribble, *crops.window_around(Rect(y, x, y + 1, x + 1)))
    clicks, selection = (before.clicks, before.selection) if before else ((), None)
    made = list[int]()
    for _ in range(prompt_clicks.SCRIBBLE_CLICKS):
        wrong = (crops.along(path, clicks, selection) > 0.5) != scribble.fg
        place = prompt_clicks.next_on_path(wrong)
        if place is None and not made:
            place = (len(path) - 1) // 2  # all is as wanted, and it is said all the same
        if place is None or place in made:
            break
        made.append(place)
        clicks = (*clicks, Click(*path[place], scribble.fg))
        selection = crops.predict(clicks, selection)
    return Step(scribble, clicks, selection)


def without(crops: Crops, steps: Steps, place: int) -> Steps:
    """Return the steps that there would be without one of them: those after it are made again.

    Args:
        crops: Where predictions are made.
        steps: See above.
        place: Which one, 0 for the first.
    """
    left = steps[:place]
    for step in steps[place + 1 :]:
        left = after(crops, left, step.prompt)
    return left


def _box(crops: Crops, before: Step | None, box: Box) -> Step:
    wanted = prompt_clicks.rect_of_box(box)
    window, view = crops.window_around(wanted)
    inside, around = prompt_clicks.clicks_of_box(box, window, view)
    found = crops.predict_in(wanted, inside, around)
    # The clicks around it have done their part: kept, they would stand in the way of later ones.
    clicks = (inside,)
    if before is None or before.selection is None:
        return Step(box, clicks, found)
    return Step(box, (*before.clicks, inside), crops.union(before.clicks, before.selection, clicks, found, wanted))


def _begin(crops: Crops, mask: Mask) -> Step:
    if mask.bounds is None:
        return Step(mask, (), None)
    start, view, alpha = crops.start(mask.alpha)
    clicks = prompt_clicks.clicks_of_mask(alpha, view)
    placed = tuple(Click(x + start.rect.left, y + start.rect.top, fg) for x, y, fg in clicks)
    return Step(mask, placed, start if clicks else None)


def matte(crops: Crops, steps: Steps) -> npt.NDArray[np.uint8]:
    """Return the alpha after some steps, uint8, shape (H, W), at the image's own resolution. A fresh array."""
    last = steps[-1] if steps else None
    if last is None:
        return np.zeros(crops.image.shape, dtype=np.uint8)
    if isinstance(last.prompt, Mask):
        return np.array(last.prompt.alpha)  # what was given, bit for bit
    assert last.selection is not None
    return crops.matte(last.clicks, last.selection)


def matte_in(crops: Crops, steps: Steps, rect: Rect) -> npt.NDArray[np.uint8]:
    """Return what `matte` does within a rectangle of the image, bit for bit; uint8, of its shape. A fresh array."""
    last = steps[-1] if steps else None
    if last is None:
        return np.zeros(rect.shape, dtype=np.uint8)
    if isinstance(last.prompt, Mask):
        return np.array(last.prompt.alpha[rect.slices])
    assert last.selection is not None
    return crops.matte_in(last.clicks, last.selection, rect)


def changed(crops: Crops, before: Steps, now: Steps) -> Rect | None:
    """Return a rectangle outside of which alpha is the same after some steps as after others, bit for bit.

    Returns:
        None where it is the same everywhere.
    """
    one, other = (steps[-1] if steps else None for steps in (before, now))
    if one is other:
        return None
    rects = list[Rect]()
    drawn = list[tuple[tuple[Click, ...], CropPrediction | None]]()
    for step in (one, other):
        if step is not None and isinstance(step.prompt, Mask):
            if (bounds := step.prompt.bounds) is not None:
                rects.append(bounds)
            drawn.append(((), None))
        else:
            drawn.append(((), None) if step is None else (step.clicks, step.selection))
    found = crops.changed(*drawn[0], *drawn[1])
    for rect in rects:
        found = rect if found is None else found.union(rect)
    return found


class History:
    """What was done in a session, in order: each prompt that was made or removed, and the steps after it.

    Undoing goes back in it, redoing forward, and something new takes the place of what was undone.

    Attributes:
        removed: Of each change, which prompt it removed; None for one that was made.
    """

    def __init__(self) -> None:
        self._states: list[Steps] = [()]
        self._removed: list[int | None] = []
        self._now = 0

    @property
    def steps(self) -> Steps:
        """The steps in force."""
        return self._states[self._now]

    @property
    def states(self) -> Sequence[Steps]:
        """The steps after each change, the first of them before any; undone ones too."""
        return self._states

    @property
    def before(self) -> Steps:
        """The steps that undoing would leave; those in force where nothing is left to undo."""
        return self._states[max(0, self._now - 1)]

    @property
    def following(self) -> Steps:
        """The steps that redoing would bring back; those in force where nothing was undone."""
        return self._states[min(self._now + 1, len(self._states) - 1)]

    @property
    def changes(self) -> list[tuple[Prompt | None, int | None]]:
        """All changes, undone ones too: the prompt that was made, or else which one was removed."""
        return [
            (state[-1].prompt, None) if removed is None else (None, removed)
            for state, removed in zip(self._states[1:], self._removed, strict=True)
        ]

    @property
    def undone(self) -> int:
        """How many of the changes are undone."""
        return len(self._removed) - self._now

    def add(self, steps: Steps, removed: int | None = None) -> None:
        """Go on to other steps.

        Args:
            steps: Those after the change.
            removed: Which prompt it removed; None where it made the last one.
        """
        self._states[self._now + 1 :] = [steps]
        self._removed[self._now :] = [removed]
        self._now += 1

    def undo(self) -> None:
        """Go back to `before`."""
        self._now = max(0, self._now - 1)

    def redo(self) -> None:
        """Go forward to `following`."""
        self._now = min(self._now + 1, len(self._states) - 1)

    def clear(self) -> None:
        """Forget everything."""
        self._states, self._removed, self._now = [()], [], 0
