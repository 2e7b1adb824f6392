"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # side by side, before anything reads it: a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings
from support import toy_model
from support.fake_tensorrt import with_fp16

from pyiseg import Model, Session, load_model
from pyiseg.tensorrt.cache import EngineCache

settings.register_profile("pyiseg", deadline=None)  # a busy machine takes its time, which is no failure
settings.load_profile("pyiseg")


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
