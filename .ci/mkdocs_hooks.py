"""Hooks of the site: links that leave docs/ lead to the repository.

Pages are read in the repository too, where a link such as ../benchmarks/results/session.json leads to the file. On the
site that file is not, so its address in the repository takes the link's place: `[project.urls]` of pyproject.toml says
where that is, and nothing else does.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

LOG = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")
_FENCE = re.compile(r"^(```.*?^```[ ]*$)", re.M | re.S)


def homepage() -> str:
    """The repository's address, from pyproject.toml; read by its line, for Python 3.10 has no tomllib."""
    found = re.search(r'^Homepage = "(.+?)/?"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    if not found:
        raise ValueError("pyproject.toml: [project.urls] has no Homepage")
    return found[1]


def in_repository(text: str, page: Path, docs: Path, home: str) -> str:
    """Return a page's Markdown with the links that leave the folder of pages turned into the repository's addresses.

    Args:
        text: Markdown. What stands in fenced blocks stays as it is.
        page: Its file.
        docs: The folder of pages.
        home: The repository's address.
    """

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / link[2]))
        if target.is_relative_to(docs) and not target.is_dir():
            return link[0]
        if not target.exists():
            LOG.warning("%s: no file %s", page.relative_to(docs), link[2])
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{link[1]}{home}/{kind}/main/{target.relative_to(docs.parent).as_posix()}{link[3] or ''}{link[4]}"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs with every page."""
    return in_repository(markdown, Path(page.file.abs_src_path), Path(config.docs_dir), homepage())
