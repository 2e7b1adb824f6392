"""Runs pytest with an extension module from a build folder in the place of the installed one, editable or not.

python .ci/with_extension.py FOLDER PYTEST-ARGUMENTS...
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    [path] = Path(sys.argv[1]).glob("_core*.so")
    spec = importlib.util.spec_from_file_location("pyiseg._core", path)
    assert spec is not None
    assert spec.loader is not None
    core = sys.modules["pyiseg._core"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    assert core.cuda_built, "built without the CUDA ops"
    print(f"with_extension: {path}, {core.cuda.device_count()} CUDA devices here", flush=True)
    sys.path.insert(0, ".")
    sys.exit(pytest.main(sys.argv[2:]))
