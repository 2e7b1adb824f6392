"""Check that a wheel holds what it must and is not too large: python check_wheel.py WHEEL."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

NEEDED = (
    "pyiseg/__init__.py",
    "pyiseg/_core.pyi",
    "pyiseg/py.typed",
    "pyiseg/assets/otter.jpg",
    "pyiseg/server/static/index.html",
    "pyiseg/server/static/main.js",
    "pyiseg/server/static/theme.css",
    "pyiseg/server/static/icon.svg",
    "pyiseg/models/default/model.json",
    "pyiseg/models/default/image.onnx",
    "pyiseg/models/default/image.fp16.onnx",
    "pyiseg/models/default/click.onnx",
    "pyiseg/models/default/click.fp16.onnx",
)
LIMIT = 15e6


def main(path: Path) -> int:
    """Print what is wrong; return the exit code."""
    wheel = zipfile.ZipFile(path)
    names = wheel.namelist()
    wrong = [f"lacks {name}" for name in NEEDED if name not in names]
    wrong += [f"holds {name}" for name in names if name.startswith(("export/", "tools/", "tests/", "csrc/"))]
    built = [name for name in names if name.startswith("pyiseg/_core.") and not name.endswith(".pyi")]
    if not built:
        wrong.append("lacks the extension")
    wrong += [f"has {name} built for tests (tests/standin)" for name in built if b"PYISEG_STANDIN" in wheel.read(name)]
    wrong += [f"holds {n}" for n in names if n.startswith("pyiseg/models/") and n not in NEEDED]
    size = path.stat().st_size
    if size > LIMIT:
        wrong.append(f"has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}")
    print(f"{path.name}: {size / 1e6:.1f} MB, {len(names)} files")
    for line in wrong:
        print(f"error: {path.name} {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
