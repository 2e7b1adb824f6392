"""What is said when a file cannot be written to its end, as on a full disk: its name, and why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

resource = pytest.importorskip("resource", reason="no limits on files here")

LIMITED = """
import resource, signal, sys, pathlib
import numpy as np
from pyiseg import images
from pyiseg.batch.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # bytes of a file; a full disk says as much
path = pathlib.Path(sys.argv[1])
try:
    if path.suffix == ".jsonl":
        Journal(path, {}).add("a", "x" * 9000)
    elif path.suffix == ".pt":
        from export.cli import write_tensors
        write_tensors(path, {"a": bytes(9000)})
    else:
        images.write(path, np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.webp", "a.jsonl", "a.pt"])
def test_a_full_disk(name: str, tmp_path: Path) -> None:
    """Of a TIFF file it said "encoder error -2", of a journal not which file."""
    if name == "a.pt":
        pytest.importorskip("torch")
    path = tmp_path / name
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"cannot write '{path}': File too large; choose another folder, on a disk that takes larger files, or raise "
        "the limit (ulimit -f)\n"
    ), done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == (["a.jsonl"] if name == "a.jsonl" else [])


def test_images_are_what_they_were(tmp_path: Path) -> None:
    """They are made in memory first, which changes nothing of them."""
    from pyiseg import images

    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    for suffix in images.LOSSLESS:
        images.write(tmp_path / f"a{suffix}", pixels)
        with Image.open(tmp_path / f"a{suffix}") as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)
