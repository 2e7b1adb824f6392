"""A run's training for some minutes on a rented GPU, from what small transfers bring to what they take back.

    python -m tools.gpu_train compact IN OUT --minutes 20 --workers 14 --set optimizer.schedule=constant …

IN is a folder with the data, as shards of `tools.pack` or as a data folder under ``data``, and what to go on from:
``checkpoint.pt`` (the run goes on as a branch: with its optimizer and its samples), or weights, as ``weights.pt`` or in
the parts of `tools.weight_parts`. OUT gets the run in ``run`` and its averaged weights, FP16, in ``parts`` of at most
15 MB each: join them with `tools.weight_parts` and go on with ``export.train --start``. Other options are those of
`export.train`. Arithmetic is bfloat16 unless --set run.precision says otherwise. Called again after it was stopped, it
goes on. Without a GPU it does the same, slowly: a rehearsal.

The network is small: one process leaves a large GPU idle most of the time. ``--processes 4`` lets four train on it
together, each with batches and workers of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from export import train
from export.cli import run_main
from tools.pack import unpack
from tools.weight_parts import join, split


def gather(folder: Path, out: Path) -> tuple[Path, list[str]]:
    """Unpack and join what was brought.

    Args:
        folder: See the module.
        out: Where to, if it has to be unpacked or joined.

    Returns:
        The folder of the data, and the options of `export.train` that say what to go on from.

    Raises:
        ValueError: Shards are missing, or there is nothing to go on from, or too much.
        FileNotFoundError: There is no data.
    """
    data = folder / "data"
    if shards := sorted(folder.glob("*.tar")):
        data = out / "data"
        if missing := unpack(shards, data):
            raise ValueError(f"{folder} lacks shards {', '.join(map(str, missing))}: bring them too")
    elif not data.is_dir():
        raise FileNotFoundError(f"no data in {folder}: it needs shards (*.tar) or a folder data")
    checkpoint, weights, parts = folder / "checkpoint.pt", folder / "weights.pt", sorted(folder.glob("*.part"))
    there = [
        name for name, found in (("checkpoint.pt", checkpoint.exists()), ("weights.pt", weights.exists())) if found
    ]
    there += ["*.part"] if parts else []
    if len(there) != 1:
        found = " and ".join(there) or "none of them"
        raise ValueError(f"{folder} must hold one of checkpoint.pt, weights.pt and *.part, it holds {found}")
    if checkpoint.exists():
        return data, ["--branch", str(checkpoint)]
    if parts:
        out.mkdir(parents=True, exist_ok=True)
        weights = out / "weights.pt"
        join(parts, weights)
    return data, ["--start", str(weights)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Gather, train, split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("configuration", help="as of export.train")
    parser.add_argument("folder", type=Path, metavar="IN", help="what was brought")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the run and for the parts to take back")
    parser.add_argument("--max-mb", type=float, default=15, help="no part is larger, in 10^6 bytes")
    parser.add_argument("--processes", type=int, default=1, help="that train together, also on one GPU")
    options, others = parser.parse_known_args(arguments)
    if options.processes < 1:
        parser.error(f"--processes is {options.processes}; it takes 1 or more")
    run_main("gpu_train", lambda: _run(options, others), package="tools")


def _run(options: argparse.Namespace, others: Sequence[str]) -> None:
    data, begin = gather(options.folder, options.out)
    run, parts = options.out / "run", options.out / "parts"
    command = [options.configuration, "--data", str(data), "--out", str(run), "--resume", *begin]
    # In front, so that what is given overrules it.
    command += ["--set", "run.precision=bf16", *others]
    try:
        if options.processes == 1:
            train.main(command)
        else:
            several = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes)]
            done = subprocess.run([sys.executable, "-m", *several, "-m", "--", "export.train", *command], check=False)
            if done.returncode:
                raise RuntimeError(
                    f"training by {options.processes} processes ended with exit code {done.returncode}; what they said "
                    "about it stands above"
                )
    finally:
        # Stopped before its time, the run has weights too.
        if (run / "checkpoint.pt").exists():
            for old in parts.glob("*.part"):
                old.unlink()
            paths = split(run / "checkpoint.pt", parts, options.max_mb)
            print(f"averaged weights in {len(paths)} parts in {parts}")


if __name__ == "__main__":
    main()
