"""What `import pyiseg` costs and shows, and which of its rooms know which."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT

import pyiseg

# Each knows those behind it, never those before it; what is not named here stands behind them all.
ROOMS = (
    "__init__",
    "__main__",
    "cli",
    "server",
    "benchmark",
    "demo",
    "evaluation",
    "batch",
    "labels",
    "session_parts",
    "session",
    "session_formats",
    "session_state",
    "steps",
    "crops",
    "crop_renderer",
    "crop_holder",
    "obeyed",
    "crop",
    "image",
    "backend",
    "tensorrt",
    "runtime",
    "formats",
)


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(answer.stdout))


def test_import_loads_numpy_and_the_extension_only() -> None:
    # Against numpy alone: what numpy brings along, here or elsewhere, is not ours to count.
    ours = loaded_by("import pyiseg") - loaded_by("import numpy, numpy.typing")
    foreign = {name.partition(".")[0] for name in ours} - set(sys.stdlib_module_names) - {"pyiseg"}
    # An editable install brings its own import hook.
    assert {name for name in foreign if "editable" not in name} == set()
    assert "pyiseg.runtime.cpu" not in ours
    assert not any(
        name.startswith(
            ("pyiseg.batch", "pyiseg.evaluation", "pyiseg.formats", "pyiseg.cli.main", "pyiseg.demo", "pyiseg.server")
        )
        for name in ours
    )


def test_the_public_face() -> None:
    assert sorted(pyiseg.__all__) == [
        "Box",
        "Click",
        "DeviceError",
        "Image",
        "LocalClick",
        "Model",
        "ModelError",
        "PyisegError",
        "Rect",
        "Scribble",
        "Session",
        "__version__",
        "available_devices",
        "label_map",
        "load_model",
    ]
    assert all(hasattr(pyiseg, name) for name in pyiseg.__all__)
    assert issubclass(pyiseg.ModelError, pyiseg.PyisegError)
    assert issubclass(pyiseg.DeviceError, pyiseg.PyisegError)


def test_one_version() -> None:
    assert importlib.metadata.version("pyiseg") == pyiseg.__version__


def imported_by(path: Path) -> Iterator[str]:
    """Modules that a file imports anywhere, those inside functions included, but not what is for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "pyiseg":
                names = [alias.name for alias in node.names]
                yield from (getattr(vars(pyiseg).get(name), "__module__", f"pyiseg.{name}") for name in names)
            else:
                yield node.module or ""


def test_rooms_know_only_those_behind_them() -> None:
    def place(room: str) -> int:
        return ROOMS.index(room) if room in ROOMS else len(ROOMS)

    package = ROOT / "pyiseg"
    files = sorted(package.rglob("*.py"))
    assert len(files) > 40
    wrong = []
    for path in files:
        room = path.relative_to(package).with_suffix("").parts[0]
        for module in imported_by(path):
            top, _, rest = module.partition(".")
            if top == "export" or (top == "pyiseg" and rest and place(rest.partition(".")[0]) < place(room)):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []
