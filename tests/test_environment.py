"""settings.py: an environment variable that cannot be is named, whatever is asked for first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import pyiseg
from pyiseg import settings
from pyiseg.errors import SettingError

BAD = ["0", "auto", "-1", "257", "2.5", "3 ", "1e2", "9" * 30, "٣"]


def run(code: str, value: str) -> str:
    environment = os.environ | {"PYISEG_NUM_THREADS": value, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("value", BAD)
def test_numbers_of_threads_that_cannot_be(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PYISEG_NUM_THREADS", value)
    with pytest.raises(SettingError, match=f"PYISEG_NUM_THREADS is '{value}'; .* 1 to 256, or unset"):
        settings.check_num_threads()


@pytest.mark.parametrize("value", ["", "1", "256", " 3", "+2", "007"])
def test_numbers_of_threads_that_can_be(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PYISEG_NUM_THREADS", value)
    settings.check_num_threads()
    assert int(run("from pyiseg import _core; print(_core.get_num_threads())", value)) >= 1


def test_the_error_is_a_value_error_and_pyisegs() -> None:
    assert issubclass(SettingError, ValueError)
    assert issubclass(SettingError, pyiseg.PyisegError)


@pytest.mark.parametrize("value", ["0", "auto", "9" * 30])
@pytest.mark.parametrize(
    "call",
    [
        "pyiseg.Session(numpy.zeros((9, 9, 3), numpy.uint8))",
        "pyiseg.Session(numpy.zeros((9, 9, 3), numpy.uint8), device='auto')",
        "pyiseg.Session(numpy.zeros((9, 9, 3), numpy.uint8), device='cuda')",
        "pyiseg.available_devices()",
    ],
)
def test_all_that_needs_the_extension_names_the_setting(call: str, value: str) -> None:
    code = f"""
import numpy, pyiseg
for _ in range(2):
    try:
        {call}
    except ValueError as error:
        print(type(error).__name__, error)
"""
    lines = run(code, value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"SettingError PYISEG_NUM_THREADS is '{value}'; it may be a whole") for line in lines)


def test_the_extension_refuses_what_is_refused_here() -> None:
    code = "\n".join(
        [
            "import os, sys",
            f"for value in {BAD!r}:",
            "    os.environ['PYISEG_NUM_THREADS'] = value",
            "    try:",
            "        from pyiseg import _core",
            "        print('took', value)",
            "    except ImportError as error:",
            "        assert 'PYISEG_NUM_THREADS' in str(error), error",
        ]
    )
    assert run(code, "1") == ""
