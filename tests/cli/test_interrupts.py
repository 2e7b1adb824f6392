"""Ctrl-C at any moment of a command: one line, exit code 130, and no file that is half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.paths import ROOT
from support.toy_model import PHOTO

from export.cli import run_main
from pyiseg import cli, interrupts
from pyiseg.cli.console import Interruption

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has it")

OFFSETS = 24
BEGUN = 0.06
"""Seconds that Python itself may take to start: what comes then is Python's to report."""


def command(folder: Path, toy: Path) -> list[str]:
    given = ["cut", str(folder / "photo.png"), "--click", "60,30", "--model", str(toy)]
    return [sys.executable, "-m", "pyiseg", *given, "-o", str(folder / "cut.tif"), "--alpha", str(folder / "alpha.png")]


def test_ctrl_c_at_any_moment(tmp_path: Path, toy: Path) -> None:
    """19 of 40 were a traceback: those that came while modules were imported, and some in a network."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    started = time.perf_counter()
    subprocess.run(command(tmp_path, toy), check=True, capture_output=True)
    whole = time.perf_counter() - started
    odd = []
    for number in range(OFFSETS):
        process = subprocess.Popen(command(tmp_path, toy), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        after = BEGUN + (whole - BEGUN) * number / OFFSETS
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        # Some were done before; on a busy machine Python itself may not have started yet.
        usual = (process.returncode, said) in ((130, "pyiseg: interrupted\n"), (0, ""))
        if not usual and "pyiseg" in said and "interrupts.py" not in said:
            odd.append((round(after, 3), process.returncode, said))
        assert not list(tmp_path.glob(".*.part"))
    assert odd == []


STEPS = [
    "import numpy",
    "import pyiseg.session",
    "import onnxruntime",
    "pyiseg.images.load",
    "onnxruntime.InferenceSession.__init__",
    "pyiseg.Session.click",
    "PIL.Image.Image.save",
    "os.replace",
    "pyiseg.cli.outputs.write_all",
]
SENDS = """
import importlib, os, runpy, signal, sys
step = sys.argv.pop(1)
sys.argv[0] = 'pyiseg'
def send():
    os.kill(os.getpid(), signal.SIGINT)
def on_import(name, wanted=step.removeprefix('import ')):
    class Finder:
        def find_spec(self, found, *_):
            if found == wanted:
                sys.meta_path.remove(self)
                send()
    sys.meta_path.insert(0, Finder())
if step.startswith('import '):
    on_import(step)
from pyiseg.cli.main import main
if not step.startswith('import '):
    place, _, name = step.rpartition('.')
    parts = place.split('.')
    for count in range(len(parts), 0, -1):
        try:
            owner = importlib.import_module('.'.join(parts[:count]))
            break
        except ImportError:
            pass
    for part in parts[count:]:
        owner = getattr(owner, part)
    before = getattr(owner, name)
    def sending(*given, **named):
        send()
        return before(*given, **named)
    setattr(owner, name, sending)
raise SystemExit(main())
"""


@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_in_a_step(step: str, tmp_path: Path, toy: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    given = command(tmp_path, toy)[3:]
    done = subprocess.run([sys.executable, "-c", SENDS, step, *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "pyiseg: interrupted\n")
    assert not list(tmp_path.glob(".*.part"))
    if step != "pyiseg.cli.outputs.write_all":
        assert not (tmp_path / "cut.tif").exists()


MET = "exec('signal.raise_signal(signal.SIGINT)')"
"""As while a dataclass is made: Python runs text, and notes that Ctrl-C met it."""


def test_ctrl_c_while_text_runs(tmp_path: Path, toy: Path) -> None:
    """The line was said, and then the process ended by the signal, not with code 130."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'PIL.PngImagePlugin':\n"
        "            sys.meta_path.remove(self)\n"
        f"            {MET}\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    assert ended(tmp_path, *command(tmp_path, toy)[1:]) == (130, "pyiseg: interrupted\n")


@pytest.mark.parametrize("code", [0, 130])
def test_ctrl_c_while_python_ends(code: int, tmp_path: Path, toy: Path) -> None:
    """In 32 of 60 runs it ended the process by the signal, without a word: signals are the system's again by then."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, process=os.getpid(), number=signal.SIGINT):\n"
        "        kill(process, number)\n"
        "late = Late()\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'PIL.PngImagePlugin' and {code}:\n"
        "            raise KeyboardInterrupt\n"
        "import sys; sys.meta_path.insert(0, Finder())\n"
    )
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    assert ended(tmp_path, *command(tmp_path, toy)[1:]) == (code, "pyiseg: interrupted\n" if code else "")


def test_a_second_ctrl_c_says_nothing_else(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def meets(*_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("pyiseg.backend.cuda_state", meets)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "pyiseg: interrupted\n"


def test_ctrl_c_while_text_runs_in_a_command_of_export(tmp_path: Path) -> None:
    (tmp_path / "meets.py").write_text(
        f"import signal\nfrom export.cli import run_main\nrun_main('meets', lambda: {MET})\n"
    )
    assert ended(tmp_path, "-m", "meets") == (130, "export.meets: interrupted\n")


def ended(folder: Path, *given: str) -> tuple[int, str]:
    """Exit code and standard error of Python with the modules in a folder."""
    path = os.pathsep.join(filter(None, [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *given], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.returncode, done.stderr


def test_what_ctrl_c_meets_may_make_another_error_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An extension module that is interrupted while it is imported says that it cannot be imported."""

    def meets(*_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("numpy.core.multiarray failed to import") from None

    monkeypatch.setattr("pyiseg.backend.cuda_state", meets)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "pyiseg: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_an_object_is_freed(capsys: pytest.CaptureFixture[str]) -> None:
    """Python prints what is raised there, and goes on; the command must not."""

    class Freed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        Freed()
        for _ in range(500):
            time.sleep(0.01)

    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        work()
    assert interruption.asked
    assert capsys.readouterr().err == ""


def test_a_program_keeps_its_own_handling() -> None:
    code = "import signal, pyiseg; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    for given in (
        ["-c", code],
        [
            "-c",
            "import sys; sys.argv = ['pyiseg', '-x']; signal = __import__('signal'); "
            "signal.signal(signal.SIGINT, signal.SIG_IGN); import pyiseg; "
            "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)",
        ],
    ):
        done = subprocess.run([sys.executable, *given], capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout == "True\n"
    assert not interrupts.is_command()


@pytest.mark.parametrize("module", ["export.to_onnx", "export.validate"])
def test_ctrl_c_while_a_command_of_export_is_imported(module: str, tmp_path: Path) -> None:
    awaited = "torch" if module == "export.to_onnx" else "cv2"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {awaited!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    # By the signal, which is 130 for shells.
    assert ended(tmp_path, "-m", module, "--help") == (-signal.SIGINT, "export: interrupted\n")


def test_ctrl_c_in_a_command_of_export(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run_main("train", interrupted)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "export.train: interrupted\n"
