"""Train a network click by click.

    python -m export.train compact --data DATA --out runs/compact --minutes 120
    python -m export.train compact --data DATA --out runs/compact --minutes 120 --resume
    torchrun --nproc-per-node 4 -m export.train paper --data SBD --out runs/paper --set run.precision=bf16

A configuration is one of export/configs/ or the path of such a file. With --resume a run goes on from its last
checkpoint, or begins where there is none: same samples, same schedule, same optimizer state. Stopped by Ctrl-C or
SIGTERM, it writes a checkpoint first. --start begins a new run, with a schedule of its own, from earlier weights.

    python -m export.train compact --data DATA --out runs/long --set optimizer.schedule=constant \
        --set 'run.sizes=[[0, 384]]' --resume
    python -m export.train compact --data DATA --out runs/long-decay --branch runs/long/checkpoint.pt \
        --set optimizer.schedule=decay --set run.images=6000 --set 'run.sizes=[[0, 384]]'

--branch goes on from another run's checkpoint, optimizer state and all, for run.images more, and leaves that run as
it is: with a constant rate, what is to be used is a branch whose rate decays. --resume --allow-changes goes on with the
settings that are given now, and records what changed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from export.cli import data_folder, run_main
from export.training import distributed
from export.training.config import Settings, available, load_settings
from export.training.trainer import Trainer
from pyiseg import _core


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configuration", help=f"{', '.join(available())}, or the path of such a file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, help="folder for checkpoint and logs")
    parser.add_argument("--minutes", type=float, help="stop after so long, the schedule scaled to fit")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, if there is one")
    parser.add_argument("--start", type=Path, help="weights to begin from, such as export/weights/compact.pt")
    parser.add_argument("--branch", type=Path, help="checkpoint of another run to go on from, with a length of its own")
    parser.add_argument("--allow-changes", action="store_true", help="with --resume: the settings may be others now")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.SETTING=VALUE", help="change a setting")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that make training images; with a GPU, one a core"
    )
    parser.add_argument("--validate-cases", type=int, metavar="N", help="of the validations of run.validate_every")
    parser.add_argument("--validate-options", default="", metavar="TEXT", help="more options of their export.validate")
    parser.add_argument("--dry-run", action="store_true", help="two small updates, to see that all is there")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    data_folder(options.data)
    settings = load_settings(options.configuration, options.set)
    if options.minutes is not None:
        if options.minutes <= 0:
            raise ValueError(f"--minutes is {options.minutes:g}; it must be more than 0")
        settings = replace(settings, run=replace(settings.run, minutes=options.minutes))
    if options.workers < 0:
        raise ValueError(f"--workers is {options.workers}; it must be at least 0")
    if options.allow_changes and not options.resume:
        raise ValueError("--allow-changes is for a run that goes on: add --resume")
    validation = shlex.split(options.validate_options)
    if options.validate_cases is not None:
        if options.validate_cases < 1:
            raise ValueError(f"--validate-cases is {options.validate_cases}; it must be at least 1")
        validation += ["--cases", str(options.validate_cases)]
    if settings.run.batch > 1:
        # A thread for each image of the batch is enough.
        _core.set_num_threads(1)
    with distributed.joined() as device:
        if options.dry_run:
            dry_run(settings, options, device)
        elif options.out is None:
            raise ValueError("name a folder for checkpoint and logs with --out")
        else:
            paths = (options.data, options.out, options.start)
            more = {"branch": options.branch, "allow_changes": options.allow_changes, "validation": validation}
            trainer = Trainer(settings, *paths, options.resume, options.workers, device, command_of(options), **more)
            if distributed.rank() == 0:
                notice(trainer)
            finished = trainer.run()
            if distributed.rank() == 0:
                end = "finished" if finished else "stopped; go on with --resume"
                print(f"{end}: {trainer.pictures} images, {trainer.optimizer.updates} updates, {trainer.checkpoint}")
                if finished and not trainer.validated:
                    print("the last validation was stopped; the same command with --resume makes it up")
            if not (finished and trainer.validated):
                sys.exit(130)


def notice(trainer: Trainer) -> None:
    """Say what is probably not meant."""
    settings, total = trainer.settings, trainer.total
    if settings.run.validate_every and settings.data.photographs != "mixed":
        print("notice: run.validate_every needs data.photographs 'mixed': validations will fail", file=sys.stderr)
    updates = total // (settings.run.batch * distributed.world())
    if settings.optimizer.update == "click":
        updates *= settings.clicks.clicks
    if trainer.differs_from_run:
        listed = "\n".join(f"  {name}: {values}" for name, values in sorted(trainer.differs_from_run.items()))
        print(f"a branch takes its settings from its own command; its run had\n{listed}", file=sys.stderr)
    if (
        trainer.progress() < 1
        and not settings.run.minutes
        and not trainer.first
        and settings.optimizer.warmup > updates / 2
    ):
        print(
            f"notice: optimizer.warmup is {settings.optimizer.warmup} updates and the run has {updates}: "
            "its rates hardly rise; set the warmup lower",
            file=sys.stderr,
        )


def command_of(options: argparse.Namespace) -> str:
    """Return the command for the record, without what only this machine knows."""
    words = ["python", "-m", "export.train", Path(options.configuration).name, "--data", "DATA", "--out", "OUT"]
    words += ["--minutes", f"{options.minutes:g}"] if options.minutes is not None else []
    words += ["--start", options.start.name] if options.start is not None else []
    words += ["--branch", options.branch.name] if options.branch is not None else []
    return shlex.join(words + [word for change in options.set for word in ("--set", change)])


def dry_run(settings: Settings, options: argparse.Namespace, device: torch.device) -> None:
    """Make two updates on small images, write and read a checkpoint, and leave nothing behind."""
    small = replace(settings.run, sizes=((0.0, 64),), minutes=0.0, epochs=0.0, pictures=2 * settings.run.batch)
    settings = replace(settings, run=replace(small, validate_every=0))
    with tempfile.TemporaryDirectory() as out:
        begins = {"start": options.start, "branch": options.branch, "workers": options.workers, "device": device}
        trainer = Trainer(settings, options.data, Path(out), **begins)
        trainer.run()
        Trainer(settings, options.data, Path(out), resume=True, device=device)
    print(f"{settings.name}: {trainer.pictures} images, {trainer.optimizer.updates} updates: all is there")


if __name__ == "__main__":
    run_main("train", main)
