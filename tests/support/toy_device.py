"""A session on the host stream: a GPU's way, walked without one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyiseg import Session, _core, backend
from pyiseg.runtime.cuda import CudaPipeline
from support.fake_engine import FakeEngines
from support.toy_model import PHOTO


def limited(limit: int) -> Any:
    """The host device with so many bytes of memory for all that lives on it."""
    return SimpleNamespace(
        Stream=lambda: _core.host.Stream(limit), ClickFeed=_core.host.ClickFeed, ClickGraph=_core.host.ClickGraph
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let device="cuda" be the host stream with fake engines; what it is made of may be changed."""
    use = SimpleNamespace(native=_core.host, engines=FakeEngines())

    def build(model: Any, view: Any, image: Any) -> CudaPipeline:
        return CudaPipeline(model, view, image, native=use.native, engines=use.engines.load(model, view))

    monkeypatch.setattr(backend, "why_not_cuda", lambda: "")
    monkeypatch.setattr(backend, "_cuda_pipeline", build)
    return use


def pipeline_of(session: Session) -> CudaPipeline:
    pipeline = session._crops.whole.pipeline
    assert isinstance(pipeline, CudaPipeline)
    return pipeline


class OnDevice:
    """A numpy array that says it lies on a CUDA device, and gives its memory by DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.streams = array, list[int]()
        self.shape = array.shape

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, *, stream: int) -> Any:
        self.streams.append(stream)
        return self.array.__dlpack__()


def both(folder: Path, image: np.ndarray = PHOTO) -> tuple[Session, Session]:
    """The same session on the CPU and on the device."""
    return Session(image, model=folder), Session(image, model=folder, device="cuda")
