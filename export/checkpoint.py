"""Averaged weights of a run in FP16, with what is on record about them: what training can start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.cli import in_half, write_tensors


def write_weights(path: Path, state: dict[str, Any], source: Path) -> dict[str, Any]:
    """Write the averaged weights of a checkpoint, unfolded, in FP16, whole.

    Args:
        path: The file; its folder is made where there is none.
        state: The checkpoint, with ``average`` and ``network_config``.
        source: What it was read from, named in the error.

    Returns:
        What is on record about the weights, as it stands in the file under ``training``.

    Raises:
        ValueError: A weight does not fit into FP16.
        OSError: The file cannot be written; what was there before stays.
    """
    training = training_of(state)
    kept = {
        "average": in_half(state["average"], source),
        "training": training,
        "network_config": state.get("network_config", {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, kept)
    return training


def training_of(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its training, for model.json."""
    if "training" in state:
        return dict(state["training"])
    training: dict[str, Any] = {
        key: state[key] for key in ("started_from", "data", "pictures", "updates") if key in state
    }
    if state.get("changes"):
        training["changes"] = state["changes"]
    if "seconds" in state:
        training["minutes"] = round(state["seconds"] / 60, 1)
    if state.get("command"):
        training["command"] = state["command"]
    elif "settings" in state:
        minutes = f" --minutes {state['minutes']:g}" if state.get("minutes") else ""
        training["command"] = f"python -m export.train {state['settings']['name']} --data DATA --out OUT{minutes}"
    return training | {key: state[key] for key in ("config", "settings") if key in state}
