"""Where a benchmark runs and with what: the device, the models, the engines that run them, images and clicks."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from cat import CLICKS, PHOTO
from gpu_timing import on_gpu
from PIL import Image

from pyiseg import DeviceError, Model, Session, _core, backend, images, load_model
from pyiseg.geometry import View
from pyiseg.runtime.cuda import CudaImage
from pyiseg.runtime.cuda_pipeline import CudaPipeline
from pyiseg.runtime.engine import EngineProvider
from pyiseg.tensorrt import provider as tensorrt
from pyiseg.tensorrt.cache import EngineCache
from pyiseg.tensorrt.gpu import GpuInfo, gpu_here

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "tests")]  # behind all else: export/ and the tests' engines are not installed

Size = tuple[int, int]
Alpha = np.ndarray[Any, np.dtype[np.uint8]]

MEAN_DIFFERENCE, IOU = 0.002, 0.999
"""How far a matte may be from the CPU's, by the tolerance table: mean difference of alpha, and overlap of the masks."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model and what runs it.

    Attributes:
        name: As in reports.
        model: For the CPU, and for its rules.
        engines: For the device.
        runs: What they are, with versions.
        flops: Floating-point operations of a click's network at a working size; None where nobody knows.
        release: Gives back what the engines keep of sessions that are gone.
    """

    name: str
    model: Model
    engines: EngineProvider
    runs: str
    flops: Callable[[Size], float] | None = None
    release: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class Place:
    """A device with its subjects.

    Attributes:
        native: `pyiseg._core.cuda`.
        subjects: What runs on it.
        notes: What did not go as it should, such as engines that could not be built.
    """

    native: Any
    subjects: tuple[Subject, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU, and not host threads in its place."""
        return on_gpu()

    def used(self, subject: Subject) -> int:
        """Bytes of the device's memory in use, when all that can be given back has been."""
        gc.collect()
        subject.release()
        if not self.is_gpu:
            return int(_core.standin.allocated())
        self.native.trim()
        free, total = self.native.memory()
        return int(total - free)


@contextmanager
def on_device(place: Place, subject: Subject) -> Iterator[list[CudaPipeline]]:
    """Let ``Session(..., device="cuda")`` be this place with these engines; the public way knows but TensorRT.

    Yields:
        A list of the pipelines that sessions have, the last one last; it keeps the last one only.
    """
    made: list[CudaPipeline] = []

    class Remembered(CudaImage):
        def pipeline(self) -> CudaPipeline:
            made[:] = [super().pipeline()]
            return made[0]

    def encode(model: Model, view: View, image: Any) -> CudaImage:
        return Remembered(model, view, image, native=place.native, engines=subject.engines.load(model, view))

    before = backend.register("cuda", encode)
    assert before is not None
    try:
        yield made
    finally:
        backend.register("cuda", *before)


def session_on(subject: Subject, image: Any) -> Session:
    """A session on the device; only within `on_device`."""
    return Session(image, model=subject.model, device="cuda")


@functools.lru_cache(maxsize=1)
def photograph(size: Size) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The photograph in tests/images, resized to (height, width); read-only."""
    opened = Image.fromarray(images.to_rgb(PHOTO))
    return np.asarray(opened.resize(size[::-1], Image.Resampling.BICUBIC))


def clicks_on(size: Size, count: int) -> list[tuple[int, int, bool]]:
    """Clicks on that photograph: those of the tests, and then more around them."""
    height, width = images.to_rgb(PHOTO).shape[:2]
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, (count, 2))
    jitter[: len(CLICKS)] = 0
    places = [CLICKS[i % len(CLICKS)] for i in range(count)]
    return [
        (int((c.x / width + dx) * size[1]), int((c.y / height + dy) * size[0]), c.fg)
        for c, (dx, dy) in zip(places, jitter, strict=True)
    ]


def differ(found: Alpha, expected: Alpha) -> tuple[float, float]:
    """Mean difference of two mattes in 0..1, and the overlap of their masks."""
    mean = float(np.abs(found.astype(np.int16) - expected).mean()) / 255
    mask, other = found >= 128, expected >= 128
    union = np.count_nonzero(mask | other)
    return mean, np.count_nonzero(mask & other) / union if union else 1.0


def check(found: Alpha, expected: Alpha, what: str) -> tuple[float, float]:
    """Hold a matte to the tolerance table; returns `differ`.

    Raises:
        AssertionError: It is too far off.
    """
    mean, iou = differ(found, expected)
    assert mean <= MEAN_DIFFERENCE, f"{what}: alpha is {mean:.2g} off on average, allowed are {MEAN_DIFFERENCE}"
    assert iou >= IOU, f"{what}: the masks overlap by {iou:.5f}, at least {IOU} must"
    return mean, iou


def standin() -> Place:
    """Host threads in a GPU's place (tests/standin), with two models of the tests; the figures mean nothing."""
    import onnxruntime
    from support import toy_model
    from support.fake_engine import FakeEngines

    color = {"form": "residual", "color": True, "radius": 1}
    variants: dict[str, dict[str, Any]] = {"compact": color, "paper": {"early_fusion": True, "guide_clicks": True}}
    subjects = []
    with tempfile.TemporaryDirectory() as folder:
        for name, options in variants.items():
            stride = 1 if "guide_clicks" in options else 2
            model = load_model(toy_model.build(Path(folder) / name, grid_stride=stride, **options))
            # Opened now: the folder goes.
            opened = FakeEngines().load(model, _usual_view(model))
            engines = SimpleNamespace(load=lambda model, view, opened=opened: opened)
            runs = f"onnxruntime {onnxruntime.__version__} on host threads"
            subjects.append(Subject(name, model, engines, runs, lambda size: 1e6))
    return Place(_core.cuda, tuple(subjects))


def gpu(kind: str, work: Path, models: dict[str, Model]) -> Place:
    """This machine's GPU with some models.

    Args:
        kind: "tensorrt"; "torch"; or "auto" for TensorRT, and PyTorch for what TensorRT cannot run.
        work: A folder for engines.
        models: By name: "compact" is the default model, "paper" the paper's network (`torch_networks.NETWORKS`).

    Raises:
        DeviceError: There is no GPU, or no such engines.
    """
    info = gpu_here()
    if info is None:
        raise DeviceError(
            "there is no GPU here, or this build has no CUDA ops; with an extension that was built for tests "
            "(PYISEG_CUDA=STANDIN) --standin runs the same, without figures"
        )
    notes: list[str] = []
    subjects = []
    for name, model in models.items():
        subject = None
        if kind != "torch":
            try:
                subject = _on_tensorrt(name, model, info, work / "engines")
            except (DeviceError, RuntimeError) as error:
                if kind == "tensorrt":
                    raise
                notes.append(f"TensorRT does not run the {name} model: {error}")
        subjects.append(subject or _on_torch(name, model))
    return Place(_core.cuda, tuple(subjects), tuple(notes))


def _on_tensorrt(name: str, model: Model, info: GpuInfo, folder: Path) -> Subject:
    """A model with TensorRT's engines, tried with one click."""
    engines = tensorrt.TensorRT(info, EngineCache(folder))
    view = _usual_view(model)
    image = CudaImage(model, view, photograph(view.image), native=_core.cuda, engines=engines.load(model, view))
    image.pipeline().predict(np.array([[5, 5, 1]], np.int32), None)
    flops = None
    with contextlib.suppress(ImportError, OSError):
        import torch_networks

        flops = functools.partial(torch_networks.click_flops, torch_networks.NETWORKS[name]())
    return Subject(name, model, engines, f"{engines.trt.name} {engines.trt.version}", flops)


def _on_torch(name: str, model: Model) -> Subject:
    try:
        import torch
        import torch_engine
        import torch_networks
    except ImportError as error:
        raise DeviceError(f"there is no TensorRT that works, and PyTorch is missing: {error}") from error
    network = torch_networks.as_shipped(torch_networks.NETWORKS[name](), model)
    flops = functools.partial(torch_networks.click_flops, network)
    engines = torch_engine.TorchEngines(network)
    return Subject(name, model, engines, f"torch {torch.__version__}", flops, torch_engine.release)


def view_of(model: Model, size: Size) -> View:
    """How a model sees an image of (height, width)."""
    return model.view(size)


def _usual_view(model: Model) -> View:
    return view_of(model, (480, 640))
