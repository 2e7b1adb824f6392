"""Objects: the selections on an image, each a session with a name and a color, and what a step of one changed."""

from __future__ import annotations

import io
import secrets
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import numpy.typing as npt

import pyiseg
from pyiseg import session_parts
from pyiseg.geometry import Rect
from pyiseg.kept import nonzero_bounds
from pyiseg.prompts import Prompt, Scribble
from pyiseg.server import heap
from pyiseg.server.errors import ApiError
from pyiseg.server.limits import Limits
from pyiseg.server.opening import without_path
from pyiseg.server.prompt_json import json_of

EMPTY = Rect(0, 0, 0, 0)
COLORS = ("#3a86ff", "#ff006e", "#ffbe0b", "#38b000", "#8338ec", "#fb5607", "#00b4d8", "#9d4edd")
"""Of objects that are not given one, in turn."""

Action = Callable[[pyiseg.Session], Rect]
"""Does something with a session, and returns where its alpha changed."""


@dataclass(frozen=True)
class Outcome:
    """What a step, or the preview of one, changed.

    Attributes:
        changed: Outside of it, alpha is as it was; empty where nothing changed.
        packed: Alpha within it, uint8 rows, deflated with zlib; nothing where it is empty.
        ms: Time that it took.
    """

    changed: Rect
    packed: bytes
    ms: float


class Object:
    """A selection on an image.

    Whoever works with the session holds `lock`, so that steps are made in the order in which they came. What clients
    are told is remembered, so that telling it waits for nobody.

    Args:
        image: The image.
        name, color: Of the object.
        limits: Of the server.
        mask: What it begins with.
        session: To take over, on that image; without one a fresh one is made.

    Attributes:
        version: Grows by one with each step; tells clients whether they missed one.
    """

    def __init__(
        self,
        image: pyiseg.Image,
        name: str,
        color: str,
        limits: Limits,
        mask: npt.NDArray[np.uint8] | None = None,
        session: pyiseg.Session | None = None,
    ) -> None:
        self.id, self.name, self.color = secrets.token_urlsafe(9), name, color
        self.lock, self.version = anyio.Lock(), 0
        self._image, self._limits = image, limits
        self._session = pyiseg.Session(image, mask=mask) if session is None else session
        self._bounds: Rect | None = None
        if mask is not None or session is not None:
            self._bounds = nonzero_bounds(self._session.alpha, Rect(0, 0, *image.shape))
        self._remember()

    @property
    def session(self) -> pyiseg.Session:
        """Its session, for whoever holds the lock."""
        return self._session

    @property
    def nbytes(self) -> int:
        """Memory of the session beside the image, in bytes."""
        return session_parts.session_nbytes(self._session)

    def described(self) -> dict[str, Any]:
        """Return what clients are told of it, see ``OBJECT`` in docs/server.md."""
        return {
            "id": self.id,
            "name": self.name,
            "color": self.color,
            "version": self.version,
            **self._told,
            "bounds": None if self._bounds is None else list(self._bounds),
        }

    def add(self, prompt: Prompt) -> Outcome:
        """Make a prompt. In a thread, like all that follows.

        Raises:
            ApiError: There are too many already.
            ValueError, pyiseg.PyisegError: As for `pyiseg.Session.add`.
        """
        self._check_room(prompt)
        return self._step(lambda session: session.add(prompt))

    def remove(self, index: Any) -> Outcome:
        """Take back any prompt."""
        self._check_room()
        return self._step(lambda session: session_parts.remove_changed(session, index))

    def undo(self) -> Outcome:
        """Take back what was done last."""
        return self._step(session_parts.undo_changed)

    def redo(self) -> Outcome:
        """Do again what was undone last."""
        return self._step(session_parts.redo_changed)

    def reset(self) -> Outcome:
        """Forget all prompts."""
        return self._step(session_parts.reset_changed)

    def preview(self, prompt: Prompt) -> Outcome:
        """Return what a click would change, and change nothing."""
        start = time.perf_counter()
        changed, alpha = session_parts.preview_changed(self._session, prompt)
        return Outcome(changed, _packed(alpha), _milliseconds(start))

    def replace(self, saved: bytes) -> Outcome:
        """Put a saved session in the place of this one.

        Raises:
            ValueError: It is none, or one of another image or model.
        """
        start = time.perf_counter()
        session = loaded(saved, self._image)
        alpha = session.alpha
        bounds = nonzero_bounds(alpha, Rect(0, 0, *alpha.shape))
        rects = [rect for rect in (bounds, self._bounds) if rect is not None]
        changed = rects[0].union(rects[-1]) if rects else EMPTY
        self._session.close()
        self._session, self._bounds = session, bounds
        self.version += 1
        self._remember()
        return Outcome(changed, _packed(alpha[changed.slices]), _milliseconds(start))

    def packed_in(self, rect: Rect) -> bytes:
        """Return alpha within a rectangle: uint8 rows, deflated with zlib."""
        return zlib.compress(self._session.alpha_in(rect).data, 1)

    def png_in(self, rect: Rect) -> bytes:
        """Return alpha within a rectangle as a gray PNG."""
        from PIL import Image

        if rect.top == rect.bottom or rect.left == rect.right:
            raise ValueError(f"the rectangle {tuple(rect)} holds no pixels, of which PNG needs at least one")
        buffer = io.BytesIO()
        Image.fromarray(self._session.alpha_in(rect)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def saved(self) -> bytes:
        """Return the session as a file, as `pyiseg.Session.save` writes it."""
        with tempfile.TemporaryDirectory(prefix="pyiseg-") as folder:
            path = Path(folder) / "session.json"
            self._session.save(path)
            return path.read_bytes()

    def close(self) -> None:
        """Let go of the session."""
        self._session.close()
        heap.give_back_soon()

    def _step(self, action: Action) -> Outcome:
        start = time.perf_counter()
        session, before = self._session, self._bounds
        changed = action(session)
        self.version += 1  # also where the rest fails: clients then see that they missed something
        # Outside of what changed and of the old bounds alpha is 0.
        kept = changed == EMPTY or (before is not None and _holds(before, changed))
        looked_at = changed if kept or before is None else before.union(changed)
        alpha = session.alpha_in(looked_at)
        if not kept:
            self._bounds = nonzero_bounds(alpha, looked_at)
        packed = b"" if changed == EMPTY else _packed(alpha[changed.within(looked_at).slices])
        self._remember()
        return Outcome(changed, packed, _milliseconds(start))

    def _remember(self) -> None:
        session = self._session
        self._prompts = session.prompts
        self._told = {
            "prompts": [json_of(prompt) for prompt in self._prompts],
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
        }

    def _check_room(self, prompt: Prompt | None = None) -> None:
        limits = self._limits
        if session_parts.changes_made(self._session) >= limits.max_changes:
            raise ApiError(
                409,
                "TooMany",
                f"{limits.max_changes} things were done with this object, as many as there may be: reset it, or make "
                "another object",
            )
        if isinstance(prompt, Scribble):
            points = sum(len(made.points) for made in (*self._prompts, prompt) if isinstance(made, Scribble))
            if points > limits.max_points:
                raise ApiError(
                    409,
                    "TooMany",
                    f"the scribbles of this object would have {points} points, more than the {limits.max_points} they "
                    "may: draw with fewer",
                )


def _holds(bounds: Rect, changed: Rect) -> bool:
    """Whether what changed touches none of the sides of the bounds from inside, so that they stay."""
    return (
        bounds.top < changed.top
        and bounds.left < changed.left
        and changed.bottom < bounds.bottom
        and changed.right < bounds.right
    )


def loaded(saved: bytes, image: pyiseg.Image) -> pyiseg.Session:
    """Return the session of a saved file.

    Args:
        saved: The file's bytes.
        image: That it was made on.

    Raises:
        ValueError: It is none, or one of another image or model.
    """
    with tempfile.TemporaryDirectory(prefix="pyiseg-") as folder:
        path = Path(folder) / "session.json"
        path.write_bytes(saved)
        try:
            return pyiseg.Session.load(path, image)
        except ValueError as error:
            raise ValueError(without_path(error, path, "the saved session")) from None


def _packed(alpha: npt.NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.ascontiguousarray(alpha).data, 1) if alpha.size else b""


def _milliseconds(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 2)
