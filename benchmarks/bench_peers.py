"""Accuracy and times of pyiseg beside OpenCV's GrabCut and a MobileSAM pair, on the same images with the same robot.

    python benchmarks/bench_peers.py --data DATA --mobile-sam encoder.onnx decoder.onnx -o benchmarks/results/peers.json
    python benchmarks/bench_peers.py --data DATA --mobile-sam encoder.onnx decoder.onnx -o … --times 6 --plot PNG

DATA holds GrabCut/ and Berkeley/, each with images/ and masks/. All methods do one case, then all of them the next;
each gives masks of the image's own size, and the robot user (`forte`, 20 clicks at most) clicks into what is wrong of
each. A run that was interrupted goes on with the same command. With `--every N` the slowest method, OpenCV's GrabCut,
does every N-th case of Berkeley only, which the result states. With `--update` only methods whose model or settings are
others than in the result that is there are measured: what new weights need.

`--times N` adds times to a result that is there: of N cases of GrabCut, the methods in turns for each, on a machine
with nothing else to do; with `--plot` it draws accuracy against time. docs/benchmark.md says where MobileSAM's files
come from; they are not shipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import check_output, describe, median_p95, write_json

from pyiseg import images
from pyiseg.batch import jobs
from pyiseg.benchmark import plots
from pyiseg.benchmark.grabcut import GrabCut
from pyiseg.benchmark.mobile_sam import MobileSam
from pyiseg.benchmark.peers import Clicked, Peer, Pyiseg
from pyiseg.evaluation.datasets import Case
from pyiseg.evaluation.evaluate import Run, run_on, summarize
from pyiseg.evaluation.metrics import mean_with_interval
from pyiseg.evaluation.runner import read_cases, versions

FOLDERS = {"grabcut": "GrabCut", "berkeley": "Berkeley"}
LIMIT, ROBOT = 20, "forte"
SUMMED_AFTER = (1, 3, 5, LIMIT)
"""Clicks after which the boundary IoU is kept."""
# What a table needs of a summary.
KEPT = ("cases", "limit", "noc85", "noc90", "noc95", "failures85", "failures90", "failures95", "auc", "auc_ci95")


def read(case: Case) -> np.ndarray:
    """A case's image as RGB, uint8, shape (H, W, 3)."""
    return images.to_rgb(case.image)


def measure(case: Case, peers: Sequence[Peer]) -> dict[str, Any]:
    """Let the robot user click on one case with each method; what JSON keeps of it, by the method's name."""
    rgb = read(case)
    found: dict[str, Any] = {}
    for peer in peers:
        run = run_on(case, lambda peer=peer: Clicked(peer, rgb), LIMIT, ROBOT)
        found[peer.name] = {
            "ious": [round(value, 6) for value in run.ious],
            "boundary_ious": run.boundary_ious,
            "clicks": [[click[0], click[1], int(click[2])] for click in run.clicks],
            "open_ms": round(run.session_ms, 1),
            "click_ms": round(float(np.median(run.click_ms)), 1),
        }
    return found


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """Sum up one method's cases on one data set."""
    made = [
        Run(name, run["ious"], run["clicks"], run["open_ms"], [run["click_ms"]], boundary_ious=run["boundary_ious"])
        for name, run in runs.items()
    ]
    whole = summarize(made, LIMIT)
    mean = whole["mean_iou"]
    return {name: whole[name] for name in KEPT} | {
        "mean_iou": mean,
        "boundary_iou": {str(n): whole["mean_boundary_iou"][n - 1] for n in SUMMED_AFTER},
        "above_99": whole["share_above"][str(LIMIT)][-1],
    }


def kept(options: argparse.Namespace, peers: Sequence[Peer]) -> dict[str, Any]:
    """Of the result that is there, the runs of methods that have not changed, by data set and method."""
    if not options.update:
        return {name: {} for name in FOLDERS}
    before = json.loads(options.output.read_text())
    if (before["robot"], before["every"]) != (ROBOT, options.every):
        raise ValueError(f"{options.output} was measured with --every {before['every']}: pass that with --update")
    same = [peer.name for peer in peers if before["methods"].get(peer.name) == json.loads(json.dumps(peer.settings))]
    return {name: {peer: before["sets"][name]["runs"][peer] for peer in same} for name in FOLDERS}


def run_set(name: str, options: argparse.Namespace, peers: Sequence[Peer], before: dict[str, Any]) -> dict[str, Any]:
    """Measure one data set, but for methods whose runs are there; resumable."""
    peers, asked = [peer for peer in peers if peer.name not in before], peers
    cases = read_cases(name, options.data / FOLDERS[name])
    slow = {case.name for case in cases[:: options.every if name == "berkeley" else 1]}

    def work(case: Case) -> dict[str, Any]:
        return measure(case, [peer for peer in peers if peer.name != GrabCut.name or case.name in slow])

    journal = options.output.with_name(f"{options.output.name}.{name}.partial.jsonl")
    outcome = jobs.run(
        cases,
        work,
        name=lambda case: case.name,
        journal=journal,
        fingerprint={
            "data set": name,
            "method": {peer.name: peer.settings for peer in peers},
            "choice of cases": options.every if name == "berkeley" else 1,
            "robot": ROBOT,
            "version of a package": versions(),
        },
        label=name,
        unit="case",
    )
    if outcome.failed:
        raise ValueError(f"{len(outcome.failed)} cases of {name} could not be run: {outcome.failed[0].error}")
    by_peer = {
        peer.name: before.get(peer.name)
        or {case: found[peer.name] for case, found in outcome.results.items() if peer.name in found}
        for peer in asked
    }
    return {"summary": {peer: summary(runs) for peer, runs in by_peer.items()}, "runs": by_peer}


def times(options: argparse.Namespace, peers: Sequence[Peer], clicks: int = 5) -> dict[str, Any]:
    """Time opening and the first clicks on some cases of GrabCut, method by method in turns."""
    cases = read_cases("grabcut", options.data / FOLDERS["grabcut"])
    chosen = cases[:: max(1, len(cases) // options.times)][: options.times]
    opened: dict[str, list[float]] = {peer.name: [] for peer in peers}
    clicked: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number, case in enumerate([chosen[0], *chosen]):  # the first one warms up
        rgb = read(case)
        for peer in peers:
            run = run_on(case, lambda peer=peer, rgb=rgb: Clicked(peer, rgb), clicks, ROBOT)
            if number:
                opened[peer.name].append(run.session_ms / 1e3)
                clicked[peer.name] += [ms / 1e3 for ms in run.click_ms]
    found = {peer: {"open": median_p95(opened[peer]), "click": median_p95(clicked[peer])} for peer in opened}
    return {"machine": describe(), "cases": [case.name for case in chosen], "clicks": clicks, "methods": found}


def difference(result: dict[str, Any], name: str, one: str, other: str) -> dict[str, Any]:
    """By how much one method's clicks to 90 % differ from another's, case by case."""
    runs = result["sets"][name]["runs"]

    def count(run: dict[str, Any]) -> int:
        return next((n for n, value in enumerate(run["ious"], 1) if value >= 0.9), LIMIT)

    shared = [case for case in runs[one] if case in runs[other]]
    mean, interval = mean_with_interval([float(count(runs[one][case]) - count(runs[other][case])) for case in shared])
    return {"cases": len(shared), "noc90": round(mean, 3), "ci95": None if interval is None else round(interval, 3)}


def main() -> int:
    """Measure and write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with GrabCut/ and Berkeley/")
    parser.add_argument("--mobile-sam", type=Path, nargs=2, metavar=("ENCODER", "DECODER"))
    parser.add_argument("--model", type=Path, action="append", default=[], help="another model folder to measure too")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="GrabCut does every N-th case of Berkeley")
    parser.add_argument("--update", action="store_true", help="measure only methods that differ from the result's")
    parser.add_argument("--times", type=int, metavar="N", help="add times of N cases to the result that is there")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw accuracy against time, from the result")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    try:
        check_output(options.output)
        peers: list[Peer] = [Pyiseg(), *(Pyiseg(str(model), name=f"pyiseg, {model.name}") for model in options.model)]
        if options.mobile_sam:
            peers.append(MobileSam(*options.mobile_sam))
        peers.append(GrabCut())
        if options.times:
            result = json.loads(options.output.read_text())
            result["times"] = times(options, peers)
        elif options.plot:
            result = json.loads(options.output.read_text())
        else:
            before = kept(options, peers)
            result = {
                "machine": describe(),
                "robot": ROBOT,
                "methods": {peer.name: peer.settings for peer in peers},
                "every": options.every,
                "sets": {name: run_set(name, options, peers, before[name]) for name in FOLDERS},
            }
            result["differences"] = {
                name: {peer.name: difference(result, name, "pyiseg", peer.name) for peer in peers[1:]}
                for name in FOLDERS
            }
        write_json(options.output, result, indent=None)
        for name in FOLDERS:
            options.output.with_name(f"{options.output.name}.{name}.partial.jsonl").unlink(missing_ok=True)
        if options.plot:
            plots.accuracy_plot(options.plot, result)
    except (ValueError, OSError) as error:
        print(f"bench_peers.py: error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({name: found["summary"] for name, found in result["sets"].items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
