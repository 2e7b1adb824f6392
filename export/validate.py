"""Measure a model folder on the validation part of the training data: what choices are made by.

    python -m export.validate MODEL --data DATA --cases 100

Only the layout `mixed` of docs/data.md has such a part; for others use `pyiseg evaluate folder HELD_OUT --model MODEL`.
GrabCut and Berkeley are for measuring only, with `pyiseg evaluate`; no weights are chosen by them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from export.command import run_main
from export.data import DataConfig
from export.real import RealImages
from pyiseg.evaluation.datasets import Instance
from pyiseg.evaluation.evaluate import run_case, summarise
from pyiseg.model import load_model


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


def main() -> None:
    """Run and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--clicks", type=int, default=20, help="at most, on each case")
    args = parser.parse_args()
    run_main("validate", lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    model = load_model(args.model)
    cases = validation_cases(args.data, args.cases)
    runs = [run_case(case, model, limit=args.clicks) for case in tqdm(cases, unit="image")]
    print(json.dumps(summarise(runs, args.clicks), indent=1))


if __name__ == "__main__":
    main()
