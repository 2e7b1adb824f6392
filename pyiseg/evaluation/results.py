"""The machine record of an evaluation: one JSON file, from which all tables and plots can be made again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pyiseg.batch.jobs import Failure
from pyiseg.evaluation.evaluate import SHARES_ABOVE, THRESHOLDS, Run
from pyiseg.evaluation.robot import ROBOTS
from pyiseg.files import atomic_write, read_json
from pyiseg.paths import local_path, plain_name, quoted
from pyiseg.prompts import shortened

FORMAT = 1
MOST_CLICKS = 100_000
"""On a case, in a report that is read."""


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
    if local_path(path).is_dir():
        raise ValueError(f"{quoted(path)} is a folder; pass the JSON file that pyiseg evaluate -o wrote")
    if not local_path(path).is_file():
        raise FileNotFoundError(f"no file at {quoted(path)}; check the path")
    try:
        content = read_json(path)
    except ValueError as error:
        raise ValueError(f"{quoted(path)} is not JSON ({error}); reports are what pyiseg evaluate -o writes") from None
    # What else there is must not be overwritten: no message here may advise to measure into this file.
    if not isinstance(content, dict) or not {"format", "runs", "summary"} <= content.keys():
        raise ValueError(f"{quoted(path)} is no report of pyiseg evaluate; reports are what pyiseg evaluate -o writes")
    if (found := content.pop("format")) != FORMAT:
        raise ValueError(
            f"{quoted(path)} is a report of version {shortened(found)}, this pyiseg reads {FORMAT}: measure again"
        )
    try:
        content["runs"] = [Run(**run) for run in content["runs"]]
        content["failed"] = [Failure(**failure) for failure in content["failed"]]
        report = Report(**content)
        check_report(report)
    except (KeyError, TypeError, ValueError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{quoted(path)} is a damaged report ({told}); measure again, into another file") from None
    return report


def check_report(report: Report) -> None:
    """Refuse a report that tables and plots cannot be made of.

    Raises:
        KeyError, TypeError, ValueError: A value is missing, of another kind or out of range; the message says which.
    """
    plain_name(report.dataset, "'dataset'")  # files are named after it
    _need("robot", report.robot in ROBOTS, report.robot)
    _need("model", isinstance(report.model, dict) and isinstance(report.model["name"], str), report.model)
    _need("model.sha256", _texts(report.model["sha256"]), report.model["sha256"])
    _need("device", isinstance(report.device, str), report.device)
    _need("jobs", _whole(report.jobs, 1), report.jobs)
    _need("versions", _texts(report.versions), report.versions)
    _need("unmasked", _list(report.unmasked, lambda name: isinstance(name, str)), report.unmasked)
    for failure in report.failed:
        _need("failed", isinstance(failure.name, str) and isinstance(failure.error, str), failure)
    _check_summary(report.summary)
    _need("runs", bool(report.runs), report.runs)
    for run in report.runs:
        _check_run(run)


def _check_summary(summary: Any) -> None:
    _need("summary", isinstance(summary, dict), summary)
    limit = summary["limit"]
    _need("summary.limit", _whole(limit, 1) and limit <= MOST_CLICKS, limit)
    _need("summary.cases", _whole(summary["cases"]), summary["cases"])
    for name in (f"noc{round(100 * threshold)}" for threshold in THRESHOLDS):
        _need(f"summary.{name}", _number(summary[name]), summary[name])
    for name in (f"failures{round(100 * threshold)}" for threshold in THRESHOLDS):
        _need(f"summary.{name}", _whole(summary[name]), summary[name])
    for name in ("mean_iou", "mean_boundary_iou"):
        _need(f"summary.{name}", _list(summary[name], _share) and len(summary[name]) == limit, summary[name])
    for name in ("auc", "session_ms_median", "click_ms_median"):
        _need(f"summary.{name}", _number(summary[name]), summary[name])
    interval = summary["auc_ci95"]
    _need("summary.auc_ci95", interval is None or _number(interval), interval)
    curve, cases = summary["corrected"], summary["corrected_cases"]
    _need("summary.corrected", _list(curve, _number) and len(curve) <= limit, curve)
    _need("summary.corrected_cases", _list(cases, _whole) and len(cases) == len(curve), cases)
    shares = summary["share_above"]
    _need("summary.share_above", isinstance(shares, dict), shares)
    for clicks, curve in shares.items():
        right = clicks.isdecimal() and clicks.isascii() and len(clicks) < 6 and len(curve) == len(SHARES_ABOVE)
        _need("summary.share_above", right and _list(curve, _number), {clicks: curve})


def _check_run(run: Run) -> None:
    _need("a run's name", isinstance(run.name, str), run.name)
    where = f"of the run {shortened(run.name)}"
    _need(f"ious {where}", _list(run.ious, _share) and len(run.ious) <= MOST_CLICKS, run.ious)
    _need(f"session_ms {where}", _number(run.session_ms), run.session_ms)
    for name in ("click_ms", "corrected", "boundary_ious"):
        _need(f"{name} {where}", _list(getattr(run, name), _number), getattr(run, name))
    _need(f"reach {where}", _list(run.reach, lambda pair: _list(pair, _number) and len(pair) == 2), run.reach)
    for click in run.clicks:
        x, y, fg = click
        _need(f"clicks {where}", _whole(x) and _whole(y) and isinstance(fg, bool), click)


def _need(name: str, right: bool, value: Any) -> None:
    if not right:
        raise ValueError(f"{name} is {shortened(value)}")


def _whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _list(values: Any, valid: Callable[[Any], bool]) -> bool:
    return isinstance(values, (list, tuple)) and all(map(valid, values))


def _texts(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
