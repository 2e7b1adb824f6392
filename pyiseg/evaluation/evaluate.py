"""Let a robot user click on one case, through the public Session, and sum up what it got on many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.metrics import (
    boundary_iou,
    clicks_to_reach,
    corrected_reach,
    corrected_share,
    mean_with_interval,
    wrong_region,
)
from pyiseg.evaluation.overlap import iou
from pyiseg.evaluation.robot import ROBOTS
from pyiseg.model import Model
from pyiseg.prompts import Click
from pyiseg.session import Session

THRESHOLDS = (0.85, 0.90, 0.95)
SHARES_AFTER = (1, 5, 10, 20)
CLICK_RANGES = ((2, 5), (6, 10), (11, 20))
"""First and last click of the ranges that :func:`late_clicks` sums up."""
REACH_SIDE = 512
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
        reach: For each click, how far around it at least half of the wrong region was right after it, and how far the
            region went, as from :func:`pyiseg.evaluation.metrics.corrected_reach`, in pixels of the image at a long
            side of 512.
    """

    name: str
    ious: list[float]
    clicks: Sequence[tuple[int, int, bool]]
    session_ms: float
    click_ms: list[float]
    corrected: list[float] = field(default_factory=list)
    boundary_ious: list[float] = field(default_factory=list)
    reach: list[tuple[float, float]] = field(default_factory=list)


class Clickable(Protocol):
    """What a robot user clicks on; a :class:`pyiseg.Session` is one."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """What is selected after the last click, bool, shape (H, W)."""

    def click(self, x: int, y: int, fg: bool) -> object:
        """Make a click."""


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
    return run_on(case, lambda: Session(case.image, model=model, device=device), limit, robot)


def run_on(case: Case, begin: Callable[[], Clickable], limit: int = 20, robot: str = "forte") -> Run:
    """Let the robot user click on one case with any method.

    Args:
        case: What to select.
        begin: Opens the case's image; its time is that of the session.
        limit, robot: As for :func:`run_case`.

    Raises:
        ValueError: The mask cannot be read, or differs in size from what was opened.
    """
    truth, void = case.truth()
    started = time.perf_counter()
    session = begin()
    session_ms = _since(started)
    if truth.shape != session.shape:
        raise ValueError(f"mask {case.mask} has shape {truth.shape}, its image {case.image} {session.shape}")
    mask = np.zeros_like(truth)
    made: list[Click] = []
    ious: list[float] = []
    click_ms: list[float] = []
    corrected: list[float] = []
    boundary_ious: list[float] = []
    reach: list[tuple[float, float]] = []
    at_512 = REACH_SIDE / max(truth.shape)
    while len(ious) < limit:
        click = ROBOTS[robot](mask, truth, void, made)
        if click is None:
            break
        region = wrong_region(mask, truth, void, click)
        started = time.perf_counter()
        session.click(*click)
        click_ms.append(_since(started))
        made.append(click)
        mask = session.mask
        ious.append(iou(mask, truth, void))
        corrected.append(round(corrected_share(region, mask, truth), 4))
        boundary_ious.append(round(boundary_iou(mask, truth, void), 4))
        got, most = corrected_reach(region, mask, truth, click)
        reach.append((round(got * at_512, 1), round(most * at_512, 1)))
    return Run(case.name, ious, made, session_ms, click_ms, corrected, boundary_ious, reach)


def summarize(runs: Iterable[Run], limit: int = 20) -> dict[str, Any]:
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
        * ``late``: what late clicks bring, as from :func:`late_clicks`;
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
    summary["late"] = late_clicks(runs, limit)
    for name, times in (
        ("session_ms", [run.session_ms for run in runs]),
        ("click_ms", [ms for run in runs for ms in run.click_ms]),
    ):
        summary[f"{name}_median"], summary[f"{name}_p95"] = (float(np.percentile(times, q)) for q in (50, 95))
    return summary


def late_clicks(runs: Sequence[Run], limit: int = 20) -> dict[str, dict[str, Any]]:
    """Sum up what the clicks 2 to 5, 6 to 10 and 11 to 20 bring, over those that were made.

    Args:
        runs: At least one.
        limit: Later clicks do not count.

    Returns:
        By "2-5", "6-10" and "11-20", without those that no run came to:

        * ``clicks``: how many were made;
        * ``gain``: mean change of the IoU by a click;
        * ``lowered``: share of the clicks after which the IoU is lower than before;
        * ``reach``, ``extent``: means of the two figures of :attr:`Run.reach`; absent where no run has them.
    """
    found: dict[str, dict[str, Any]] = {}
    for first, last in CLICK_RANGES:
        end = min(last, limit)
        # A click's index in the lists is its number less one.
        gains = np.concatenate([np.diff(run.ious[first - 2 : end]) for run in runs])
        if not len(gains):
            continue
        part = found[f"{first}-{last}"] = {
            "clicks": len(gains),
            "gain": round(float(np.mean(gains)), 5),
            "lowered": round(float(np.mean(gains < 0)), 4),
        }
        if reach := [pair for run in runs for pair in run.reach[first - 1 : end]]:
            part["reach"], part["extent"] = _rounded(np.mean(reach, axis=0), 2)
    return found


def to_the_limit(values: Sequence[Sequence[float]], limit: int) -> NDArray[np.float64]:
    """Values after each click as float64, shape (runs, limit); those that end early keep their last one."""
    kept = [[*run[:limit], *([run[-1]] * (limit - len(run)))] for run in values if run]
    return np.array(kept, dtype=np.float64).reshape(-1, limit)


def _rounded(values: NDArray[np.float64], digits: int = 4) -> list[float]:
    rounded: list[float] = np.round(values, digits).tolist()
    return rounded


def _since(started: float) -> float:
    return round(1e3 * (time.perf_counter() - started), 3)
