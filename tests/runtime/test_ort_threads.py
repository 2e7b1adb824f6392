"""How many threads ONNX Runtime is told to take."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.toy_batch import make

from pyiseg import Click, Model, load_model
from pyiseg.batch.folder import run_folder
from pyiseg.runtime import ort


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that networks are opened with, as they are; 0 is ONNX Runtime's own."""
    found: list[int] = []
    session = ort.ort.InferenceSession

    def recorded(content: bytes, options: Any, **more: Any) -> Any:
        found.append(options.intra_op_num_threads)
        return session(content, options, **more)

    monkeypatch.setattr(ort.ort, "InferenceSession", recorded)
    return found


@pytest.mark.parametrize(("stated", "number"), [(None, 0), (3, 3)])
def test_networks_take_the_stated_number(
    toy: Path, told: list[int], monkeypatch: pytest.MonkeyPatch, stated: int | None, number: int
) -> None:
    monkeypatch.delenv("PYISEG_NUM_THREADS", raising=False)
    model: Model = dataclasses.replace(load_model(toy))
    networks = ort.networks_of(model, stated)
    assert set(told) == {number}
    # Only once, and whoever comes later shares them.
    assert ort.networks_of(model) is networks
    assert len(told) == 3


@pytest.mark.parametrize(("jobs", "number"), [(1, 4), (2, 3), (4, 1), (9, 1)])
def test_jobs_share_the_threads(
    tmp_path: Path, toy: Path, told: list[int], monkeypatch: pytest.MonkeyPatch, jobs: int, number: int
) -> None:
    monkeypatch.setenv("PYISEG_NUM_THREADS", "4")
    monkeypatch.setattr(ort._core, "get_num_threads", lambda: 4)
    folder = make(tmp_path / "photos", ["a.png"])
    run_folder(folder, tmp_path / "out", {"a.png": [Click(60, 30)]}, model=toy, jobs=jobs)
    assert set(told) == {number}
