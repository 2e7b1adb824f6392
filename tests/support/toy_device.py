"""Devices for tests: the host stream in a GPU's place, and the CPU with what passes there to be seen and broken."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyiseg import Session, _core, backend
from pyiseg.runtime.cpu import CpuImage, CpuPipeline
from pyiseg.runtime.cuda import CudaImage, CudaPipeline
from support.fake_engine import FakeEngines
from support.toy_model import PHOTO


def limited(limit: int) -> Any:
    """The host device with so many bytes of memory for all that lives on it."""
    return SimpleNamespace(
        Stream=lambda: _core.host.Stream(limit), ClickFeed=_core.host.ClickFeed, ClickGraph=_core.host.ClickGraph
    )


class FaultyDevice:
    """The host device, whose streams do something else where a fault is set.

    Attributes:
        faults: By the name of a stream's method, what is called in its place.
    """

    def __init__(self) -> None:
        self.faults: dict[str, Callable[..., Any]] = {}
        self.ClickGraph = _core.host.ClickGraph

    def Stream(self) -> Any:  # noqa: N802  # as the device has it
        return _FaultyStream(self)

    def ClickFeed(self, stream: Any, *rest: Any) -> Any:  # noqa: N802
        return _core.host.ClickFeed(stream.own, *rest)


class _FaultyStream:
    def __init__(self, device: FaultyDevice) -> None:
        self.own, self._device = _core.host.Stream(), device

    def __getattr__(self, name: str) -> Any:
        return self._device.faults.get(name) or getattr(self.own, name)


class Devices(SimpleNamespace):
    """What a stand-in for a device is made of, and what was made there."""

    def last(self) -> Any:
        """The pipeline that was made last, if it still lives."""
        return self.pipelines[-1]()


@contextmanager
def standing_in(name: str, factory: backend.Factory) -> Iterator[None]:
    """Let a device's name stand for a factory of a test's."""
    before = backend.register(name, factory)
    try:
        yield
    finally:
        if before is None:
            backend.unregister(name)
        else:
            backend.register(name, *before)


@pytest.fixture
def gpu() -> Iterator[Devices]:
    """Let device="cuda" be the host stream with fake engines; ``native`` and ``engines`` may be changed."""
    use = Devices(native=_core.host, engines=FakeEngines(), pipelines=[])

    class Remembered(CudaImage):
        def pipeline(self) -> CudaPipeline:
            made = super().pipeline()
            use.pipelines.append(weakref.ref(made))
            return made

    def encode(model: Any, view: Any, image: Any) -> CudaImage:
        return Remembered(model, view, image, native=use.native, engines=use.engines.load(model, view))

    with standing_in("cuda", encode):
        yield use


@pytest.fixture
def watched() -> Iterator[Devices]:
    """Let device="watched" be the CPU; ``faults`` are called in the place of a pipeline's or image's method.

    Attributes:
        predictions: What was predicted, in order.
        crops: Weak references to the images of crops that were encoded.
    """
    use = Devices(faults={}, predictions=[], crops=[], pipelines=[])

    class Pipeline(CpuPipeline):
        def __getattribute__(self, name: str) -> Any:
            return use.faults.get(name) or super().__getattribute__(name)

        def predict(self, clicks: Any, previous: Any) -> Any:
            use.predictions.append(super().predict(clicks, previous))
            return use.predictions[-1]

    class Watched(CpuImage):
        def pipeline(self) -> CpuPipeline:
            made = Pipeline(self)
            use.pipelines.append(weakref.ref(made))
            return made

        def for_crop(self, view: Any, rgb: Any) -> CpuImage:
            if "for_crop" in use.faults:
                use.faults["for_crop"]()
            made = Watched(self.model, view, rgb, self.pool)
            use.crops.append(weakref.ref(made))
            return made

    with standing_in("watched", Watched):
        yield use


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
