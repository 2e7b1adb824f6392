"""What the tests here share. benchmarks/ and export/, which are not installed, come from the checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.devices import native
from support.toy_device import gpu as _stand_in

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path += [str(ROOT), str(ROOT / "benchmarks"), str(Path(__file__).resolve().parent)]

stand_in = _stand_in  # a fixture: device="cuda" is the native device and the engines that it names


@pytest.fixture(params=["host", "cuda"])
def device(request: pytest.FixtureRequest, stand_in: SimpleNamespace) -> SimpleNamespace:
    """A GPU, and for the sake of the tests themselves the host in its place, with PyTorch to run networks."""
    pytest.importorskip("torch")
    return _with_torch(stand_in, request.param)


@pytest.fixture
def cuda(stand_in: SimpleNamespace) -> SimpleNamespace:
    """A GPU."""
    stand_in.native = native("cuda")
    pytest.importorskip("torch")
    return _with_torch(stand_in, "cuda")


def _with_torch(use: SimpleNamespace, name: str) -> SimpleNamespace:
    from support.toy_torch import ToyEngines

    use.native, use.name = native(name), name
    use.torch = "cpu" if name == "host" else "cuda"
    use.engines = ToyEngines(use.torch)
    use.used = _used(use.native)
    return use


def _used(device: Any) -> Callable[[], int]:
    """Bytes of device memory in use, when all that can be given back has been."""

    def used() -> int:
        import gc

        import torch_engine

        gc.collect()
        torch_engine.release()
        if not hasattr(device, "memory"):
            return int(device.allocated())
        device.trim()
        free, total = device.memory()
        return int(total - free)

    return used
