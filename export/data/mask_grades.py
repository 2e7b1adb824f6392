"""What is known of the masks of each source of ``mixed``: how closely they follow objects, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

from export.data.io import Grade

# Of records that name no grade of their own; a source that is not here counts as close.
GRADES: dict[str, Grade] = {
    "sbd": "rough",
    "voc": "rough",
    "coco": "rough",
    "cocop": "rough",
    "ecssd": "close",
    "mval": "close",
    "ccp": "close",
    "horse": "close",
}

# How far masks lie right of and below the edges of their images, in pixels of these, as measured by
# `python -m export.align DATA --images 300`. A value stands here only where its 95 % interval excludes 0 and it is
# at least 0.1, of 20 images or more; 0 stands for what is less.
OFFSETS: dict[str, tuple[float, float]] = {
    "butterfly": (0.65, 0.6),
    "carparts": (0.56, 0.41),
    "ccp": (0.75, 0.58),
    "coco": (1.1, 0.85),
    "cocop": (1.33, 0.91),
    "feralcat": (0.34, 0.0),
    "food": (0.55, 0.3),
    "homedepot": (0.31, 0.2),
    "horse": (0.32, 0.26),
    "humanseg": (0.22, 0.0),
    "koma": (0.57, 1.12),
    "mval": (1.08, 0.91),
    "pwfid": (-0.14, -0.17),
    "sbd": (1.03, 0.0),
    "segmush": (0.45, 0.49),
    "segreg": (0.25, 0.0),
    "viasmall": (0.32, 0.1),
    "voc07inst": (0.61, 0.57),
}


def grade_of(record: Mapping[str, Any]) -> Grade:
    """Return the grade of a record's mask: its own, else that of its source.

    Raises:
        ValueError: It names a grade that does not exist.
    """
    grade = record.get("grade")
    if grade is None:
        return GRADES.get(record["source"], "close")
    if grade not in get_args(Grade):
        raise ValueError(f"grade {grade!r} is none of {', '.join(get_args(Grade))}")
    return cast(Grade, grade)


def shift_of(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return (x, y), pixels by which a record's mask must be moved right and down to lie on its image."""
    dx, dy = OFFSETS.get(record["source"], (0.0, 0.0))
    return -dx, -dy
