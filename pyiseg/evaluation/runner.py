"""Run a robot user over a data set, several cases at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

import pyiseg
from pyiseg import backend
from pyiseg.batch import jobs
from pyiseg.batch.jobs import Failure
from pyiseg.evaluation.datasets import DATASETS, Case
from pyiseg.evaluation.evaluate import Run, run_case
from pyiseg.evaluation.robot import ROBOTS
from pyiseg.model import Model
from pyiseg.paths import local_path, printable, shown_path


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
        ValueError: It holds no case, or two of one name; or it is no path.
    """
    cases = list(DATASETS[dataset](local_path(root)))
    if not cases:
        raise ValueError(f"{shown_path(root)} holds no masks, so there is nothing to evaluate")
    names = [case.name for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown_path(root)} holds two masks that are named {printable(twice)}; rename one")
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
        ValueError: There is no case, or not one could be run.
        pyiseg.ModelError, pyiseg.DeviceError: As from :class:`pyiseg.Session`; these end the run.
    """
    if not cases:
        raise ValueError("there is no case to run")
    device = backend.resolve(settings.device)

    def measured(case: Case) -> dict[str, Any]:
        run = run_case(case, model, device, settings.limit, settings.robot)
        return {"run": asdict(run), "jobs": settings.jobs}

    try:
        # Sessions run side by side and share one copy of the model.
        outcome = jobs.run(
            cases,
            measured,
            name=lambda case: case.name,
            jobs=settings.jobs,
            journal=journal,
            fingerprint={
                "data set": label,
                "model": {**model.sha256, "serving": model.serving},
                "number of clicks": settings.limit,
                "robot": settings.robot,
                "device": device,
                "version of a package": versions(),
                # A development version may add to it without being another version.
                "form of a result": [field.name for field in fields(Run)],
            },
            item_fingerprint=_sizes,
            label=label,
            unit="case",
        )
    except KeyboardInterrupt:
        if journal is None:
            print("interrupted, and nothing was kept: next time name a file for the results", file=sys.stderr)
        raise
    if not outcome.results:
        raise ValueError(f"none of the {len(cases)} cases could be run; the first: {outcome.failed[0].error}")
    entries = outcome.results.values()
    return Outcome(
        [Run(**entry["run"]) for entry in entries],
        outcome.failed,
        max(settings.jobs, *(entry["jobs"] for entry in entries)),
    )


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    # OpenCV goes by several names as a package.
    packages = {name: version(name) for name in ("numpy", "onnxruntime")}
    # The code that runs, not what was once installed: an editable installation keeps the version it was made with.
    return {"pyiseg": pyiseg.__version__, **packages, "opencv": cv2.__version__}


def _sizes(case: Case) -> list[int]:
    return [path.stat().st_size if path.exists() else -1 for path in (case.image, case.mask)]
