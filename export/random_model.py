"""The paper's network with random weights: for engines, timings and tests wherever the published weights are not.

    python -m export.random_model FOLDER

writes a model folder of its full size with an FP16 variant. Its predictions mean nothing.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.cli import run_main
from export.conversion.folder import export_folder
from export.import_published import network_of
from export.models.network import Network
from export.models.presets import PAPER
from export.models.published import published_shapes
from export.models.resnet import Bottleneck
from export.to_onnx import describe

# What every residual branch is multiplied with. Random weights pass errors on as trained ones do not: with the branches
# whole, FP16 arithmetic is 8e-3 off in alpha; at a quarter, 9e-4.
DAMPING = 0.25
SIZES = ((64, 96), (32, 64))


def random_weights() -> dict[str, Tensor]:
    """Draw weights by parameter name, under the published names; tests/golden/published_network.npz was recorded so."""
    state = {}
    for name, shape in published_shapes().items():
        rng = np.random.default_rng([1, zlib.crc32(name.encode())])
        if len(shape) == 4:
            values = rng.standard_normal(shape) * np.sqrt(2 / (shape[1] * shape[2] * shape[3]))
        else:
            values = 0.1 * rng.standard_normal(shape) + name.endswith("weight")
        state[name] = torch.from_numpy(values.astype(np.float32))
    state["decoder.conv_up4.4.bias"] += 0.5
    state["decoder.conv_up4.4.weight"] *= 0.3
    return state


def random_network() -> Network:
    """Return the paper's network with these weights, its residual branches damped: in FP16 it predicts alike."""
    network = network_of(random_weights())
    with torch.no_grad():
        for block in network.modules():
            if isinstance(block, Bottleneck):
                block.bn3.weight.mul_(DAMPING)
                block.bn3.bias.mul_(DAMPING)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the model folder; replaced if it is one already")
    args = parser.parse_args()
    run_main("random_model", lambda: _run(args.folder))


def _run(folder: Path) -> None:
    training = {"command": "python -m export.random_model FOLDER", "pictures": 0}
    description = f"{describe(PAPER)[1]}, random weights"
    export_folder(random_network(), folder, "random", description, training, licence="Apache-2.0", sizes=SIZES)


if __name__ == "__main__":
    main()
