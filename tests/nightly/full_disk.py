"""Fill the disk at random points of what is written: said in one line that names the file, and nothing else is harmed.

    PYTHONPATH=.:tests python -m nightly.full_disk

The limit is RLIMIT_FSIZE, bytes that a file of the process may have, which the system tells as it tells a full disk.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from support import toy_batch, toy_evaluation, toy_model
from support.engine_files import ENGINE, KEY

import pyiseg
from nightly.settings import SECONDS, fail, generator, rounds
from pyiseg import cli, images
from pyiseg.tensorrt.cache import EngineCache

MOST = 60_000
"""Bytes; what is written here has up to about as many."""


def with_little_disk(limit: int, work: Callable[[], int]) -> tuple[int, str]:
    """Do something in a process of its own, on a disk that is full after so many bytes of a file.

    Returns:
        What it returned, and what it wrote on standard error.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # Anew: those of the parent know whether a file was there, and seek in it.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        code = 70
        try:
            code = work()
        except OSError as error:
            os.write(2, f"{error}\n".encode())
            code = 2
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as said:
        text = said.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), text


def works(folder: Path, toy: Path) -> dict[str, Callable[[], int]]:
    """What writes below ``out``."""
    out = folder / "out"
    toy_batch.make(folder / "photos", [f"{number}.png" for number in range(4)], height=90, width=120)
    (folder / "prompts.csv").write_text("image,x,y\n" + "".join(f"{number}.png,90,45\n" for number in range(4)))
    toy_evaluation.build(folder / "set", pictures=3)
    photo = folder / "photo.png"
    Image.fromarray(toy_model.photo(150, 200)).save(photo)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    session = pyiseg.Session(toy_model.PHOTO, model=toy, mask=np.eye(60, 80, dtype=np.bool_))

    def cut() -> int:
        given = ["cut", str(photo), "--click", "150,75", "--model", str(toy)]
        return cli.main([*given, "-o", str(out / "a.tif"), "--alpha", str(out / "alpha.png")])

    def batch() -> int:
        given = ["batch", str(folder / "photos"), "--prompts", str(folder / "prompts.csv"), "--model", str(toy)]
        return cli.main([*given, "--format", "cutout-png", "--format", "coco", "-o", str(out / "batch")])

    def evaluate() -> int:
        given = ["evaluate", "folder", str(folder / "set"), "--model", str(toy), "--clicks", "8"]
        return cli.main([*given, "-o", str(out / "report.json")])

    def image() -> int:
        images.write(out / "b.png", pixels)
        return 0

    def saved() -> int:
        session.save(out / "session.json")
        return 0

    def engine() -> int:
        fetched = EngineCache(out / "engines").fetch([KEY], lambda: ENGINE * 10, bytes)
        return 0 if fetched.engine == ENGINE * 10 else 71

    return {"cut": cut, "batch": batch, "evaluate": evaluate, "image": image, "session": saved, "engine": engine}


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pyiseg-disk-"))
    counts: dict[str, list[int]] = {}
    try:
        made = works(folder, toy_model.build(folder / "toy"))
        for name, work in made.items():
            chance, full, done = generator(name), 0, 0
            for _ in rounds(SECONDS / len(made), at_least=3):
                limit = chance.choice([chance.randrange(1, 500), chance.randrange(1, MOST), 1 << 30])
                (folder / "out").mkdir(exist_ok=True)
                code, said = with_little_disk(limit, work)
                told = f"with {limit} bytes it ended with {code} and said: {said}"
                if code not in (0, 1, 2) or "Traceback" in said or (code and "cannot write" not in said):
                    fail(name, told)
                if limit == 1 << 30 and code:
                    fail(name, told)
                if left := list((folder / "out").rglob("*.part")):
                    fail(name, f"halves of files are left: {left}; {told}")
                code, said = with_little_disk(1 << 30, work)  # the same command goes on
                if code:
                    fail(name, f"after {limit} bytes of disk: {said}")
                full += limit < 1 << 30
                done += 1
                shutil.rmtree(folder / "out")
            counts[name] = [full, done]
    finally:
        shutil.rmtree(folder)
    print("full disks: " + ", ".join(f"{name} {full} of {done}" for name, (full, done) in counts.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
