"""What all parts of the nightly check share: how long a part may take, which seed it has, and how it ends."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

SECONDS = float(os.environ.get("PYISEG_NIGHTLY_SECONDS", "300"))
"""That each part may take."""
SEED = int(os.environ.get("PYISEG_FUZZ_SEED", "18"))


def generator(part: str) -> random.Random:
    """The chance of a part."""
    return random.Random(f"{SEED} {part}")


def rounds(seconds: float = SECONDS, at_least: int = 1) -> Iterator[int]:
    """Number rounds until the time is over."""
    end, number = time.monotonic() + seconds, 0
    while number < at_least or time.monotonic() < end:
        yield number
        number += 1


def fail(part: str, what: object) -> NoReturn:
    """Say what went wrong, with the seed that makes it again, and end."""
    print(f"{part}: FAILED with PYISEG_FUZZ_SEED={SEED}: {what}", flush=True)
    sys.exit(1)
