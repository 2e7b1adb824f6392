"""The site's own tools: links that leave docs/, what a page loads, and the order of pages."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import ROOT

HOME = "https://example.org/us/it"


def tool(name: str) -> ModuleType:
    """A file of .ci, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of pages in a repository."""
    for name in ("README.md", "benchmarks/one.json", "docs/page.md", "docs/guides/other.md", "docs/data.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path / "docs"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../README.md", f"{HOME}/blob/main/README.md"),
        ("../README.md#figures", f"{HOME}/blob/main/README.md#figures"),
        ("../benchmarks", f"{HOME}/tree/main/benchmarks"),
        ("../benchmarks/one.json", f"{HOME}/blob/main/benchmarks/one.json"),
        ("guides", f"{HOME}/tree/main/docs/guides"),
        ("guides/other.md", "guides/other.md"),
        ("data.jsonl", "data.jsonl"),
        ("#here", "#here"),
        ("https://example.com/../README.md", "https://example.com/../README.md"),
        ("mailto:a@example.com", "mailto:a@example.com"),
    ],
)
def test_links_that_leave_the_pages_lead_to_the_repository(docs: Path, link: str, expected: str) -> None:
    moved = tool("mkdocs_hooks").in_repository(f"a [b]({link}) c\n", docs / "page.md", docs, HOME)
    assert moved == f"a [b]({expected}) c\n"


def test_links_of_deeper_pages_and_images(docs: Path) -> None:
    hooks = tool("mkdocs_hooks")
    text = "![x](../../benchmarks/one.json) [y](../page.md)"
    moved = hooks.in_repository(text, docs / "guides" / "other.md", docs, HOME)
    assert moved == f"![x]({HOME}/blob/main/benchmarks/one.json) [y](../page.md)"


def test_code_stays_as_it_is(docs: Path) -> None:
    link, fence = "[a](../README.md)", "`" * 3
    moved = tool("mkdocs_hooks").in_repository(f"{link}\n\n{fence}\n{link}\n{fence}\n", docs / "page.md", docs, HOME)
    assert moved == f"[a]({HOME}/blob/main/README.md)\n\n{fence}\n{link}\n{fence}\n"


def test_a_link_to_nothing_is_a_warning_which_strict_builds_refuse(
    docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert tool("mkdocs_hooks").in_repository("[a](../gone.md)", docs / "page.md", docs, HOME) == "[a](../gone.md)"
    assert [record.getMessage() for record in caplog.records] == ["page.md: no file ../gone.md"]


def test_the_address_is_that_of_the_project() -> None:
    home = tool("mkdocs_hooks").homepage()
    assert f'Homepage = "{home}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "text", "count"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', 1),
        ("a.html", "<link rel=stylesheet href='//fonts.example/x.css'>", 1),
        ("a.html", '<img src="HTTP://example/x.png">', 1),
        ("a.css", '@import "https://fonts.example/x.css"; a{background:url(//example/y.png)}', 2),
        ("a.html", '<link rel="canonical" href="https://example.org/a.html"><a href="https://example.org">b</a>', 0),
        ("a.html", '<script src="assets/x.js"></script><img src="../x.png">', 0),
        ("a.css", "a{background:url(data:image/svg+xml,x)} b{background:url('y.png')}", 0),
    ],
)
def test_what_a_site_loads_of_other_hosts(tmp_path: Path, file: str, text: str, count: int) -> None:
    (tmp_path / file).write_text(text)
    assert len(list(tool("check_site").elsewhere(tmp_path))) == count


def test_notebooks_are_kept_without_outputs() -> None:
    notebooks = list((ROOT / "examples").glob("*.ipynb"))
    assert notebooks
    for notebook in notebooks:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")], notebook.name


def test_figures_are_small() -> None:
    figures = [path for path in (ROOT / "docs" / "figures").iterdir() if path.is_file()]
    assert len(figures) >= 8
    assert not {path.name: path.stat().st_size for path in figures if path.stat().st_size > 150_000}
