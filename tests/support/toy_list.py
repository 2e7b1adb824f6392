"""A small validation list: one object of the toy data, and one graphic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from export.validation.cases import LIST

PHOTO = {"name": "49:1", "image": "49.png", "ids": [1], "source": "ecssd", "slices": ["small"]}
GRAPHIC = {
    "name": "card:box",
    "image": "graphics/card.png",
    "mask": "graphics/card.box.png",
    "source": "graphics",
    "slices": ["graphics"],
}


def write_list(folder: Path, *entries: dict[str, Any]) -> Path:
    """A list with one graphic beside it: a square with a soft edge."""
    (folder / "graphics").mkdir(parents=True)
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:40], alpha[10:30, 40] = 255, 100
    Image.fromarray(np.dstack([alpha] * 3)).save(folder / "graphics" / "card.png")
    Image.fromarray(alpha).save(folder / "graphics" / "card.box.png")
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def committed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LIST.read_text().splitlines()]
