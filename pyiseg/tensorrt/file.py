"""An engine's file: a header that says exactly what it was built from, by and for, and the engine.

A file is a line of magic, a line of JSON (`EngineKey`, length and SHA-256 of the engine, and notes) and the engine. Its
name says for people what it is and ends in a digest of the key, so what is looked for is known by name beforehand.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
from pathlib import Path
from typing import Any, BinaryIO

from pyiseg.files import atomic_write, parse_json
from pyiseg.model import Model
from pyiseg.tensorrt.gpu import GpuInfo
from pyiseg.tensorrt.specs import EngineSpec, depends_on

FORMAT = 2
"""Raised when engines are built or kept in another way, so that older ones are built again."""

OURS = re.compile(r"[\w.]+-(image|click|guide)-\w+-[\w.]+-[0-9a-f]{16}\.engine")
"""What names of engines look like; but for what belongs to them, no other file is ever listed or deleted."""

_MAGIC = b"pyiseg engine\n"
_HEADER_LIMIT = 1 << 16


class EngineRefusedError(Exception):
    """A file is not the engine it should be, or TensorRT does not take it; the message says why."""


@dataclasses.dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        model: The model's name.
        spec: Network and sizes.
        files: SHA-256 of the ONNX files by name, as pairs.
        package, version: The TensorRT package.
        gpu, multiprocessors, driver: See `pyiseg.tensorrt.gpu.GpuInfo`; None for an engine that was built ahead of
            time, for any GPU of a compute capability.
        compute_capability: As in "8.9".
        machine: The kind of processor, as in "x86_64".
        format: `FORMAT`.
    """

    model: str
    spec: EngineSpec
    files: tuple[tuple[str, str], ...]
    package: str
    version: str
    gpu: str | None
    multiprocessors: int | None
    driver: str | None
    compute_capability: str
    machine: str
    format: int = FORMAT

    @classmethod
    def of(
        cls, model: Model, spec: EngineSpec, package: str, version: str, target: GpuInfo | tuple[int, int]
    ) -> EngineKey:
        """The key of an engine for a GPU, or for all of a compute capability."""
        files = tuple(depends_on(model, spec.network).items())
        gpu: tuple[str | None, int | None, str | None] = (None, None, None)
        if isinstance(target, GpuInfo):
            gpu, target = (target.name, target.multiprocessors, target.driver), target.compute_capability
        capability = "{}.{}".format(*target)
        return cls(model.name, spec, files, package, version, *gpu, capability, platform.machine())

    @classmethod
    def from_json(cls, content: Any) -> EngineKey:
        """The key of a header; ValueError, TypeError, KeyError or AttributeError for what is none."""
        plan = content["plan"]
        least, best, most = ((int(height), int(width)) for height, width in (plan["low"], plan["best"], plan["high"]))
        gpu, driver = (None if content[name] is None else str(content[name]) for name in ("gpu", "driver"))
        return cls(
            model=str(content["model"]),
            spec=EngineSpec(str(plan["part"]), least, best, most, int(plan["grid_stride"])),
            files=tuple(sorted((str(name), str(digest)) for name, digest in content["files"].items())),
            package=str(content["flavour"]),
            version=str(content["version"]),
            gpu=gpu,
            multiprocessors=None if content["multiprocessors"] is None else int(content["multiprocessors"]),
            driver=driver,
            compute_capability=str(content["compute_capability"]),
            machine=str(content["machine"]),
            format=int(content["format"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key as it stands in a header."""
        spec = self.spec
        plan = {
            "part": spec.network,
            "low": spec.min,
            "best": spec.opt,
            "high": spec.max,
            "grid_stride": spec.grid_stride,
        }
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "spec"}
        own["flavour"] = own.pop("package")  # its name in headers, which are a part of the file's name
        return {**own, "plan": plan, "files": dict(self.files)}

    @property
    def target(self) -> str:
        """The GPU's name, or the compute capability as in "sm89"."""
        return self.gpu or "sm" + self.compute_capability.replace(".", "")

    @property
    def stem(self) -> str:
        """The file's name up to the digest, as in "compact-click-384x512-sm89"."""
        readable = (self.model, self.spec.network, self.spec.size, self.target)
        return "-".join(re.sub(r"[^a-z0-9.]+", "_", text.lower())[:48] for text in readable)

    @property
    def name(self) -> str:
        """The file's name."""
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
        return f"{self.stem}-{digest[:16]}.engine"


def runtime_cache_of(engine: Path) -> Path:
    """The file beside an engine's that TensorRT-RTX's compiled kernels are kept in."""
    return engine.with_suffix(".kernels")


@dataclasses.dataclass(frozen=True)
class Header:
    """What an engine's file says of itself.

    Attributes:
        key: What it is.
        length, sha256: Of the engine.
        seconds: How long it took to build.
        folder: The model's, or None where the engine was built for other machines.
        start: Where in the file the engine begins.
    """

    key: EngineKey
    length: int
    sha256: str
    seconds: float
    folder: str | None
    start: int


def read_header(path: Path) -> Header:
    """Read a header.

    Raises:
        EngineRefusedError: There is none that this version can read.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        return _header_of(file)


def _header_of(file: BinaryIO) -> Header:
    head = file.read(_HEADER_LIMIT)
    line, newline, _ = head.removeprefix(_MAGIC).partition(b"\n")
    if not head.startswith(_MAGIC) or not newline:
        raise EngineRefusedError("it is damaged, or was not written by pyiseg")
    try:
        content = parse_json(line)
        if content["key"]["format"] != FORMAT:
            raise EngineRefusedError("another version of pyiseg wrote it")
        key = EngineKey.from_json(content.pop("key"))
        header = Header(key, start=len(_MAGIC) + len(line) + 1, **content)
        for value, kinds in (
            (header.length, int),
            (header.sha256, str),
            (header.seconds, (int, float)),
            (header.folder, (str, type(None))),
        ):
            if not isinstance(value, kinds):
                raise TypeError
        header.key.name.encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EngineRefusedError("it is damaged: its header cannot be read") from None
    return header


def read_engine(path: Path, key: EngineKey | None = None) -> bytes:
    """Read the engine of a file, whole and checked.

    Args:
        path: The file.
        key: What it must be; None for anything that has its right name.

    Raises:
        EngineRefusedError: It is damaged, cut off or something else.
        OSError: The file cannot be read.
    """
    # Opened once: another process may put another engine of this name in its place at any time.
    with open(path, "rb") as file:
        header = _header_of(file)
        if header.key.name != path.name or key not in (None, header.key):
            raise EngineRefusedError("it is another engine under this name")
        there = os.fstat(file.fileno()).st_size - header.start
        if there != header.length:
            raise EngineRefusedError(f"it is cut off or too long: {there} bytes where there should be {header.length}")
        file.seek(header.start)
        engine = file.read()
    if hashlib.sha256(engine).hexdigest() != header.sha256:
        raise EngineRefusedError("it is damaged: its SHA-256 is not the one that was written down")
    return engine


def write_engine(folder: Path, key: EngineKey, engine: bytes, seconds: float, model: Path | None = None) -> Path:
    """Write an engine under its name; the file appears whole or not at all.

    Args:
        folder: Made if need be.
        key: What it is.
        engine: As TensorRT serialized it.
        seconds: How long it took to build.
        model: The model's folder; None to leave it unsaid.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = {
        "key": key.to_json(),
        "length": len(engine),
        "sha256": hashlib.sha256(engine).hexdigest(),
        "seconds": round(seconds, 3),
        "folder": None if model is None else str(model),
    }
    path = folder / key.name
    with atomic_write(path) as file:
        file.write(_MAGIC + json.dumps(header).encode() + b"\n")
        file.write(engine)
    return path
