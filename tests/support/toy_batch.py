"""Folders of small images with prompts, and what is in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from support.toy_model import photo

IMAGES = ("a.png", "b.png", "day 1/c.png", "day 1/d.jpg", "e.png")

PROMPTS = """image,x,y,fg,x0,y0,x1,y1,object,category
a.png,60,30,,,,,,disc,
a.png,50,30,0,,,,,disc,
a.png,,,,5,5,30,40,corner,place
b.png,60,30,1,,,,,,
day 1/c.png,60,30,,,,,,disc,
day 1/d.jpg,,,,40,10,79,50,disc,
day 1/d.jpg,60,31,1,,,,,disc,
e.png,60,30,,,,,,disc,
"""


def make(folder: Path, names: Sequence[str] = IMAGES, height: int = 60, width: int = 80) -> Path:
    """Write images into a folder, each with another noise, and return it."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(height, width, seed)).save(path)
    return folder


def table(folder: Path, text: str = PROMPTS) -> Path:
    """Write a list of prompts beside a folder, and return its path."""
    path = folder.parent / "prompts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by name, but for what a run keeps for itself."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".pyiseg-batch" not in path.parts
    }


def times(folder: Path) -> dict[str, int]:
    """When each of the files was written."""
    return {name: (folder / name).stat().st_mtime_ns for name in contents(folder)}


def read(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def done(output: Path) -> list[str]:
    """The images that a run's journal has."""
    path = output / ".pyiseg-batch" / "journal.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["name"] for line in lines[1:] if line.endswith("}")]
