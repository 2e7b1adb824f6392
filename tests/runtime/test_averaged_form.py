"""The averaged guided filter with a learned guide, as version 0.1 and the paper's model have it: bit for bit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from support.averaged_cases import CLICKS, GRID, Case, cases, rules
from support.native import Native
from support.paths import GOLDEN

from pyiseg.model import ClickParams
from pyiseg.runtime.click import ClickStage
from pyiseg.runtime.guided_filter import LearnedFilter

RECORDED = json.loads((GOLDEN / "averaged_filter.json").read_text())


class GivenGuide:
    def __init__(self, native: Native, case: Case) -> None:
        self.grid, self.full = native.there(case.grid_guide), native.there(case.guide)

    def on_grid(self, clicks: Any) -> Any:
        return self.grid

    def at_image(self) -> Any:
        return self.full


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.name)
def test_it_is_that_of_version_0_1(case: Case, device: str, applied: bool) -> None:
    """Recorded by tests/golden/record_averaged.py."""
    native, own = Native(device), rules(case, ClickParams)

    def zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        return native.there(np.zeros(shape, dtype))

    streams = {} if device == "cpu" else {"ops": native.ops, "empty": zeros, "copy": native.ops.copy}
    click_stage = ClickStage(own, GRID, **streams)
    made_of = LearnedFilter(own, GivenGuide(native, case), GRID, native.ops, zeros)
    alpha, prediction, hashes = zeros(GRID), zeros(GRID), []
    for n, output in enumerate(case.outputs):
        clicks, answered = native.there(CLICKS[: n + 1].copy()), native.there(CLICKS[:n].copy())
        click_stage.encode(clicks, answered, alpha)
        made = [native.here(click_stage.previous).copy(), native.here(click_stage.maps).copy()]
        if device == "cpu":
            click_stage.output[0, 0] = output
        else:
            native.ops.upload(output[None, None], click_stage.output)
        click_stage.postprocess(clicks, prediction)
        rendered = zeros(case.guide.shape, np.uint8)
        made_of.apply(None, clicks, prediction, rendered)
        exact = zeros(case.guide.shape)
        native.ops.apply_coefficients(vars(made_of)["_coefficients"], native.there(case.guide), exact)
        made += [native.here(exact), native.here(rendered)]
        alpha = made_of.on_grid(clicks, prediction, applied=applied)
        hashes.append(hashlib.sha256(b"".join(x.tobytes() for x in made)).hexdigest())
    assert hashes == RECORDED[case.name]
