"""A photograph of a cat and three clicks on it. With the shipped weights they give tests/golden/cat_mask.png."""

from __future__ import annotations

from pyiseg import Click
from support.paths import GOLDEN

PHOTO = GOLDEN / "cat.jpg"
CLICKS = (Click(225, 120, True), Click(130, 270, True), Click(370, 240, False))
