"""What ``pyiseg evaluate`` and ``pyiseg report`` do."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyiseg.batch.jobs import Failure
from pyiseg.cli import outputs
from pyiseg.cli.console import say_error
from pyiseg.errors import PyisegError
from pyiseg.evaluation import evaluate, masks, plots, report, runner
from pyiseg.evaluation import results as record
from pyiseg.evaluation.datasets import Case
from pyiseg.model import Model, load_model
from pyiseg.paths import quoted, shown_path
from pyiseg.places import try_folder

INCOMPLETE = 1
"""Exit code where figures were written, but some cases could not be used, or the report could not be drawn."""
KEPT = "evaluation.json"
"""What ``--report`` writes into its folder where no other file is named by ``-o``."""


def run(options: argparse.Namespace, echo: Callable[[str], None]) -> int:
    """Evaluate a model on a data set.

    Args:
        options: ``dataset``, ``folder``, ``model``, ``device``, ``robot``, ``clicks``, ``jobs``, and ``output`` and
            ``report``, each a path or None.
        echo: Called with what to tell the user.

    Returns:
        The exit code, 0 or :data:`INCOMPLETE`.

    Raises:
        ValueError, OSError, pyiseg.PyisegError: Nothing could be measured, or it cannot be written.
    """
    output: Path | None = options.output
    # Refused now rather than after the minutes of work that would be lost.
    _check_folder(options.report)
    if output is None and options.report is not None:
        # Measured for minutes or hours: it is kept before anything is drawn.
        output = options.report / KEPT
    journal = None if output is None else output.with_name(f"{output.name}.partial.jsonl")
    if output is not None and journal is not None and (options.output is not None or output.parent.exists()):
        outputs.file(output, ".json", "a report")
        outputs.journal(journal)
    settings = runner.Settings(options.clicks, options.robot, options.device, options.jobs)
    model = load_model(options.model)
    cases = runner.read_cases(options.dataset, options.folder)
    # The images of SBD are those of its training part too.
    of_masks = {case.image for case in cases}
    unmasked = [] if options.dataset == "sbd" else masks.without_mask(cases[0].image.parent, of_masks)
    _make_folder(options.report)
    outcome = runner.run_cases(cases, model, settings, options.dataset, journal)
    found = record.Report(
        dataset=options.dataset,
        model={"name": model.name, "sha256": dict(model.sha256), "serving": model.serving},
        robot=settings.robot,
        device=settings.device,
        jobs=outcome.jobs,
        versions=runner.versions(),
        summary=evaluate.summarize(outcome.runs, settings.limit)
        | {"failed": len(outcome.failed), "unmasked": len(unmasked)},
        runs=outcome.runs,
        # Where the files lie is nobody's business but the user's: reports are passed on.
        failed=[
            Failure(
                name=failure.name,
                error=failure.error.replace(f"{options.folder}/", "").replace(f"{shown_path(options.folder)}/", ""),
            )
            for failure in outcome.failed
        ],
        unmasked=unmasked,
    )
    echo(_text(found.summary))  # first: even where the file cannot be written, the figures are not lost
    if output is not None:
        record.write_report(output, found)
        echo(f"wrote   {shown_path(output)}")
    if journal is not None and not outcome.failed:
        journal.unlink(missing_ok=True)
    drawn = options.report is None or _drawn(options.report, found, cases, model, settings.device, echo)
    if not drawn:
        kept = None if output is None else shown_path(output)
        echo(f"             the figures above are in {kept}: pyiseg report {kept} -o FOLDER draws them again")
    if outcome.failed:
        echo(f"failed       {len(outcome.failed)} of {len(cases)} cases could not be used and count nowhere, see above")
        if journal is not None:
            echo(f"             mend them and run again: what was measured is kept in {shown_path(journal)}")
    return INCOMPLETE if outcome.failed or not drawn else 0


def _drawn(
    folder: Path, found: record.Report, cases: Sequence[Case], model: Model, device: str, echo: Callable[[str], None]
) -> bool:
    """Write tables, plots and contact sheets; whatever goes wrong there is said, and takes nothing else along."""
    try:
        sheets = report.write_sheets(folder, found, cases, model, device)
        sets = report.labelled([(model.name, found)])
        echo(f"wrote   {shown_path(report.write_folder(folder, sets, {found.dataset: sheets}))}")
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, OSError, PyisegError)) else f"{type(error).__name__}: "
        say_error(f"error: the report is not drawn: {kind}{error}")
        return False
    return True


def compare(options: argparse.Namespace, echo: Callable[[str], None]) -> int:
    """Make one folder of tables and plots from saved reports.

    Args:
        options: ``reports`` (paths), ``output`` (a folder), ``images`` (the data set's folder, or None), ``model``,
            ``device``, which are for contact sheets of ``images``.
        echo: Called with what to tell the user.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, OSError, pyiseg.PyisegError: A report cannot be read, the folder cannot be written, or a model or
            device is given without ``images``.
    """
    _check_folder(options.output)
    if options.images is None:
        # Tables and plots are of the reports alone; who names a model expects it to be run.
        for name, default in (("model", "default"), ("device", "cpu")):
            given = getattr(options, name)
            if given != default:
                raise ValueError(
                    f"--{name} {given} is for contact sheets only: pass --images with the data set's folder too, or "
                    f"leave out --{name}"
                )
    named = [(path.stem, record.read_report(path)) for path in options.reports]
    sheets = {}
    if options.images is not None:
        if len(named) > 1:
            raise ValueError(
                f"--images is for one report, not {len(named)}: contact sheets show one model on one data set"
            )
        found = named[0][1]
        cases = runner.read_cases(found.dataset, options.images)
        sheets[found.dataset] = report.write_sheets(
            options.output, found, cases, load_model(options.model), options.device
        )
    echo(f"wrote   {shown_path(report.write_folder(options.output, report.labelled(named), sheets))}")
    return 0


def _check_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ValueError(f"{quoted(folder)} is a file; a report goes into a folder of its own")
    if folder is not None:
        try_folder(folder)


def _make_folder(folder: Path | None) -> None:
    """Make the folder of a report, so that one that cannot be is refused before there is anything to lose.

    Raises:
        OSError: It cannot be made or written to.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        try_folder(folder)


def _text(summary: Mapping[str, Any]) -> str:
    """A summary for the terminal."""
    lines = [f"cases        {summary['cases']}"]
    for percent in (round(100 * threshold) for threshold in evaluate.THRESHOLDS):
        failures = summary[f"failures{percent}"]
        lines.append(
            f"NoC@{percent}       {summary[f'noc{percent}']:.2f}  ({failures} not there after {summary['limit']})"
        )
    after = sorted({n for n in (1, 3, 5, 10, 20, summary["limit"]) if n <= summary["limit"]})
    lines.append("mean IoU     " + "  ".join(f"{summary['mean_iou'][n - 1]:.4f} @{n}" for n in after))
    interval = "" if summary["auc_ci95"] is None else f" ± {summary['auc_ci95']:.4f} (95 % confidence)"
    clicks = "" if summary["limit"] == plots.LIMIT else f" ({summary['limit']} clicks)"
    lines.append(f"AuC          {summary['auc']:.4f}{interval}{clicks}")
    lines.append(f"boundary IoU {summary['mean_boundary_iou'][-1]:.4f} @{summary['limit']}")
    made = summary["corrected_cases"]
    corrected = sum(share * n for share, n in zip(summary["corrected"], made, strict=True)) / sum(made)
    lines.append(f"corrected    {corrected:.1%} of the wrong region that a click is in")
    lines.append(f"session      {summary['session_ms_median']:.1f} ms (median)")
    lines.append(f"click        {summary['click_ms_median']:.1f} ms (median)")
    return "\n".join(lines)
