"""Time training updates of two checkouts, turn by turn in one run, and give the ratio of images an hour.

    python benchmarks/bench_training.py DATA --old OLD_CHECKOUT --old-python OLD_PYTHON -o training.json

An update is one batch of four images of 384², three clicks with a loss, none before them, from the weights that ship.
The old checkout trains in one process with all cores, as it was used; the new one in one process too, and in as many
processes as there are cores with a thread each, as `torchrun` does (without the exchange of gradients, which takes some
20 ms an update). Whatever else the machine does slows all of them alike. Not timed: starting, making the images, and
the first two updates.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import describe, write_json
from tqdm import tqdm

# What runs in either checkout.
WORKER = """
import json, os, sys, tempfile
from pathlib import Path
import cv2, torch
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"])); cv2.setNumThreads(1)
from export.training.config import load_settings
from export.training.trainer import Trainer
from pyiseg import _core
_core.set_num_threads(1)
settings = load_settings("compact", ["run.sizes=[[0.0,384]]", "clicks.warmup_clicks=0", *json.loads(sys.argv[2])])
with tempfile.TemporaryDirectory() as out:
    trainer = Trainer(settings, Path(sys.argv[1]), Path(out), Path("export/weights/compact.pt"))
    try:
        samples = [trainer.data[((384, 384), i)] for i in range(4)]
    except KeyError:  # before there were other shapes than squares
        samples = [trainer.data[(384, i)] for i in range(4)]
    for _ in range(2):
        trainer.update(samples)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(trainer.update(samples)), flush=True)
"""


class Arm:
    """Processes that train side by side.

    Args:
        checkout: Folder of the code.
        python: In which that code's pyiseg is installed.
        data: Folder of the training data.
        processes, threads: How many, and threads of each.
        settings: Changed settings, ``"section.setting=value"``.
    """

    def __init__(
        self, checkout: Path, python: str, data: Path, processes: int, threads: int, settings: list[str]
    ) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(checkout)}
        command = [python, "-c", WORKER, str(data.resolve()), json.dumps(settings)]
        self._processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout, env=environment
            )
            for _ in range(processes)
        ]
        for process in self._processes:
            self._answer(process)

    def seconds_a_batch(self) -> float:
        """Make one update in each process and return the time, divided by the processes."""
        start = time.perf_counter()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in self._processes:
            self._answer(process)
        return (time.perf_counter() - start) / len(self._processes)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate()

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("a process ended; what it said stands above")


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the training data")
    parser.add_argument("--old", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--old-python", default=sys.executable, help="the Python that has it installed")
    parser.add_argument("--frozen", type=int, nargs="*", default=[], help="further values of optimizer.frozen to time")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    here, cores = Path(__file__).parents[1], len(os.sched_getaffinity(0))
    arms = {"old": Arm(args.old, args.old_python, args.data, 1, cores, [])}
    arms["new"] = Arm(here, sys.executable, args.data, 1, cores, [])
    arms["new, a process a core"] = Arm(here, sys.executable, args.data, cores, 1, [])
    for blocks in args.frozen:
        settings = [f"optimizer.frozen={blocks}"]
        arms[f"new, a process a core, frozen={blocks}"] = Arm(here, sys.executable, args.data, cores, 1, settings)
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in tqdm(range(args.rounds)):
        for name, arm in arms.items():
            taken[name].append(arm.seconds_a_batch())
    for arm in arms.values():
        arm.close()
    result: dict[str, Any] = {"machine": describe(), "rounds": args.rounds}
    for name, times in taken.items():
        ratios = [old / new for old, new in zip(taken["old"], times, strict=True)]
        result[name] = {
            "seconds_a_batch": round(statistics.median(times), 3),
            "images_an_hour": round(4 * 3600 / statistics.median(times)),
            "times_the_old": round(statistics.median(ratios), 3),
        }
    print(json.dumps(result, indent=1))
    if args.output:
        write_json(args.output, result)


if __name__ == "__main__":
    main()
