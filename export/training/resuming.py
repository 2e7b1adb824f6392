"""What a training run goes on from: its own checkpoint, that of another run, or weights alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from export.cli import read_checkpoint
from export.parsing import from_dict
from export.training.config import Settings

# Settings that decide what the numbers of a checkpoint mean.
FIXED = ("network.", "optimizer.name")
# What a checkpoint needs, besides weights, for another run to branch from it.
NEEDED = ("average", "network", "optimizer", "scaler", "updates", "pictures", "settings")


def identity_of(settings: Settings, around: dict[str, Any]) -> dict[str, Any]:
    """Return by name what must not change between the parts of a run.

    Args:
        settings: Of the run.
        around: What else must be the same, such as the number of processes.
    """
    return flat({**settings.identity(), **around})


def changes_since(state: dict[str, Any], settings: Settings, around: dict[str, Any]) -> dict[str, str]:
    """Compare settings with those of a checkpoint.

    Args:
        state: The checkpoint.
        settings: As they are to be from now on.
        around: See `identity_of`.

    Returns:
        For each setting that differs, by name, a text: "0.1, now 0.2".
    """
    # What an older version did not know yet was as it is now when it is not set.
    then = identity_of(from_dict(Settings, state["settings"]), state["around"])
    now = identity_of(settings, around)
    return {name: f"{then.get(name)}, now {now.get(name)}" for name in now | then if now.get(name) != then.get(name)}


def check_changes(changes: dict[str, str], checkpoint: Path, allowed: bool) -> None:
    """Refuse to go on with other settings.

    Args:
        changes: See `changes_since`.
        checkpoint: Named in the message.
        allowed: Whether changes were asked for.

    Raises:
        ValueError: Something changed that may not.
    """
    listed = "; ".join(f"{name}={values}" for name, values in changes.items())
    anew = f"begin anew with another --out and --start {checkpoint}"
    if fixed := [name for name in changes if name.startswith(FIXED)]:
        raise ValueError(f"{checkpoint} began with {listed}: {fixed[0]} must stay, so give the same again, or {anew}")
    if changes and not allowed:
        raise ValueError(
            f"{checkpoint} began with {listed}: give the same again, add --allow-changes to go on with what is now "
            f"given, or {anew}"
        )


def read_branch(path: Path, settings: Settings) -> tuple[dict[str, Any], str]:
    """Read the checkpoint that a run is to branch from.

    Args:
        path: Checkpoint of another run.
        settings: Of the branch.

    Returns:
        The checkpoint, and a text for the record that says where the branch begins.

    Raises:
        ValueError: It holds weights alone, or is of a run with another network or optimizer.
    """
    state = read_checkpoint(path)
    if missing := [name for name in NEEDED if name not in state]:
        raise ValueError(
            f"{path} has no {', '.join(map(repr, missing))}: a branch needs the checkpoint.pt of a run; from weights "
            f"alone begin a run of its own with --start {path}"
        )
    then = from_dict(Settings, state["settings"])
    there, here = (flat(each.identity()["network"]) for each in (then, settings))
    if names := [name for name in there | here if there.get(name) != here.get(name)]:
        raise ValueError(f"{path} is of a run with another network ({', '.join(names)}): give the same one")
    if then.optimizer.name != settings.optimizer.name:
        raise ValueError(
            f"{path} is of a run with optimizer.name '{then.optimizer.name}', whose state the optimizer "
            f"'{settings.optimizer.name}' cannot take over: give the same one"
        )
    return state, f"branch of {described(path, state)}"


def weights_of(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Read weights to begin from: a checkpoint, or what `export.to_onnx` and `export.import_published` write.

    Returns:
        The weights, and where they come from, for the record.
    """
    state = read_checkpoint(path)
    return state["average"], described(path, state.get("training", state))


def described(path: Path, record: dict[str, Any]) -> str:
    """Return a line on a checkpoint for the record: how far it had come, by which command, and from what."""
    made = ", ".join(f"{record[key]} {key}" for key in ("pictures", "updates") if key in record)
    by = f" by {record['command']}" if record.get("command") else ""
    before = f", from {record['started_from']}" if "started_from" in record else ""
    return f"{path.name}: {made or 'weights'}{by}{before}"


def flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Lay tables within a table side by side: {"run": {"batch": 4}} becomes {"run.batch": 4}."""
    result: dict[str, Any] = {}
    for name, value in table.items():
        result |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return result
