"""session.py: who owns which memory, and threads."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_model
from support.toy_device import Devices, watched
from support.toy_model import CLICKS, PHOTO, allocated, change_manifest, photo

from pyiseg import Image, Session

__all__ = ["watched"]  # a fixture

KINDS: dict[str, dict[str, Any]] = {
    "late": {},
    "early": {"early_fusion": True},
    "residual": {"form": "residual"},
    "color": {"form": "residual", "color": True, "radius": 1},
}


@pytest.fixture
def zooming(tmp_path: Path) -> Path:
    """A model that zooms in from the third click on."""
    folder = toy_model.build(tmp_path / "zooming", form="residual", color=True, radius=1)
    change_manifest(folder, zoom={"from_click": 3, "enlarge": 1.6, "below": 0.4, "magnify": 2.5})
    return folder


def test_what_a_session_returns_is_the_users(toy: Path, watched: Devices) -> None:
    session = Session(PHOTO, model=toy, device="watched")
    alphas = [session.alpha, session.click(60, 30), session.alpha, session.undo(), session.redo(), session.reset()]
    alphas += [session.click(60, 30), session.cutout()]
    kept = [alpha.copy() for alpha in alphas]
    own = [session.image, *watched.predictions]
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
def test_what_was_in_a_buffer_before_is_not_read(tmp_path: Path, kind: str) -> None:
    """Clicks work in memory that other calls have used: here it is full of NaN and, as integers, of -1."""
    image = Image(PHOTO, model=toy_model.build(tmp_path / "toy", **KINDS[kind]))
    session, expected = Session(image), Session(PHOTO, model=image.model)
    for click in CLICKS:
        with image.encoded.pool.lend() as scratch:
            scratch.empty((1 << 20,), np.uint8)
        with image.encoded.pool.lend() as scratch:
            scratch.empty((1 << 20,), np.uint8).fill(255)
        np.testing.assert_array_equal(session.click(*click), expected.click(*click))
        np.testing.assert_array_equal(session.alpha, expected.alpha)


def test_sessions_on_one_image_are_as_on_copies_of_it(zooming: Path) -> None:
    """Ten, each with clicks of its own that zoom in, in turns and then in threads at once."""
    rgb = photo(240, 320)
    image = Image(rgb, model=zooming)
    rng = np.random.default_rng(0)
    clicks = [
        [(int(x), int(y), i % 4 != 2) for i, (x, y) in enumerate(rng.integers(40, 90, (6, 2)))] for _ in range(10)
    ]
    alone = [
        [session.click(*click) for click in own]
        for own, session in ((own, Session(rgb, model=zooming)) for own in clicks)
    ]
    sessions = [Session(image) for _ in clicks]
    for step in range(6):
        for own, session, alphas in zip(clicks, sessions, alone, strict=True):
            np.testing.assert_array_equal(session.click(*own[step]), alphas[step])
    assert any(session.crop.shape != session.shape for session in sessions)

    def play(index: int) -> None:
        sessions[index].reset()
        for click, alpha in zip(clicks[index], alone[index], strict=True):
            np.testing.assert_array_equal(sessions[index].click(*click), alpha)

    run_together(*(lambda index=index: play(index) for index in range(10)))


def test_another_session_on_an_image_costs_its_steps_only(toy: Path) -> None:
    image = Image(photo(600, 1200), model=toy)
    first = Session(image)
    first.click(900, 300)
    _, held, _ = allocated(lambda: [Session(image) for _ in range(10)])
    assert held < 10 * 4096


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_allocates_its_answer_and_its_step_only(tmp_path: Path, kind: str) -> None:
    session = Session(photo(600, 1200), model=toy_model.build(tmp_path / "toy", **KINDS[kind]))
    for click in ((900, 300), (800, 300), (700, 300)):
        session.click(*click)  # and what clicks work in is there
    alpha, held, peak = allocated(lambda: session.click(100, 100))
    step = 4 * 16 * 32  # bytes of a prediction, whatever the image's size
    slack = 16_384  # Python's own small objects
    assert alpha.nbytes + step <= held <= peak <= alpha.nbytes + 2 * step + slack


def test_a_session_is_freed_with_its_last_name(toy: Path) -> None:
    image = Image(PHOTO, model=toy)
    session = Session(image)
    session.click(3, 3)
    encoded = weakref.ref(image.encoded)
    del image
    assert encoded() is not None
    gc.disable()
    try:
        del session
        assert encoded() is None  # at once: no cycle keeps the buffers until the collector comes by
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
    images = [photo(60, 80, seed) for seed in range(3)] + [photo(150, 70)]
    alone = [[Session(image, model=toy).click(30, 20)] for image in images]
    for image, alphas in zip(images, alone, strict=True):
        session = Session(image, model=toy)
        session.click(30, 20)
        alphas += [session.click(x, 30 + x // 4, x % 3 > 0) for x in range(12)]

    def play(index: int) -> None:
        session = Session(images[index], model=toy)
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


def test_a_reset_beside_sessions_that_take_the_crop(zooming: Path) -> None:
    """Of more zoomed sessions than may hold their crops one is reset all the time, while others take its crop."""
    image = Image(photo(240, 320), model=zooming)
    clicks = [(60, 60, True), (64, 66, True), (70, 62, False), (58, 58, True)]
    alone = Session(image)
    alphas = [alone.click(*click) for click in clicks]
    assert alone.crop.shape != alone.shape

    def play() -> None:
        session = Session(image)
        for _ in range(4):
            for click, alpha in zip(clicks, alphas, strict=True):
                np.testing.assert_array_equal(session.click(*click), alpha)
            session.reset()

    run_together(*[play] * 6)
