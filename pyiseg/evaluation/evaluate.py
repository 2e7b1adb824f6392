"""Let a robot user click on one case, through the public Session, and sum up what it got on many."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.metrics import (
    boundary_iou,
    clicks_to_reach,
    corrected_share,
    iou,
    mean_with_interval,
    wrong_region,
)
from pyiseg.evaluation.robot import ROBOTS
from pyiseg.model import Model
from pyiseg.session import Session

THRESHOLDS = (0.85, 0.90, 0.95)
SHARES_AFTER = (1, 5, 10, 20)
SHARES_ABOVE = tuple(round(0.01 * percent, 2) for percent in range(90, 100))


@dataclass(frozen=True)
class Run:
    """What the robot user got on one case.

    Attributes:
        name: The case's.
        ious: IoU after each click; shorter than the limit where nothing was wrong any more.
        clicks: The clicks, [x, y, fg].
        session_ms: Time to make the session.
        click_ms: Time of each click.
        corrected: For each click, the share of the wrong region it was placed in that was right after it.
        boundary_ious: Boundary IoU after each click.
    """

    name: str
    ious: list[float]
    clicks: Sequence[tuple[int, int, bool]]
    session_ms: float
    click_ms: list[float]
    corrected: list[float] = field(default_factory=list)
    boundary_ious: list[float] = field(default_factory=list)


def run_case(
    case: Case, model: str | Model = "default", device: str = "cpu", limit: int = 20, robot: str = "forte"
) -> Run:
    """Let the robot user click on one case until nothing is wrong or the limit is reached.

    Args:
        case: What to select.
        model, device: As for :class:`pyiseg.Session`.
        limit: Clicks at most.
        robot: A name of :data:`pyiseg.evaluation.robot.ROBOTS`.

    Raises:
        ValueError: Image or mask cannot be read, or differ in size.
    """
    truth, void = case.truth()
    started = time.perf_counter()
    session = Session(case.image, model=model, device=device)
    session_ms = _since(started)
    if truth.shape != session.shape:
        raise ValueError(f"mask {case.mask} has shape {truth.shape}, its image {case.image} {session.shape}")
    mask = np.zeros_like(truth)
    ious: list[float] = []
    click_ms: list[float] = []
    corrected: list[float] = []
    boundary_ious: list[float] = []
    while len(ious) < limit:
        click = ROBOTS[robot](mask, truth, void, session.clicks)
        if click is None:
            break
        region = wrong_region(mask, truth, void, click)
        started = time.perf_counter()
        session.click(*click)
        click_ms.append(_since(started))
        mask = session.mask
        ious.append(iou(mask, truth, void))
        corrected.append(round(corrected_share(region, mask, truth), 4))
        boundary_ious.append(round(boundary_iou(mask, truth, void), 4))
    return Run(case.name, ious, list(session.clicks), session_ms, click_ms, corrected, boundary_ious)


def summarise(runs: Iterable[Run], limit: int = 20) -> dict[str, Any]:
    """Sum up runs.

    A run that ended early keeps its last IoU: nothing was left to correct.

    Args:
        runs: At least one.
        limit: Clicks that the robot user made at most.

    Returns:
        A table for JSON:

        * ``cases``, ``limit``;
        * ``noc85``, ``noc90``, ``noc95``: mean clicks to that IoU, a failure counting as the limit;
        * ``failures85``, ``failures90``, ``failures95``: runs that never got there;
        * ``mean_iou``, ``mean_boundary_iou``: after each click;
        * ``auc``, ``auc_ci95``: mean of ``mean_iou`` over the clicks, half its 95 % confidence interval over images;
        * ``corrected``, ``corrected_cases``: for each click, mean corrective accuracy and the runs that made the click;
        * ``share_above``: after 1, 5, 10 and 20 clicks, the share of runs whose IoU is above 90, 91, ..., 99 %;
        * ``session_ms_median``, ``session_ms_p95``, ``click_ms_median``, ``click_ms_p95``.
    """
    runs = list(runs)
    summary: dict[str, Any] = {"cases": len(runs), "limit": limit}
    for threshold in THRESHOLDS:
        counts = [clicks_to_reach(run.ious, threshold, limit) for run in runs]
        failed = [max(run.ious, default=0.0) < threshold for run in runs]
        name = f"{100 * threshold:.0f}"
        summary[f"noc{name}"] = float(np.mean(counts))
        summary[f"failures{name}"] = int(np.sum(failed))
    ious = to_the_limit([run.ious for run in runs], limit)
    summary["mean_iou"] = _rounded(ious.mean(axis=0))
    boundary_ious = to_the_limit([run.boundary_ious for run in runs], limit)
    summary["mean_boundary_iou"] = _rounded(boundary_ious.mean(axis=0)) if len(boundary_ious) else []
    auc, interval = mean_with_interval(ious.mean(axis=1))
    summary["auc"], summary["auc_ci95"] = round(auc, 4), None if interval is None else round(interval, 4)
    corrected = [[run.corrected[i] for run in runs if i < len(run.corrected)] for i in range(limit)]
    summary["corrected"] = _rounded(np.array([np.mean(values) for values in corrected if values]))
    summary["corrected_cases"] = [len(values) for values in corrected if values]
    summary["share_above"] = {
        str(n): _rounded((ious[:, n - 1, None] > np.array(SHARES_ABOVE)).mean(axis=0))
        for n in SHARES_AFTER
        if n <= limit
    }
    for name, times in (
        ("session_ms", [run.session_ms for run in runs]),
        ("click_ms", [ms for run in runs for ms in run.click_ms]),
    ):
        summary[f"{name}_median"], summary[f"{name}_p95"] = (float(np.percentile(times, q)) for q in (50, 95))
    return summary


def to_the_limit(values: Sequence[Sequence[float]], limit: int) -> NDArray[np.float64]:
    """Values after each click as float64, shape (runs, limit); those that end early keep their last one."""
    kept = [[*run[:limit], *([run[-1]] * (limit - len(run)))] for run in values if run]
    return np.array(kept, dtype=np.float64).reshape(-1, limit)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    rounded: list[float] = np.round(values, 4).tolist()
    return rounded


def _since(started: float) -> float:
    return round(1e3 * (time.perf_counter() - started), 3)
