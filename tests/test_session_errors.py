"""session.py: bad input is refused by name, and no error leaves a trace."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.toy_device import Devices, watched
from support.toy_model import CLICKS, PHOTO, click_all, same

import pyiseg
from pyiseg import Session

__all__ = ["watched"]  # a fixture

# Clicks at the door


@pytest.mark.parametrize(
    ("value", "pixel"),
    [(3, 3), (np.int64(3), 3), (np.uint8(3), 3), (3.0, 3), (np.float32(3.4), 3), (2.5, 3), (3.49, 3), (-0.5, 0)],
)
def test_coordinates(session: Session, value: Any, pixel: int) -> None:
    session.click(value, 7)
    session.click(7, value)
    assert session.clicks == ((pixel, 7, True), (7, pixel, True))
    assert all(type(x) is int and type(y) is int and type(fg) is bool for x, y, fg in session.clicks)


BAD = [-1, 80, 79.5, -0.51, 10**400, float("nan"), float("inf"), np.float32("nan"), True, "3", None, 3j, [3]]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:20])
def test_bad_coordinates(session: Session, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"^x is .*0 to 79") as caught:
        session.click(bad, 5)
    assert repr(bad)[:80] in str(caught.value)
    with pytest.raises(ValueError, match=r"^y is .*0 to 59"):
        session.click(5, bad)
    assert session.clicks == ()


def test_the_last_pixel_is_inside(session: Session) -> None:
    session.click(79, 59)
    with pytest.raises(ValueError, match="y is 60, outside the image"):
        session.click(79, 60)


@pytest.mark.parametrize(("value", "fg"), [(True, True), (np.bool_(False), False), (1, True), (np.int8(0), False)])
def test_labels(session: Session, value: Any, fg: bool) -> None:
    session.click(3, 3, value)
    assert session.clicks == ((3, 3, fg),)


@pytest.mark.parametrize("bad", ["bg", None, 2, -1, 0.0, np.array([True, False])])
def test_bad_labels(session: Session, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"fg is .*pass True"):
        session.click(3, 3, bad)


def test_devices(toy: Path) -> None:
    assert pyiseg.available_devices() == ("cpu",)
    assert Session(PHOTO, model=toy, device="auto").device == "cpu"
    with pytest.raises(pyiseg.DeviceError, match="device='cpu'"):
        Session(PHOTO, model=toy, device="cuda")
    unknown: list[Any] = ["CPU", "gpu", "", None, 0]
    for device in unknown:
        with pytest.raises(ValueError, match=r"device is .*'cpu', 'cuda', 'auto'"):
            Session(PHOTO, model=toy, device=device)


# Errors leave no trace


@pytest.mark.parametrize("part", ["predict", "matte"])
def test_a_click_that_fails_leaves_the_session_as_it_was(toy: Path, watched: Devices, part: str) -> None:
    session = Session(PHOTO, model=toy, device="watched")
    alphas = click_all(session)
    session.undo()
    own = watched.last().predict

    def broken(*arguments: Any) -> Any:
        if part == "predict":
            own(*arguments)  # every buffer is written
        raise RuntimeError("broken")

    watched.faults[part] = broken
    with pytest.raises(RuntimeError, match="broken"):
        session.click(30, 30)
    watched.faults.clear()
    with pytest.raises(ValueError, match="outside"):
        session.click(-1, 30)
    assert session.clicks == CLICKS[:3]
    assert same(session.alpha, alphas[2])
    assert same(session.redo(), alphas[3])
    session.undo()
    assert same(session.click(*CLICKS[3]), alphas[3])


def test_a_prompt_whose_change_cannot_be_told_is_not_made(toy: Path, watched: Devices) -> None:
    """It was made, and then the comparison failed: the caller was told of an error, and the prompt stayed."""
    session = Session(PHOTO, model=toy, device="watched")
    session.click(60, 30)

    def broken(*_: Any) -> Any:
        raise pyiseg.DeviceError("broken")

    watched.faults["changed"] = broken
    with pytest.raises(pyiseg.DeviceError, match="broken"):
        session.add(pyiseg.Click(10, 12, True))
    watched.faults.clear()
    assert session.prompts == ((60, 30, True),)
    assert not session.can_redo


def test_a_call_waits_for_the_one_that_is_at_work(toy: Path, watched: Devices) -> None:
    """Or it would go on from the steps before, and the other's prompt would be lost."""
    session = Session(PHOTO, model=toy, device="watched")
    own, other = watched.last().predict, threading.Thread(target=lambda: session.click(10, 12))

    def slow(*arguments: Any) -> Any:
        if threading.current_thread() is not other:
            other.start()
            other.join(0.3)
        return own(*arguments)

    watched.faults["predict"] = slow
    session.click(60, 30)
    other.join()
    assert session.clicks == ((60, 30, True), (10, 12, True))


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_not_copied(session: Session, copier: Callable[[Session], object]) -> None:
    with pytest.raises(TypeError, match=r"session\.save\(file\) keeps what was done"):
        copier(session)


def test_an_exception_from_outside_is_not_the_models(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class TimeUpError(Exception):
        pass

    def interrupted(network: object, binding: object) -> None:
        raise TimeUpError

    session.click(60, 30)
    monkeypatch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", interrupted)
    with pytest.raises(TimeUpError):
        session.click(10, 12)
    assert session.clicks == ((60, 30, True),)
