"""What ``pyiseg engines list``, ``build`` and ``clean`` do."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiseg.backend import why_not_cuda
from pyiseg.errors import DeviceError, ModelError
from pyiseg.manifest import MANIFEST, Manifest
from pyiseg.model import load_model
from pyiseg.paths import local_path, printable, quoted, shown_path
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache, difference
from pyiseg.tensorrt.file import EngineKey, EngineRefusedError, Header, read_engine, read_header, runtime_cache_of
from pyiseg.tensorrt.gpu import GpuInfo, gpu_here
from pyiseg.tensorrt.package import TensorRTPackage
from pyiseg.tensorrt.specs import engine_specs_for

Echo = Callable[[str], None]

INCOMPLETE = 1
"""Exit code where some files could not be deleted."""


@dataclasses.dataclass(frozen=True)
class EngineStatus:
    """Whether an engine can be used here.

    Attributes:
        key: What it is; None where that cannot be read.
        state: "usable", or why not.
        stale: Whether it never will be: it is damaged, or what it was built with is no longer what is here.
    """

    key: EngineKey | None
    state: str
    stale: bool


@dataclasses.dataclass(frozen=True)
class Environment:
    """What there is to use engines with; None for what there is not."""

    trt: TensorRTPackage | None
    gpu: GpuInfo | None

    @classmethod
    def find(cls) -> Environment:
        """Find the TensorRT package and the GPU of this machine."""
        trt = None
        with contextlib.suppress(DeviceError):
            trt = tensorrt.find_package()
        return cls(trt, gpu_here())

    def check(self, path: Path) -> EngineStatus:
        """Read a file, whole, and say whether it can be used."""
        key = None
        try:
            header = read_header(path)
            key = header.key
            read_engine(path)
        except (EngineRefusedError, OSError) as error:
            # What cannot be opened is not known to be bad.
            return EngineStatus(key, str(error), not isinstance(error, OSError))
        if _changed(header):
            return EngineStatus(key, f"its model in {quoted(header.folder or '')} has changed", True)
        trt, gpu = self.trt, self.gpu
        if trt is None or trt.name != key.package:
            return EngineStatus(key, f"{key.package} is not installed, or not the one in use", False)
        if trt.version != key.version:
            return EngineStatus(key, difference(key, dataclasses.replace(key, version=trt.version)), True)
        if gpu is None:
            return EngineStatus(key, "no GPU here", False)
        capability = "{}.{}".format(*gpu.compute_capability)
        if key.compute_capability != capability or key.gpu not in (None, gpu.name):
            return EngineStatus(key, f"for another GPU than {gpu.name}", False)
        if key.multiprocessors not in (None, gpu.multiprocessors) or key.machine != platform.machine():
            here = dataclasses.replace(key, machine=platform.machine(), multiprocessors=gpu.multiprocessors)
            return EngineStatus(key, difference(key, here), False)
        if key.driver not in (None, gpu.driver):
            return EngineStatus(key, difference(key, dataclasses.replace(key, driver=gpu.driver)), True)
        return EngineStatus(key, "usable", False)


def _cache() -> EngineCache:
    """Return the engine cache; refuse a file in its place, which a session would only do without."""
    cache = EngineCache()
    if cache.folder.exists() and not cache.folder.is_dir():
        raise ValueError(f"{quoted(cache.folder)} is a file; let PYISEG_CACHE name a folder")
    return cache


def list_engines(options: argparse.Namespace, echo: Echo) -> None:
    """Show what is in the cache."""
    cache, environment = _cache(), Environment.find()
    echo(f"folder  {shown_path(cache.folder)}")
    if cache.warning:
        echo(f"warning {cache.warning}")
    total = 0
    for path in cache.files():
        status, size = environment.check(path), _size(path)
        if size is None:
            continue
        total += size
        distrust = cache.distrust(path)
        state = f"not used, for others may have written it: {distrust}" if distrust else status.state
        echo(f"{_megabytes(size)}  {_title(status.key)}: {state}")
        echo(f"{'':8}  {shown_path(path.name)}")
    echo(f"{_megabytes(total)}  in {_count(cache)}")


def build_engines(options: argparse.Namespace, echo: Echo) -> None:
    """Build engines, so that no session has to wait for them.

    Args:
        options: ``model``, and ``size``, a list as `pyiseg.tensorrt.specs.engine_specs_for` takes it.
        echo: Called with what to tell the user.

    Raises:
        DeviceError: TensorRT or the GPU is missing, or an engine cannot be built.
        ModelError, ValueError: There is no such model, or size.
    """
    model = load_model(options.model)
    wanted = engine_specs_for(model, options.size)
    reason, gpu = why_not_cuda(), gpu_here()
    if reason or gpu is None:
        raise DeviceError(f"engines cannot be built here: {reason or 'the GPU does not answer'}")
    engines = tensorrt.TensorRT(gpu)
    echo(f"for {gpu.name}, with {engines.trt.name} {engines.trt.version}, in {shown_path(engines.cache.folder)}")
    for spec in wanted:
        fetched = engines.fetch(model, spec)
        how = "was there" if fetched.seconds is None else f"built in {fetched.seconds:.1f} s"
        size = None if fetched.path is None else _size(fetched.path)
        echo(f"{spec.network:5} {spec.size}: {how}" + ("" if size is None else f", {_megabytes(size).strip()}"))


def clean_engines(options: argparse.Namespace, echo: Echo) -> int:
    """Delete engines: those that will never be used again or, with ``options.all``, all of them.

    Returns:
        The exit code, 0 or `INCOMPLETE`.
    """
    cache, environment = _cache(), Environment.find()
    freed, failed = 0, 0
    for path in cache.files():
        status = environment.check(path)
        if not (options.all or status.stale):
            continue
        size = _size(path)
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            failed += 1
            echo(f"cannot delete {shown_path(path)}: {error.strerror}")
            continue
        freed += size or 0
        echo(f"deleted {shown_path(path.name)}" + (f" ({status.state})" if status.stale else ""))
    for path in cache.leftovers():
        with contextlib.suppress(OSError):
            path.unlink()
    echo(f"{_megabytes(freed).strip()} freed; {_count(cache)} left in {shown_path(cache.folder)}")
    return INCOMPLETE if failed else 0


def add_size_to(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which engines to build; see `pyiseg.tensorrt.specs.engine_specs_for`."""
    parser.add_argument(
        "--size",
        nargs="+",
        action="extend",
        default=[],
        metavar="HxW",
        help="of the images, height first, or 'any' (default: the common aspect ratios, and any)",
    )


def add_to(commands: Any, model: argparse.ArgumentParser, echo: Echo) -> None:
    """Add the command to a command line.

    Args:
        commands: What ``add_subparsers`` gave.
        model: A parent parser with ``--model``.
        echo: Called with what to tell the user.
    """
    engines = commands.add_parser("engines", help="TensorRT engines that are kept: list, build, clean")
    engines = engines.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = engines.add_parser("list", help="show what is kept, and whether it can be used here")
    listing.set_defaults(run=lambda options: list_engines(options, echo))
    build = engines.add_parser("build", parents=[model], help="build engines now rather than at first use")
    add_size_to(build)
    build.set_defaults(run=lambda options: build_engines(options, echo))
    clean = engines.add_parser("clean", help="delete engines; nothing else is touched")
    which = clean.add_mutually_exclusive_group()
    which.add_argument(
        "--stale",
        action="store_true",
        help="only those that the TensorRT in use, with this driver, cannot use any more (the default)",
    )
    which.add_argument("--all", action="store_true", help="all of them")
    clean.set_defaults(run=lambda options: clean_engines(options, echo))


def _changed(header: Header) -> bool:
    """Whether the model's folder is still there, and no longer holds what the engine was built from."""
    if header.folder is None:
        return False
    try:
        folder = local_path(header.folder)
        if not (folder / MANIFEST).is_file():
            return False
        files = Manifest.read(folder).files
    except (OSError, ModelError, ValueError):
        return False
    return any(name not in files or files[name].sha256.lower() != digest for name, digest in header.key.files)


def _title(key: EngineKey | None) -> str:
    if key is None:
        return "unknown"
    driver = "" if key.driver is None else f", CUDA {key.driver} driver"
    return (
        f"{printable(key.model)} {key.spec.network} {key.spec.size}, {key.package} {key.version}, {key.target}{driver}"
    )


def _count(cache: EngineCache) -> str:
    number = len(cache.files())
    return f"{number} engine{'' if number == 1 else 's'}"


def _size(engine: Path) -> int | None:
    """Of an engine's file, with its kernels; None where it has gone meanwhile."""
    try:
        size = engine.stat().st_size
    except FileNotFoundError:
        return None
    with contextlib.suppress(FileNotFoundError):
        size += runtime_cache_of(engine).stat().st_size
    return size


def _megabytes(size: int) -> str:
    return f"{size / 1e6:5.1f} MB"
