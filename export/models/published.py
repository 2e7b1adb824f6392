"""The parameter names of the authors' published checkpoint (``InterSegSynthFT.pth``), and ours."""

from __future__ import annotations

import torch
from torch import Tensor

from export.models.network import Network
from export.models.presets import PAPER

# Beginnings of names, theirs to ours; what follows is the same.
RENAMED = {
    "encoder.": "image.encoder.",
    "decoder.ppm.{0..3}.1.": "click.pool.branches.{0..3}.0.",
    "decoder.ppm.{0..3}.2.": "click.pool.branches.{0..3}.1.",
    "decoder.usr_encoder.conv{1..6}.": "click.interaction.convs.{0..5}.0.",
    "decoder.conv_up1.0.": "click.stages.8.0.0.",
    "decoder.conv_up1.1.": "click.stages.8.0.1.",
    "decoder.conv_up1.3.": "click.stages.8.1.0.",
    "decoder.conv_up1.4.": "click.stages.8.1.1.",
    "decoder.conv_up2.0.": "click.stages.4.0.0.",
    "decoder.conv_up2.1.": "click.stages.4.0.1.",
    "decoder.conv_up3.0.": "click.stages.2.0.0.",
    "decoder.conv_up3.1.": "click.stages.2.0.1.",
    "decoder.conv_up4.0.": "click.stages.1.0.0.",
    "decoder.conv_up4.2.": "click.stages.1.1.0.",
    "decoder.conv_up4.4.": "click.head.",
    "decoder.guided_map_conv1.": "guide.hidden.",
    "decoder.guided_map_conv2.": "guide.out.",
}


def our_name(theirs: str) -> str:
    """Return our name of a published parameter.

    Raises:
        ValueError: The published network has no such parameter.
    """
    for begins, ours in _pairs():
        if theirs.startswith(begins):
            return ours + theirs.removeprefix(begins)
    raise ValueError(f"'{theirs}' is no parameter of the published network")


def our_state(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a published state under our names; load it with ``strict=False``: constants of ours are not in it."""
    return {our_name(name): value for name, value in published.items()}


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Return the names of the published parameters and their shapes: those of our network, under their names."""
    with torch.device("meta"):
        network = Network(PAPER, pretrained=False)
    return {_their_name(name): tuple(parameter.shape) for name, parameter in network.named_parameters()}


def check_published(state: dict[str, Tensor]) -> None:
    """Refuse a state that is not the published network's.

    Raises:
        ValueError: Parameters are missing, unexpected or of another shape; the message names them.
    """
    expected = published_shapes()
    other = [name for name in expected if name in state and tuple(state[name].shape) != expected[name]]
    faults = {
        "missing": [name for name in expected if name not in state],
        "unexpected": [name for name in state if name not in expected],
        "of another shape": [f"{n} {tuple(state[n].shape)}, not {expected[n]}" for n in other],
    }
    if any(faults.values()):
        listed = [f"{len(names)} {what}: {_some(names)}" for what, names in faults.items() if names]
        raise ValueError(f"these are not the parameters of the published network; {'; '.join(listed)}")


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _their_name(ours: str) -> str:
    return next(theirs + ours.removeprefix(begins) for theirs, begins in _pairs() if ours.startswith(begins))


def _pairs() -> list[tuple[str, str]]:
    pairs = []
    for theirs, ours in RENAMED.items():
        if "{" not in theirs:
            pairs.append((theirs, ours))
            continue
        first, last = (int(n) for n in theirs[theirs.index("{") + 1 : theirs.index("}")].split(".."))
        offset = int(ours[ours.index("{") + 1 : ours.index("..")]) - first
        for n in range(first, last + 1):
            before, after = theirs.split("{")[0], theirs.split("}")[1]
            pairs.append((f"{before}{n}{after}", f"{ours.split('{')[0]}{n + offset}{ours.split('}')[1]}"))
    return pairs
