"""Run a robot user over a data set, through the public Session, and sum up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pyiseg.evaluation.datasets import DATASETS, Case
from pyiseg.evaluation.metrics import clicks_to_reach, iou
from pyiseg.evaluation.robot import next_click
from pyiseg.files import written_whole
from pyiseg.model import Model, load_model
from pyiseg.session import Session

THRESHOLDS = (0.85, 0.90, 0.95)


@dataclass(frozen=True)
class Run:
    """What the robot user got on one case.

    Attributes:
        name: The case's.
        ious: IoU after each click; shorter than the limit where nothing was wrong any more.
        clicks: The clicks, [x, y, fg].
        session_ms: Time to make the session.
        click_ms: Time of each click.
    """

    name: str
    ious: list[float]
    clicks: Sequence[tuple[int, int, bool]]
    session_ms: float
    click_ms: list[float]


def run_case(case: Case, model: str | Model = "default", device: str = "cpu", limit: int = 20) -> Run:
    """Let the robot user click on one case until nothing is wrong or the limit is reached."""
    truth, void = case.truth()
    started = time.perf_counter()
    session = Session(case.image, model=model, device=device)
    session_ms = 1e3 * (time.perf_counter() - started)
    if truth.shape != session.shape:
        raise ValueError(f"mask {case.mask} has shape {truth.shape}, its image {case.image} {session.shape}")
    mask = np.zeros_like(truth)
    ious: list[float] = []
    click_ms: list[float] = []
    while len(ious) < limit:
        click = next_click(mask, truth, void)
        if click is None:
            break
        started = time.perf_counter()
        session.click(*click)
        click_ms.append(1e3 * (time.perf_counter() - started))
        mask = session.mask
        ious.append(iou(mask, truth, void))
    return Run(case.name, ious, list(session.clicks), session_ms, click_ms)


def summarise(runs: Iterable[Run], limit: int = 20) -> dict[str, Any]:
    """Sum up runs: NoC and failures at each threshold, mean IoU after each click, median times in milliseconds."""
    runs = list(runs)
    summary: dict[str, Any] = {"cases": len(runs), "limit": limit}
    for threshold in THRESHOLDS:
        counts = [clicks_to_reach(run.ious, threshold, limit) for run in runs]
        failed = [max(run.ious, default=0.0) < threshold for run in runs]
        name = f"{100 * threshold:.0f}"
        summary[f"noc{name}"] = float(np.mean(counts))
        summary[f"failures{name}"] = int(np.sum(failed))
    # A run that ended early keeps its last IoU: nothing was left to correct.
    curve = [run.ious + run.ious[-1:] * (limit - len(run.ious)) for run in runs if run.ious]
    summary["mean_iou"] = np.mean(curve, axis=0).round(4).tolist()
    summary["session_ms_median"] = float(np.median([run.session_ms for run in runs]))
    summary["click_ms_median"] = float(np.median([ms for run in runs for ms in run.click_ms]))
    return summary


def run_dataset(
    dataset: str, root: Path, model: str | Model = "default", device: str = "cpu", limit: int = 20
) -> list[Run]:
    """Run every case of a data set, with a progress bar on stderr.

    Args:
        dataset: A name of :data:`pyiseg.evaluation.datasets.DATASETS`.
        root: The data set's folder.
        limit: Clicks on each case at most.

    Raises:
        FileNotFoundError: The folder is not laid out as the data set's reader expects.
    """
    loaded = load_model(model)
    cases = list(DATASETS[dataset](root))
    if not cases:
        raise ValueError(f"{root} holds no masks, so there is nothing to evaluate")
    return [run_case(case, loaded, device, limit) for case in tqdm(cases, desc=dataset, unit="image")]


def write_report(path: Path, dataset: str, runs: list[Run], summary: dict[str, Any], model: Model) -> None:
    """Write summary, runs and what was measured as JSON, whole.

    Args:
        path: Its folder must exist.
        dataset: The data set's name, for the record.
        runs, summary: As :func:`run_dataset` and :func:`summarise` returned them.
        model: What was measured.
    """
    report = {
        "dataset": dataset,
        "model": {"name": model.name, "sha256": model.sha256},
        "versions": {name: version(name) for name in ("pyiseg", "numpy", "onnxruntime")},
        "summary": summary,
        "runs": [asdict(run) for run in runs],
    }
    with written_whole(path) as file:
        file.write(f"{json.dumps(report, allow_nan=False)}\n".encode())
