"""Measure model folders on the validation list: what choices are made by.

    python -m export.validate MODEL --data DATA
    python -m export.validate MODEL OTHER --data DATA                 # on the same cases, compared case by case
    python -m export.validate MODEL --data DATA --out one.json        # kept, with every case's IoUs
    python -m export.validate OTHER --data DATA --against one.json    # compared with what was kept
    python -m export.validate MODEL --data DATA --cases 60            # a fixed part, spread over sources and slices
    python -m export.validate MODEL --data DATA --slices small thin
    python -m export.validate MODEL --data DATA --long-side 384 512   # the same networks, served at other sizes
    python -m export.validate MODEL --data DATA --zoom 0 4            # never zooming in, or from click 4 on
    python -m export.validate MODEL --data DATA --drawn 120           # cases sampled as before the list was made

It prints a JSON list, a summary for each model with its slices, and how it compares with the first; a table goes to
stderr. With --out an interrupted run is continued by the same command. docs/validation.md describes list and figures.

``DATA`` has the layout `mixed` of docs/data.md; for others use `pyiseg evaluate folder HELD_OUT --model MODEL`.
GrabCut and Berkeley are for measuring only, with `pyiseg evaluate`; no weights are chosen by them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.cli import data_folder, run_main
from export.data.dataset import DataConfig
from export.data.mixed import RealImages
from export.validation.cases import LIST, digest, members, read_cases, restricted, spread
from export.validation.report import check_replaceable, read_first, result, text_table, write_results
from pyiseg.evaluation.datasets import Case, Instance
from pyiseg.evaluation.evaluate import Run
from pyiseg.evaluation.runner import Settings, run_cases, versions
from pyiseg.model import Model, Zoom, load_model


def sampled_cases(data: Path, count: int) -> list[Instance]:
    """Return cases as versions 0.1 and 0.2 chose them, the same every time.

    They are sampled from the validation part of ``real.jsonl``: sources in their training shares, objects of at least
    1 % of the image. Figures of docs/training.md were measured on them.
    """
    rng = np.random.default_rng(0)
    if not (data / "train" / "real.jsonl").is_file():
        raise FileNotFoundError(
            f"no list {data / 'train' / 'real.jsonl'}: only data.photographs=mixed has a validation part; for other "
            "layouts use pyiseg evaluate folder HELD_OUT --model MODEL"
        )
    real = RealImages(data, DataConfig().sources, validation=True)
    cases: dict[str, Instance] = {}
    for _ in range(100 * count):
        records = real.records[real.names[rng.choice(len(real.names), p=real.share)]]
        record = records[rng.integers(len(records))]
        identifier = int(rng.choice([o["id"] for o in record["objects"]]))
        name = f"{Path(record['image']).stem}:{identifier}"
        case = Instance(name, data / record["image"], data / record["mask"], number=identifier)
        if name not in cases and case.truth()[0].mean() >= 0.01:
            cases[name] = case
        if len(cases) == count:
            break
    return list(cases.values())


def main() -> None:
    """Run and print the summaries, one for each model and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, metavar="N", help="a fixed part of the list; all of it without")
    parser.add_argument("--slices", nargs="+", metavar="SLICE", help="only cases of these slices or sources")
    parser.add_argument("--list", type=Path, default=LIST, metavar="FILE", help="another list; graphics lie beside it")
    parser.add_argument("--drawn", type=int, metavar="N", help="sample N cases from real.jsonl instead of the list")
    parser.add_argument("--clicks", type=int, default=20, help="at most, on each case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases side by side; all cores without")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the first model of what --out wrote")
    parser.add_argument("--long-side", type=int, nargs="+", help="serve at these sizes instead of the models' own")
    parser.add_argument("--zoom", type=int, nargs="+", metavar="CLICK", help="zoom in from this click on; 0: never")
    args = parser.parse_args()
    run_main("validate", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    settings = Settings(limit=args.clicks, jobs=args.jobs)
    out: Path | None = args.out
    # Refused now rather than after the minutes of work that would be lost.
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise ValueError(f"cannot write {out}: --out is a file in a folder that exists")
    models = [(str(path), load_model(path)) for path in args.models]
    if args.long_side:
        models = [(f"{name}, long side {x}", served_at(model, x)) for name, model in models for x in args.long_side]
    if args.zoom:
        models = [(f"{name}, zoom {x}", zooming_from(model, x)) for name, model in models for x in args.zoom]
    cases, slices, fingerprint = _chosen(args)
    if not cases:
        raise ValueError("no case is left to run: check --slices and --cases")
    if out is not None:
        check_replaceable(out, [case.name for case in cases], args.clicks, fingerprint)
    first = read_first(args.against, [case.name for case in cases], args.clicks, fingerprint) if args.against else None
    journals = [None if out is None else out.with_name(f"{out.name}.{i}.partial.jsonl") for i in range(len(models))]
    runs: list[list[Run]] = []
    for (_, model), journal in zip(models, journals, strict=True):
        outcome = run_cases(cases, model, settings, f"validation {fingerprint}", journal)
        if outcome.failed:
            # Means over other cases would be compared with those of the whole list.
            raise ValueError(f"{len(outcome.failed)} cases could not be run; {outcome.failed[0].error}")
        runs.append(outcome.runs)
    baselines: list[Sequence[Run] | None] = [first or (runs[0] if i else None) for i in range(len(runs))]
    results = [
        result(name, those, args.clicks, slices, baseline)
        for (name, _), those, baseline in zip(models, runs, baselines, strict=True)
    ]
    if out is not None:
        write_results(out, results, runs, args.clicks, {"list": fingerprint, "versions": versions()})
        for journal in journals:
            if journal is not None:
                journal.unlink(missing_ok=True)
    print(json.dumps(results, indent=1), flush=True)
    print(text_table(results), file=sys.stderr)


def _chosen(args: argparse.Namespace) -> tuple[Sequence[Case], dict[str, list[str]], str]:
    """Return the cases to run, the names of each slice's, and the fingerprint of all that they are chosen from."""
    data_folder(args.data)
    if args.drawn is not None:
        if args.cases is not None or args.slices:
            raise ValueError("--drawn takes no cases of the list: leave out --cases and --slices")
        return sampled_cases(args.data, args.drawn), {}, "drawn"
    listed = read_cases(args.data, args.list)
    cases = restricted(listed, args.slices) if args.slices else listed
    if args.cases is not None:
        cases = spread(cases, args.cases)
    return cases, members(cases), digest(listed)


def served_at(model: Model, long_side: int) -> Model:
    """Return the model with another working size.

    Raises:
        ValueError: The size is not a multiple of the model's unit.
    """
    if long_side < 1 or long_side % model.multiple:
        raise ValueError(f"--long-side is {long_side}; it must be a multiple of {model.multiple}")
    return dataclasses.replace(model, long_side=long_side)


def zooming_from(model: Model, click: int) -> Model:
    """Return the model with zooming in from another click on; with 0, never.

    Raises:
        ValueError: It cannot begin at that click.
    """
    zoom = dataclasses.replace(model.zoom or Zoom(), from_click=click) if click else None
    return dataclasses.replace(model, zoom=zoom)


if __name__ == "__main__":
    main()
