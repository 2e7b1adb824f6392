"""Clicks, new images, captured against not captured, and the network by itself."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
from gpu_place import (
    Alpha,
    Place,
    Size,
    Subject,
    check,
    clicks_on,
    on_device,
    photograph,
    session_on,
    view_of,
)
from gpu_timing import Stopwatch
from machine import median_p95

from pyiseg import Image, Session

Clicks = list[tuple[int, int, bool]]


def reference(subject: Subject, size: Size, clicks: Clicks) -> list[Alpha]:
    """The mattes of a session on the CPU after each click."""
    session = Session(photograph(size), model=subject.model)
    return [session.click(*click) for click in clicks]


def clicks_and_images(place: Place, subject: Subject, size: Size, count: int, rounds: int) -> dict[str, Any]:
    """Time clicks with the matte left on the device and brought to the host, in turns, and new images.

    All are timed by the clock, since that is what a user waits for: a click is complete when it returns. Every matte is
    compared with the CPU's.

    Args:
        place, subject: Where and what.
        size: Of the image.
        count: Clicks made on an image.
        rounds: Sessions; one more to warm up.
    """
    image, clicks = photograph(size), clicks_on(size, count)
    expected = reference(subject, size, clicks)
    times: dict[str, list[float]] = {"image": [], "click_on_device": [], "click": []}
    first: dict[int, Alpha] = {}
    mean, iou, same = 0.0, 1.0, True
    with on_device(place, subject) as made:
        for i in range(rounds + 1):
            start = time.perf_counter()
            session = session_on(subject, image)
            times["image"].append(time.perf_counter() - start)
            for name in ("click_on_device", "click"):
                for k, click in enumerate(clicks):
                    start = time.perf_counter()
                    getattr(session, name)(*click)
                    times[name].append(time.perf_counter() - start)
                    alpha = session.alpha
                    if k in first and np.array_equal(alpha, first[k]):
                        continue
                    same = same and k not in first
                    first[k] = alpha
                    off = check(alpha, expected[k], f"{subject.name} at {size}, click {k + 1}")
                    mean, iou = max(mean, off[0]), min(iou, off[1])
                session.reset()
            captured = made[0].captured
            del session
            made.clear()
            if i == 0:
                times = {name: [] for name in times}
    return {
        **{name: median_p95(seconds) for name, seconds in times.items()},
        "captured": captured,
        "mean_alpha_difference": float(f"{mean:.2g}"),
        "mask_iou": round(iou, 6),
        "same_bits_each_time": same,
    }


def captured_or_not(place: Place, subject: Subject, size: Size, count: int, rounds: int) -> dict[str, Any]:
    """Time the same clicks as one launch and enqueued step by step, in turns, in one session."""
    clicks = clicks_on(size, count)
    times: dict[str, list[float]] = {"graph": [], "eager": []}
    with on_device(place, subject) as made:
        session = session_on(subject, photograph(size))
        pipeline = made[0]
        if not pipeline.captured:
            return {"captured": False}
        mattes: dict[str, list[Alpha]] = {}
        same = True
        for i in range(rounds + 1):
            for name in times:
                pipeline.use_graph = name == "graph"
                mattes[name] = []
                for click in clicks:
                    start = time.perf_counter()
                    session.click_on_device(*click)
                    seconds = time.perf_counter() - start
                    mattes[name].append(session.alpha)
                    if i:
                        times[name].append(seconds)
                session.reset()
            for k, (one, other) in enumerate(zip(*mattes.values(), strict=True)):
                check(one, other, f"graph against eager, click {k + 1}")
                same = same and np.array_equal(one, other)
    return {"captured": True, **{name: median_p95(seconds) for name, seconds in times.items()}, "same_bits": same}


def network_alone(place: Place, subject: Subject, size: Size, rate: float | None, rounds: int) -> dict[str, Any]:
    """Time what runs of the network per click, in a graph by itself, against its operations at the matrix rate.

    Args:
        place, subject, size: As above.
        rate: Measured operations a second of a large matrix product; None if nothing could measure it.
        rounds: Launches of a graph with ten of it.
    """
    with on_device(place, subject) as made:
        session = session_on(subject, photograph(size))
        pipeline = made[0]
        click = clicks_on(size, 1)[0]
        before = session.click(*click)
        launches = 10 if place.is_gpu else 2
        watch = Stopwatch(place.native, pipeline.stream)
        seconds = watch.of_one(lambda i: pipeline.network.enqueue(pipeline.stream), launches, rounds)
        # It ran on the click's inputs: the session must not have noticed.
        session.reset()
        check(session.click(*click), before, "a click after the network ran by itself")
    median = float(np.median(seconds))
    result: dict[str, Any] = {
        "median_us": round(1e6 * median, 1),
        "p95_us": round(1e6 * float(np.percentile(seconds, 95)), 1),
    }
    if subject.flops is not None:
        flops = subject.flops(view_of(subject.model, size).working)
        result |= {"gflop": round(flops / 1e9, 3), "tflop_per_s": round(flops / median / 1e12, 3)}
        if rate is not None:
            result["of_matrix_rate"] = round(flops / median / rate, 4)
    return result


def matrix_rate(place: Place, side: int, rounds: int) -> float | None:
    """Operations a second of an FP16 matrix product, FP32 on the host; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    device, dtype = ("cuda", torch.float16) if place.is_gpu else ("cpu", torch.float32)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = a @ b
    exact = a[:8].double() @ b.double()
    assert float((product[:8].double() - exact).norm() / exact.norm()) < 1e-2, "the matrix product is wrong"
    seconds = []
    for _ in range(rounds + 3):
        if place.is_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        torch.mm(a, b, out=product)
        if place.is_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / float(np.median(seconds[3:]))


def leftovers(place: Place, subject: Subject, size: Size, sessions: int) -> dict[str, Any]:
    """Make and drop sessions, and see whether the device has the memory that it began with.

    Raises:
        AssertionError: More than 8 MB are missing, which is less than 10 KB for each of 1000 sessions.
    """
    image, clicks = photograph(size), clicks_on(size, 2)
    expected: Alpha | None = None
    with on_device(place, subject):

        def one() -> None:
            nonlocal expected
            session = session_on(subject, image)
            session.click(*clicks[0])
            alpha = session.click(*clicks[1])
            session.undo()
            expected = alpha if expected is None else expected
            check(alpha, expected, "the same clicks in another session")

        for _ in range(8):  # what libraries keep from their first use on
            one()
        before = place.used(subject)
        start = time.perf_counter()
        for _ in range(sessions):
            one()
        seconds = time.perf_counter() - start
        gone = place.used(subject) - before
    assert gone <= (8e6 if place.is_gpu else 0), f"{sessions} sessions left {gone} bytes of device memory in use"
    return {"sessions": sessions, "left_bytes": gone, "seconds": round(seconds, 2)}


def held(place: Place, subject: Subject, size: Size, sessions: int = 3) -> dict[str, Any]:
    """Measure the device memory of a session: what it says, and what the driver says of several."""
    image, click = photograph(size), clicks_on(size, 1)[0]
    with on_device(place, subject) as made:
        opened = Image(image, model=subject.model, device="cuda")
        session = Session(opened)
        session.click(*click)
        says = made[0].nbytes + opened.encoded.nbytes
        del session, opened
        made.clear()
        before = place.used(subject)
        kept = []
        for _ in range(sessions):
            kept.append(session_on(subject, image))
            assert kept[-1].click(*click)[click[1], click[0]] > 127, "a clicked pixel is not selected"
        measured = (place.used(subject) - before) / sessions
        del kept
        gc.collect()
    return {"says_bytes": says, "measured_bytes": int(measured)}
