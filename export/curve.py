"""Draw a training log: IoU after each click and loss, against pictures seen.

python -m export.curve runs/compact/log.jsonl docs/training-curve.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt


def draw(log: Path, picture: Path, window: int = 5) -> None:
    """Draw the curve; each point is the mean of some neighbouring lines of the log, one line a minute."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for axes, prefix, title in ((left, "iou_", "IoU after click"), (right, "loss_", "loss after click")):
        for name in sorted({name for line in lines for name in line if name.startswith(prefix)}):
            points = [(line["pictures"], float(line[name])) for line in lines if name in line]
            x, y = np.array(points).T
            width = min(window, len(y))
            smooth = np.convolve(y, np.ones(width) / width, "valid")
            axes.plot(x[width - 1 :], smooth, label=name.removeprefix(prefix))
        axes.set(title=title, xlabel="training pictures seen")
        axes.grid(alpha=0.3)
        axes.legend(ncols=2, fontsize=8)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
