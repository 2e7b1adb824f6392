"""The fenced Python blocks of the pages that users copy from run, in their order, each page in one namespace.

A page says what is not run, and why, in a comment before the block. A comment may also prepare what a block takes for
granted:

    <!-- not run: needs a GPU -->
    <!-- setup
    frame = ...
    -->
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT

from pyiseg.demo import PHOTO

NAMED = ("index", "quickstart", "how-it-works", "prompts", "formats", "batch", "server", "troubleshooting", "sam")
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in NAMED),
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]
# The README has no comments for this test in it.
README_SETUP = """
from PIL import Image
upload, clicks = "photo.jpg", [(850, 620, True), (1240, 680, False)]
"""
README_NOT_RUN = {'device="cuda"': "needs an NVIDIA GPU"}

_BLOCK = re.compile(
    r"^<!-- not run: (?P<reason>[^\n]+) -->\n```python\n(?P<left>.*?)^```"
    r"|^<!-- setup\n(?P<setup>.*?)^-->"
    r"|^```python\n(?P<code>.*?)^```",
    re.M | re.S,
)


class Block(NamedTuple):
    """Code of a page, the line where it begins, and why it is not run, if it is not."""

    line: int
    code: str
    reason: str | None


def blocks(text: str) -> Iterator[Block]:
    """Yield what a page has for Python, in its order."""
    for found in _BLOCK.finditer(text):
        code = found["left"] or found["setup"] or found["code"] or ""
        yield Block(text.count("\n", 0, found.start(found.lastgroup or 0)) + 1, code, found["reason"])


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the images that pages name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib, "rcParams", matplotlib.rcParams | {"backend": "agg"})
    shutil.copy(PHOTO, "photo.jpg")
    shutil.copy(PHOTO, "street.jpg")
    Path("pyiseg/assets").mkdir(parents=True)
    shutil.copy(PHOTO, "pyiseg/assets/otter.jpg")
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save("mask.png")


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": page.stem}
    if page.stem == "README":
        exec(README_SETUP, names)
    for block in blocks(text):
        if block.reason or any(mark in block.code for mark in README_NOT_RUN if page.stem == "README"):
            compile(block.code, str(page), "exec")
            continue
        # Line numbers of errors are those of the page.
        exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)


def test_every_fence_of_python_is_found() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = len(re.findall(r"^[ ]*```[ ]*(?:python|py)\b", text, re.M))
        assert sum(block.code != "" for block in blocks(text)) - text.count("<!-- setup\n") == fences, page.name


def test_what_is_not_run_is_little() -> None:
    found = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"))]
    left = [block for block in found if block.reason]
    assert len(found) > 30
    assert len(left) < len(found) / 4, [block.reason for block in left]


def test_blocks_are_read_with_their_comments() -> None:
    text = (
        "a\n<!-- not run: needs a GPU -->\n```python\nx\n```\n<!-- setup\ny = 1\n-->\n```python\ny\n```\n```\nz\n```\n"
    )
    assert [tuple(block) for block in blocks(text)] == [
        (4, "x\n", "needs a GPU"),
        (7, "y = 1\n", None),
        (10, "y\n", None),
    ]
