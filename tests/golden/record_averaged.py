"""Record averaged_filter.json: what version 0.1 made of tests/averaged_cases.py, by SHA-256.

Run with the Python of an environment in which version 0.1 (commit 9a1f134) is installed; later versions are held to it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.averaged_cases import CLICKS, GRID, cases, rules

from pyiseg import _core
from pyiseg.model import Rules
from pyiseg.runtime.click import ClickStage

if __name__ == "__main__":
    recorded: dict[str, list[str]] = {}
    for case in cases():
        click_stage, lines = ClickStage(rules(case, Rules), GRID), np.zeros((2, *GRID), np.float32)
        hashes = []
        for n, output in enumerate(case.outputs):
            clicks = CLICKS[: n + 1]
            click_stage.encode(clicks, clicks[:-1], lines, case.grid_guide)
            made = [click_stage.previous, click_stage.maps]
            click_stage.output[0, 0] = output
            click_stage.postprocess(clicks, case.grid_guide, lines)
            for dtype in (np.float32, np.uint8):
                made.append(np.empty(case.guide.shape, dtype))
                _core.apply_lines(lines, case.guide, made[-1])
            hashes.append(hashlib.sha256(b"".join(x.tobytes() for x in made)).hexdigest())
        recorded[case.name] = hashes
    Path(__file__).with_name("averaged_filter.json").write_text(json.dumps(recorded, indent=1) + "\n")
