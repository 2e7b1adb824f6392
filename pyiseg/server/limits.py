"""How much of everything there may be: told to clients by ``/api/info``, and kept to everywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyiseg import saving

WORKERS = os.cpu_count() or 1
"""Calls of the library that run at once, each in a thread."""
OPENING = 2
"""Images that are decoded and encoded at once."""
MOST_UPLOADS = 32
"""Uploads under way at once."""
MOST_NAME = 200
"""Characters of a name."""
MOST_JSON, MOST_DEPTH = 500_000, 12
"""Bytes of a request or message in JSON, and how deep its lists and objects may be nested."""
MOST_VALUES = 2_000_000
"""Values in a JSON body, whatever its size: each takes many times the memory of its text."""
MOST_WAITING = 32
"""Messages of one socket that wait to be answered; then it is read no further."""
MOST_UNSENT = 16_000_000
"""Bytes for one socket that wait to be sent; then it gets no more of what others do, see `pyiseg.server.channel`."""
SECONDS_TO_SEND = 30.0
"""A socket, or a connection with a response, that takes nothing for so long is closed."""
SECONDS_TO_ASK = 30.0
"""A request's head has to come whole within this; kept by ``pyiseg serve``, see `pyiseg.server.connections`."""
SECONDS_TO_UPLOAD = 60.0
"""An upload that brings nothing for so long is refused."""
LEAST_RATE = 4000
"""Bytes a second that an upload brings on average once it lasts longer than `SECONDS_TO_UPLOAD`, or it is refused.

So many are also taken of a response that lasts longer than `SECONDS_TO_SEND`, or its connection is closed."""
MOST_UNTAKEN = 500_000_000
"""Bytes of all responses together that wait to be taken; above that the connection with most of them is closed."""


@dataclass(frozen=True)
class Limits:
    """What `pyiseg.server.create_app` was told.

    Attributes:
        max_bytes: Of an uploaded file.
        max_pixels: Of an image.
        memory_limit: Bytes that all open images together may hold; those used longest ago leave.
        max_images: Open at once; likewise.
        max_objects: On one image.
        max_sockets: Open at once.
        max_changes: Prompts and removals of one object, undone ones too: as many as a saved session may have.
        max_points: Corners of all scribbles of one object.
    """

    max_bytes: int = 64_000_000
    max_pixels: int = 100_000_000
    memory_limit: int = 2_000_000_000
    max_images: int = 200
    max_objects: int = 100
    max_sockets: int = 500
    max_changes: int = saving.MOST_CHANGES
    max_points: int = 5 * saving.MOST_POINTS

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; pass a whole number of at least 1")
