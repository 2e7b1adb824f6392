"""What the commands of this package share: errors in one line, and checkpoints that are read with care."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyiseg.errors import PyisegError
from pyiseg.files import atomic_write
from pyiseg.interrupts import end_as_told
from pyiseg.streams import streams

# PyTorch itself is imported where it is needed: tools.pack runs without.
if TYPE_CHECKING:
    from torch import Tensor


def run_main(name: str, main: Callable[[], None], *, package: str = "export") -> None:
    """Run a command; what damaged or foreign input raises becomes one line on stderr and exit code 1.

    Args:
        name: The module without its package: "train" for "export.train: error: …".
        main: Run without arguments.
        package: Of the module.

    Raises:
        SystemExit: For ValueError, OSError, RuntimeError, KeyError and pyiseg's own errors; all else passes through,
            being a fault of the program rather than of what it was given.
    """
    with streams():
        try:
            main()
        except KeyboardInterrupt:
            print(f"{package}.{name}: interrupted", file=sys.stderr)
            end_as_told()
            sys.exit(130)
        except KeyError as error:
            sys.exit(f"{package}.{name}: error: what was read has no {' '.join(map(repr, error.args)) or 'such key'}")
        except OSError as error:
            sys.exit(f"{package}.{name}: error: {_of_file(error)}")
        except (ValueError, RuntimeError, PyisegError) as error:
            # PyTorch's errors may run over many lines.
            sys.exit(f"{package}.{name}: error: {' '.join(str(error).split()) or type(error).__name__}")


def data_folder(path: Path) -> Path:
    """Return the folder of the data, if there is one.

    Raises:
        FileNotFoundError, NotADirectoryError: There is none; said before any other file in it is missed.
    """
    if path.is_dir():
        return path
    if path.exists():
        raise NotADirectoryError(f"'{path}' is a file; give the folder of the data, see docs/data.md")
    raise FileNotFoundError(f"there is no folder '{path}'; give the folder of the data, see docs/data.md")


def read_checkpoint(path: Path, needs: tuple[str, ...] = ("average",)) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; no code in it is run.

    Args:
        path: What `export.train`, `export.import_published` or ``export.to_onnx --weights`` wrote.
        needs: The keys that it must hold; under "average" there must be weights.

    Raises:
        ValueError: It is no checkpoint, is damaged, or lacks one of ``needs``.
        OSError: It cannot be opened.
    """
    state = read_tensors(path, _expected(needs))
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}; {_expected(needs)}")
    if missing := [key for key in needs if key not in state]:
        holds = ", ".join(map(repr, list(state)[:8])) or "nothing"
        raise ValueError(f"{path} has no {', '.join(map(repr, missing))}, it holds {holds}; {_expected(needs)}")
    if "average" in needs and not _are_weights(state["average"]):
        raise ValueError(f"{path} has no weights under 'average'; {_expected(needs)}")
    return state


def read_tensors(path: Path, expected: str) -> Any:
    """Read whatever torch.save wrote, onto the CPU; no code in it is run.

    Args:
        path: The file.
        expected: Ends the message, as in "expected the published network".

    Raises:
        ValueError: It is no such file, is damaged, or holds more than tensors and plain values.
        OSError: It cannot be opened.
    """
    import torch

    with open(path, "rb") as file, warnings.catch_warnings():
        # It warns of pickle protocols that bytes which never were a pickle seem to name.
        warnings.simplefilter("ignore")
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:
            # PyTorch has no common error for what it cannot load: on arbitrary bytes its unpickler has been seen to
            # raise UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError and TypeError.
            # The unpickler's advice goes on for lines, and would have the user run code from the file.
            said = "not tensors and plain values" if isinstance(error, pickle.UnpicklingError) else str(error)
            reason = said.strip().split("\n")[0].split(". ")[0] or type(error).__name__
            raise ValueError(f"{path} is no checkpoint, or damaged ({reason}); {expected}") from error


def write_tensors(path: Path, state: Any) -> None:
    """Write with torch.save, whole: what was there before stays until all of the new is on the disk.

    Args:
        path: The file; its folder must exist.
        state: Tensors and plain values.

    Raises:
        OSError: It cannot be written, as on a full disk; the message names ``path``.
    """
    import torch

    # By way of memory: writing to the file itself, torch.save hides a full disk behind an error about positions.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def size_text(size: int) -> str:
    """Return a number of bytes as a text: "12.3 kB", "9.6 MB"; units are powers of 10."""
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def in_half(average: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Return weights in FP16; whole numbers among them stay as they are.

    Args:
        average: Weights by name.
        source: Named in the error.

    Raises:
        ValueError: A weight does not fit into FP16.
    """
    half = {}
    for name, value in average.items():
        half[name] = value.half() if value.is_floating_point() else value
        if not half[name].isfinite().all():
            raise ValueError(f"{source}: {name} does not fit into FP16 (largest {value.abs().max():g})")
    return half


def _of_file(error: OSError) -> str:
    if error.filename is None or error.strerror is None:  # as of what cannot be written, which says all by itself
        return " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"no file at '{error.filename}'; check the path"
    return f"'{error.filename}': {error.strerror[0].lower()}{error.strerror[1:]}; check the path"


def _are_weights(value: object) -> bool:
    import torch

    return isinstance(value, dict) and bool(value) and all(isinstance(x, torch.Tensor) for x in value.values())


def _expected(needs: tuple[str, ...]) -> str:
    return f"expected what export.train or `export.to_onnx --weights` wrote, with {', '.join(map(repr, needs))}"
