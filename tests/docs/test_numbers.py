"""Figures stated in prose are those of benchmarks/results: who measures anew learns which sentences to change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.paths import ROOT


def results(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


GRABCUT, BERKELEY = (results(name)["summary"] for name in ("grabcut", "berkeley"))
TIMES, MEMORY = results("session"), results("memory")


def ms(size: str, what: str) -> str:
    return f"{TIMES[size][what]['median_ms']:.0f}"


def megabytes(size: str) -> str:
    return f"{MEMORY[size]['session_bytes'] / 1e6:.2g}"


STATED = {
    "sam": [
        f"{GRABCUT['noc90']:.2f} clicks to 90 % IoU on GrabCut and {BERKELEY['noc90']:.2f} on Berkeley",
        f"20 clicks leave {GRABCUT['failures90']} of 50 and {BERKELEY['failures90']} of 100 selections below 90 %",
        f"640×480 opens in {ms('640x480', 'session')} ms and a click takes {ms('640x480', 'click')} ms",
    ],
    "guides/gpu": [
        f"it is {ms('640x480', 'click')} and {ms('4000x3000', 'click')} ms a click, and "
        f"{ms('640x480', 'session')} and {ms('4000x3000', 'session')} ms to open"
    ],
    "guides/web-service": [f"{megabytes('640x480')} MB at 640×480 and {megabytes('4000x3000')} MB at 4000×3000"],
    "troubleshooting": [f"{megabytes('640x480')} MB at 640×480, {megabytes('4000x3000')} MB at 4000×3000"],
}


@pytest.mark.parametrize(("page", "sentence"), [(page, text) for page, texts in STATED.items() for text in texts])
def test_pages_state_what_was_measured(page: str, sentence: str) -> None:
    assert sentence in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
