"""An extension of griffe, which reads docstrings for the site: defaults are shown as what they stand for.

`pyiseg.session` tells a model that was left out from one that was named by defaults of its own, such as
``_LEFT_OUT_MODEL = _LeftOut("default")``: a reader wants to see ``"default"``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_NAMED = re.compile(r"^(_LEFT_OUT_\w+(?:, _LEFT_OUT_\w+)*) = (_LeftOut\(.*\))$", re.M)


def left_out(source: str) -> dict[str, str]:
    """Return the literals that a module's names of left out arguments stand for."""
    found: dict[str, str] = {}
    for names, values in _NAMED.findall(source):
        found.update(zip(names.split(", "), re.findall(r'_LeftOut\(("\w*")\)', values), strict=True))
    return found


class Defaults(griffe.Extension):
    """Puts the literals in the names' places."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Called with every function that was read."""
        named = [parameter for parameter in func.parameters if str(parameter.default).startswith("_LEFT_OUT_")]
        if named:
            literals = left_out("\n".join(func.module.lines_collection[func.filepath]))
            for parameter in named:
                parameter.default = literals[str(parameter.default)]
