"""The default model's mattes are the same bits whatever the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.cat import PHOTO

PROGRAM = """
import hashlib, sys
import numpy as np
import pyiseg

digest = hashlib.sha256()
image = pyiseg.Image(sys.argv[1]).rgb
for shown in (image, image[: image.shape[0] // 3], image[: image.shape[0] // 9], image[:7, :5]):
    height, width = shown.shape[:2]
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    for start in (None, mask):
        session = pyiseg.Session(np.ascontiguousarray(shown), mask=start)
        for number in range(6):
            x, y = (37 * number + 90) % width, (61 * number + 40) % height
            digest.update(session.click(x, y, number % 3 != 2).tobytes())
        digest.update(session.click(width // 3, height // 2, local=True).tobytes())
        digest.update(session.box(width // 5, height // 5, width // 2, height - 1).tobytes())
        digest.update(session.scribble([(0, 0), (width // 2, height // 2)], False).tobytes())
        digest.update(session.cutout(foreground="estimate").tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def with_one_thread() -> str:
    return digest_with(1)


def digest_with(threads: int | None) -> str:
    environment = {**os.environ, "PYISEG_NUM_THREADS": "" if threads is None else str(threads)}
    command = [sys.executable, "-c", PROGRAM, str(PHOTO)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("threads", [2, 3, 16, None])
def test_mattes_are_the_same_bits(threads: int | None, with_one_thread: str) -> None:
    assert digest_with(threads) == with_one_thread
