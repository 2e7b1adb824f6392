"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # side by side, before anything reads it: a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from support import toy_model
from support.fake_tensorrt import with_fp16

from pyiseg import Model, Session, load_model
from pyiseg.tensorrt.cache import EngineCache

# Whoever runs the tests in the background may have Ctrl-C ignored, which every process that they start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine with other work is slow at times, which is no error.
hypothesis.settings.register_profile("pyiseg", deadline=None)
hypothesis.settings.load_profile("pyiseg")


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in model's folder; not to be changed."""
    return toy_model.build(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def session(toy: Path) -> Session:
    """A fresh session on the stand-in model."""
    return Session(toy_model.PHOTO, model=toy)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A small stand-in model to build engines of; its folder may be changed."""
    return load_model(toy_model.build(tmp_path / "toy", long_side=128))


@pytest.fixture
def half(tmp_path: Path) -> Model:
    """The same with FP16 networks."""
    return with_fp16(toy_model.build(tmp_path / "half", long_side=128))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    """The place where engines are kept, empty."""
    monkeypatch.setenv("PYISEG_CACHE", str(tmp_path / "cache"))
    return EngineCache()
