"""A training set of a few drawn pictures, laid out as the real one."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# A picture that falls into the validation part, see export.data.is_validation.
HELD_OUT = 49


def build(root: Path, pictures: int = 6) -> Path:
    """Write ``train/`` under a folder and return the folder."""
    train = root / "train"
    for part in ("real", "objects", "backgrounds"):
        (train / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for i in [*range(pictures), HELD_OUT]:
        image = rng.integers(0, 120, (60, 80, 3)).astype(np.uint8)
        index = np.zeros((60, 80), np.uint8)
        cv2.circle(index, (30 + 3 * (i % 7), 30), 14, 1, -1)
        cv2.circle(index, (30 + 3 * (i % 7), 30), 15, 255, 1)
        image[index == 1] += 120
        Image.fromarray(image).save(train / "real" / f"{i}.png")
        Image.fromarray(index).save(train / "real" / f"{i}_mask.png")
        Image.fromarray(image[::-1]).save(train / "backgrounds" / f"{i}.png")
        alpha = np.where(index[10:50, 10:70] == 1, 255, 0).astype(np.uint8)
        rgba = np.dstack([image[10:50, 10:70], alpha])
        Image.fromarray(rgba).save(train / "objects" / f"fluent3d_{i}.png")
        record = {
            "image": f"train/real/{i}.png",
            "mask": f"train/real/{i}_mask.png",
            "height": 60,
            "width": 80,
            "objects": [{"id": 1, "kind": "instance"}],
            "source": "ecssd",
        }
        lines.append(json.dumps(record))
    (train / "real.jsonl").write_text("\n".join(lines) + "\n")
    return root
