"""Run a robot user over a data set, several cases at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

import pyiseg
from pyiseg import backend
from pyiseg.evaluation.datasets import DATASETS, Case
from pyiseg.evaluation.evaluate import Run, run_case
from pyiseg.evaluation.journal import Journal
from pyiseg.evaluation.robot import ROBOTS
from pyiseg.model import Model


@dataclass(frozen=True)
class Settings:
    """How a data set is run.

    Attributes:
        limit: Clicks on each case at most.
        robot: A name of :data:`pyiseg.evaluation.robot.ROBOTS`.
        device: As for :class:`pyiseg.Session`.
        jobs: Cases that run side by side, in threads. Times are then those of a busy machine.

    Raises:
        ValueError: A value that cannot be.
    """

    limit: int = 20
    robot: str = "forte"
    device: str = "cpu"
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("limit", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.robot not in ROBOTS:
            raise ValueError(f"robot is {self.robot!r}; the known ones are {', '.join(map(repr, ROBOTS))}")


@dataclass(frozen=True)
class Failure:
    """A case that could not be run: its name, and what is wrong with its files."""

    name: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """What came of a data set.

    Attributes:
        runs: In the order of the cases.
        failed: Those whose image or mask could not be used.
        jobs: The most cases that ran side by side, those of an interrupted run that was continued included.
    """

    runs: list[Run]
    failed: list[Failure]
    jobs: int


def read_cases(dataset: str, root: Path) -> list[Case]:
    """All cases of a data set.

    Args:
        dataset: A name of :data:`pyiseg.evaluation.datasets.DATASETS`.
        root: The data set's folder.

    Raises:
        FileNotFoundError: The folder is not laid out as the data set's reader expects.
        ValueError: It holds no case, or two of one name.
    """
    cases = list(DATASETS[dataset](root))
    if not cases:
        raise ValueError(f"{root} holds no masks, so there is nothing to evaluate")
    names = [case.name for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{root} holds two masks that are named {twice}; rename one")
    return cases


def run_cases(
    cases: Sequence[Case], model: Model, settings: Settings, label: str = "", journal: Path | None = None
) -> Outcome:
    """Run cases, with a progress bar on stderr.

    Args:
        cases: Of distinct names.
        model: What is measured.
        settings: How.
        label: Of the data set.
        journal: Where finished cases are kept meanwhile. A file that an interrupted run of the same model and settings
            left there is continued. It stays: the caller deletes it once the outcome is safe.

    Raises:
        ValueError: Not one case could be run.
        pyiseg.ModelError, pyiseg.DeviceError: As from :class:`pyiseg.Session`; these end the run.
    """
    device = backend.resolve(settings.device)
    kept = _open(journal, label, model, settings, device)
    runs: dict[str, Run] = {}
    failures: dict[str, Failure] = {}
    jobs = settings.jobs
    for case in cases:
        found = kept.find(case) if kept else None
        if found:
            runs[case.name] = found[0]
            jobs = max(jobs, found[1])
    if runs:
        print(f"continuing {journal}: {len(runs)} of {len(cases)} cases are there", file=sys.stderr)
    with (
        tqdm(total=len(cases), initial=len(runs), desc=label, unit="case") as bar,
        # Threads: sessions run side by side and share one copy of the model, and both leave Python while they work.
        ThreadPoolExecutor(settings.jobs) as pool,
    ):
        futures: dict[Future[Run], Case] = {
            pool.submit(run_case, case, model, device, settings.limit, settings.robot): case
            for case in cases
            if case.name not in runs
        }
        try:
            for future in as_completed(futures):
                case = futures.pop(future)
                try:
                    run = future.result()
                except (ValueError, OSError, MemoryError) as error:
                    failures[case.name] = Failure(case.name, " ".join(str(error).split()) or type(error).__name__)
                    bar.write(f"{case.name}: {failures[case.name].error}", file=sys.stderr)
                else:
                    runs[case.name] = run
                    if kept:
                        kept.add(case, run, settings.jobs)
                bar.update()
        except BaseException as error:
            # Not the rest, but what is under way is soon done and worth keeping.
            pool.shutdown(cancel_futures=True)
            for future, case in futures.items():
                if kept and not future.cancelled() and future.exception() is None:
                    runs[case.name] = future.result()
                    kept.add(case, runs[case.name], settings.jobs)
            if isinstance(error, KeyboardInterrupt):
                there = f"{len(runs)} of {len(cases)} cases are kept in {journal}; the same command goes on"
                nothing = "no case was done" if kept else "nothing was kept: give -o next time"
                bar.write(f"interrupted: {there if kept and runs else nothing}", file=sys.stderr)
            raise
    if not runs:
        raise ValueError(
            f"none of the {len(cases)} cases could be run; the first: {next(iter(failures.values())).error}"
        )
    return Outcome(
        [runs[case.name] for case in cases if case.name in runs],
        [failures[case.name] for case in cases if case.name in failures],
        jobs,
    )


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    # OpenCV goes by several names as a package.
    packages = {name: version(name) for name in ("numpy", "onnxruntime")}
    # The code that runs, not what was once installed: an editable installation keeps the version it was made with.
    return {"pyiseg": pyiseg.__version__, **packages, "opencv": cv2.__version__}


def _open(path: Path | None, label: str, model: Model, settings: Settings, device: str) -> Journal | None:
    if path is None:
        return None
    stated: dict[str, Any] = {
        "data set": label,
        "model": {**model.sha256, "serving": model.serving},
        "number of clicks": settings.limit,
        "robot": settings.robot,
        "device": device,
        "version of a package": versions(),
    }
    journal = Journal(path, stated)
    if journal.ignored:
        print(f"ignoring {path}: {journal.ignored}", file=sys.stderr)
    return journal
