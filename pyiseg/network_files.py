"""The ONNX files of a model folder, as its manifest lists them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping

from pyiseg.checks import MisfitError, text, whole
from pyiseg.paths import is_plain_name

FP16_FILES = {"click.onnx": "click.fp16.onnx", "image.onnx": "image.fp16.onnx"}
"""The same networks in FP16 arithmetic, for runtimes that take the types as they stand.

Weights that are in click.onnx and image.onnx already are external data in there: such a file is only of use in its
folder.
"""


@dataclasses.dataclass(frozen=True)
class FileEntry:
    """Size and SHA-256 of one ONNX file; checked by the `Manifest` that lists it.

    Attributes:
        sha256: Of its content, 64 hexadecimal digits in either case.
        size: In bytes.
    """

    sha256: str
    size: int

    @property
    def valid(self) -> bool:
        """Whether both are of that kind."""
        return (
            whole(0, 2**63 - 1)(self.size) and text(self.sha256) and bool(re.fullmatch("[0-9a-fA-F]{64}", self.sha256))
        )

    @classmethod
    def of(cls, content: bytes) -> FileEntry:
        """Return the entry of a file with this content."""
        return cls(hashlib.sha256(content).hexdigest(), len(content))


def networks(guide: str, listed: Iterable[str]) -> tuple[str, ...]:
    """Return the files that make up a model, by name.

    Args:
        guide: What guides the guided filter, "learned" or "color".
        listed: The files that there are; those that a model must have are returned even if they are not among them.
    """
    listed = set(listed)
    needed = ("click.onnx",) if guide == "color" else ("click.onnx", "guide.onnx")
    # A network that fuses clicks and image at its first layer has no image stream.
    optional = (name for name in ("image.onnx", *FP16_FILES.values()) if name in listed)
    return (*needed, *optional)


def check_files(files: Mapping[str, FileEntry], guide: str) -> None:
    """Refuse a list of files that is incomplete or leads out of the folder.

    Raises:
        MisfitError: The message names the file.
    """
    for name in files:
        _check_name(name)
    needed = networks(guide, files)
    fp32, found = (tuple(x for x in needed if (x in FP16_FILES.values()) is half) for half in (False, True))
    wanted = tuple(FP16_FILES[name] for name in fp32 if name in FP16_FILES)
    if found and found != wanted:
        raise MisfitError(
            f"'files' lists {' and '.join(found)}, where a model of {', '.join(fp32)} has {' and '.join(wanted)}, or "
            "none that computes in FP16",
            "copy, download or export the model again",
        )
    for name in dict.fromkeys((*needed, *files)):
        entry = files.get(name)
        if not (isinstance(entry, FileEntry) and entry.valid):
            shown = {"bytes": entry.size, "sha256": entry.sha256} if isinstance(entry, FileEntry) else entry
            raise MisfitError(
                f"'files' must state 'bytes' and 'sha256' of {name}, not {shown!r} (bytes: a whole number >= 0, "
                "sha256: 64 hexadecimal digits)"
            )


def _check_name(name: str) -> None:
    """Refuse a name that could lead out of the folder, or to a device, on any system."""
    if not is_plain_name(name):
        raise MisfitError(
            f"'files' names {name!r}; it must be the name of a file in the model's folder, without drive or folders, "
            "such as 'click.onnx'"
        )
