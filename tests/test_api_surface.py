"""The public face as recorded in tests/golden/api_surface.txt: names, signatures, commands and their options.

A change here is a change for users. Where it is meant, record it anew, and say it in CHANGELOG.md:

    PYTHONPATH=tests python tests/test_api_surface.py
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from unittest.mock import patch

import pytest
from support.paths import GOLDEN, ROOT

import pyiseg
from pyiseg import backend, cli, formats

RECORDED = GOLDEN / "api_surface.txt"
EXPORT_COMMANDS = (
    "add_fp16",
    "align",
    "contact_sheet",
    "curve",
    "drawn",
    "random_model",
    "engines",
    "generate",
    "gpu_train",
    "import_published",
    "pack",
    "to_onnx",
    "train",
    "validate",
    "validation_list",
    "weight_parts",
)
TOOLS = ("draw_figures", "gpu_train", "pack", "page_screenshots", "prompt_pictures", "weight_parts")


def python_surface() -> Iterator[str]:
    """One line for each public name, method, property and field."""
    for name in sorted(pyiseg.__all__):
        thing = getattr(pyiseg, name)
        if not callable(thing):
            yield f"pyiseg.{name}"
        elif not inspect.isclass(thing):
            yield f"pyiseg.{name}{_signature(thing)}"
        elif issubclass(thing, Exception):
            yield f"pyiseg.{name}({', '.join(base.__name__ for base in thing.__bases__)})"
        else:
            yield f"pyiseg.{name}{_signature(thing)}"
            own = [vars(base) for base in reversed(thing.__mro__) if base.__module__.partition(".")[0] == "pyiseg"]
            for member, value in sorted({name: value for names in own for name, value in names.items()}.items()):
                if member.startswith("_"):
                    continue
                function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
                shown = _signature(function) if inspect.isfunction(function) else ""
                yield f"pyiseg.{name}.{member}{shown}"


def backend_surface() -> Iterator[str]:
    """One line for each function by which other devices are made known."""
    for name in ("available_devices", "register", "unregister"):
        yield f"pyiseg.backend.{name}{_signature(getattr(backend, name))}"


def formats_surface() -> Iterator[str]:
    """One line for each class and function of `pyiseg.formats`."""
    for name in sorted(formats.__all__):
        yield f"pyiseg.formats.{name}{_signature(getattr(formats, name))}"


def command_surface(*command: str) -> Iterator[str]:
    """One line for each command of `pyiseg`, and for those within one, with its options."""
    text = _help(["pyiseg", *command])
    inner = re.findall(r"^    ([a-z]\w*)  ", text, flags=re.MULTILINE) if "\ncommands:" in text else []
    yield " ".join(["pyiseg", *command, _options(text)])
    for name in inner:
        yield from command_surface(*command, name)


def export_surface() -> Iterator[str]:
    """One line for each command of `export` and `tools`, with its options."""
    for package, names in (("export", EXPORT_COMMANDS), ("tools", TOOLS)):
        for name in names:
            yield f"python -m {package}.{name} {_options(_help([name], f'{package}.{name}'))}"


def _signature(function: Callable[..., object]) -> str:
    """Parameters with their kinds and defaults; annotations are for mypy, and name types by where they live."""
    signature = inspect.signature(function)
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def _help(command: list[str], module: str = "") -> str:
    main = importlib.import_module(module).main if module else cli.main
    printed = StringIO()
    with patch.object(sys, "argv", [*command, "--help"]), redirect_stdout(printed), suppress(SystemExit):
        main()
    return printed.getvalue()


def _options(text: str) -> str:
    return " ".join(sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))))


def recorded(start: str) -> list[str]:
    return [line for line in RECORDED.read_text().splitlines() if line.startswith(start)]


def test_public_names_and_signatures_are_as_recorded() -> None:
    assert [*python_surface(), *backend_surface(), *formats_surface()] == recorded("pyiseg.")


def test_commands_and_their_options_are_as_recorded() -> None:
    assert list(command_surface()) == recorded("pyiseg ")


def test_export_commands_and_their_options_are_as_recorded() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    assert list(export_surface()) == recorded("python ")


@pytest.mark.parametrize(("package", "commands"), [("export", EXPORT_COMMANDS), ("tools", TOOLS)])
def test_every_export_command_is_recorded(package: str, commands: tuple[str, ...]) -> None:
    folder = ROOT / package
    found = {path.stem for path in folder.glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert found == set(commands)


if __name__ == "__main__":
    RECORDED.write_text(
        "\n".join([*python_surface(), *backend_surface(), *formats_surface(), *command_surface(), *export_surface()])
        + "\n"
    )
