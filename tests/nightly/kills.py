"""Kill what writes files at random moments: whatever was there is whole, and the same command goes on.

    PYTHONPATH=.:tests python -m nightly.kills

Two kinds: programs (``pyiseg batch``, ``pyiseg evaluate``), killed again and again until they have ended and compared
with one that nobody disturbed; and processes that do nothing but write (checkpoints of training, engines, sessions,
reports, images, journals), many kills a second.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from support import toy_batch, toy_evaluation, toy_model
from support.engine_files import ENGINE, KEY
from support.paths import ROOT

import pyiseg
from nightly.settings import SECONDS, fail, generator, rounds
from pyiseg import images
from pyiseg.batch.journal import Journal
from pyiseg.evaluation.results import read_report, write_report
from pyiseg.tensorrt.cache import EngineCache


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pyiseg", *map(str, arguments)]


def undisturbed(given: list[str]) -> float:
    """Run a command; return the seconds that it took."""
    begun = time.perf_counter()
    subprocess.run(given, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - begun


def killed_until_done(part: str, given: list[str], calm: float, chance: random.Random) -> int:
    """Run a command that takes ``calm`` seconds, killing it, until it has ended by itself; return the kills."""
    kills = 0
    for _ in range(200):
        process = subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        try:
            said, _ = process.communicate(timeout=chance.uniform(0.3, 1) * calm * (1 + kills / 20))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        if process.returncode != 0:
            fail(part, f"exit code {process.returncode} after {kills} kills: {said}")
        return kills
    return fail(part, "200 kills, and it has not ended: it does not go on where it was")


def batch(folder: Path, toy: Path, seconds: float, chance: random.Random) -> tuple[int, int]:
    names = [f"{number:02}.png" for number in range(12)]
    toy_batch.make(folder / "photos", names, height=120, width=160)
    rows = "".join(f"{name},120,60,{thing}\n" for name in names for thing in ("disc", "other"))
    (folder / "prompts.csv").write_text("image,x,y,object\n" + rows)
    options = ["--format", "matte-png", "--format", "coco", "--format", "yolo", "--model", toy]
    given = command("batch", folder / "photos", "--prompts", folder / "prompts.csv", *options)
    seconds_calm = undisturbed([*given, "-o", str(folder / "calm")])
    calm, kills, runs = toy_batch.contents(folder / "calm"), 0, 0
    for _ in rounds(seconds):
        kills += killed_until_done("batch", [*given, "--jobs", "2", "-o", str(folder / "out")], seconds_calm, chance)
        if toy_batch.contents(folder / "out") != calm:
            fail("batch", "the outputs are not those of an undisturbed run")
        if left := list((folder / "out").rglob("*.part")):
            fail("batch", f"halves of files are left: {left}")
        shutil.rmtree(folder / "out")
        runs += 1
    return kills, runs


def evaluate(folder: Path, toy: Path, seconds: float, chance: random.Random) -> tuple[int, int]:
    toy_evaluation.build(folder / "set", pictures=8)
    given = command("evaluate", "folder", folder / "set", "--model", toy, "--clicks", 20)

    def measured(path: Path) -> Any:
        report = json.loads(path.read_text())
        return [[run["name"], run["ious"], run["clicks"]] for run in report["runs"]]

    seconds_calm = undisturbed([*given, "-o", str(folder / "calm.json")])
    calm, kills, runs = measured(folder / "calm.json"), 0, 0
    for _ in rounds(seconds):
        path = folder / "out.json"
        kills += killed_until_done("evaluate", [*given, "-o", str(path)], seconds_calm, chance)
        if measured(path) != calm:
            fail("evaluate", "the report is not that of an undisturbed run")
        for left in folder.glob("*out.json*"):
            left.unlink()  # the journal too, and what a killed writer had begun
        runs += 1
    return kills, runs


class Writer(NamedTuple):
    """What writes one file, and what reads it.

    Attributes:
        write: With a number, which says what the file holds.
        read: Returns the number; None where there is no file.
    """

    write: Callable[[int], object]
    read: Callable[[], int | None]


def writers(folder: Path, toy: Path) -> dict[str, Writer]:
    found: dict[str, Writer] = {}

    path_image = folder / "a.png"
    found["images"] = Writer(
        lambda n: images.write(path_image, np.full((200, 300, 3), n % 256, np.uint8)),
        lambda: int(np.unique(images.load(path_image).rgb).item()) if path_image.exists() else None,
    )

    report = toy_evaluation.report()
    path_report = folder / "r.json"

    def write_numbered(n: int) -> None:
        report.versions["number"] = str(n)
        write_report(path_report, report)

    found["reports"] = Writer(
        write_numbered, lambda: int(read_report(path_report).versions["number"]) if path_report.exists() else None
    )

    sessions = [pyiseg.Session(toy_model.PHOTO, model=toy) for _ in range(2)]
    for number, session in enumerate(sessions):
        session.click(60 - number, 30)
    path_session = folder / "s.json"
    found["sessions"] = Writer(
        lambda n: sessions[n % 2].save(path_session),
        lambda: json.loads(path_session.read_text())["changes"][0]["click"][0] if path_session.exists() else None,
    )

    cache = EngineCache(folder / "engines")

    def engine(n: int) -> None:
        for path in cache.files():
            path.unlink()
        cache.fetch([KEY], lambda: ENGINE * 40, bytes)

    def read_engine_again() -> int | None:
        fetched = cache.fetch([KEY], lambda: ENGINE * 40, bytes)
        return len(fetched.engine) // len(ENGINE)

    found["engines"] = Writer(engine, read_engine_again)

    path_journal = folder / "j.jsonl"

    def read_journal() -> int | None:
        names = sorted(map(int, Journal(path_journal, {"a": 1}).results))
        if names != list(range(len(names))):
            fail("journals", f"lines are missing: {names}")
        return len(names)

    found["journals"] = Writer(
        lambda n: [
            journal.add(str(k), "x" * 300)
            for journal in [Journal(path_journal, {"a": 1})]
            for k in range(len(journal.results), len(journal.results) + 50)
        ],
        read_journal,
    )

    try:
        import torch

        from export.cli import write_tensors
    except ImportError:
        print("kills: no checkpoints of training, since there is no torch", flush=True)
        return found
    path_state = folder / "state.pt"

    def read_state() -> int | None:
        if not path_state.exists():
            return None
        values = torch.load(path_state, weights_only=True)
        if not all(bool((x == values["n"]).all()) for x in values["weights"]):
            fail("checkpoints", "it holds weights of two states")
        return int(values["n"])

    found["checkpoints"] = Writer(
        lambda n: write_tensors(path_state, {"n": n, "weights": [torch.full((50_000,), float(n)) for _ in range(4)]}),
        read_state,
    )
    return found


def killed_writers(folder: Path, toy: Path, seconds: float, chance: random.Random) -> dict[str, int]:
    made = writers(folder, toy)
    kills = dict.fromkeys(made, 0)
    for name, writer in made.items():
        writer.write(0)  # so that there is something to lose
        begun = time.perf_counter()
        writer.write(1)
        calm = time.perf_counter() - begun
        for number in rounds(seconds / len(made)):
            child = os.fork()
            if child == 0:
                try:
                    while True:
                        writer.write(number)
                        number += 1
                except BaseException as error:
                    os.write(2, f"{name}: {error!r}\n".encode())
                finally:
                    os._exit(3)
            time.sleep(chance.uniform(0, 3 * calm + 0.005))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                fail(name, "writing failed after a kill")
            try:
                found = writer.read()
            except Exception as error:
                fail(name, f"after kill {number}: {error!r}")
            if found is None:
                fail(name, f"after kill {number} the file is gone")
            kills[name] += 1
    return kills


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pyiseg-kills-"))
    toy = toy_model.build(folder / "toy")
    try:
        kills = killed_writers(folder, toy, SECONDS / 3, generator("writers"))
        print("kills: " + ", ".join(f"{count} of what writes {name}" for name, count in kills.items()), flush=True)
        for name, run in (("batch", batch), ("evaluate", evaluate)):
            count, runs = run(folder, toy, SECONDS / 3, generator(name))
            print(f"kills: {count} of pyiseg {name} in {runs} runs, each as an undisturbed one", flush=True)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
