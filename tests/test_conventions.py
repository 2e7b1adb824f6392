"""Tests and benchmarks go through public faces: no private attributes of the project's, no imports from other tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.paths import ROOT

FILES = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")])
ALLOWED = {
    "_core",  # the extension
    "_replace",  # of named tuples
    "_exit",  # of os
    "_repr_png_",  # of IPython's protocol
    "_sleep",  # of torch.cuda
    "_C",  # of torch, and
    "_cuda_clearCublasWorkspaces",
}


BY_NAME = ("setattr", "delattr", "getattr", "hasattr", "attrgetter", "patch", "object", "multiple")
"""Functions that are told an attribute's name: those of pytest's monkeypatch, of unittest.mock's patch, built-ins."""


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in ALLOWED


def last(name: str) -> str:
    return name.rpartition(".")[2]


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def wrong_in(source: str) -> list[str]:
    """What a file must not do, with its lines."""
    tree = ast.parse(source)
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            found.append(f"{node.lineno}: .{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if private(alias.name)]
            found += [f"{node.lineno}: import of {name} from {node.module}" for name in names]
            if last(node.module or "").startswith("test_"):
                found.append(f"{node.lineno}: import from {node.module}")
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: import of {x.name}" for x in node.names if last(x.name).startswith("test_")]
        elif isinstance(node, ast.Call) and called(node) in BY_NAME:
            names = [x.value for x in node.args if isinstance(x, ast.Constant) and isinstance(x.value, str)]
            found += [f"{node.lineno}: {name}" for name in names if private(last(name))]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_faces_only(path: Path) -> None:
    assert wrong_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "session._steps",
        "from pyiseg.session import _Step",
        "from test_session import play",
        "import core.test_ops",
        "m.setattr(x, '_y', 1)",
        "patch('pyiseg.session._Step')",
        "patch.object(x, '_y')",
        "getattr(x, '_y')",
    ],
)
def test_what_is_not_public_is_found(source: str) -> None:
    assert wrong_in(source)


def test_what_is_public_or_a_files_own_is_not() -> None:
    assert not wrong_in(
        "from pyiseg import _core\nclass A:\n    def __init__(self): self._x = 1\na = A()._x\nb._replace()"
    )


def test_names_of_test_files_are_there_once() -> None:
    """Two of one name, in folders that are no packages, end pytest with "import file mismatch"."""
    names = [path.name for path in FILES if path.name.startswith("test_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
