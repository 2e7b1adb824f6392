"""The result of a benchmark for people: an aligned table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyiseg.benchmark.run import TIMED

HEADINGS = {
    "open": "open",
    "click": "click",
    "zoomed_click": "zooming click",
    "crop_click": "click on crop",
    "matte": "matte",
}


def text(result: Mapping[str, Any]) -> str:
    """Lay out a result of :func:`pyiseg.benchmark.run.run`, or what an interrupted run has of it."""
    machine = result["machine"]
    threads = result["threads"] or "as many as there are cores"
    lines = [
        f"pyiseg     {machine['versions']['pyiseg']}, model {result['model']['name']}, on {result['device']}",
        f"machine    {machine['processor']} {machine['vectors']}, {machine['cores']} cores, {machine['system']}",
        f"threads    {threads}",
        f"times      median / 95th percentile in milliseconds, of {result['repeat']} rounds, all methods in turns",
        f"image      {result['image']}",
        "",
    ]
    rows = [["image", "method", *(HEADINGS[name] for name in TIMED), "peak memory", "IoU"]]
    notes = []
    for entry in result["sizes"]:
        label = "{} x {}".format(*entry["size"])
        for name, found in entry["methods"].items():
            if "times" not in found:
                notes.append(f"{label}, {name}: skipped, {found.get('skipped', 'interrupted')}")
                continue
            rows.append([label, name, *(_times(found["times"], key) for key in TIMED), *_others(found)])
            notes += _notes(label, name, found, result["repeat"])
    lines += _aligned(rows) if len(rows) > 1 else ["nothing was measured"]
    return "\n".join(lines + [f"note: {note}" for note in notes])


def _times(times: Mapping[str, Any], name: str) -> str:
    if name not in times:
        return "-"
    return " / ".join(_number(times[name][key]) for key in ("median_ms", "p95_ms"))


def _number(ms: float) -> str:
    return f"{ms:.1f}" if ms < 10 else f"{ms:,.0f}"


def _others(found: Mapping[str, Any]) -> list[str]:
    memory = found.get("memory", {})
    return [
        f"{memory['peak_mb']:,.0f} MB" if "peak_mb" in memory else "-",
        f"{found['iou']:.3f}" if "iou" in found else "-",
    ]


def _notes(label: str, name: str, found: Mapping[str, Any], repeat: int) -> list[str]:
    notes = []
    rounds = found["times"]["open"]["n"]
    if rounds < repeat:
        notes.append(f"{label}, {name}: {rounds} of {repeat} rounds")
    if name == "pyiseg" and "zoomed_click" not in found["times"]:
        notes.append(f"{label}: this model did not zoom in, so there are no times of that")
    if error := found.get("memory", {}).get("error"):
        notes.append(f"{label}, {name}: memory not measured, {error}")
    return notes


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
