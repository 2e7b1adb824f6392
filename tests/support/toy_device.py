"""Devices for tests: host threads in a GPU's place, and the CPU with what passes there to be seen and broken."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyiseg import Session, _core, backend
from pyiseg.runtime.cpu import CpuImage, CpuPipeline
from pyiseg.runtime.cuda import CudaImage
from pyiseg.runtime.cuda_pipeline import CudaPipeline
from support.devices import standin
from support.fake_engine import FakeEngines
from support.toy_model import PHOTO


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
    """Let device="cuda" be the stand-in with fake engines; ``engines`` may be changed, and the ``device`` be broken."""
    use = Devices(device=standin(), engines=FakeEngines(), pipelines=[])
    yield from device_of(use)
    use.device.mend()
    use.device.set_room(None)


def device_of(use: Devices) -> Iterator[Devices]:
    """Let device="cuda" be `_core.cuda` with the engines that ``use`` names, and remember its pipelines there."""

    class Remembered(CudaImage):
        def pipeline(self) -> CudaPipeline:
            made = super().pipeline()
            use.pipelines.append(weakref.ref(made))
            return made

    def encode(model: Any, view: Any, image: Any) -> CudaImage:
        return Remembered(model, view, image, native=_core.cuda, engines=use.engines.load(model, view))

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

        def predict(self, clicks: Any, previous: Any, answered: int | None = None) -> Any:
            use.predictions.append(super().predict(clicks, previous, answered))
            return use.predictions[-1]

    class Watched(CpuImage):
        def pipeline(self) -> CpuPipeline:
            made = Pipeline(self)
            use.pipelines.append(weakref.ref(made))
            return made

        def for_crop(self, view: Any, rgb: Any) -> CpuImage:
            if "for_crop" in use.faults:
                use.faults["for_crop"]()
            made = Watched(self.model, view, rgb, self.pool, self.noise)
            use.crops.append(weakref.ref(made))
            return made

    with standing_in("watched", Watched):
        yield use


def on_device(array: np.ndarray) -> Any:
    """A copy of an array on the device."""
    stream = _core.cuda.Stream()
    there = stream.empty(array.shape, array.dtype)
    stream.upload(np.ascontiguousarray(array), there)
    return there


def on_host(array: Any) -> np.ndarray:
    """A numpy copy of an array on the device, made when all that is enqueued anywhere is done."""
    standin().synchronize()
    copy = np.empty(array.shape, array.dtype)
    _core.cuda.Stream().download(array, copy)
    return copy


def both(folder: Path, image: np.ndarray = PHOTO) -> tuple[Session, Session]:
    """The same session on the CPU and on the device."""
    return Session(image, model=folder), Session(image, model=folder, device="cuda")
