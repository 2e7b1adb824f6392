"""A folder to look at: one Markdown page with tables, plots and contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pyiseg.evaluation import contact_sheets as sheets
from pyiseg.evaluation import plots
from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.evaluate import THRESHOLDS, Run
from pyiseg.evaluation.references import Reference, references
from pyiseg.evaluation.results import Report
from pyiseg.files import atomic_write
from pyiseg.model import Model
from pyiseg.paths import printable, quoted

TITLES = {"grabcut": "GrabCut", "berkeley": "Berkeley", "sbd": "SBD", "davis": "DAVIS", "folder": "Folder"}
PAGE = "report.md"
# Rows of the sheets. What goes wrong tells more than what goes well.
BEST, WORST = 6, 10

_ROBOTS = {
    "forte": "at the center of the largest wrong region (Forte et al. 2020)",
    "ritm": "at the deepest point of all that is wrong (Sofiiuk et al. 2021)",
}


def labelled(reports: Sequence[tuple[str, Report]]) -> dict[str, dict[str, Report]]:
    """Reports by data set and label: the model's name, with the report's own name behind it where two would be equal.

    Args:
        reports: Each with its own name, such as its file's stem.
    """
    sets: dict[str, dict[str, Report]] = {}
    for name, report in reports:
        of_model = [n for n, r in reports if (r.dataset, r.model["name"]) == (report.dataset, report.model["name"])]
        label = printable(report.model["name"] if len(of_model) == 1 else f"{report.model['name']} ({name})")
        found = sets.setdefault(report.dataset, {})
        if label in found:
            label = f"{label} {len(found) + 1}"
        found[label] = report
    return sets


def write_folder(
    folder: Path,
    sets: Mapping[str, Mapping[str, Report]],
    sheets: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> Path:
    """Write the page and the plots it shows.

    Args:
        folder: Made if need be; files of these names in it are replaced.
        sets: Reports by data set and label, as from :func:`labelled`.
        sheets: By data set, contact sheets that :func:`write_sheets` put there: what they show, and the file.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Evaluation"]
    for dataset, reports in sets.items():
        title = TITLES.get(dataset, dataset)
        figures: list[tuple[str, str]] = []
        kinds: tuple[tuple[str, str, Callable[[Path, str, Mapping[str, Report]], None]], ...] = (
            ("iou", "Mean IoU after each click", plots.iou_plot),
            ("corrected", "Corrective click accuracy", plots.corrected_plot),
            ("share", "Share of images above an IoU", plots.share_plot),
        )
        for name, what, plot in kinds:
            plot(folder / f"{dataset}-{name}.png", f"{title}: {what[0].lower() + what[1:]}", reports)
            figures.append((what, f"{dataset}-{name}.png"))
        figures += (sheets or {}).get(dataset, ())
        parts += [f"## {title}", table(reports), _notes(reports)]
        if references(dataset):
            parts += [f"### Published figures on {title}", reference_table(dataset), _CAVEAT]
        parts += [f"### {what}\n\n![{what}]({file})" for what, file in figures]
    page = folder / PAGE
    with atomic_write(page) as file:
        file.write(("\n\n".join(parts) + "\n").encode(errors="backslashreplace"))
    return page


def write_sheets(
    folder: Path, report: Report, cases: Sequence[Case], model: Model, device: str = "cpu"
) -> list[tuple[str, str]]:
    """Draw contact sheets of the cases with the highest and the lowest mean IoU over the clicks.

    Args:
        folder: Made if need be.
        report: What to show.
        cases: Of the report's data set, at least those of its runs.
        model, device: What the report was made with.

    Returns:
        What each sheet shows, and its file's name.

    Raises:
        ValueError: The model or the cases are others than the report's.
    """
    # A report that was made before the model had FP16 files does not name them, nor does an old one name rules.
    files, serving = dict(report.model["sha256"]), report.model.get("serving", model.serving)
    if not files.items() <= model.sha256.items() or serving != model.serving:
        raise ValueError(
            f"the report was made with other weights or rules than those in {quoted(model.folder)}; pass --model that "
            "model's folder"
        )
    by_name = {case.name: case for case in cases}
    missing = next((run.name for run in report.runs if run.name not in by_name), None)
    if missing is not None:
        raise ValueError(
            f"the report has a case '{missing}' that the data set has not; pass the folder it was made with"
        )
    folder.mkdir(parents=True, exist_ok=True)
    ranked = sorted(report.runs, key=lambda run: (-_auc(run, report.summary["limit"]), run.name))
    best, worst = (min(rows, -(-len(ranked) // 2)) for rows in (BEST, WORST))
    title = TITLES.get(report.dataset, report.dataset)
    written = []
    for which, runs in (("best", ranked[:best]), ("worst", ranked[: -worst - 1 : -1])):
        name = f"{report.dataset}-{which}.png"
        heading = (
            f"{title}, {report.model['name']}: the {which} {len(runs)} of {len(ranked)} by mean IoU over the clicks"
        )
        sheets.contact_sheet(folder / name, heading, runs, [by_name[run.name] for run in runs], model, device)
        written.append((f"The {which} {len(runs)} of {len(ranked)}", name))
    return written


def table(reports: Mapping[str, Report]) -> str:
    """The figures of reports on one data set as a Markdown table, one row each."""
    percents = [round(100 * threshold) for threshold in THRESHOLDS]
    limit = max(report.summary["limit"] for report in reports.values())
    after = [n for n in (1, 3, 5, 10, 20) if n < limit] + [limit]
    head = ["model", *(f"NoC@{p}" for p in percents), *(f"not at {p} %" for p in percents)]
    head += [f"IoU@{n}" for n in after] + ["AuC", f"boundary IoU@{limit}", "session", "click"]
    rows = []
    for label, report in reports.items():
        s = report.summary
        row = [
            label,
            *(f"{s[f'noc{p}']:.2f}" for p in percents),
            *(f"{s[f'failures{p}']} of {s['cases']}" for p in percents),
        ]
        row += [f"{s['mean_iou'][n - 1]:.3f}" if n <= s["limit"] else "" for n in after]
        row += [plots.auc_text(report).removeprefix("AuC ")]
        row += [f"{s['mean_boundary_iou'][limit - 1]:.3f}" if s["limit"] == limit else ""]
        row += [f"{s['session_ms_median']:.0f} ms", f"{s['click_ms_median']:.0f} ms"]
        rows.append(row)
    return _markdown(head, rows)


def reference_table(dataset: str) -> str:
    """The published figures on a data set as a Markdown table."""
    rows = references(dataset)
    percents = sorted({p for row in rows for p in row.noc[dataset]})
    head = ["method", "trained on", *(f"NoC@{p}" for p in percents), "AuC", "source"]

    def cells(row: Reference) -> list[str]:
        figures = [f"{row.noc[dataset][p]:.2f}" if p in row.noc[dataset] else "" for p in percents]
        auc = f"{row.auc[dataset]}" if dataset in row.auc else ""
        return [row.method, row.trained, *figures, auc, row.source]

    return _markdown(head, [cells(row) for row in rows])


_CAVEAT = (
    "As the sources state them, with networks trained on other data. The robot user of Forte et al. is `forte` here; "
    "RITM, and FocalClick and SimpleClick, which are built on its code, were measured with `ritm`."
)


def _notes(reports: Mapping[str, Report]) -> str:
    lines = []
    for label, report in reports.items():
        summary = report.summary
        line = (
            f"- {label}: {summary['cases']} cases, at most {summary['limit']} clicks, each {_ROBOTS[report.robot]}; on "
            f"{printable(report.device)}, "
            + ", ".join(printable(f"{name} {version}") for name, version in report.versions.items())
            + "."
        )
        if report.jobs > 1:
            line += f" Times are those of a busy machine: {report.jobs} cases ran side by side."
        if report.failed:
            line += f" {len(report.failed)} more could not be used and count nowhere:"
            line += "".join(f"\n  - {printable(x.name)}: {printable(x.error, 1000)}" for x in report.failed)
        if report.unmasked:
            line += f" Images without a mask, left out: {', '.join(map(printable, report.unmasked))}."
        lines.append(line)
    lines.append(
        "- NoC: mean clicks to that IoU in per cent, a failure counting as all of them. IoU@n: mean after n clicks. "
        "AuC: mean of the mean IoU over the clicks, ± its 95 % confidence interval over images. Times: medians."
    )
    return "\n".join(lines)


def _auc(run: Run, limit: int) -> float:
    kept = run.ious[:limit]
    return (sum(kept) + kept[-1] * (limit - len(kept))) / limit if kept else 0.0


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
