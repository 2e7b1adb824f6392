"""Check that the files, modules and `python -m` commands that texts name are in the repository.

Of Markdown the fenced blocks and code spans are read, of Python what stands between backticks, of C++ the comments, of
everything else all lines. Nothing is imported: a name within a module must occur in that module's file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CPP = (".h", ".inl", ".cpp", ".cu")
TEXTS = ("*.md", "*.py", "*.pyi", "*.toml", "*.yml", "*.yaml", "*.sh", ".ci/*", "CMakeLists.txt", "csrc/*")
TOPS = r"(?:pyiseg|export|tools|csrc|tests|benchmarks|docs|\.ci|\.github)"

_PATH = re.compile(rf"(?<![\w./…~-]){TOPS}/[\w./*-]*\w")
_FILE = re.compile(r"(?<![\w./…*$-])(?:[\w.-]+/)*[A-Za-z_][\w-]*\.(?:pyi?|h|inl|cpp|cu|sh|toml|md)(?![\w.(=]|/)")
_DOTTED = re.compile(r"(?<![\w./-])(?:pyiseg|export|tools)(?:\.[A-Za-z_]\w*)+(?![\w/])")
_CLASS = re.compile(r"(?<![\w./-])([a-z_]+)\.([A-Z]\w*[a-z]\w*)")
_COMMAND = re.compile(r"\bpython3? -m ((?:export|tools|pyiseg|benchmarks)[\w.]*\w)")


def code_of(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the code in a text, with the numbers of its lines."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence and name.endswith(".md")
        if name.endswith((".md", ".py", ".pyi")) and not fenced:
            yield from ((number, span) for span in re.findall(r"``?([^`]+)``?", line))
        elif not fence:
            yield number, line.partition("//")[2] if name.endswith(CPP) else line


def has_module(dotted: str, command: bool = False) -> bool:
    """Return whether a dotted name is a module, or the first name in its module's file; a command must be a module."""
    names = dotted.split(".")
    for length in range(len(names), 0, -1):
        path = Path(*names[:length])
        for file in (path.with_suffix(".py"), path.with_suffix(".pyi"), path / "__init__.py"):
            if file.is_file():
                left = names[length : length + 1]
                return not left or (not command and bool(re.search(rf"\b{left[0]}\b", file.read_text())))
    return False


def missing(code: str, tracked: list[str]) -> set[str]:
    """Return what some code names and the repository has not."""
    wrong = {path for path in _PATH.findall(code) if not any(Path().glob(path))}
    suffixes = "\n".join(f"/{name}" for name in tracked) + "\n"
    wrong |= {file for file in _FILE.findall(code) if f"/{file}\n" not in suffixes}
    for module, name in _CLASS.findall(code):  # short forms, such as geometry.View
        files = [Path(file) for file in tracked if file.endswith((f"/{module}.py", f"/{module}.pyi"))]
        if files and not any(re.search(rf"\bclass {name}\b|^{name}\b", file.read_text(), re.M) for file in files):
            wrong.add(f"{module}.{name}")
    wrong |= {name for name in _COMMAND.findall(code) if not has_module(name, command=True)}
    return wrong | {name for name in _DOTTED.findall(code) if not has_module(name)}


def main() -> int:
    """Print what is missing; return the exit code."""
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    texts = subprocess.run(["git", "ls-files", *TEXTS], capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = [
        f"{name}:{number}: {what}"
        for name in texts
        for number, code in code_of(name, Path(name).read_text())
        for what in sorted(missing(code, tracked))
    ]
    print("\n".join(wrong) or f"names in {len(texts)} files exist")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
