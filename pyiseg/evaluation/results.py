"""The machine record of an evaluation: one JSON file, from which all tables and plots can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pyiseg.batch.jobs import Failure
from pyiseg.evaluation.evaluate import Run
from pyiseg.files import atomic_write
from pyiseg.paths import local_path

FORMAT = 1


@dataclass(frozen=True)
class Report:
    """What was measured, and how.

    Attributes:
        dataset: Its name.
        model: ``name``, ``sha256`` of its files, and ``serving``, see `pyiseg.model.Model.serving`.
        robot, device, jobs: As in :class:`pyiseg.evaluation.runner.Settings`.
        versions: Of the packages that the figures depend on.
        summary: As from :func:`pyiseg.evaluation.evaluate.summarize`.
        runs: All of them.
        failed: The cases whose image or mask could not be used; no figure counts them.
        unmasked: Names of the images without a mask, which are left out.
    """

    dataset: str
    model: Mapping[str, Any]
    robot: str
    device: str
    jobs: int
    versions: Mapping[str, str]
    summary: Mapping[str, Any]
    runs: list[Run]
    failed: list[Failure]
    unmasked: list[str] = field(default_factory=list)


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON, whole.

    Args:
        path: Its folder must exist.
        report: What to write.
    """
    with atomic_write(path) as file:
        file.write(f"{json.dumps({'format': FORMAT, **asdict(report)}, allow_nan=False)}\n".encode())


def read_report(path: Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a report, or one of another version; or it is no path.
    """
    if not local_path(path).is_file():
        raise FileNotFoundError(f"no file at '{path}'; check the path")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON ({error}); reports are what pyiseg evaluate -o writes") from None
    # What else there is must not be overwritten: no message here may advise to measure into this file.
    if not isinstance(content, dict) or not {"format", "runs", "summary"} <= content.keys():
        raise ValueError(f"'{path}' is no report of pyiseg evaluate; reports are what pyiseg evaluate -o writes")
    if (found := content.pop("format")) != FORMAT:
        raise ValueError(f"'{path}' is a report of version {found!r}, this pyiseg reads {FORMAT}: measure again")
    try:
        content["runs"] = [Run(**run) for run in content["runs"]]
        content["failed"] = [Failure(**failure) for failure in content["failed"]]
        return Report(**content)
    except (KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is a damaged report ({error}); measure again, into another file") from None
