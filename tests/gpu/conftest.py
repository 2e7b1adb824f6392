"""What the tests here share. benchmarks/ and export/, which are not installed, come from the checkout."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.devices import need_gpu, standin
from support.toy_device import Devices, device_of

from pyiseg import _core

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT), str(ROOT / "benchmarks"), str(Path(__file__).resolve().parent)]


@pytest.fixture(params=["stand-in", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[Devices]:
    """A GPU, and for the sake of the tests themselves host threads in its place; with PyTorch to run networks."""
    yield from _with_torch(request.param)


@pytest.fixture
def cuda() -> Iterator[Devices]:
    """A GPU."""
    yield from _with_torch("cuda")


def _with_torch(name: str) -> Iterator[Devices]:
    pytest.importorskip("torch")
    if name == "stand-in":
        standin()
    else:
        need_gpu()
    from support.toy_torch import ToyEngines

    torch = "cpu" if name == "stand-in" else "cuda"
    use = Devices(name=name, torch=torch, engines=ToyEngines(torch), pipelines=[], used=_used)
    yield from device_of(use)


def _used() -> int:
    """Bytes of device memory in use, when all that can be given back has been."""
    import torch_engine

    gc.collect()
    torch_engine.release()
    if hasattr(_core, "standin"):
        return int(_core.standin.allocated())
    _core.cuda.trim()
    free, total = _core.cuda.memory()
    return int(total - free)
