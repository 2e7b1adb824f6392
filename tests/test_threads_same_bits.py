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
for shown in (image, image[: image.shape[0] // 3]):
    session = pyiseg.Session(np.ascontiguousarray(shown))
    height, width = session.shape
    for number in range(6):
        x, y = (37 * number + 90) % width, (61 * number + 40) % height
        digest.update(session.click(x, y, number % 3 != 2).tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def with_one_thread() -> str:
    return digest_with(1)


def digest_with(threads: int) -> str:
    environment = {**os.environ, "PYISEG_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", PROGRAM, str(PHOTO)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("threads", [2, 3, 4, 16])
def test_mattes_are_the_same_bits(threads: int, with_one_thread: str) -> None:
    assert digest_with(threads) == with_one_thread
