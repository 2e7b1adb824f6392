"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy_model

from pyiseg import Session


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in model's folder; not to be changed."""
    return toy_model.build(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def session(toy: Path) -> Session:
    """A fresh session on the stand-in model."""
    return Session(toy_model.PHOTO, model=toy)
