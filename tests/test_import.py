"""What `import pyiseg` costs and shows."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pyiseg


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
        name.startswith(("pyiseg.batch", "pyiseg.evaluation", "pyiseg.cli.main", "pyiseg.demo")) for name in ours
    )


def test_the_public_face() -> None:
    assert sorted(pyiseg.__all__) == [
        "Click",
        "DeviceError",
        "Image",
        "Model",
        "ModelError",
        "PyisegError",
        "Session",
        "__version__",
        "available_devices",
        "load_model",
    ]
    assert all(hasattr(pyiseg, name) for name in pyiseg.__all__)
    assert issubclass(pyiseg.ModelError, pyiseg.PyisegError)
    assert issubclass(pyiseg.DeviceError, pyiseg.PyisegError)


def test_one_version() -> None:
    assert importlib.metadata.version("pyiseg") == pyiseg.__version__
