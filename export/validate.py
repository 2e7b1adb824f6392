"""Measure model folders on the validation part of the training data: what choices are made by.

    python -m export.validate MODEL --data DATA --cases 100
    python -m export.validate MODEL OTHER --data DATA                 # on the same cases, compared case by case
    python -m export.validate MODEL --data DATA --long-side 384 512   # the same networks, served at other sizes
    python -m export.validate MODEL --data DATA --zoom 0 4            # never looking closer, or from click 4 on

It prints a JSON list, a summary for each, and how it compares with the first.

Only the layout `mixed` of docs/data.md has such a part; for others use `pyiseg evaluate folder HELD_OUT --model MODEL`.
GrabCut and Berkeley are for measuring only, with `pyiseg evaluate`; no weights are chosen by them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.command import run_main
from export.data import DataConfig
from export.real import RealImages
from pyiseg.evaluation.datasets import Instance
from pyiseg.evaluation.evaluate import Run, run_case, summarise, to_the_limit
from pyiseg.evaluation.metrics import clicks_to_reach, mean_with_interval
from pyiseg.model import Model, Zoom, load_model


def validation_cases(data: Path, count: int) -> list[Instance]:
    """Return the same cases every time: sources in their training shares, objects of at least 1 % of the image."""
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


def compared(runs: list[Run], first: list[Run], limit: int) -> dict[str, list[float] | None]:
    """How much better or worse runs are than others on the same cases: mean of the differences, and half its interval.

    Returns:
        Of ``auc`` and of ``noc90``, the mean and half of its 95 % confidence interval; None for a single case.
    """

    def differences(of: Callable[[Run], float]) -> list[float] | None:
        mean, half = mean_with_interval([of(one) - of(other) for one, other in zip(runs, first, strict=True)])
        return None if half is None else [round(mean, 4), round(half, 4)]

    return {
        "auc": differences(lambda run: float(to_the_limit([run.ious], limit).mean())),
        "noc90": differences(lambda run: clicks_to_reach(run.ious, 0.9, limit)),
    }


def main() -> None:
    """Run and print the summaries, one for each model and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--clicks", type=int, default=20, help="at most, on each case")
    parser.add_argument("--long-side", type=int, nargs="+", help="serve at these sizes instead of the models' own")
    parser.add_argument("--zoom", type=int, nargs="+", metavar="CLICK", help="look closer from this click on; 0: never")
    args = parser.parse_args()
    run_main("validate", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    models = [(str(path), load_model(path)) for path in args.models]
    if args.long_side:
        models = [(f"{name}, long side {x}", served_at(model, x)) for name, model in models for x in args.long_side]
    if args.zoom:
        models = [(f"{name}, zoom {x}", zooming_from(model, x)) for name, model in models for x in args.zoom]
    runs: list[list[Run]] = [[] for _ in models]
    for case in tqdm(validation_cases(args.data, args.cases), unit="image"):
        for (_, model), those in zip(models, runs, strict=True):
            those.append(run_case(case, model, limit=args.clicks))
    results = []
    for (name, _), those in zip(models, runs, strict=True):
        against = {} if those is runs[0] else {"against_first": compared(those, runs[0], args.clicks)}
        results.append({"model": name, **summarise(those, args.clicks), **against})
    print(json.dumps(results, indent=1))


def served_at(model: Model, long_side: int) -> Model:
    """Return the model with another working size.

    Raises:
        ValueError: The size is not a multiple of the model's unit.
    """
    if long_side < 1 or long_side % model.multiple:
        raise ValueError(f"--long-side is {long_side}; it must be a multiple of {model.multiple}")
    return dataclasses.replace(model, long_side=long_side)


def zooming_from(model: Model, click: int) -> Model:
    """Return the model with looking closer from another click on; with 0, never.

    Raises:
        ValueError: It cannot begin at that click.
    """
    zoom = dataclasses.replace(model.zoom or Zoom(), from_click=click) if click else None
    return dataclasses.replace(model, zoom=zoom)


if __name__ == "__main__":
    main()
