"""Summaries by slice, differences from another model case by case, and the JSON file that `export.validate` writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyiseg.evaluation.evaluate import Run, late_clicks, summarize, to_the_limit
from pyiseg.evaluation.metrics import clicks_to_reach, mean_with_interval
from pyiseg.files import atomic_write, read_json

FORMAT = 1
IOU_AFTER = (1, 3, 5, 10, 20)
_OF_SLICES = ("cases", "noc85", "noc90", "noc95", "failures85", "failures90", "failures95", "auc", "auc_ci95")


def compared(runs: Sequence[Run], first: Sequence[Run], limit: int) -> dict[str, list[float] | None]:
    """How much better or worse runs are than others on the same cases: mean of the differences, and half its interval.

    Returns:
        Of ``auc``, ``noc85``, ``noc90`` and ``noc95``, the mean and half of its 95 % confidence interval; None for a
        single case.
    """

    def differences(of: Callable[[Run], float]) -> list[float] | None:
        mean, half = mean_with_interval([of(one) - of(other) for one, other in zip(runs, first, strict=True)])
        return None if half is None else [round(mean, 4), round(half, 4)]

    def clicks_to(threshold: float) -> Callable[[Run], float]:
        return lambda run: clicks_to_reach(run.ious, threshold, limit)

    return {
        "auc": differences(lambda run: float(to_the_limit([run.ious], limit).mean())),
        "noc85": differences(clicks_to(0.85)),
        "noc90": differences(clicks_to(0.9)),
        "noc95": differences(clicks_to(0.95)),
    }


def result(
    name: str, runs: Sequence[Run], limit: int, slices: Mapping[str, Sequence[str]], first: Sequence[Run] | None = None
) -> dict[str, Any]:
    """Return the table of one model, for JSON.

    Args:
        name: Of the model.
        runs: Of all cases.
        limit: Clicks on each case at most.
        slices: Names of the cases of each slice; those without a run are left out.
        first: Runs of the same cases that these are compared with.

    Returns:
        What :func:`pyiseg.evaluation.evaluate.summarize` says of all cases; ``against_first``, as from
        :func:`compared`, where there is a first; and ``slices``, by name, with the same figures in short: ``mean_iou``
        is a table by click there.
    """
    table = {"model": name, **summarize(runs, limit)}
    if first is not None:
        table["against_first"] = compared(runs, first, limit)
    table["slices"] = {}
    for slice_name, names in slices.items():
        inside = set(names)
        those = [run for run in runs if run.name in inside]
        if not those:
            continue
        whole = summarize(those, limit)
        part = {key: whole[key] for key in _OF_SLICES}
        part["mean_iou"] = {str(n): whole["mean_iou"][n - 1] for n in IOU_AFTER if n <= limit}
        part["late"] = late_clicks(those, limit)
        if first is not None:
            part["against_first"] = compared(those, [run for run in first if run.name in inside], limit)
        table["slices"][slice_name] = part
    return table


def write_results(
    path: Path,
    results: Sequence[Mapping[str, Any]],
    runs: Sequence[Sequence[Run]],
    limit: int,
    about: Mapping[str, Any],
) -> None:
    """Write results and the IoUs of every case as JSON, whole.

    Args:
        path: Its folder must exist.
        results: As from :func:`result`.
        runs: Of each result.
        limit: Clicks on each case at most.
        about: What else is to be known of the measurement, such as the list's fingerprint.
    """
    content: dict[str, Any] = {"format": FORMAT, **about, "clicks": limit, "results": []}
    for table, those in zip(results, runs, strict=True):
        ious = {run.name: [round(value, 4) for value in run.ious] for run in those}
        content["results"].append({**table, "ious": ious})
    with atomic_write(path) as file:
        file.write(f"{json.dumps(content, allow_nan=False)}\n".encode())


def check_replaceable(path: Path, names: Sequence[str], limit: int, fingerprint: str) -> None:
    """Refuse to write results over a file that holds something else than the same cases would give.

    Args:
        path: The file; it need not exist.
        names: Of the cases to be run.
        limit: Clicks on each case at most.
        fingerprint: Of the list that the cases are from.

    Raises:
        ValueError: There is another file; it stays as it is.
    """
    if not path.exists():
        return
    way_out = "choose another --out, or remove it"
    try:
        content = read_json(path)
        found, clicks, there = content["list"], content["clicks"], set(content["results"][0]["ious"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise ValueError(f"{path} is there already, and no file that export.validate --out wrote: {way_out}") from None
    if (found, clicks, there) != (fingerprint, limit, set(names)):
        raise ValueError(
            f"{path} holds results of {len(there)} cases with {clicks} clicks of the list {found}, which this run of "
            f"{len(names)} cases with {limit} clicks of the list {fingerprint} would replace: {way_out}"
        )


def read_first(path: Path, names: Sequence[str], limit: int, fingerprint: str) -> list[Run]:
    """Read the runs of the first model in a file of :func:`write_results`, to compare others with them.

    Args:
        path: The file.
        names: Of the cases that are wanted, in the order to return them.
        limit: Clicks on each case at most; the file's must be the same.
        fingerprint: Of the list that the cases are from; the file's must be the same.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or was measured otherwise.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}'; check the path")
    try:
        content = read_json(path)
        found, clicks, ious = content["list"], content["clicks"], content["results"][0]["ious"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = "it has no IoUs of single cases" if error.args == ("ious",) else repr(error)
        raise ValueError(
            f"{path} is no file that export.validate --out writes ({reason}): measure that model with --out, and "
            "compare with that file"
        ) from None
    if found != fingerprint:
        raise ValueError(
            f"{path} was measured on another list of cases ({found}, this one is {fingerprint}): measure that model "
            "again"
        )
    if clicks != limit:
        raise ValueError(f"{path} was measured with {clicks} clicks, this run has {limit}: pass --clicks {clicks}")
    if missing := [name for name in names if name not in ious]:
        raise ValueError(
            f"{path} lacks {len(missing)} of the {len(names)} cases, such as {missing[0]}: give the --cases and "
            "--slices that it was measured with, or measure that model on all cases"
        )
    return [Run(name, list(ious[name]), [], 0.0, [0.0]) for name in names]


def text_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for the terminal: one row for each slice of each model."""
    rows = [f"{'':<28}{'cases':>6}{'NoC@85':>8}{'@90':>7}{'@95':>7}{'not 90':>8}{'AuC':>9}  IoU at {IOU_AFTER}"]
    for table in results:
        rows.append(str(table["model"]))
        all_ious = {str(n): table["mean_iou"][n - 1] for n in IOU_AFTER if n <= len(table["mean_iou"])}
        for name, part in {"all": {**table, "mean_iou": all_ious}, **table["slices"]}.items():
            ious = " ".join(f"{value:.3f}" for value in part["mean_iou"].values())
            row = f"  {name:<26}{part['cases']:>6}{part['noc85']:>8.2f}{part['noc90']:>7.2f}{part['noc95']:>7.2f}"
            row += f"{part['failures90']:>8}{part['auc']:>9.4f}  {ious}"
            if against := part.get("against_first"):
                pairs = ((key, against[key]) for key in ("auc", "noc90"))
                row += "".join(f"  {key} {pair[0]:+.4f} ± {pair[1]:.4f}" for key, pair in pairs if pair)
            rows.append(row)
    return "\n".join(rows)
