"""session.py: who owns which memory, and threads."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support import toy_model
from support.toy_model import CLICKS, PHOTO, allocated, photo

from pyiseg import Session

KINDS: dict[str, dict[str, Any]] = {
    "late": {},
    "early": {"early_fusion": True},
    "residual": {"form": "residual"},
    "color": {"form": "residual", "color": True, "radius": 1},
}


def buffers(session: Session) -> dict[str, npt.NDArray[Any]]:
    """All arrays that a session's pipeline holds, by the names of those who hold them."""
    pipeline = vars(session._crops.whole.pipeline)
    owners = {"click stage": pipeline["_click_stage"], "filter": pipeline["_filter"]}
    if "_guide" in vars(owners["filter"]):
        owners["guide"] = vars(owners["filter"])["_guide"]
    held = {f"{owner} {name}": x for owner, what in owners.items() for name, x in vars(what).items()}
    return {name: x for name, x in held.items() if isinstance(x, np.ndarray) and name != "filter _fitted_to"}


def test_what_a_session_returns_is_the_users(session: Session) -> None:
    alphas = [session.alpha, session.click(60, 30), session.alpha, session.undo(), session.redo(), session.reset()]
    alphas += [session.click(60, 30), session.cutout()]
    kept = [alpha.copy() for alpha in alphas]
    own = [session.image, *buffers(session).values(), *(step.selection.prediction for step in session._steps)]
    for index, alpha in enumerate(alphas):
        assert alpha.flags.writeable
        assert not any(np.shares_memory(alpha, other) for other in own + alphas[:index])
    session.click(10, 12)
    for alpha, copy in zip(alphas, kept, strict=True):
        np.testing.assert_array_equal(alpha, copy)  # later clicks do not reach earlier answers
    session.undo()
    for alpha in alphas:
        alpha.fill(77)
    np.testing.assert_array_equal(session.alpha, kept[1])  # nor does the user reach the session


def test_the_image_is_the_sessions_own(toy: Path) -> None:
    image = PHOTO.copy()
    session = Session(image, model=toy)
    image.fill(0)
    np.testing.assert_array_equal(session.image, PHOTO)
    with pytest.raises(ValueError, match="read-only"):
        session.image[0, 0] = 0
    np.testing.assert_array_equal(session.click(60, 30), Session(PHOTO, model=toy).click(60, 30))


@pytest.mark.parametrize("kind", KINDS)
def test_clicks_reuse_the_buffers(tmp_path: Path, kind: str) -> None:
    session = Session(PHOTO, model=toy_model.build(tmp_path / "toy", **KINDS[kind]))
    before = {name: array.ctypes.data for name, array in buffers(session).items()}
    once = {"filter image", "filter statistics", "filter _rgb"} if kind == "color" else {"guide full", "guide grid"}
    each_click = {f"click stage {name}" for name in ("maps", "previous", "answer", "_labels")}
    assert once | each_click | {"filter _scratch", "filter _coefficients"} <= before.keys()
    kept = {name: buffers(session)[name].copy() for name in once}
    for click in CLICKS:
        for name in each_click | {"filter _scratch", "filter _coefficients"}:
            buffers(session)[name].fill(77 if name == "click stage _labels" else np.nan)
        session.click(*click)
        # The network wrote into our buffer, not into one of its own.
        assert np.isfinite(buffers(session)["click stage answer"]).all()
    assert {name: array.ctypes.data for name, array in buffers(session).items()} == before
    for name, array in kept.items():
        np.testing.assert_array_equal(buffers(session)[name], array)
    expected = Session(PHOTO, model=toy_model.build(tmp_path / "toy", **KINDS[kind]))
    for click in CLICKS:
        expected.click(*click)
    np.testing.assert_array_equal(session.alpha, expected.alpha)  # nothing of what was there before is read


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_allocates_its_answer_and_its_step_only(tmp_path: Path, kind: str) -> None:
    session = Session(photo(600, 1200), model=toy_model.build(tmp_path / "toy", **KINDS[kind]))
    session.click(900, 300)
    alpha, held, peak = allocated(lambda: session.click(100, 100))
    step = session._steps[-1].selection.prediction
    assert step.nbytes == 4 * 16 * 32  # whatever the image's size
    slack = 16_384  # Python's own small objects
    assert alpha.nbytes + step.nbytes <= held <= peak <= alpha.nbytes + step.nbytes + slack


def test_a_session_is_freed_with_its_last_name(toy: Path) -> None:
    session = Session(PHOTO, model=toy)
    session.click(3, 3)
    pipeline = weakref.ref(session._crops.whole.pipeline)
    gc.disable()
    try:
        del session
        assert pipeline() is None  # at once: no cycle keeps the buffers until the collector comes by
    finally:
        gc.enable()


def run_together(*functions: Any) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(functions))

    def guarded(function: Any) -> None:
        try:
            barrier.wait()
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_sessions_side_by_side_do_not_disturb_each_other(toy: Path) -> None:
    pictures = [photo(60, 80, seed) for seed in range(3)] + [photo(150, 70)]
    alone = [[Session(picture, model=toy).click(30, 20)] for picture in pictures]
    for picture, alphas in zip(pictures, alone, strict=True):
        session = Session(picture, model=toy)
        session.click(30, 20)
        alphas += [session.click(x, 30 + x // 4, x % 3 > 0) for x in range(12)]

    def play(index: int) -> None:
        session = Session(pictures[index], model=toy)
        for _ in range(4):
            session.reset()
            np.testing.assert_array_equal(session.click(30, 20), alone[index][0])
            for x in range(12):
                np.testing.assert_array_equal(session.click(x, 30 + x // 4, x % 3 > 0), alone[index][x + 1])

    run_together(*(lambda index=index: play(index) for index in range(4)))


def test_one_session_in_many_threads_takes_one_click_at_a_time(toy: Path, session: Session) -> None:
    def play(row: int) -> None:
        for x in range(15):
            session.click(x * 5, row, x % 4 > 0)
            session.undo()
            session.redo()
            assert session.alpha.shape == (60, 80)

    run_together(*(lambda row=row: play(row) for row in (5, 20, 35, 50)))
    # Undo and redo of different threads may swap clicks or drop one, but whatever is in force was really computed so.
    clicks = session.clicks
    assert 15 <= len(clicks) <= 60
    again = Session(PHOTO, model=toy)
    for click in clicks:
        alpha = again.click(*click)
    np.testing.assert_array_equal(session.alpha, alpha)
