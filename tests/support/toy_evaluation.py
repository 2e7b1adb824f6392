"""A small evaluation set of rendered images, and a report made up by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from pyiseg.evaluation.evaluate import Run, summarize
from pyiseg.evaluation.results import Report


def write(path: Path, values: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def build(root: Path, pictures: int = 4, easy: bool = False) -> Path:
    """Write ``images/`` and ``masks/`` under a folder, each with a disc, and return the folder.

    The disc is bright; where it is not easy, its lower half is dark and something else is bright as well, so that the
    toy model needs more than one click.
    """
    for i in range(pictures):
        disc = np.zeros((60, 80), np.uint8)
        cv2.circle(disc, (20 + 10 * i, 30), 14, 255, -1)
        image = disc // 2 + 60
        if not easy:
            image[32:] = 60
            image[2 + i : 24 + i, 28:50] = 190
        write(root / "images" / f"{i}.png", np.repeat(image[..., None], 3, axis=2))
        write(root / "masks" / f"{i}.png", disc)
    return root


def run(name: str, *ious: float) -> Run:
    """A run with these IoUs; what else it holds follows from them."""
    clicks = [(10 + i, 10, i % 2 == 0) for i in range(len(ious))]
    return Run(name, list(ious), clicks, 10.0, [5.0] * len(ious), [0.5] * len(ious), [iou / 2 for iou in ious])


def report(dataset: str = "grabcut", name: str = "compact", limit: int = 3, **changes: Any) -> Report:
    runs = [run("a", 0.5, 0.8, 0.9), run("b", 0.9, 1.0), run("c", 0.2, 0.3, 0.4)]
    values: dict[str, Any] = {
        "dataset": dataset,
        "model": {"name": name, "sha256": {"click.onnx": "00"}},
        "robot": "forte",
        "device": "cpu",
        "jobs": 1,
        "versions": {"pyiseg": "0.1.0"},
        "summary": summarize(runs, limit),
        "runs": runs,
        "failed": [],
    }
    return Report(**values | changes)
