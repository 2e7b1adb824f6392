"""The photograph of a cat, and clicks that select it: what `pyiseg demo` showed up to version 0.2."""

from pyiseg import Click
from support.paths import ROOT

PHOTO = ROOT / "tests" / "images" / "cat.jpg"
CLICKS = (Click(225, 120, True), Click(130, 270, True), Click(370, 240, False))
